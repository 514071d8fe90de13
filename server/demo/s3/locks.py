"""Object Lock: what a write asks for, what the bucket adds, and what may not be removed before its time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from xml.etree.ElementTree import Element

from server.demo import clock
from server.demo.errors import AwsError
from server.demo.s3 import documents
from server.demo.s3.records import Object

MODE, UNTIL = "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date"
MODES = ("COMPLIANCE", "GOVERNANCE")
SETTING = "object-lock"  # of a bucket: the document as it was put
_BYPASS = "x-amz-bypass-governance-retention"
_YEAR = 365


def bypassing(headers: dict[str, str]) -> bool:
    return headers.get(_BYPASS, "").lower() == "true"


def headers_of_write(headers: dict[str, str], setting: bytes | None) -> dict[str, str]:
    """The lock a new object gets: its own, else the bucket's default. Errors: AwsError."""
    mode, until = headers.get(MODE), headers.get(UNTIL)
    if mode is None and until is None:
        return {} if setting is None else _default(setting)
    if setting is None:
        raise AwsError("InvalidRequest", "Bucket is missing Object Lock Configuration", 400)
    if mode is None or until is None:
        raise _invalid("x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied")
    return _checked(mode, until)


def require_checksum(headers: dict[str, str], what: str) -> None:
    """Errors: AwsError InvalidRequest when a locked ``what`` comes without."""
    if not has_checksum(headers):
        text = f"Content-MD5 OR x-amz-checksum- HTTP header is required for {what} requests with Object Lock parameters"
        raise AwsError("InvalidRequest", text, 400)


def has_checksum(headers: dict[str, str]) -> bool:
    sent = any(name.startswith("x-amz-checksum-") and not name.endswith("-algorithm") for name in headers)
    return sent or "content-md5" in headers or "x-amz-checksum-" in headers.get("x-amz-trailer", "").lower()


def of_retention(root: Element, item: Object, *, bypass: bool) -> dict[str, str]:
    """The headers of ``item`` with the retention a PutObjectRetention asks for. Errors: AwsError when it would be less."""
    mode, until = root.findtext("Mode"), root.findtext("RetainUntilDate")
    if not mode or not until:
        raise documents.malformed()
    wanted = _checked(mode, until)
    held, present = item.headers.get(MODE), _seconds(item.headers.get(UNTIL))
    less = _seconds(until) < present or (held == "COMPLIANCE" and mode != held)
    if held is not None and present > clock.now() and less and (held == "COMPLIANCE" or not bypass):
        raise AwsError("AccessDenied", "Access Denied because object protected by object lock.", 403)
    return {**item.headers, **wanted}


def refuse_removal(item: Object, *, bypass: bool) -> None:
    """Errors: AwsError AccessDenied."""
    mode = item.headers.get(MODE)
    if mode is None or _seconds(item.headers.get(UNTIL)) <= clock.now() or (mode == "GOVERNANCE" and bypass):
        return
    raise AwsError("AccessDenied", "Access Denied because object protected by object lock.", 403)


def _default(setting: bytes) -> dict[str, str]:
    rule = documents.parse(setting).find("Rule/DefaultRetention")
    if rule is None:
        return {}
    days = int(rule.findtext("Days") or int(rule.findtext("Years") or 0) * _YEAR)
    until = datetime.fromtimestamp(clock.now(), UTC) + timedelta(days=days)
    return {MODE: rule.findtext("Mode") or "", UNTIL: documents.moment(until.timestamp())}


def _checked(mode: str, until: str) -> dict[str, str]:
    if mode not in MODES:
        raise _invalid("Unknown wormMode directive.")
    if _seconds(until) <= clock.now():
        raise _invalid("The retain until date must be in the future!")
    return {MODE: mode, UNTIL: documents.moment(_seconds(until))}


def _seconds(text: str | None) -> float:
    try:
        return datetime.fromisoformat(text).timestamp() if text else 0.0
    except ValueError:
        raise _invalid("The retain until date must be provided in ISO 8601 format")


def _invalid(text: str) -> AwsError:
    return AwsError("InvalidArgument", text, 400)
