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
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import boto3
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from server.adapters.aws import Keys
from server.adapters.clock import SystemClock
from server.adapters.ebs import EbsBlocks
from server.domain.workload import Place
from server.ports import BLOCK_SIZE, BlockRef
from tests.bench.processes import ROOT, child
from tests.bench.rows import Report, median

THREADS = 8
BLOCKS = 2_000
QUICK_BLOCKS = 400
WARM = 64  # blocks before the clock runs: connections are open, code is loaded
ROUNDS = 3
PLACE = Place(UUID(int=1), None, None, "eu-central-1")
SNAPSHOT = "snap-0123456789abcdef0"
TARGET = 1 / 5


def measure(work: Path, report: Report, *, quick: bool) -> None:
    folder = work / "wire"
    folder.mkdir(exist_ok=True)
    _certificate(folder)
    for scheme in ("http", "https"):
        with _server(folder, scheme) as url:
            found: dict[str, list[float]] = {}
            for _ in range(1 if quick else ROUNDS):
                for client in ("ours", "theirs"):
                    answer = _client(folder, client, url, quick=quick)
                    found.setdefault(client, []).append(answer["cpu"])
                    found.setdefault(client + "-speed", []).append(answer["speed"])
        ours, theirs = median(found["ours"]), median(found["theirs"])
        speeds = f"{median(found['ours-speed']):.0f} and {median(found['theirs-speed']):.0f} MiB/s"
        says = (
            f"user and system time of the client per block, {THREADS} threads, SHA-256 of every block verified by both: "
            f"{ours * 1000:.2f} ms against boto3's {theirs * 1000:.2f} ms ({speeds})"
        )
        report.add(f"ebs_cpu_{'tls' if scheme == 'https' else 'http'}", ours / theirs, "×", says, TARGET)


def _client(folder: Path, client: str, url: str, *, quick: bool) -> dict[str, Any]:
    blocks = QUICK_BLOCKS if quick else BLOCKS
    trust = {"AWS_CA_BUNDLE": str(folder / "cert.pem"), "AWS_EC2_METADATA_DISABLED": "true"}
    return child(f"wire.{client}", env=trust, url=url, blocks=blocks).answer


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


def ours(url: str, blocks: int) -> dict[str, float]:
    client = EbsBlocks(_Access(url), SystemClock())
    try:
        return _timed(lambda index: client.read(PLACE, SNAPSHOT, BlockRef(index, "AAUBAfake")), blocks)
    finally:
        client.close()


def theirs(url: str, blocks: int) -> dict[str, float]:
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
        data = answer["BlockData"].read()
        if base64.b64encode(hashlib.sha256(data).digest()).decode() != answer["Checksum"]:
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
