"""An S3 of our own for the length of a test module."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
from moto.server import ThreadedMotoServer

from server.adapters.blobs.s3 import CLIENT_CONFIG

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


@contextmanager
def s3_server() -> Iterator[S3Client]:
    """A client of a fresh, empty S3 on a free port."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id="contract",
        aws_secret_access_key="contract",
        config=CLIENT_CONFIG,
    )
    try:
        yield client
    finally:
        client.close()
        server.stop()
