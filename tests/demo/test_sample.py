"""The sample: made once, complete, and what its disks hold is what the lists say."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from server.demo import sample
from server.demo.sample.content import Noise, Writer
from server.demo.sample.filesystem import GIB, PARTITION_OFFSET, tool, write_gpt
from server.demo.sample.images import build
from tests.demo.clouds import Cloud


def test_noise_and_text_depend_on_the_seed_only() -> None:
    assert Noise("a").read(1000) == Noise("a").read(1000) != Noise("b").read(1000)
    one, two = Writer("a"), Writer("a")
    for kind in ("source", "log", "json", "table", "noise"):
        text = b"".join(one.chunks(kind, 200_001, "file"))
        assert text == b"".join(two.chunks(kind, 200_001, "file"))
        assert len(text) == 200_001
        assert text != b"".join(one.chunks(kind, 200_001, "other"))


def test_a_partition_table_has_two_good_copies(folder: Path) -> None:
    import struct
    import zlib

    image = folder / "disk.img"
    partition = write_gpt(image, GIB, "test")
    assert image.stat().st_size == GIB
    data = image.read_bytes()
    sectors = GIB // 512
    for at in (1, sectors - 1):
        header = data[at * 512 : at * 512 + 92]
        assert header[:8] == b"EFI PART"
        checksum, own, other, table, entries_crc = (
            struct.unpack_from("<I", header, 16)[0],
            *struct.unpack_from("<QQ", header, 24),
            struct.unpack_from("<Q", header, 72)[0],
            struct.unpack_from("<I", header, 88)[0],
        )
        assert checksum == zlib.crc32(header[:16] + bytes(4) + header[20:])
        assert {own, other} == {1, sectors - 1}
        assert entries_crc == zlib.crc32(data[table * 512 : table * 512 + 128 * 128])
    first, last = struct.unpack_from("<QQ", data, 2 * 512 + 32)
    assert (first * 512, (last - first + 1) * 512) == (PARTITION_OFFSET, partition)


def test_a_file_system_holds_the_files_of_its_list(folder: Path) -> None:
    image = build(folder, "system", "small")
    manifest = json.loads(image.manifest.read_text())
    inside = f"{image.path}?offset={manifest['offset']}"
    debugfs, fsck = tool("debugfs"), tool("e2fsck")
    assert debugfs is not None
    assert fsck is not None
    subprocess.run([fsck, "-fn", inside], check=True, capture_output=True)
    copied = folder / "copied"
    copied.mkdir()
    subprocess.run([debugfs, "-R", f"rdump / {copied}", inside], check=True, capture_output=True)
    files: dict[str, Any] = manifest["files"]
    assert len(files) > 100
    for path, entry in files.items():
        data = (copied / path).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry["size"], entry["sha256"]), path
    found = {str(path.relative_to(copied)) for path in copied.rglob("*") if path.is_file() and not path.is_symlink()}
    assert found == set(files)
    again = build(folder, "system", "small")
    assert again.path.stat().st_mtime_ns == image.path.stat().st_mtime_ns


@pytest.fixture(scope="module")
def sampled(cloud: Cloud) -> dict[str, Any]:
    return sample.seed(cloud.url, cloud.data, "small")


def test_the_sample_spans_regions_accounts_and_disks(cloud: Cloud, sampled: dict[str, Any]) -> None:
    database = cloud.describe(sampled["instances"]["db-01"])
    assert len(database["BlockDeviceMappings"]) == 3
    assert {"Key": "Environment", "Value": "production"} in database["Tags"]
    assert database["IamInstanceProfile"]["Arn"].endswith("/sample-server")
    assert cloud.describe(sampled["instances"]["web-eu-01"], "eu-central-1")["State"]["Name"] == "running"
    assert cloud.describe(sampled["instances"]["build-01"])["State"]["Name"] in ("stopping", "stopped")
    for volume_id, facts in sampled["volumes"].items():
        assert cloud.control("GET", f"volumes/{volume_id}/hash")["blocks"], facts


def test_the_second_account_opens_with_the_external_id(cloud: Cloud, sampled: dict[str, Any]) -> None:
    reply = cloud.client("sts").assume_role(RoleArn=sample.ROLE_ARN, RoleSessionName="test", ExternalId=sample.EXTERNAL_ID)[
        "Credentials"
    ]
    ec2 = cloud.client(
        "ec2",
        key=reply["AccessKeyId"],
        aws_secret_access_key=reply["SecretAccessKey"],
        aws_session_token=reply["SessionToken"],
    )
    found = ec2.describe_instances(InstanceIds=[sampled["instances"]["partner-01"]])["Reservations"]
    assert found[0]["OwnerId"] == "210987654321"


def test_guests_of_the_sample_are_reached_or_not(cloud: Cloud, sampled: dict[str, Any]) -> None:
    ids = sampled["instances"]
    found = {
        each["InstanceId"]: (each["PlatformType"], each["PingStatus"])
        for region in ("us-east-1", "eu-central-1")
        for page in cloud.client("ssm", region).get_paginator("describe_instance_information").paginate()
        for each in page["InstanceInformationList"]
    }
    assert found[ids["web-01"]] == ("Linux", "Online")
    assert found[ids["win-01"]] == ("Windows", "Online")
    assert found[ids["build-01"]][1] == "ConnectionLost"
    assert not {ids["win-eu-01"], ids["mail-eu-01"]} & set(found)
    assert cloud.describe(ids["win-eu-01"], "eu-central-1")["PlatformDetails"] == "Windows"
    assert list(cloud.control("GET", f"ssm/{ids['win-01']}")["scripts"]) == [r"C:\Scripts\freeze.ps1", r"C:\Scripts\thaw.ps1"]


@pytest.mark.parametrize(
    ("name", "region", "alias"),
    [("vault-01", "us-east-1", "alias/sample-disks"), ("mail-eu-01", "eu-central-1", "alias/aws/ebs")],
)
def test_some_disks_are_encrypted(cloud: Cloud, sampled: dict[str, Any], name: str, region: str, alias: str) -> None:
    key = cloud.client("kms", region).describe_key(KeyId=alias)["KeyMetadata"]["Arn"]
    filters = [{"Name": "attachment.instance-id", "Values": [sampled["instances"][name]]}]
    volumes = cloud.client("ec2", region).describe_volumes(Filters=filters)["Volumes"]
    assert volumes
    assert {volume["KmsKeyId"] for volume in volumes} == {key}


def test_the_dr_account_opens_and_has_a_key_for_replicas(cloud: Cloud, sampled: dict[str, Any]) -> None:
    reply = cloud.client("sts").assume_role(RoleArn=sample.DR_ROLE_ARN, RoleSessionName="test", ExternalId=sample.EXTERNAL_ID)[
        "Credentials"
    ]
    session = {"aws_secret_access_key": reply["SecretAccessKey"], "aws_session_token": reply["SessionToken"]}
    kms = cloud.client("kms", "us-west-2", key=reply["AccessKeyId"], **session)
    metadata = kms.describe_key(KeyId=sample.REPLICA_KEY)["KeyMetadata"]
    assert (metadata["AWSAccountId"], metadata["KeyState"]) == ("321098765432", "Enabled")
    ec2 = cloud.client("ec2", key=reply["AccessKeyId"], **session)
    assert ec2.describe_instances()["Reservations"] == []


def test_seeding_again_changes_nothing(cloud: Cloud, sampled: dict[str, Any]) -> None:
    volume_id = next(iter(sampled["volumes"]))
    cloud.control("POST", f"volumes/{volume_id}/churn?percent=5&seed=3")
    root = cloud.control("GET", f"volumes/{volume_id}/hash")["root"]
    assert sample.seed(cloud.url, cloud.data, "small") == sampled
    assert cloud.control("GET", f"volumes/{volume_id}/hash")["root"] == root
