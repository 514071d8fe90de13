"""The AWS command line works against the demo, where it is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.demo.clouds import Cloud

if shutil.which("aws"):  # not a part of the product, so its absence is no failure

    def aws(cloud: Cloud, *words: str) -> Any:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "AWS_ACCESS_KEY_ID": "demo",
            "AWS_SECRET_ACCESS_KEY": "demo",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": cloud.url,
        }
        done = subprocess.run(["aws", *words], env=environment, capture_output=True, check=True, text=True, timeout=120)
        return json.loads(done.stdout) if done.stdout.startswith(("{", "[")) else done.stdout

    def test_the_command_line_lists_and_copies(cloud: Cloud, folder: Path) -> None:
        snapshot_id = cloud.snapshot(cloud.volume((3, b"c" * 524_288)))
        found = aws(cloud, "ec2", "describe-snapshots", "--owner-ids", "self", "--output", "json")
        assert snapshot_id in {snapshot["SnapshotId"] for snapshot in found["Snapshots"]}
        listing = aws(cloud, "ebs", "list-snapshot-blocks", "--snapshot-id", snapshot_id, "--output", "json")
        assert [entry["BlockIndex"] for entry in listing["Blocks"]] == [3]
        (folder / "file").write_bytes(os.urandom(9 * 1024 * 1024))
        aws(cloud, "s3", "mb", "s3://command-line")
        aws(cloud, "s3", "cp", str(folder / "file"), "s3://command-line/a/file")
        aws(cloud, "s3", "cp", "s3://command-line/a/file", str(folder / "copy"))
        assert (folder / "copy").read_bytes() == (folder / "file").read_bytes()
