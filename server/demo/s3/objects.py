"""Reading and copying objects, and which headers of a write are kept."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from email.utils import parsedate_to_datetime
from functools import partial
from urllib.parse import unquote_to_bytes
from uuid import uuid4

from server.demo.credentials import check_payload
from server.demo.errors import AwsError
from server.demo.s3 import documents, locks, retrieval
from server.demo.s3.call import Call
from server.demo.s3.intake import Body, receive
from server.demo.s3.records import VERSION_ID, Object
from server.demo.s3.store import precondition_failed
from server.demo.wire import FileSpan, Reply

_KEPT = frozenset(
    [
        "content-type",
        "content-encoding",
        "content-disposition",
        "content-language",
        "cache-control",
        "expires",
        "x-amz-storage-class",
        "x-amz-server-side-encryption",
        "x-amz-server-side-encryption-aws-kms-key-id",
    ]
)
_UNSUPPORTED = ("x-amz-object-lock-legal-hold", "x-amz-server-side-encryption-customer-", "x-amz-tagging", "x-amz-website-")
DELETES_MAX = 1000
_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")
_OPEN_TRIES = 3  # an object may be replaced between looking it up and opening its file


def refuse_unsupported(headers: dict[str, str]) -> None:
    """What would be lost silently is refused. Errors: AwsError NotImplemented."""
    for name in headers:
        if name.startswith(_UNSUPPORTED):
            raise AwsError("NotImplemented", f"The demo account does not support the header {name}.", 501)


def kept_headers(headers: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in headers.items() if name in _KEPT or name.startswith("x-amz-meta-")}
    if kept.get("content-encoding", "").startswith("aws-chunked"):
        rest = kept["content-encoding"].removeprefix("aws-chunked").lstrip(",").strip()
        kept.pop("content-encoding")
        if rest:
            kept["content-encoding"] = rest
    return kept


def etag_header(item: Object) -> tuple[str, str]:
    return ("etag", item.etag)


def _headers(item: Object, *, checksums: bool) -> list[tuple[str, str]]:
    shown = {
        name: value
        for name, value in item.headers.items()
        if (checksums or not name.startswith("x-amz-checksum-"))
        and not (name == "x-amz-storage-class" and value == "STANDARD")
        and not name.startswith("demo-")
    }
    shown |= retrieval.header(item)
    shown.setdefault("content-type", "binary/octet-stream")
    shown.setdefault("x-amz-server-side-encryption", "aws:kms")
    return [
        *shown.items(),
        etag_header(item),
        ("last-modified", documents.http_date(item.modified)),
        ("accept-ranges", "bytes"),
    ]


def _check_preconditions(call: Call, item: Object) -> bool:
    """False when the reply is 304. Errors: AwsError PreconditionFailed."""
    headers = call.request.headers
    etag = item.etag.strip('"')
    if "if-match" in headers and headers["if-match"].strip('"') not in (etag, "*"):
        raise precondition_failed("If-Match")
    if "if-none-match" in headers:
        return headers["if-none-match"].strip('"') not in (etag, "*")
    since = headers.get("if-modified-since")
    return since is None or parsedate_to_datetime(since).timestamp() < int(item.modified)


def _span(text: str | None, size: int) -> tuple[int, int] | None:
    """(offset, length) of a Range header; None for the whole. Errors: AwsError InvalidRange."""
    match = _RANGE.match(text or "")
    if not match or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    begin = int(first) if first else max(0, size - int(last))
    end = min(int(last), size - 1) if first and last else size - 1
    if begin >= size or (first and last and int(last) < begin):
        raise AwsError("InvalidRange", "The requested range is not satisfiable", 416, ActualObjectSize=str(size))
    return begin, end - begin + 1


def _found(call: Call) -> Object:
    version_id = call.query.get("versionId")
    item = call.store.find(call.bucket, call.key, version_id)
    if item is None and version_id is not None:
        raise AwsError("NoSuchVersion", "The specified version does not exist.", 404)
    if item is None:
        raise AwsError("NoSuchKey", "The specified key does not exist.", 404, Key=call.key.decode("utf-8", "replace"))
    if item.marker:
        raise AwsError("MethodNotAllowed", "The specified method is not allowed against this resource.", 405)
    return item


def _opened(call: Call) -> tuple[Object, int]:
    for attempt in range(_OPEN_TRIES):
        item = _found(call)
        retrieval.refuse_archived(item)
        try:
            return item, call.store.open(item.file)
        except FileNotFoundError:
            if attempt == _OPEN_TRIES - 1:
                raise
    raise AssertionError("the loop returns or raises")


async def get_object(call: Call) -> Reply:
    item, descriptor = _opened(call)
    try:
        fresh = _check_preconditions(call, item)
        span = _span(call.request.headers.get("range"), item.size)
    except BaseException:
        os.close(descriptor)
        raise
    if not fresh:
        os.close(descriptor)
        return Reply(304, b"", [etag_header(item)])
    checksums = call.request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED" and span is None
    headers = _headers(item, checksums=checksums)
    if span is None:
        return Reply(200, FileSpan(descriptor, 0, item.size), headers)
    begin, length = span
    headers.append(("content-range", f"bytes {begin}-{begin + length - 1}/{item.size}"))
    return Reply(206, FileSpan(descriptor, begin, length), headers)


async def head_object(call: Call) -> Reply:
    item = _found(call)
    if not _check_preconditions(call, item):
        return Reply(304, b"", [etag_header(item)])
    checksums = call.request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED"
    return Reply(200, b"", [*_headers(item, checksums=checksums), ("content-length", str(item.size))])


async def copy_object(call: Call) -> Reply:
    headers = call.request.headers
    refuse_unsupported(headers)
    address, _, query = headers["x-amz-copy-source"].partition("?")
    bucket, _, key = unquote_to_bytes(address.lstrip("/")).partition(b"/")
    owner = call.store.bucket(bucket.decode())
    if owner is None or owner.account != call.caller.account:
        raise AwsError(
            "NoSuchBucket" if owner is None else "AccessDenied",
            "The source bucket cannot be read",
            404 if owner is None else 403,
        )
    item = call.store.find(bucket.decode(), key, query.removeprefix("versionId=") or None)
    if item is None or item.marker:
        raise AwsError("NoSuchKey", "The specified key does not exist.", 404)
    retrieval.refuse_archived(item)
    replace = headers.get("x-amz-metadata-directive") == "REPLACE"
    kept = (
        kept_headers(headers)
        if replace
        else {**_copied(item), **{k: v for k, v in kept_headers(headers).items() if "meta" not in k}}
    )
    kept |= locks.headers_of_write(headers, call.store.setting(call.bucket, locks.SETTING))
    name = uuid4().hex
    target = call.store.path(name)
    target.parent.mkdir(exist_ok=True)
    await asyncio.to_thread(shutil.copyfile, call.store.path(item.file), target)
    body = Body(name, item.size, name, "")
    made = await asyncio.to_thread(call.store.put, call.bucket, call.key, body, f'"{name}"', kept, call.condition())
    reply = documents.document("CopyObjectResult", [("ETag", made.etag), ("LastModified", documents.moment(made.modified))])
    reply.headers += version_headers(made)
    return reply


def _copied(item: Object) -> dict[str, str]:
    """What a copy has of its source: neither version, lock, class nor retrieval."""
    own = (VERSION_ID, locks.MODE, locks.UNTIL, "x-amz-storage-class")
    return {name: value for name, value in item.headers.items() if name not in own and not name.startswith("demo-")}


# ---- writing


async def put_object(call: Call) -> Reply:
    refuse_unsupported(call.request.headers)
    lock = locks.headers_of_write(call.request.headers, call.store.setting(call.bucket, locks.SETTING))
    if lock:
        locks.require_checksum(call.request.headers, "Put Object")
    condition = call.condition()
    condition.check(call.store.find(call.bucket, call.key))  # early, to spare the transfer; decided again at the commit
    body = await receive(call.request, call.store.folder)
    if call.declared and body.sha256:
        try:
            check_payload(call.declared, body.sha256)
        except AwsError:
            call.store.discard(body.file)
            raise
    headers = kept_headers(call.request.headers) | lock
    headers.update({f"x-amz-checksum-{name}": text for name, text in body.checksums.items() if name != "sha256"})
    if "x-amz-checksum-sha256" in call.request.headers:
        headers["x-amz-checksum-sha256"] = body.checksums["sha256"]
    made = await asyncio.to_thread(call.store.put, call.bucket, call.key, body, f'"{body.etag}"', headers, condition)
    return Reply(200, b"", [etag_header(made), ("x-amz-server-side-encryption", _encryption(headers)), *version_headers(made)])


def _encryption(headers: dict[str, str]) -> str:
    return headers.get("x-amz-server-side-encryption", "aws:kms")


async def delete_object(call: Call) -> Reply:
    version_id = call.query.get("versionId")
    if version_id is None:
        marker = await asyncio.to_thread(call.store.delete, call.bucket, call.key, call.condition())
        return Reply(204, b"", [] if marker is None else _marker_headers(marker))
    bypass = locks.bypassing(call.request.headers)
    gone = await asyncio.to_thread(partial(call.store.delete_version, call.bucket, call.key, version_id, bypass=bypass))
    return Reply(204, b"", _marker_headers(gone) if gone is not None and gone.marker else [(VERSION_ID, version_id)])


def _marker_headers(marker: Object) -> list[tuple[str, str]]:
    return [("x-amz-delete-marker", "true"), (VERSION_ID, marker.version_id)]


def version_headers(item: Object) -> list[tuple[str, str]]:
    return [(VERSION_ID, item.version_id)] if VERSION_ID in item.headers else []


async def delete_objects(call: Call) -> Reply:
    call.require_checksum()
    root = documents.parse(await call.document())
    asked = [(element.findtext("Key") or "", element.findtext("VersionId")) for element in root.findall("Object")]
    if not 1 <= len(asked) <= DELETES_MAX:
        raise documents.malformed()
    quiet = (root.findtext("Quiet") or "").lower() == "true"
    tree: list[tuple[str, documents.Tree]] = []
    for key, version_id in asked:
        try:
            done = await asyncio.to_thread(_delete_one, call, key, version_id)
        except AwsError as error:
            tree.append(("Error", [*_which(key, version_id), ("Code", error.code), ("Message", error.message)]))
        else:
            tree += [] if quiet else [("Deleted", [*_which(key, version_id), *done])]
    return documents.document("DeleteResult", tree)


def _which(key: str, version_id: str | None) -> list[tuple[str, str | None]]:
    return [("Key", key), ("VersionId", version_id)]


def _delete_one(call: Call, key: str, version_id: str | None) -> list[tuple[str, str]]:
    """What the answer says besides key and version."""
    if version_id is None:
        marker = call.store.delete(call.bucket, key.encode())
    else:
        bypass = locks.bypassing(call.request.headers)
        gone = call.store.delete_version(call.bucket, key.encode(), version_id, bypass=bypass)
        marker = gone if gone is not None and gone.marker else None
    return [] if marker is None else [("DeleteMarker", "true"), ("DeleteMarkerVersionId", marker.version_id)]


# ---- locks and archives


async def get_retention(call: Call) -> Reply:
    item = _found(call)
    if locks.MODE not in item.headers:
        text = "The specified object does not have a ObjectLock configuration"
        raise AwsError("NoSuchObjectLockConfiguration", text, 404)
    tree = [("Mode", item.headers[locks.MODE]), ("RetainUntilDate", item.headers[locks.UNTIL])]
    return documents.document("Retention", tree)


async def put_retention(call: Call) -> Reply:
    call.require_checksum()
    item, root = _found(call), documents.parse(await call.document())
    if call.store.setting(call.bucket, locks.SETTING) is None:
        raise AwsError("InvalidRequest", "Bucket is missing Object Lock Configuration", 400)
    bypass = locks.bypassing(call.request.headers)
    decide = partial(locks.of_retention, root, bypass=bypass)
    await asyncio.to_thread(call.store.change, call.bucket, item, decide)
    return Reply(200)


async def restore(call: Call) -> Reply:
    item, root = _found(call), documents.parse(await call.document())
    fresh = retrieval.is_fresh(item)
    await asyncio.to_thread(call.store.change, call.bucket, item, partial(retrieval.asked, root, call.store.retrieval_seconds))
    return Reply(202 if fresh else 200)
