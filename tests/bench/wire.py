"""CPU the EBS direct client spends on a block of 512 KiB, against boto3, over plain HTTP and over TLS."""

from __future__ import annotations

import base64
import hashlib
import random
import resource
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from uuid import UUID

import boto3
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from server.adapters import ebs
from server.adapters.aws import Keys
from server.adapters.clock import SystemClock
from server.adapters.ebs import EbsBlocks
from server.domain.workload import Place
from server.ports import BLOCK_SIZE, BlockRef
from tests.bench.processes import ROOT, child
from tests.bench.rows import Report, median

THREADS = 8
BLOCKS = 1_000  # fewer make the figures jump
WARM = 64  # blocks before the clock runs: connections are open, code is loaded
ROUNDS = 3
PLACE = Place(UUID(int=1), None, None, "eu-central-1")
SNAPSHOT = "snap-0123456789abcdef0"
TARGET = 1 / 5


def measure(work: Path, report: Report, *, quick: bool) -> None:
    folder = work / "wire"
    folder.mkdir(exist_ok=True)
    _certificate(folder)
    for scheme, title in (("http", "http"), ("https", "tls")):
        with _server(folder, scheme) as url:
            _compare(folder, url, title, report, quick=quick)


def _compare(folder: Path, url: str, title: str, report: Report, *, quick: bool) -> None:
    trust = {"AWS_CA_BUNDLE": str(folder / "cert.pem"), "AWS_EC2_METADATA_DISABLED": "true"}
    cpu: dict[tuple[str, bool], list[float]] = defaultdict(list)
    speed: dict[str, list[float]] = defaultdict(list)
    for _ in range(1 if quick else ROUNDS):
        for client, checked in product(("ours", "theirs"), (False, True)):
            answer = child(f"wire.{client}", env=trust, url=url, blocks=BLOCKS, checked=checked).answer
            cpu[client, checked].append(answer["cpu"] * 1000)
            speed[client].append(answer["speed"])
    what = f"user and system time of the client per block, {THREADS} threads, "
    for checked in (False, True):
        ours, theirs = median(cpu["ours", checked]), median(cpu["theirs", checked])
        also = "both verify SHA-256" if checked else "neither verifies SHA-256 (boto3 leaves it to its caller)"
        says = f"{what}{also}: {ours:.2f} ms against boto3's {theirs:.2f} ms"
        if checked:
            report.add(f"ebs_cpu_{title}_verified", ours / theirs, "×", says)
        else:
            report.add(f"ebs_cpu_{title}", ours / theirs, "×", says, TARGET)
    report.add(f"ebs_speed_{title}", median(speed["ours"]), "MiB/s", f"boto3: {median(speed['theirs']):.0f} MiB/s")


# ---- clients


class _Access:
    def __init__(self, url: str) -> None:
        self._url = url
        self._keys = Keys("AKIDEXAMPLE", "secret", None)

    def keys(self, place: Place) -> Keys:
        return self._keys

    def endpoint(self, place: Place, service: str) -> str:
        return self._url

    def forget(self, place: Place) -> None:
        raise AssertionError("the server refuses no credentials")

    def note(self, action: str) -> None:
        return


def ours(url: str, blocks: int, checked: bool) -> dict[str, float]:
    client = EbsBlocks(_Access(url), SystemClock())
    if not checked:
        ebs._intact = lambda answer: len(answer.body) == BLOCK_SIZE
    try:
        return _timed(lambda index: client.read(PLACE, SNAPSHOT, BlockRef(index, "AAUBAfake")), blocks)
    finally:
        client.close()


def theirs(url: str, blocks: int, checked: bool) -> dict[str, float]:
    client = boto3.client(
        "ebs",
        endpoint_url=url,
        region_name=PLACE.region,
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        config=Config(max_pool_connections=THREADS),
    )

    def read(index: int) -> bytes:
        answer = client.get_snapshot_block(SnapshotId=SNAPSHOT, BlockIndex=index, BlockToken="AAUBAfake")
        data: bytes = answer["BlockData"].read()
        if checked and base64.b64encode(hashlib.sha256(data).digest()).decode() != answer["Checksum"]:
            raise AssertionError("damaged")
        return data

    return _timed(read, blocks)


def _timed(read: Callable[[int], bytes], blocks: int) -> dict[str, float]:
    with ThreadPoolExecutor(THREADS) as pool:
        sizes = set(map(len, pool.map(read, range(WARM))))
        before, started = _cpu(), time.monotonic()
        sizes |= set(pool.map(lambda index: len(read(index)), range(blocks)))
        seconds, cpu = time.monotonic() - started, _cpu() - before
    if sizes != {BLOCK_SIZE}:
        raise AssertionError(f"blocks of {sizes} bytes")
    return {"cpu": cpu / blocks, "speed": blocks * BLOCK_SIZE / 2**20 / seconds}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


# ---- a server that costs next to nothing


@contextmanager
def _server(folder: Path, scheme: str) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.bench.wire", scheme, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True)
    try:
        assert process.stdout is not None
        yield f"{scheme}://localhost:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait(10)


def serve(scheme: str, folder: Path) -> None:
    """Answers every request with one block, until killed. Prints its port first."""
    tls = None
    if scheme == "https":
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_answer, args=(connection, tls), daemon=True).start()


def _answer(connection: socket.socket, tls: ssl.SSLContext | None) -> None:
    data = random.Random(1).randbytes(BLOCK_SIZE)
    checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
    head = (
        "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n"
        f"x-amz-data-length: {BLOCK_SIZE}\r\nx-amz-checksum: {checksum}\r\nx-amz-checksum-algorithm: SHA256\r\n"
        f"content-length: {BLOCK_SIZE}\r\ndate: Sun, 01 Mar 2026 12:00:00 GMT\r\n"
        "x-amzn-requestid: 0f6a3f0e-5a3c-4f0e-9c1d-2f6b7f9e8d7c\r\nconnection: keep-alive\r\n\r\n"
    )
    reply = head.encode() + data
    with connection if tls is None else tls.wrap_socket(connection, server_side=True) as stream:
        request = b""
        while received := stream.recv(65536):
            request += received
            if request.endswith(b"\r\n\r\n"):
                request = b""
                stream.sendall(reply)


def _certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(private)


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
