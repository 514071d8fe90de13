"""What the AWS adapters ask before every request, so that we stay within AWS's rates (``quota`` knows them)."""

from __future__ import annotations

from typing import Protocol

from server.domain.workload import Place


class Pace(Protocol):
    def take(self, place: Place, operation: str) -> None:
        """Wait until one more request of this kind is within the rate. Never fails."""
        ...


class NoQuotas:
    """No limit of our own: AWS's throttling is the only one."""

    def take(self, place: Place, operation: str) -> None:
        del place, operation
