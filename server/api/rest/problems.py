"""Errors as REST clients know them: RFC 7807 bodies with the appliance's own ``errorCode``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response


@dataclass(frozen=True, slots=True)
class Kind:
    """``page``: the last part of the ``type`` URI."""

    status: int
    error_code: str
    page: str
    title: str


INVALID = Kind(400, "UnexpectedContent", "validationError", "The request is not valid")
NO_TOKEN = Kind(401, "InvalidToken", "noAccessToken", "An access token is needed")
BAD_TOKEN = Kind(401, "InvalidToken", "invalidAccessToken", "The access token is not valid")
EXPIRED = Kind(401, "ExpiredToken", "expiredAccessToken", "The token has expired")
DENIED = Kind(403, "AccessDenied", "accessDenied", "Your role does not allow this")
MISSING = Kind(404, "NotFound", "resourceNotFound", "There is no such thing")
NO_ROUTE = Kind(404, "InvalidURI", "resourceNotFound", "There is no such address")
WRONG_METHOD = Kind(405, "MethodNotAllowed", "notImplemented", "This method is not possible here")
CONFLICT = Kind(409, "UnexpectedContent", "validationError", "This is not possible now")
SLOW_DOWN = Kind(429, "AccessDenied", "accessDenied", "Too many attempts")
UNAVAILABLE = Kind(503, "ServiceUnavailable", "serviceUnavailable", "A service we need does not answer")
UNKNOWN = Kind(500, "UnknownError", "unknownError", "Something unexpected happened")
VERSION_INVALID = Kind(400, "UnexpectedContent", "invalidApiVersion", "x-api-version is malformed")
VERSION_UNSUPPORTED = Kind(400, "UnexpectedContent", "unsupportedApiVersion", "This API revision is not served")
VERSION_AMBIGUOUS = Kind(400, "UnexpectedContent", "ambiguousApiVersion", "Several API revisions were asked for")

# The ``code`` of a GraphQL error → what REST makes of it. A test compares the keys with the error tree.
BY_CODE: Mapping[str, Kind] = {
    "INVALID_INPUT": INVALID,
    "INVALID_QUERY": INVALID,
    "LIMIT_EXCEEDED": INVALID,
    "NOT_FOUND": MISSING,
    "CONFLICT": CONFLICT,
    "NOT_POSSIBLE": CONFLICT,
    "UNAUTHENTICATED": BAD_TOKEN,
    "TOKEN_EXPIRED": EXPIRED,
    "FORBIDDEN": DENIED,
    "TOO_MANY_REQUESTS": SLOW_DOWN,
    "CANCELLED": CONFLICT,
    "UNAVAILABLE": UNAVAILABLE,
    "DATABASE_DOWN": UNAVAILABLE,
    "QUEUE_DOWN": UNAVAILABLE,
    "THROTTLED": UNAVAILABLE,
    "STORAGE_FULL": UNAVAILABLE,
    "AWS_ERROR": UNKNOWN,
    "AWS_ACCESS_DENIED": UNKNOWN,
    "AWS_CREDENTIALS": UNKNOWN,
    "AWS_NOT_FOUND": MISSING,
    "AWS_LIMIT": UNAVAILABLE,
    "AWS_REJECTED": INVALID,
    "REPOSITORY_ERROR": UNKNOWN,
    "WRONG_PASSWORD": INVALID,
    "DAMAGED": UNKNOWN,
    "FOREIGN_FORMAT": INVALID,
    "NOT_OWNER": CONFLICT,
    "ARCHIVED": CONFLICT,
    "ALREADY_THERE": CONFLICT,
    "MISCONFIGURED": UNKNOWN,
    "INTERNAL": UNKNOWN,
}

PAGES: Mapping[str, str] = {
    "accessDenied": "The role of the signed-in user does not cover the operation, or sign-in is paused.",
    "noAccessToken": "The request has no Authorization header. Get a token from POST /api/v1/token.",
    "invalidAccessToken": "The token is unknown or revoked. Sign in again.",
    "expiredAccessToken": "The token has expired. Refresh it or sign in again.",
    "resourceNotFound": "No object has this id, or no operation this address.",
    "validationError": "A parameter, the body or the state of things does not allow the operation; the details say which.",
    "serviceUnavailable": "The database, the queue, AWS or a repository does not answer. Try again later.",
    "notImplemented": "The address exists, the method does not.",
    "unknownError": "Something unexpected happened; the log has the details under the request's id.",
    "unsupportedApiVersion": "The revision in x-api-version is not served.",
    "invalidApiVersion": "x-api-version has the form major.minor-revN, such as 1.8-rev0.",
    "ambiguousApiVersion": "The request names several revisions.",
}


@dataclass(frozen=True, slots=True)
class Problem(Exception):
    """Ends a request with an error answer. ``errors`` maps inputs to what is wrong with them."""

    kind: Kind
    details: str
    errors: Mapping[str, str] = field(default_factory=dict)
    retry_after: float | None = None


def from_errors(errors: list[dict[str, Any]], *, signed: bool) -> Problem:
    """The problem behind an operation's first error. ``signed``: the request had a token at all."""
    first = errors[0]
    extra = first.get("extensions") or {}
    kind = BY_CODE.get(extra.get("code", ""), UNKNOWN)
    if kind is BAD_TOKEN and not signed:
        kind = NO_TOKEN
    details = " ".join(part for part in (first.get("message", ""), extra.get("remedy", "")) if part)
    return Problem(kind, details, extra.get("fields") or {}, extra.get("retryAfter"))


def answer(problem: Problem, request: Request, base: str) -> Response:
    trace = getattr(request.state, "request_id", "")
    kind = problem.kind
    body = {
        "type": f"{base}/problems/{kind.page}",
        "title": kind.title,
        "status": kind.status,
        "errorCode": kind.error_code,
        "details": problem.details,
        "detail": problem.details,  # its name from revision 1.8 on
        "instance": request.url.path,
        "traceId": trace,
        "errors": {name: [text] for name, text in problem.errors.items()},
        "data": {},
    }
    headers = {}
    if kind.status == 401:
        headers["www-authenticate"] = "Bearer"
    if problem.retry_after is not None:
        headers["retry-after"] = str(max(1, round(problem.retry_after)))
    return Response(orjson.dumps(body), kind.status, headers=headers, media_type="application/problem+json")


def page(name: str) -> Response | None:
    """The page a ``type`` URI leads to."""
    known = {title.lower(): title for title in PAGES}.get(name.lower())
    if known is None:
        return None
    head = f'<meta charset="utf-8"><title>{known}</title>'
    html = f'<!doctype html><html lang="en">{head}<h1>{known}</h1><p>{PAGES[known]}</p></html>'
    return HTMLResponse(html)
