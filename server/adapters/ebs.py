"""The EBS direct API, lean. Every block is checked against AWS's SHA-256, which boto3 leaves to its caller.

CPU per block with eight threads on two cores, without that checksum (0.3 ms): 0.15 ms against boto3's 1.0 over plain HTTP,
0.5 against 1.4 over TLS (``scripts/bench repository --rows wire``). Of the 0.5, decryption by OpenSSL is 0.2, the kernel 0.15,
the rest is threads handing each other the interpreter once per record of 16 KiB. Tried and not kept: records decrypted from
one large receive through ``ssl.MemoryBIO`` and timeouts kept by the kernel (no gain), libcurl (0.4: not worth a second client).

Lists are fetched page by page as the reader advances. A page token lives an hour and a block token a week; a reader
slower than that does not notice, because the client lists again from where it was.
"""

from __future__ import annotations

import binascii
import contextlib
import hashlib
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import quote

from server.adapters import aws_errors, backoff
from server.adapters.aws import Keys
from server.adapters.aws_errors import Call
from server.adapters.http_wire import Answer, Wire, WireError
from server.adapters.pace import NoQuotas, Pace
from server.adapters.sigv4 import EMPTY_SHA256, Signer, canonical_query
from server.domain.errors import (
    AwsCredentials,
    AwsError,
    AwsRejected,
    Damaged,
    HoldfastError,
    Throttled,
    Unavailable,
)
from server.domain.workload import Place
from server.ports import BLOCK_SIZE, BlockRef, Clock

PAGE: Final = 10_000  # blocks; the most AWS gives
PATH_PAGES_MAX: Final = 100_000  # pages of one listing: far above a 64 TiB volume's 13,422
READS_MAX: Final = 4  # times one block is read before its checksum is believed to be wrong
RENEWED_SNAPSHOTS: Final = 16  # snapshots whose renewed block tokens are remembered
PENDING_MINUTES: Final = 24 * 60  # AWS itself cancels a snapshot left unfinished for so long
PASSING: Final = frozenset({"WRITE_REQUEST_TIMEOUT", "CONFLICTING_BLOCK_UPDATE"})  # validation errors that waiting cures


class Access(Protocol):
    """What the client needs to know about AWS accounts. ``Boto3Aws`` is one."""

    def keys(self, place: Place) -> Keys: ...

    def endpoint(self, place: Place, service: str) -> str: ...

    def forget(self, place: Place) -> None: ...

    def note(self, action: str) -> None: ...


@dataclass(frozen=True, slots=True)
class _Ask:
    """One request. ``headers`` are the x-amz ones, names in lower case."""

    operation: str
    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    body_sha256: str = EMPTY_SHA256


