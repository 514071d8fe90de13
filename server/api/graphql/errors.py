"""How errors look to clients: ``extensions`` carries ``code``, ``fields``, ``remedy``; the unexpected is logged and hidden."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from uuid import uuid4

import structlog
from graphql import GraphQLError, GraphQLSyntaxError
from strawberry.extensions import SchemaExtension
from strawberry.types import StreamExecutionResult

from server.domain.errors import HoldfastError, TooManyRequests

log = structlog.get_logger(__name__)

BAD_DOCUMENT = "INVALID_QUERY"  # syntax, unknown fields, wrong argument types: the client's program is wrong
INTERNAL = "INTERNAL"


def extensions(error: HoldfastError) -> dict[str, Any]:
    """What a client may know of an error we raised."""
    shown: dict[str, Any] = {"code": error.code}
    if error.fields:
        shown["fields"] = error.fields
    if error.remedy:
        shown["remedy"] = error.remedy
    if isinstance(error, TooManyRequests):
        shown["retryAfter"] = round(error.retry_after, 1)
    return shown


def shown(error: GraphQLError) -> GraphQLError:
    """``error`` as the client sees it. Idempotent."""
    cause = error.original_error
    if error.extensions and "code" in error.extensions:
        return error
    if isinstance(cause, HoldfastError) and type(cause) is not HoldfastError:
        return _copy(error, cause.message, extensions(cause))
    if cause is None or isinstance(cause, GraphQLError) or isinstance(error, GraphQLSyntaxError):
        return _copy(error, error.message, {"code": BAD_DOCUMENT})
    reference = uuid4().hex[:12]
    path = ".".join(str(part) for part in error.path or ())
    log.error("unexpected error", reference=reference, path=path, exc_info=cause)
    said = f"Something unexpected happened. The log has it under {reference}."
    return _copy(error, said, {"code": INTERNAL, "id": reference})


def _copy(error: GraphQLError, message: str, extra: dict[str, Any]) -> GraphQLError:
    return GraphQLError(
        message, nodes=error.nodes, source=error.source, positions=error.positions, path=error.path, extensions=extra
    )


def show_all(errors: Iterable[GraphQLError]) -> list[GraphQLError]:
    return [shown(error) for error in errors]


class Errors(SchemaExtension):
    """Translates every error of a result before it leaves, streamed results included."""

    def on_operation(self) -> Iterator[None]:
        yield
        result = self.execution_context.result
        if result is not None and result.errors:
            result.errors = show_all(result.errors)

    def on_stream_result(self, result: StreamExecutionResult) -> Iterator[None]:
        errors = getattr(result, "errors", None)
        if errors:
            result.errors = show_all(errors)  # type: ignore[union-attr]  # only frames with errors reach this line
        yield
