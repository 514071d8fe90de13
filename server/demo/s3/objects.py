"""Reading and copying objects, and which headers of a write are kept."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from email.utils import parsedate_to_datetime
from urllib.parse import unquote_to_bytes
from uuid import uuid4

from server.demo.credentials import check_payload
from server.demo.errors import AwsError
from server.demo.s3 import documents
from server.demo.s3.call import Call
from server.demo.s3.intake import Body, receive
from server.demo.s3.store import Object, precondition_failed
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
_FROZEN = frozenset({"GLACIER", "DEEP_ARCHIVE"})
_UNSUPPORTED = ("x-amz-object-lock-", "x-amz-server-side-encryption-customer-", "x-amz-tagging", "x-amz-website-")
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
        if (checksums or not name.startswith("x-amz-checksum-")) and not (name == "x-amz-storage-class" and value == "STANDARD")
    }
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
    if "versionId" in call.query and call.query["versionId"] != "null":
        raise AwsError("NoSuchVersion", "The specified version does not exist.", 404)
    item = call.store.find(call.bucket, call.key)
    if item is None:
        raise AwsError("NoSuchKey", "The specified key does not exist.", 404, Key=call.key.decode("utf-8", "replace"))
    return item


def _opened(call: Call) -> tuple[Object, int]:
    for attempt in range(_OPEN_TRIES):
        item = _found(call)
        if item.headers.get("x-amz-storage-class") in _FROZEN:
            raise AwsError("InvalidObjectState", "The operation is not valid for the object's storage class", 403)
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
    source = unquote_to_bytes(headers["x-amz-copy-source"].split("?")[0].lstrip("/"))
    bucket, _, key = source.partition(b"/")
    owner = call.store.bucket(bucket.decode())
    if owner is None or owner.account != call.caller.account:
        raise AwsError(
            "NoSuchBucket" if owner is None else "AccessDenied",
            "The source bucket cannot be read",
            404 if owner is None else 403,
        )
    item = call.store.find(bucket.decode(), key)
    if item is None:
        raise AwsError("NoSuchKey", "The specified key does not exist.", 404)
    replace = headers.get("x-amz-metadata-directive") == "REPLACE"
    kept = (
        kept_headers(headers)
        if replace
        else {**item.headers, **{k: v for k, v in kept_headers(headers).items() if "meta" not in k}}
    )
    name = uuid4().hex
    target = call.store.path(name)
    target.parent.mkdir(exist_ok=True)
    await asyncio.to_thread(shutil.copyfile, call.store.path(item.file), target)
    body = Body(name, item.size, name, "")
    made = await asyncio.to_thread(call.store.put, call.bucket, call.key, body, f'"{name}"', kept, call.condition())
    return documents.document("CopyObjectResult", [("ETag", made.etag), ("LastModified", documents.moment(made.modified))])


# ---- writing


async def put_object(call: Call) -> Reply:
    refuse_unsupported(call.request.headers)
    condition = call.condition()
    condition.check(call.store.find(call.bucket, call.key))  # early, to spare the transfer; decided again at the commit
    body = await receive(call.request, call.store.folder)
    if call.declared and body.sha256:
        try:
            check_payload(call.declared, body.sha256)
        except AwsError:
            call.store.discard(body.file)
            raise
    headers = kept_headers(call.request.headers)
    headers.update({f"x-amz-checksum-{name}": text for name, text in body.checksums.items() if name != "sha256"})
    if "x-amz-checksum-sha256" in call.request.headers:
        headers["x-amz-checksum-sha256"] = body.checksums["sha256"]
    made = await asyncio.to_thread(call.store.put, call.bucket, call.key, body, f'"{body.etag}"', headers, condition)
    return Reply(200, b"", [etag_header(made), ("x-amz-server-side-encryption", _encryption(headers))])


def _encryption(headers: dict[str, str]) -> str:
    return headers.get("x-amz-server-side-encryption", "aws:kms")


async def delete_object(call: Call) -> Reply:
    await asyncio.to_thread(call.store.delete, call.bucket, call.key, call.condition())
    return Reply(204)


async def delete_objects(call: Call) -> Reply:
    root = documents.parse(await call.document())
    keys = [element.findtext("Key") or "" for element in root.findall("Object")]
    if not 1 <= len(keys) <= DELETES_MAX:
        raise documents.malformed()
    for key in keys:
        await asyncio.to_thread(call.store.delete, call.bucket, key.encode())
    quiet = (root.findtext("Quiet") or "").lower() == "true"
    return documents.document("DeleteResult", [] if quiet else [("Deleted", [("Key", key)]) for key in keys])
