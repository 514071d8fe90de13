"""Structured logs: one event per line, as JSON or text, with session and task ids from the context and secrets blanked.

``configure`` once per process; then ``structlog.get_logger()`` or the standard ``logging`` anywhere. ``context`` adds ids to
every line written inside it, in the same thread or asyncio task.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, Final, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_SECRET_NAMES: Final = re.compile(r"password|passwd|secret|token|authorization|credential|external_?id|api_?key", re.IGNORECASE)
_HARMLESS_NAMES: Final = frozenset({"next_token", "client_token", "token_kind"})  # AWS paging and idempotency, and a kind
_SECRET_TEXTS: Final = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}"), r"\1 ***"),
    (re.compile(r"([a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s@]+@"), r"\1:***@"),  # password in a URL
    (re.compile(r"(?i)(x-amz-(?:security-token|signature|credential)=)[^&\s\"']+"), r"\1***"),
    (re.compile(r"\b((?:AKIA|ASIA)[A-Z0-9]{4})[A-Z0-9]{12}\b"), r"\1***"),
)
_BLANK: Final = "***"
_DEPTH_MAX: Final = 6  # deeper values are not logged on purpose; stop there rather than recurse without end


def configure(log_format: Literal["text", "json"], log_level: str, *, process: str) -> None:
    """Send this process's logs, and those of libraries, to standard error. ``process`` names the writer in every line."""
    level = getattr(logging, log_level.upper())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # tests configure again
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _named(process),
                structlog.processors.format_exc_info,
                redact,
                _renderer(log_format),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for chatty in ("botocore", "boto3", "urllib3", "dramatiq", "alembic", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))


@contextmanager
def context(**ids: Any) -> Iterator[None]:
    """Add ``ids`` (``session_id``, ``task_id`` …) to every line written inside the block; None values are left out."""
    given = {name: str(value) for name, value in ids.items() if value is not None}
    with structlog.contextvars.bound_contextvars(**given):
        yield


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Blank what must never be in a log: values under secret names, and secrets inside texts."""
    return {name: _clean(name, value, 0) for name, value in event.items()}


def _clean(name: str, value: Any, depth: int) -> Any:
    if _SECRET_NAMES.search(name) and name.lower() not in _HARMLESS_NAMES and value is not None:
        return _BLANK
    if depth > _DEPTH_MAX:
        return "…"
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, Mapping):
        return {str(key): _clean(str(key), item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", item, depth + 1) for item in value]
    return value


def clean_text(text: str) -> str:
    """``text`` without bearer tokens, passwords in URLs, AWS signatures and access keys."""
    for pattern, replacement in _SECRET_TEXTS:
        text = pattern.sub(replacement, text)
    return text


def _named(process: str) -> Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["process"] = process
        event.pop("color_message", None)  # uvicorn's second copy of its text, for terminals
        return event

    return add


def _renderer(log_format: Literal["text", "json"]) -> Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer(default=str, sort_keys=False)
    return _text


def _text(_logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]) -> str:
    """``12:00:00 info event name=value``, short enough to read beside other processes' lines."""
    moment = str(event.pop("timestamp", ""))[11:19]
    level, message = event.pop("level", ""), event.pop("event", "")
    exception = event.pop("exception", None)
    event.pop("logger", None)
    event.pop("process", None)  # the supervisor already prefixes it
    extras = "".join(f" {name}={value}" for name, value in event.items())
    return f"{moment} {level:<7} {message}{extras}" + (f"\n{exception}" if exception else "")
