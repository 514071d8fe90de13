"""Idempotent mutations: the first answer under a ``clientMutationId`` is the answer to every repetition."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from server.domain.access import Caller
from server.domain.errors import InvalidInput
from server.ports import Tx

KEY_MAX = 128


def earlier(tx: Tx, caller: Caller, mutation: str, key: str | None) -> UUID | None:
    """The id this mutation answered with before under ``key``."""
    if key is None or caller.user_id is None:
        return None
    if not 1 <= len(key) <= KEY_MAX:
        raise InvalidInput(
            f"clientMutationId has 1 to {KEY_MAX} characters.", fields={"clientMutationId": f"1 to {KEY_MAX} characters."}
        )
    answer = tx.replies.get(caller.user_id, mutation, key)
    return None if answer is None else UUID(answer["id"])


def keep(tx: Tx, caller: Caller, mutation: str, key: str | None, id: UUID, *, at: datetime) -> None:
    """Remember ``id`` as the answer under ``key``, in the transaction that made it."""
    if key is not None and caller.user_id is not None:
        tx.replies.put(caller.user_id, mutation, key, {"id": str(id)}, at=at)
