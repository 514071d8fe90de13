"""Multipart uploads."""

from __future__ import annotations

import asyncio
import os
from uuid import uuid4
from xml.etree.ElementTree import Element

from server.demo import clock
from server.demo.credentials import check_payload
from server.demo.errors import AwsError
from server.demo.s3 import documents, locks
from server.demo.s3.call import Call
from server.demo.s3.intake import receive, wanted_checksums
from server.demo.s3.objects import kept_headers, refuse_unsupported, version_headers
from server.demo.s3.records import Object
from server.demo.wire import Reply

PARTS_MAX = 10_000
PART_MIN = 5 * 1024 * 1024  # bytes, all parts but the last
LISTED_MAX = 1000
_ALGORITHM = "demo-checksum-algorithm"  # of an upload's parts, "" for none


async def create(call: Call) -> Reply:
    refuse_unsupported(call.request.headers)
    upload_id = uuid4().hex
    lock = locks.headers_of_write(call.request.headers, call.store.setting(call.bucket, locks.SETTING))
    algorithm = call.request.headers.get("x-amz-checksum-algorithm", "")
    headers = kept_headers(call.request.headers) | lock | {_ALGORITHM: algorithm.upper()}
    call.store.start_upload(upload_id, call.bucket, call.key, headers)
    key = documents.shown(call.key, encode=False)
    return documents.document("InitiateMultipartUploadResult", [("Bucket", call.bucket), ("Key", key), ("UploadId", upload_id)])


async def upload_part(call: Call) -> Reply:
    number = call.integer("partNumber", 1, PARTS_MAX, 0)
    _check_checksum(call, call.store.upload_headers(call.query["uploadId"], call.bucket, call.key))
    body = await receive(call.request, call.store.folder)
    etag = f'"{body.etag}"'
    try:
        if body.sha256:
            check_payload(call.declared, body.sha256)
    except AwsError:
        call.store.discard(body.file)
        raise
    await asyncio.to_thread(call.store.put_part, call.query["uploadId"], number, body, etag)
    checksums = [(f"x-amz-checksum-{name}", text) for name, text in body.checksums.items() if name != "sha256"]
    return Reply(200, b"", [("etag", etag), *checksums])


def _check_checksum(call: Call, upload: dict[str, str]) -> None:
    """A part's checksum is to be of the kind announced for the upload. Errors: AwsError InvalidRequest."""
    headers = call.request.headers
    if locks.MODE in upload:
        locks.require_checksum(headers, "Put Part")
    expected, sent = upload.get(_ALGORITHM, "").lower(), wanted_checksums(headers)
    if expected and sent != {expected}:
        actual = ", ".join(sorted(sent)) or "null"
        text = f"Checksum Type mismatch occurred, expected checksum Type: {expected}, actual checksum Type: {actual}"
        raise AwsError("InvalidRequest", text, 400)


async def list_parts(call: Call) -> Reply:
    upload_id = call.query["uploadId"]
    call.store.upload_headers(upload_id, call.bucket, call.key)
    after = call.integer("part-number-marker", 0, PARTS_MAX, 0)
    limit = min(call.integer("max-parts", 1, 2**31 - 1, LISTED_MAX), LISTED_MAX)
    parts = [part for part in call.store.parts(upload_id) if part[0] > after]
    shown = parts[:limit]
    tree: list[tuple[str, object]] = [
        ("Bucket", call.bucket),
        ("Key", documents.shown(call.key, encode=False)),
        ("UploadId", upload_id),
        ("MaxParts", str(limit)),
        ("IsTruncated", "true" if len(parts) > limit else "false"),
    ]
    if len(parts) > limit:
        tree.append(("NextPartNumberMarker", str(shown[-1][0])))
    for number, _, size, etag, modified in shown:
        entry = [("PartNumber", str(number)), ("LastModified", documents.moment(modified)), ("ETag", etag), ("Size", str(size))]
        tree.append(("Part", entry))
    return documents.document("ListPartsResult", tree)


async def list_uploads(call: Call) -> Reply:
    encode = call.query.get("encoding-type") == "url"
    found = call.store.uploads(call.bucket, call.query.get("prefix", "").encode())[:LISTED_MAX]
    uploads = [
        ("Upload", [("Key", documents.shown(key, encode)), ("UploadId", upload), ("Initiated", documents.moment(at))])
        for upload, key, at in found
    ]
    head = [("Bucket", call.bucket), ("EncodingType", "url" if encode else None), ("IsTruncated", "false")]
    return documents.document("ListMultipartUploadsResult", [*head, *uploads])


async def complete(call: Call) -> Reply:
    upload_id = call.query.get("uploadId", "")
    headers = call.store.upload_headers(upload_id, call.bucket, call.key)
    root = documents.parse(await call.document())
    asked = [(int(part.findtext("PartNumber") or 0), (part.findtext("ETag") or "").strip('"')) for part in root.findall("Part")]
    stored = {number: (file, size, etag) for number, file, size, etag, _ in call.store.parts(upload_id)}
    if not asked:
        raise documents.malformed()
    if algorithm := headers.get(_ALGORITHM):
        _require_checksums(root, algorithm)
    if [number for number, _ in asked] != sorted({number for number, _ in asked}):
        raise AwsError("InvalidPartOrder", "The list of parts was not in ascending order.", 400)
    chosen = []
    for position, (number, etag) in enumerate(asked):
        part = stored.get(number)
        if part is None or part[2].strip('"') != etag:
            raise AwsError("InvalidPart", "One or more of the specified parts could not be found.", 400)
        if part[1] < PART_MIN and position < len(asked) - 1:
            raise AwsError("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size", 400)
        chosen.append(part)
    condition = call.condition()
    condition.check(call.store.find(call.bucket, call.key))
    made = await asyncio.to_thread(_joined, call, headers, chosen)
    made = await asyncio.to_thread(call.store.finish_upload, upload_id, call.bucket, made, condition)
    tree = [("Bucket", call.bucket), ("Key", documents.shown(call.key, encode=False)), ("ETag", made.etag)]
    reply = documents.document("CompleteMultipartUploadResult", tree)
    reply.headers += version_headers(made)
    return reply


def _require_checksums(root: Element, algorithm: str) -> None:
    """Errors: AwsError InvalidRequest."""
    for part in root.findall("Part"):
        if part.findtext(f"Checksum{algorithm}") is None:
            text = (
                f"The upload was created using a {algorithm.lower()} checksum. The complete request must include the checksum "
                f"for each part. It was missing for part {part.findtext('PartNumber')} in the request."
            )
            raise AwsError("InvalidRequest", text, 400)


def _joined(call: Call, headers: dict[str, str], parts: list[tuple[str, int, str]]) -> Object:
    """One file of all parts, not yet published."""
    name = uuid4().hex
    path = call.store.path(name)
    path.parent.mkdir(exist_ok=True)
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        for file, size, _ in parts:
            source = call.store.open(file)
            try:
                left = size
                while left:
                    copied = os.sendfile(target, source, size - left, left)
                    if copied == 0:
                        raise OSError("a part is shorter than recorded")
                    left -= copied
            finally:
                os.close(source)
    except BaseException:
        path.unlink()
        raise
    finally:
        os.close(target)
    etag = f'"{name}-{len(parts)}"'
    return Object(call.key, name, sum(size for _, size, _ in parts), etag, clock.now(), headers)


async def abort(call: Call) -> Reply:
    call.store.upload_headers(call.query["uploadId"], call.bucket, call.key)
    await asyncio.to_thread(call.store.abort_upload, call.query["uploadId"])
    return Reply(204)
