"""The demo AWS account as one process: ``python -m server.demo.cloud --data DIR --port N [--seed small|sample|many:N|none]``.

One port for everything, as ``AWS_ENDPOINT_URL``. The credential scope of a request's signature says which service is meant.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import logging
import secrets
import socket
import sys
import threading
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import uvicorn

from server.demo import control_plane, ebs, sample
from server.demo.blockstore import BlockStore
from server.demo.clock import CLOCK, REAL_TIME, Setting
from server.demo.control import PREFIX, Control
from server.demo.control_plane import ControlPlane
from server.demo.credentials import Caller, Gate, Signature, check_payload, declared_payload_hash, signature_of
from server.demo.ebs import EbsDirect
from server.demo.ec2.lifecycle import Pace
from server.demo.errors import AwsError, render
from server.demo.faults import Fault, Faults, error_of
from server.demo.ledger import Ledger
from server.demo.mass import INSTANCES_MAX, Crowd
from server.demo.s3 import api as s3_api
from server.demo.s3.api import S3
from server.demo.s3.store import ObjectStore
from server.demo.sample.images import Size
from server.demo.sts import find_key
from server.demo.tokens import Tokens
from server.demo.wire import BodyTooLarge, ClientGone, Receive, Reply, Request, Scope, Send, drop_connection

log = logging.getLogger("server.demo.cloud")  # not __name__, which is __main__ when run as a program

CLOCK_DOCUMENT = "clock"
REQUEST_MAX = 16 * 1024 * 1024  # bytes of a control plane request


@dataclass(frozen=True, slots=True)
class Cloud:
    """The ASGI application."""

    gate: Gate
    faults: Faults
    control: Control
    plane: ControlPlane
    ebs: EbsDirect
    s3: S3

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError("the demo cloud speaks HTTP only")
        request = Request.of(scope, receive)
        try:
            if request.path.startswith(PREFIX):
                await (await self.control.handle(request)).send(send)
            else:
                await self._serve(request, send)
        except ClientGone:
            log.debug("client left during %s %s", request.method, request.path)

    async def _serve(self, request: Request, send: Send) -> None:
        service = "s3"
        try:
            signature = signature_of(request)
            service = signature.service if signature else "s3"
            operation, fault = await self._arrive(request, service)
            if fault is not None and not await self._suffer(fault, service, request, send):
                return
            reply = await self._dispatch(request, signature)
        except AwsError as error:
            reply, fault = render(service, error), None
        except OSError as error:  # a full disk, above all
            log.exception("%s %s failed", request.method, request.path)
            reply, fault = render(service, AwsError("InternalError", f"The demo account's storage failed: {error}", 500)), None
        if fault is not None and fault.kind == "lost_reply":
            log.debug("losing the reply of %s", operation)
            drop_connection(send)
            return
        if not await request.settle():
            reply.headers.append(("connection", "close"))
        await reply.send(send, head=request.method == "HEAD")

    async def _arrive(self, request: Request, service: str) -> tuple[str, Fault | None]:
        """Name and count the call; the fault that befalls it."""
        if service == "ebs":
            name = ebs.operation_of(request)
        elif service == "s3":
            name = s3_api.operation_of(request)
        else:
            try:
                await request.read(REQUEST_MAX)
            except BodyTooLarge:
                raise AwsError("RequestEntityTooLarge", "The request is too large.", 413)
            name = control_plane.operation_of(request)
        operation = f"{service}:{name}"
        return operation, self.faults.strike(operation)

    async def _suffer(self, fault: Fault, service: str, request: Request, send: Send) -> bool:
        """Let the fault happen. True when the call goes on. Errors: AwsError."""
        if fault.kind == "lost_reply":
            return True
        if fault.kind == "slow":
            await asyncio.sleep(fault.delay)
            return True
        if fault.kind == "timeout":
            try:
                await asyncio.wait_for(request.gone(), fault.delay)
            except TimeoutError:
                drop_connection(send)
            return False
        error = error_of(service, fault.kind)
        assert error is not None, f"every answered fault has an error: {fault.kind}"
        raise error

    async def _dispatch(self, request: Request, signature: Signature | None) -> Reply:
        if signature is not None and signature.service == "ebs":
            return await self.ebs.handle(request, signature)
        if signature is None or signature.service == "s3":
            return await self.s3.handle(request, signature)
        caller = self._admit(request, signature)
        return await asyncio.to_thread(self.plane.handle, request, caller)

    def _admit(self, request: Request, signature: Signature | None) -> Caller:
        digest = hashlib.sha256(request.body).hexdigest()
        declared = declared_payload_hash(request, signature)
        if declared is not None:
            check_payload(declared, digest)
        return self.gate.admit(request, signature, declared or digest)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _secret(path: Path) -> bytes:
    """The key of block tokens; kept, so that tokens outlive a restart."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(secrets.token_bytes(32))
    return path.read_bytes()


