"""Listing objects: prefix, delimiter and where to go on, in S3's order."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

from server.demo.errors import AwsError
from server.demo.s3 import documents
from server.demo.s3.call import Call
from server.demo.s3.records import Object
from server.demo.s3.store import ObjectStore
from server.demo.s3.versions import CURRENT, Listed
from server.demo.wire import Reply


@dataclass(slots=True)
class Listing:
    """One page. ``following`` is where the next begins (inclusive), or None at the end."""

    objects: list[Object] = field(default_factory=list)
    prefixes: list[bytes] = field(default_factory=list)
    following: bytes | None = None

    @property
    def count(self) -> int:
        return len(self.objects) + len(self.prefixes)


def beyond(prefix: bytes) -> bytes | None:
    """The first key after all those that begin with ``prefix``; None when there is none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else None


def page(store: ObjectStore, bucket: str, prefix: bytes, delimiter: bytes, start: bytes, limit: int) -> Listing:
    """At most ``limit`` objects and common prefixes from key ``start`` (inclusive) on."""
    found = Listing()
    position: bytes | None = max(start, prefix)
    end = beyond(prefix)
    while position is not None and limit > 0:
        # One row more than there is room for: it tells whether another page follows, and where that begins.
        for item in store.scan(bucket, position, end, limit - found.count + 1):
            if found.count == limit:
                found.following = item.key
                return found
            cut = item.key.find(delimiter, len(prefix)) if delimiter else -1
            if cut >= 0:
                common = item.key[: cut + len(delimiter)]
                found.prefixes.append(common)
                position = beyond(common)
                break
            found.objects.append(item)
        else:
            return found
    return found


def token(following: bytes) -> str:
    return base64.urlsafe_b64encode(b"1" + following).decode()


def start_of(text: str) -> bytes:
    """Errors: AwsError InvalidArgument."""
    try:
        raw = base64.urlsafe_b64decode(text.encode())
    except (binascii.Error, ValueError):
        raw = b""
    if not raw.startswith(b"1"):
        raise AwsError("InvalidArgument", "The continuation token provided is incorrect", 400)
    return raw[1:]


def _entry(item: Object, encode: bool) -> documents.Tree:
    return [
        ("Key", documents.shown(item.key, encode)),
        ("LastModified", documents.moment(item.modified)),
        ("ETag", item.etag),
        ("Size", str(item.size)),
        ("StorageClass", item.headers.get("x-amz-storage-class", "STANDARD")),
    ]


async def list_objects(call: Call) -> Reply:
    query, second = call.query, call.query.get("list-type") == "2"
    encode = query.get("encoding-type") == "url"
    limit = call.integer("max-keys", 0, 2**31 - 1, 1000)
    prefix, delimiter = query.get("prefix", "").encode(), query.get("delimiter", "").encode()
    after = query.get("start-after" if second else "marker", "").encode()
    start = after + b"\x00" if after else b""
    if second and "continuation-token" in query:
        start = start_of(query["continuation-token"])
    elif not second and delimiter and after.startswith(prefix) and after.endswith(delimiter):
        start = beyond(after) or after
    found = page(call.store, call.bucket, prefix, delimiter, start, min(limit, 1000))
    tree: list[tuple[str, Any]] = [
        ("Name", call.bucket),
        ("Prefix", documents.shown(prefix, encode)),
        ("Delimiter", documents.shown(delimiter, encode) if delimiter else None),
        ("MaxKeys", str(min(limit, 1000))),
        ("EncodingType", "url" if encode else None),
        ("IsTruncated", "true" if found.following is not None else "false"),
    ]
    if second:
        tree.append(("KeyCount", str(found.count)))
        tree.append(("ContinuationToken", query.get("continuation-token")))
        tree.append(("NextContinuationToken", token(found.following) if found.following is not None else None))
        tree.append(("StartAfter", documents.shown(after, encode) if after else None))
    else:
        tree.append(("Marker", documents.shown(after, encode)))
        if found.following is not None and delimiter:
            last = max([item.key for item in found.objects] + found.prefixes)
            tree.append(("NextMarker", documents.shown(last, encode)))
    tree.extend(("Contents", _entry(item, encode)) for item in found.objects)
    tree.extend(("CommonPrefixes", [("Prefix", documents.shown(common, encode))]) for common in found.prefixes)
    return documents.document("ListBucketResult", tree)


async def list_versions(call: Call) -> Reply:
    """Versions and delete markers, the newest of a key first. Without delimiters."""
    query = call.query
    if query.get("delimiter"):
        raise AwsError("NotImplemented", "The demo account lists versions without delimiters only.", 501)
    encode = query.get("encoding-type") == "url"
    limit = min(call.integer("max-keys", 1, 2**31 - 1, 1000), 1000)
    prefix, key_marker = query.get("prefix", "").encode(), query.get("key-marker", "").encode()
    start, below = prefix, CURRENT + 1
    if key_marker >= prefix and key_marker:
        version_id = query.get("version-id-marker")
        start, below = key_marker, call.store.number_of(call.bucket, key_marker, version_id) if version_id else 0
    found = call.store.scan_versions(call.bucket, start, below, beyond(prefix), limit + 1)
    shown, more = found[:limit], len(found) > limit
    tree: list[tuple[str, Any]] = [
        ("Name", call.bucket),
        ("Prefix", documents.shown(prefix, encode)),
        ("KeyMarker", documents.shown(key_marker, encode)),
        ("VersionIdMarker", query.get("version-id-marker", "")),
        ("MaxKeys", str(limit)),
        ("EncodingType", "url" if encode else None),
        ("IsTruncated", "true" if more else "false"),
    ]
    if more:
        tree.append(("NextKeyMarker", documents.shown(shown[-1].item.key, encode)))
        tree.append(("NextVersionIdMarker", shown[-1].item.version_id))
    tree += [_version_entry(each, encode) for each in shown]
    return documents.document("ListVersionsResult", tree)


def _version_entry(each: Listed, encode: bool) -> tuple[str, documents.Tree]:
    item = each.item
    newest = [("VersionId", item.version_id), ("IsLatest", "true" if each.newest else "false")]
    if item.marker:
        key = documents.shown(item.key, encode)
        return "DeleteMarker", [("Key", key), *newest, ("LastModified", documents.moment(item.modified))]
    return "Version", [*_entry(item, encode), *newest]