class EbsBlocks:
    """Port ``Blocks``. Safe to share between threads; each exchange borrows a connection. ``close`` when done."""

    def __init__(
        self,
        access: Access,
        clock: Clock,
        *,
        quotas: Pace | None = None,
        connect_timeout: float = 5,
        read_timeout: float = 20,
    ) -> None:
        self._access = access
        self._clock = clock
        self._quotas = quotas or NoQuotas()
        self._timeouts = (connect_timeout, read_timeout)
        self._lock = threading.Lock()
        self._endpoints: dict[Place, str] = {}
        self._wires: dict[str, Wire] = {}
        self._signers: dict[Place, tuple[Keys, Signer]] = {}
        self._renewed: dict[str, dict[int, str]] = {}

    def close(self) -> None:
        with self._lock:
            wires, self._wires = list(self._wires.values()), {}
        for wire in wires:
            wire.close()

    # ---- the port: reading

    def allocated(self, place: Place, snapshot_id: str, *, start_index: int = 0) -> Iterator[BlockRef]:
        path = f"/snapshots/{quote(snapshot_id, safe='')}/blocks"
        for block in self._listed(place, "ListSnapshotBlocks", path, (), "Blocks", start_index):
            yield BlockRef(block["BlockIndex"], block["BlockToken"])

    def changed(self, place: Place, base_id: str, snapshot_id: str, *, start_index: int = 0) -> Iterator[BlockRef]:
        path = f"/snapshots/{quote(snapshot_id, safe='')}/changedblocks"
        base = (("firstSnapshotId", base_id),)
        for block in self._listed(place, "ListChangedBlocks", path, base, "ChangedBlocks", start_index):
            yield BlockRef(block["BlockIndex"], block.get("SecondBlockToken") or "")

    def read(self, place: Place, snapshot_id: str, block: BlockRef) -> bytes:
        """The block's bytes. Errors: Damaged when AWS keeps sending what does not match its checksum."""
        if not block.token:
            return bytes(BLOCK_SIZE)
        token = self._renewed.get(snapshot_id, {}).get(block.index, block.token)
        for _ in range(READS_MAX):
            try:
                answer = self._send(place, _get_block(snapshot_id, block.index, token))
            except AwsRejected as refusal:
                if refusal.aws_code != "INVALID_BLOCK_TOKEN":
                    raise
                token = self._renew(place, snapshot_id, block.index, token, refusal)
                continue
            if _intact(answer):
                return answer.body
        raise Damaged(
            f"Block {block.index} of {snapshot_id} arrived damaged {READS_MAX} times.",
            remedy="Check the network between the appliance and AWS, then take a new snapshot.",
            fields={snapshot_id: f"block {block.index}"},
        )

    # ---- the port: writing

    def start(
        self,
        place: Place,
        *,
        size_gib: int,
        token: str,
        description: str,
        tags: Mapping[str, str],
        encrypted: bool = False,
    ) -> str:
        wanted = {
            "VolumeSize": size_gib,
            "ClientToken": token,
            "Description": description,
            "Timeout": PENDING_MINUTES,
            "Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())],
            **({"Encrypted": True} if encrypted else {}),
        }
        body = json.dumps(wanted).encode()
        headers = (("content-type", "application/json"),)
        digest = hashlib.sha256(body).hexdigest()
        ask = _Ask("StartSnapshot", "POST", "/snapshots", headers=headers, body=body, body_sha256=digest)
        return str(_json(self._send(place, ask), ask)["SnapshotId"])

    def write(self, place: Place, snapshot_id: str, index: int, data: bytes) -> None:
        if len(data) != BLOCK_SIZE:
            raise ValueError(f"a block has {BLOCK_SIZE} bytes, not {len(data)}")
        digest = hashlib.sha256(data)
        checksum = binascii.b2a_base64(digest.digest(), newline=False).decode()
        headers = (
            ("content-type", "application/octet-stream"),
            ("x-amz-checksum", checksum),
            ("x-amz-checksum-algorithm", "SHA256"),
            ("x-amz-data-length", str(len(data))),
        )
        path = f"/snapshots/{quote(snapshot_id, safe='')}/blocks/{index}"
        ask = _Ask("PutSnapshotBlock", "PUT", path, headers=headers, body=data, body_sha256=digest.hexdigest())
        answer = self._send(place, ask)
        if answer.headers.get("x-amz-checksum", checksum) != checksum:
            raise Damaged(
                f"AWS stored another block {index} in {snapshot_id} than was sent.", remedy="Start the restore again."
            )

    def complete(self, place: Place, snapshot_id: str, *, written: int) -> None:
        path = f"/snapshots/completion/{quote(snapshot_id, safe='')}"
        ask = _Ask("CompleteSnapshot", "POST", path, headers=(("x-amz-changedblockscount", str(written)),))
        try:
            answer = _json(self._send(place, ask), ask)
        except AwsRejected as refusal:
            if not self._sealed(place, snapshot_id, refusal):
                raise
            return
        if answer.get("Status") == "error":
            raise AwsRejected(
                f"AWS could not complete snapshot {snapshot_id}.",
                operation="ebs:CompleteSnapshot",
                aws_code="error",
                remedy="Start the restore again.",
            )

    def _sealed(self, place: Place, snapshot_id: str, refusal: AwsRejected) -> bool:
        """Whether an earlier CompleteSnapshot, whose answer was lost, has done it: then the snapshot can be listed, or
        AWS calls its state wrong; EC2's state tells the caller the rest."""
        with contextlib.suppress(AwsError):
            next(self.allocated(place, snapshot_id), None)
            return True
        return refusal.aws_code in ("INVALID_SNAPSHOT_ID", "INVALID_SNAPSHOT_STATE")

    # ---- lists

    def _listed(
        self, place: Place, operation: str, path: str, query: Iterable[tuple[str, str]], key: str, start_index: int
    ) -> Iterator[dict[str, Any]]:
        fixed = [*query, ("maxResults", str(PAGE))]
        position = start_index
        page_token: str | None = None
        for _ in range(PATH_PAGES_MAX):
            where = ("pageToken", page_token) if page_token else ("startingBlockIndex", str(position))
            ask = _Ask(operation, "GET", path, canonical_query([*fixed, where]))
            try:
                page = _json(self._send(place, ask), ask)
            except AwsRejected as refusal:
                if page_token is None or refusal.aws_code != "INVALID_PAGE_TOKEN":
                    raise
                page_token = None  # it has expired: list on from the next index
                continue
            if page.get("BlockSize", BLOCK_SIZE) != BLOCK_SIZE:
                raise AwsRejected(f"AWS uses blocks of {page['BlockSize']} bytes.", operation=f"ebs:{operation}")
            for block in page.get(key) or ():
                if block["BlockIndex"] >= position:
                    yield block
                    position = block["BlockIndex"] + 1
            page_token = page.get("NextToken")
            if not page_token:
                return
        raise AwsRejected(f"AWS does not end the list of blocks at {path}.", operation=f"ebs:{operation}")

    def _renew(self, place: Place, snapshot_id: str, index: int, refused: str, refusal: AwsRejected) -> str:
        """Another token for the block: the one refused has expired. The page's others are kept for the blocks to come."""
        path = f"/snapshots/{quote(snapshot_id, safe='')}/blocks"
        ask = _Ask(
            "ListSnapshotBlocks", "GET", path, canonical_query([("maxResults", str(PAGE)), ("startingBlockIndex", str(index))])
        )
        page = _json(self._send(place, ask), ask)
        tokens = {block["BlockIndex"]: block["BlockToken"] for block in page.get("Blocks") or ()}
        if tokens.get(index, refused) == refused:
            raise refusal
        with self._lock:
            self._renewed.pop(snapshot_id, None)
            while len(self._renewed) >= RENEWED_SNAPSHOTS:
                self._renewed.pop(next(iter(self._renewed)))
            self._renewed[snapshot_id] = tokens
        return str(tokens[index])

    # ---- one request, with patience

    def _send(self, place: Place, ask: _Ask) -> Answer:
        """A successful answer. Errors: Throttled and Unavailable once patience has ended; AwsError at once."""
        failures = 0
        renewed = False
        while True:
            self._quotas.take(place, f"ebs:{ask.operation}")
            answer, problem = self._try(place, ask)
            if problem is None:
                return answer
            if isinstance(problem, AwsCredentials) and problem.aws_code in aws_errors.EXPIRED and not renewed:
                renewed = True
                self._access.forget(place)
                continue
            failures += 1
            patience = backoff.THROTTLED if isinstance(problem, Throttled) else backoff.FAILED
            wait = patience.wait(failures) if problem.transient else None
            if wait is None:
                raise problem
            self._clock.sleep(wait)

    def _try(self, place: Place, ask: _Ask) -> tuple[Answer, HoldfastError | None]:
        self._access.note(f"ebs:{ask.operation}")
        wire = self._wire(place)
        signer = self._signer(place, wire.host)
        headers = signer.headers(
            ask.method, ask.path, ask.query, now=self._clock.now(), extra=ask.headers, payload_sha256=ask.body_sha256
        )
        target = f"{ask.path}?{ask.query}" if ask.query else ask.path
        try:
            answer = wire.request(ask.method, target, headers, ask.body)
        except WireError as error:
            call = self._call(place, ask)
            return Answer(0, {}, b""), aws_errors.unreachable(call, str(error))
        if 200 <= answer.status < 300:
            return answer, None
        return answer, _problem(self._call(place, ask), answer)

    def _call(self, place: Place, ask: _Ask) -> Call:
        return Call(
            operation=f"ebs:{ask.operation}", region=place.region, role_arn=place.role_arn, endpoint=self._endpoints.get(place)
        )

    def _wire(self, place: Place) -> Wire:
        endpoint = self._endpoints.get(place)
        if endpoint is None:
            endpoint = self._endpoints[place] = self._access.endpoint(place, "ebs")
        wire = self._wires.get(endpoint)
        if wire is None:
            with self._lock:
                wire = self._wires.get(endpoint)
                if wire is None:
                    connect, read = self._timeouts
                    wire = self._wires[endpoint] = Wire(endpoint, connect_timeout=connect, read_timeout=read)
        return wire

    def _signer(self, place: Place, host: str) -> Signer:
        keys = self._access.keys(place)
        known = self._signers.get(place)
        if known is not None and known[0] == keys:
            return known[1]
        signer = Signer(
            access_key=keys.access_key,
            secret_key=keys.secret_key,
            token=keys.token,
            region=place.region,
            service="ebs",
            host=host,
        )
        self._signers[place] = (keys, signer)
        return signer