def build(data: Path, pace: Pace | None = None) -> Cloud:
    """The cloud over ``data`` (made when absent). One per process: moto's state is the process's."""
    data.mkdir(parents=True, exist_ok=True)
    pace = pace or Pace()
    ledger = Ledger(data / "cloud.db")
    _keep_time(ledger)
    blocks = BlockStore(data / "blocks", ledger)
    plane = ControlPlane(ledger, blocks, pace)
    gate = Gate(find_key)
    faults = Faults()
    direct = EbsDirect(gate, plane, blocks, ledger, Tokens(_secret(data / "token.key")))
    objects = S3(gate, ObjectStore(data / "objects", ledger, pace.retrieval))
    return Cloud(gate, faults, Control(blocks, faults, plane), plane, direct, objects)


def _keep_time(ledger: Ledger) -> None:
    """The clock goes on as it was set, and is kept when it is set again."""
    kept = ledger.document(CLOCK_DOCUMENT)
    CLOCK.put(Setting(**json.loads(kept)) if kept else REAL_TIME)
    CLOCK.changed = lambda setting: ledger.keep(CLOCK_DOCUMENT, json.dumps(asdict(setting)).encode())


Seed = Size | int
"""The sample in a size, or so many plain instances."""


def run(data: Path, port: int, *, host: str = "127.0.0.1", pace: Pace | None = None, seed: Seed | None = None) -> None:
    """Serve until told to stop; port 0 takes a free one. The address is printed once connections are accepted."""
    warnings.filterwarnings("ignore", module=r"moto\..*")  # moto warns about error codes its models lack
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    cloud = build(data, pace)
    if isinstance(seed, int):
        cloud.control.fill(Crowd(instances=seed))
    config = uvicorn.Config(
        cloud,
        log_level="warning",
        access_log=False,
        loop="uvloop",
        http="httptools",
        timeout_keep_alive=75,
        date_header=False,  # replies carry the account's own date
    )
    listener.listen(config.backlog)
    address = f"http://{host}:{listener.getsockname()[1]}"
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()
    if isinstance(seed, str):
        threading.Thread(target=_seed, args=(address, data, seed), daemon=True).start()
    uvicorn.Server(config).run(sockets=[listener])


def _seed(address: str, data: Path, size: Size) -> None:
    try:
        sample.seed(address, data, size, lambda text: log.info("sample: %s", text))
    except Exception:
        log.exception("the sample could not be made")


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m server.demo.cloud", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the account's state")
    parser.add_argument("--port", type=int, required=True, help="0: any free port, printed")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--pace", type=float, default=1.0, help="how slow transitions are; 0: at once, 1: about a second")
    parser.add_argument(
        "--seed",
        type=seed_named,
        default=None,
        help="none; small or full: the sample; many:N: N plain instances",
    )
    return parser.parse_args(words)


_SEEDS: dict[str, Seed | None] = {"none": None, "small": "small", "sample": "full", "full": "full"}


def seed_named(text: str) -> Seed | None:
    if text.startswith("many:") and text[5:].isdigit() and 1 <= int(text[5:]) <= INSTANCES_MAX:
        return int(text[5:])
    if text not in _SEEDS:
        raise argparse.ArgumentTypeError(f"one of {', '.join(_SEEDS)}, or many:N with N up to {INSTANCES_MAX}")
    return _SEEDS[text]


def main(words: list[str] | None = None) -> None:
    arguments = _arguments(words)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    log.setLevel(logging.INFO)
    pace = Pace.scaled(arguments.pace)
    run(arguments.data, arguments.port, host=arguments.host, pace=pace, seed=arguments.seed)


if __name__ == "__main__":
    main()
