"""Two S3 of our own for the length of a test module: moto's, and the demo account's, which has locks and archives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer

from server.adapters.blobs.s3 import CLIENT_CONFIG
from tests.demo_account import DemoAccount

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


@dataclass(frozen=True)
class DemoS3:
    """``client`` does not retry, so that every refusal shows."""

    account: DemoAccount
    client: S3Client

    def bucket(self, *, lock: bool = False, retention_days: int | None = None) -> str:
        """A new one; with ``lock`` it has versions. ``retention_days``: its default retention."""
        name = f"holdfast-{uuid4()}"
        self.client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
        if retention_days is not None:
            rule: Any = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": retention_days}}
            configuration: Any = {"ObjectLockEnabled": "Enabled", "Rule": rule}
            self.client.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=configuration)
        return name


@contextmanager
def demo_s3() -> Iterator[DemoS3]:
    with DemoAccount() as account:
        client = boto3.client(
            "s3",
            endpoint_url=account.url,
            region_name="us-east-1",
            aws_access_key_id="demo",
            aws_secret_access_key="demo",
            config=CLIENT_CONFIG.merge(Config(retries={"total_max_attempts": 1})),
        )
        try:
            yield DemoS3(account, client)
        finally:
            client.close()


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