def _get_block(snapshot_id: str, index: int, token: str) -> _Ask:
    path = f"/snapshots/{quote(snapshot_id, safe='')}/blocks/{index}"
    return _Ask("GetSnapshotBlock", "GET", path, canonical_query([("blockToken", token)]))


def _intact(answer: Answer) -> bool:
    if len(answer.body) != BLOCK_SIZE:
        return False
    checksum = binascii.b2a_base64(hashlib.sha256(answer.body).digest(), newline=False).decode()
    return answer.headers.get("x-amz-checksum") == checksum


def _json(answer: Answer, ask: _Ask) -> dict[str, Any]:
    try:
        content = json.loads(answer.body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise Unavailable(
            f"ebs:{ask.operation} was answered with something that is not JSON.",
            remedy="Check that no proxy or other server answers in place of AWS.",
        )
    return content


def _problem(call: Call, answer: Answer) -> HoldfastError:
    try:
        content = json.loads(answer.body) if answer.body else {}
    except ValueError:
        content = {}
    code = (answer.headers.get("x-amzn-errortype") or content.get("__type") or "").partition(":")[0].rpartition("#")[2]
    text = content.get("Message") or content.get("message") or ""
    reason = content.get("Reason") or ""
    if reason in PASSING:
        return aws_errors.translate(call, "ServiceUnavailable", f"{text} ({reason})", status=503)
    if code == "ValidationException" and reason:
        code = reason
    return aws_errors.translate(call, code, text, status=answer.status)
