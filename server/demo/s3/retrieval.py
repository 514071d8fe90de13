"""Archive classes: objects that must be retrieved before they can be read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from xml.etree.ElementTree import Element

from server.demo import clock
from server.demo.errors import AwsError
from server.demo.s3 import documents
from server.demo.s3.records import Object

ARCHIVES = {"GLACIER": ("Expedited", "Standard", "Bulk"), "DEEP_ARCHIVE": ("Standard", "Bulk")}
_PACE = {"Expedited": 0.3, "Standard": 1.0, "Bulk": 2.0}  # times the seconds of a standard retrieval
_READY, _UNTIL = "demo-readable-from", "demo-readable-until"  # Unix times


def header(item: Object) -> dict[str, str]:
    """x-amz-restore, as long as there is something to say."""
    ready, until = _times(item)
    now = clock.now()
    if now >= until:
        return {}
    if now < ready:
        return {"x-amz-restore": 'ongoing-request="true"'}
    return {"x-amz-restore": f'ongoing-request="false", expiry-date="{documents.http_date(until)}"'}


def is_fresh(item: Object) -> bool:
    """Whether there is no readable copy, nor one on its way."""
    return not header(item)


def refuse_archived(item: Object) -> None:
    """Errors: AwsError InvalidObjectState."""
    if item.headers.get("x-amz-storage-class") in ARCHIVES and "expiry-date" not in header(item).get("x-amz-restore", ""):
        raise _wrong_state("The operation is not valid for the object's storage class")


def asked(root: Element, seconds: float, item: Object) -> dict[str, str]:
    """The headers of ``item`` after a RestoreObject. Errors: AwsError."""
    tiers = ARCHIVES.get(item.headers.get("x-amz-storage-class", ""))
    if tiers is None:
        raise _wrong_state("Restore is not allowed for the object's current storage class")
    days = root.findtext("Days") or ""
    tier = root.findtext("GlacierJobParameters/Tier") or "Standard"
    if not days.isdigit() or int(days) < 1 or tier not in _PACE:
        raise documents.malformed()
    if tier not in tiers:
        raise AwsError("InvalidArgument", f"{tier} retrieval is not available for this storage class", 400)
    ready, until = _times(item)
    now = clock.now()
    if now < ready:
        raise AwsError("RestoreAlreadyInProgress", "Object restore is already in progress", 409)
    if now >= until:
        ready = now + seconds * _PACE[tier]
        until = _expiry(ready, int(days))
    else:
        until = _expiry(now, int(days))
    return {**item.headers, _READY: str(ready), _UNTIL: str(until)}


def _expiry(start: float, days: int) -> float:
    """The midnight after, UTC."""
    day = datetime.fromtimestamp(start, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return (day + timedelta(days=days + 1)).timestamp()


def _times(item: Object) -> tuple[float, float]:
    return float(item.headers.get(_READY, 0)), float(item.headers.get(_UNTIL, 0))


def _wrong_state(text: str) -> AwsError:
    return AwsError("InvalidObjectState", text, 403)
