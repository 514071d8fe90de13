"""EBS direct, natively: listing, reading and writing blocks of snapshots, with AWS's checks and errors.

Shapes and limits after the service model ``ebs`` 2019-11-02.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import time
from collections.abc import Sequence
from datetime import UTC
from typing import Any

from server.demo.blockstore import BLOCK_SIZE, BlockStore, Disk
from server.demo.control_plane import ControlPlane
from server.demo.credentials import Caller, Gate, Signature, check_payload, declared_payload_hash
from server.demo.ec2 import uploads
from server.demo.errors import AwsError
from server.demo.ledger import Ledger
from server.demo.once import Once, Reused
from server.demo.tokens import BadToken, Tokens
from server.demo.wire import BodyTooLarge, Reply, Request

TOKEN_SECONDS = 7 * 86_400  # how long block tokens last, as in AWS
PAGE_TOKEN_SECONDS = 3600
RESULTS_MIN, RESULTS_MAX = 100, 10_000
VOLUME_GIB_MAX = 65_536
DOCUMENT_MAX = 64 * 1024  # bytes of a JSON request
_BLOCK_PATH = re.compile(r"/snapshots/(snap-[0-9a-f]+)/blocks/(\d{1,10})$")
_LIST_PATH = re.compile(r"/snapshots/(snap-[0-9a-f]+)/(blocks|changedblocks)$")
_COMPLETION_PATH = re.compile(r"/snapshots/completion/(snap-[0-9a-f]+)$")


def operation_of(request: Request) -> str:
    if request.path == "/snapshots":
        return "StartSnapshot"
    if _COMPLETION_PATH.match(request.path):
        return "CompleteSnapshot"
    if request.path.endswith("/changedblocks"):
        return "ListChangedBlocks"
    if request.path.endswith("/blocks"):
        return "ListSnapshotBlocks"
    return "PutSnapshotBlock" if request.method == "PUT" else "GetSnapshotBlock"


def invalid(reason: str, message: str) -> AwsError:
    return AwsError("ValidationException", message, 400, Reason=reason)


def _integer(text: str | None, name: str, low: int, high: int, default: int) -> int:
    if text is None:
        return default
    if not text.isdigit() or not low <= int(text) <= high:
        raise invalid("INVALID_PARAMETER_VALUE", f"{name} must be a whole number from {low} to {high}.")
    return int(text)


class EbsDirect:
    def __init__(self, gate: Gate, plane: ControlPlane, blocks: BlockStore, ledger: Ledger, tokens: Tokens) -> None:
        self._gate = gate
        self._plane = plane
        self._blocks = blocks
        self._ledger = ledger
        self._tokens = tokens

    async def handle(self, request: Request, signature: Signature) -> Reply:
        """Errors: AwsError."""
        declared = declared_payload_hash(request, signature)
        try:
            body = await request.read(BLOCK_SIZE if request.method == "PUT" else DOCUMENT_MAX)
        except BodyTooLarge:
            raise invalid("INVALID_PARAMETER_VALUE", f"A block has {BLOCK_SIZE} bytes.")
        if declared is None:
            signed = await asyncio.to_thread(hashlib.sha256, body)
            caller = self._gate.admit(request, signature, signed.hexdigest())
        else:
            caller = self._gate.admit(request, signature, declared)
        match = _BLOCK_PATH.match(request.path)
        if match and request.method == "GET":
            return self._get_block(caller, match[1], int(match[2]), request.query())
        if match and request.method == "PUT":
            return await asyncio.to_thread(self._put_block, caller, match[1], int(match[2]), request)
        if (match := _LIST_PATH.match(request.path)) and request.method == "GET":
            return self._list(caller, match[1], match[2] == "changedblocks", request.query())
        check_payload(declared or "", hashlib.sha256(body).hexdigest())
        if request.path == "/snapshots" and request.method == "POST":
            return await asyncio.to_thread(self._start, caller, request)
        if (match := _COMPLETION_PATH.match(request.path)) and request.method == "POST":
            return await asyncio.to_thread(self._complete, caller, match[1], request)
        raise AwsError("UnknownOperationException", "There is no such operation.", 404)

    # ---- reading

    def _find(self, caller: Caller, snapshot_id: str) -> tuple[Any, Disk]:
        snapshot = uploads.snapshot(caller.account, caller.region, snapshot_id)
        disk = self._blocks.find(snapshot_id) if snapshot is not None else None
        if snapshot is None or disk is None:
            raise AwsError(
                "ResourceNotFoundException", f"The snapshot '{snapshot_id}' does not exist.", 404, Reason="SNAPSHOT_NOT_FOUND"
            )
        return snapshot, disk

    def _find_completed(self, caller: Caller, snapshot_id: str) -> Disk:
        snapshot, disk = self._find(caller, snapshot_id)
        if snapshot.status != "completed":
            raise invalid("INVALID_SNAPSHOT_ID", f"The snapshot '{snapshot_id}' is {snapshot.status}, not completed.")
        if snapshot.encrypted and snapshot.owner_id != caller.account and not uploads.may_read(snapshot, caller.arn):
            raise AwsError(
                "AccessDeniedException",
                f"The KMS key of the snapshot '{snapshot_id}' cannot be used by {caller.arn}.",
                403,
                Reason="DEPENDENCY_ACCESS_DENIED",
            )
        return disk

    def _get_block(self, caller: Caller, snapshot_id: str, index: int, query: dict[str, str]) -> Reply:
        disk = self._find_completed(caller, snapshot_id)
        try:
            place = self._tokens.block(query.get("blockToken", ""), disk.number, index, time.time())
        except BadToken:
            raise invalid("INVALID_BLOCK_TOKEN", "The block token is not valid for this block, or has expired.")
        data = self._blocks.read(place)
        headers = [
            ("content-type", "application/octet-stream"),
            ("x-amz-data-length", str(BLOCK_SIZE)),
            ("x-amz-checksum", _base64(self._blocks.digest(place, data))),
            ("x-amz-checksum-algorithm", "SHA256"),
        ]
        return Reply(200, data, headers)

    def _list(self, caller: Caller, snapshot_id: str, changed: bool, query: dict[str, str]) -> Reply:
        second = self._find_completed(caller, snapshot_id)
        first = None
        if changed and query.get("firstSnapshotId"):
            first = self._find_completed(caller, query["firstSnapshotId"])
            if first.lineage != second.lineage:
                raise invalid("UNRELATED_SNAPSHOTS", "The specified snapshots are not of the same volume.")
        count = _integer(query.get("maxResults"), "MaxResults", RESULTS_MIN, RESULTS_MAX, RESULTS_MAX)
        start = _integer(query.get("startingBlockIndex"), "StartingBlockIndex", 0, 2**31 - 1, 0)
        question = f"{caller.account}/{snapshot_id}/{first.name if first else ''}/{changed}"
        now = time.time()
        if token := query.get("pageToken"):
            try:
                start = self._tokens.page(token, question, now)
            except BadToken:
                raise invalid("INVALID_PAGE_TOKEN", "The page token is not valid, or has expired.")
        expires = now + TOKEN_SECONDS
        if changed:
            rows, member = self._changed(first, second, start, count + 1, expires), "ChangedBlocks"
        else:
            rows, member = self._written(second, start, count + 1, expires), "Blocks"
        document: dict[str, Any] = {
            member: rows[:count],
            "ExpiryTime": expires,
            "VolumeSize": second.size_gib,
            "BlockSize": BLOCK_SIZE,
        }
        if len(rows) > count:
            following = rows[count]["BlockIndex"]
            document["NextToken"] = self._tokens.for_page(question, following, now + PAGE_TOKEN_SECONDS)
        return _json(200, document)

    def _written(self, disk: Disk, start: int, limit: int, expires: float) -> list[dict[str, Any]]:
        return [
            {"BlockIndex": index, "BlockToken": self._tokens.for_block(disk.number, index, place, expires)}
            for index, place in self._blocks.blocks(disk, start=start, limit=limit)
        ]

    def _changed(self, first: Disk | None, second: Disk, start: int, limit: int, expires: float) -> list[dict[str, Any]]:
        rows = []
        for index, before, after in self._blocks.changes(first, second, start=start, limit=limit):
            row: dict[str, Any] = {"BlockIndex": index}
            if first is not None and before is not None:
                row["FirstBlockToken"] = self._tokens.for_block(first.number, index, before, expires)
            if after is not None:
                row["SecondBlockToken"] = self._tokens.for_block(second.number, index, after, expires)
            rows.append(row)
        return rows

    # ---- writing

    def _start(self, caller: Caller, request: Request) -> Reply:
        asked = _document(request.body)
        upload = self._checked_upload(caller, asked)
        with self._plane.changing(records_only=True):
            once = self._once(caller, asked)
            if once and once.result:
                snapshot, _ = self._find(caller, once.result)
            else:
                try:
                    snapshot = uploads.start(caller.account, caller.region, upload, self._blocks)
                except uploads.TooManyUploads:
                    raise AwsError("ConcurrentLimitExceededException", "You have reached the limit of pending snapshots.", 400)
                if once:
                    once.keep(snapshot.id)
        document = {
            "SnapshotId": snapshot.id,
            "OwnerId": caller.account,
            "Status": snapshot.status,
            "StartTime": snapshot.start_time.replace(tzinfo=UTC).timestamp(),
            "VolumeSize": upload.size_gib,
            "BlockSize": BLOCK_SIZE,
            "Description": upload.description,
            "Tags": [{"Key": key, "Value": value} for key, value in upload.tags.items()],
            "SseType": "sse-kms" if upload.kms_key_arn else ("sse-ebs" if upload.encrypted else "none"),
        }
        if upload.parent_id:
            document["ParentSnapshotId"] = upload.parent_id
        if upload.kms_key_arn:
            document["KmsKeyArn"] = upload.kms_key_arn
        return _json(201, document)

    def _once(self, caller: Caller, asked: dict[str, Any]) -> Once | None:
        token = asked.get("ClientToken")
        if not token:
            return None
        scope = f"{caller.account}/{caller.region}/StartSnapshot/{token}"
        try:
            return Once.of(self._ledger, scope, {name: value for name, value in asked.items() if name != "ClientToken"})
        except Reused:
            raise AwsError("ConflictException", "The client token was used before with other parameters.", 409)

    def _checked_upload(self, caller: Caller, asked: dict[str, Any]) -> uploads.NewUpload:
        size, timeout = asked.get("VolumeSize"), asked.get("Timeout", 60)
        if not isinstance(size, int) or not 1 <= size <= VOLUME_GIB_MAX:
            raise invalid("INVALID_VOLUME_SIZE", f"VolumeSize must be from 1 to {VOLUME_GIB_MAX} GiB.")
        if not isinstance(timeout, int) or not 10 <= timeout <= 4320:
            raise invalid("INVALID_PARAMETER_VALUE", "Timeout must be from 10 to 4320 minutes.")
        tags = {str(tag.get("Key", "")): str(tag.get("Value", "")) for tag in asked.get("Tags") or ()}
        if any(not key or key.startswith("aws:") for key in tags) or len(tags) > 50:
            raise invalid("INVALID_TAG", "Tags need keys, at most 50, none beginning with 'aws:'.")
        parent_id = asked.get("ParentSnapshotId")
        if parent_id:
            if asked.get("Encrypted") is not None or asked.get("KmsKeyArn"):
                raise invalid("INVALID_PARAMETER_VALUE", "Encryption follows the parent snapshot: leave it out.")
            parent = self._find_completed(caller, parent_id)
            if size < parent.size_gib:
                raise invalid("INVALID_VOLUME_SIZE", "VolumeSize must not be smaller than the parent snapshot's.")
        return uploads.NewUpload(
            size_gib=size,
            description=str(asked.get("Description") or ""),
            parent_id=parent_id,
            tags=tags,
            encrypted=bool(asked.get("Encrypted")),
            kms_key_arn=asked.get("KmsKeyArn"),
            timeout_minutes=timeout,
        )

    def _pending(self, caller: Caller, snapshot_id: str) -> tuple[Any, Disk]:
        snapshot, disk = self._find(caller, snapshot_id)
        if not snapshot.uploading or snapshot.owner_id != caller.account:
            raise invalid("INVALID_SNAPSHOT_ID", f"The snapshot '{snapshot_id}' is not in the pending state.")
        if snapshot.status == "error":
            raise invalid("WRITE_REQUEST_TIMEOUT", f"The upload of '{snapshot_id}' has timed out.")
        return snapshot, disk

    def _put_block(self, caller: Caller, snapshot_id: str, index: int, request: Request) -> Reply:
        headers = request.headers
        digest = hashlib.sha256(request.body).digest()
        check_payload(headers.get("x-amz-content-sha256", ""), digest.hex())
        if headers.get("x-amz-checksum-algorithm") != "SHA256":
            raise invalid("INVALID_PARAMETER_VALUE", "The checksum algorithm must be SHA256.")
        if headers.get("x-amz-data-length") != str(BLOCK_SIZE) or len(request.body) != BLOCK_SIZE:
            raise invalid("INVALID_PARAMETER_VALUE", f"A block has {BLOCK_SIZE} bytes.")
        checksum = _base64(digest)
        if headers.get("x-amz-checksum") != checksum:
            raise invalid("INVALID_PARAMETER_VALUE", "The checksum does not match the data.")
        _, disk = self._pending(caller, snapshot_id)
        if index >= disk.block_count:
            raise invalid("INVALID_BLOCK", f"Block {index} lies beyond the end of the volume.")
        self._blocks.put(disk, index, request.body, digest, fresh=True)
        return Reply(201, b"", [("x-amz-checksum", checksum), ("x-amz-checksum-algorithm", "SHA256")])

    def _complete(self, caller: Caller, snapshot_id: str, request: Request) -> Reply:
        headers = request.headers
        count = headers.get("x-amz-changedblockscount", "")
        if not count.isdigit():
            raise invalid("INVALID_PARAMETER_VALUE", "ChangedBlocksCount is required.")
        with self._plane.changing(records_only=True):
            snapshot, disk = self._find(caller, snapshot_id)
            if not snapshot.uploading and snapshot.volume.id == uploads.UPLOAD_VOLUME_ID:
                return _json(202, {"Status": snapshot.status})  # a repeated call, as after a lost reply
            snapshot, disk = self._pending(caller, snapshot_id)
            digests = self._blocks.uploaded(disk)
            if len(digests) != int(count):
                raise invalid(
                    "INVALID_PARAMETER_VALUE", f"ChangedBlocksCount is {count}, but {len(digests)} blocks were written."
                )
            self._check_aggregate(headers.get("x-amz-checksum"), headers.get("x-amz-checksum-aggregation-method"), digests)
            self._blocks.settle(disk)
            snapshot.finish_upload(self._blocks)
        return _json(202, {"Status": snapshot.status})

    @staticmethod
    def _check_aggregate(checksum: str | None, method: str | None, digests: Sequence[bytes]) -> None:
        if checksum is None:
            return
        if method != "LINEAR":
            raise invalid("INVALID_PARAMETER_VALUE", "The checksum aggregation method must be LINEAR.")
        if checksum != _base64(hashlib.sha256(b"".join(digests)).digest()):
            raise invalid("INVALID_PARAMETER_VALUE", "The checksum does not match the blocks written.")


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise AwsError("SerializationException", "The body is not a JSON object.", 400)
    return document


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _json(status: int, document: dict[str, Any]) -> Reply:
    return Reply(status, json.dumps(document).encode(), [("content-type", "application/json")])
