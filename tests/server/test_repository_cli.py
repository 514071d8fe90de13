"""``holdfast repository …`` as people meet it: address and password are enough, mistakes are told in one sentence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from server.adapters.aws import Boto3Aws
from server.adapters.blobs.local import LocalBlobs
from server.adapters.blobs.memory import MemoryBlobs
from server.adapters.clock import FakeClock, SystemClock
from server.cli.place import NOBODY, Place
from server.demo.sample.account import BUCKET
from server.domain.workload import Place as AwsPlace
from server.repository import layout
from server.repository.repository import Repository, peek
from tests.conftest import DemoCloud
from tests.repository.frozen.contents import FORGOTTEN, FULL, INCREMENT, PASSWORDS, POINTS, Disk, block
from tests.repository.frozen.make_1 import back_up
from tests.server.conftest import Holdfast

BLOCK = 512 * 1024


def pack_of(folder: Path) -> Path:
    """The largest data pack: it belongs to the full point."""
    return max((folder / "packs").glob("*/*"), key=lambda path: path.stat().st_size)


def content(disk: Disk) -> Iterator[tuple[int, bytes]]:
    return ((index, block(kind)) for index, kind in disk.blocks.items() if kind != "zero")


class TestInit:
    def test_makes_a_repository_that_the_password_opens(self, tmp_path: Path, holdfast: Holdfast) -> None:
        done = holdfast("init", tmp_path / "new", "--hint", "the usual")
        assert (done.code, done.out) == (0, "")
        repo = Repository.open(LocalBlobs(tmp_path / "new"), PASSWORDS[0], clock=SystemClock(), owner=None)
        assert f"Repository {repo.id} made" in done.err
        assert peek(repo.vault.blobs, clock=SystemClock()).hint == "the usual"
        assert holdfast("ls", tmp_path / "new").code == 0

    def test_not_where_one_is(self, folder: Path, holdfast: Holdfast) -> None:
        done = holdfast("init", folder)
        assert (done.code, done.err.split("\n")[0][:42]) == (1, "Error: There is a repository at file:///" + str(folder)[1:3])

    def test_not_with_a_short_password(self, tmp_path: Path, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOLDFAST_REPOSITORY_PASSWORD", "1234567")
        assert "at least 8 characters" in holdfast("init", tmp_path / "new").err
        assert not (tmp_path / "new").exists()


class TestList:
    def test_points_by_time_without_the_forgotten(self, folder: Path, holdfast: Holdfast) -> None:
        done = holdfast("ls", folder)
        assert done.code == 0
        assert [line.split()[0] for line in done.out.splitlines()] == ["point", str(FULL), str(INCREMENT)]
        assert "frozen i-0f01d" in done.out

    def test_json_for_programs(self, folder: Path, holdfast: Holdfast) -> None:
        points = json.loads(holdfast("ls", f"file://{folder}", "--json").out)
        assert [(point["id"], point["disks"], point["at"]) for point in points] == [
            (str(FULL), 2, "2026-03-02T00:00:00+00:00"),
            (str(INCREMENT), 2, "2026-03-03T00:00:00+00:00"),
        ]

    def test_the_disks_of_one_by_the_beginning_of_its_id(self, folder: Path, holdfast: Holdfast) -> None:
        done = holdfast("ls", folder, str(FULL))
        assert [line.split()[0] for line in done.out.splitlines()] == ["disk", "vol-root", "vol-data"]
        assert "several" not in holdfast("ls", folder, str(FULL)[:-1]).err
        assert holdfast("ls", folder, str(FULL)[:8]).code == 1

    def test_a_forgotten_point_is_not_found(self, folder: Path, holdfast: Holdfast) -> None:
        assert f"no point {FORGOTTEN}" in holdfast("ls", folder, FORGOTTEN).err


class TestMistakes:
    def test_a_wrong_password(self, folder: Path, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOLDFAST_REPOSITORY_PASSWORD", "hunter22")
        done = holdfast("ls", folder)
        assert (done.code, "password is wrong" in done.err, "hunter22" in done.err) == (1, True, False)

    def test_no_password_and_nobody_to_ask(self, folder: Path, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("HOLDFAST_REPOSITORY_PASSWORD")
        assert "--password-file" in holdfast("ls", folder).err

    def test_the_password_comes_from_a_file(
        self, folder: Path, tmp_path: Path, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("HOLDFAST_REPOSITORY_PASSWORD")
        file = tmp_path / "password"
        file.write_text(f"{PASSWORDS[1]}\nnot this\n")
        assert holdfast("ls", folder, "--password-file", file).code == 0
        file.write_text("\n")
        assert "first line" in holdfast("ls", folder, "--password-file", file).err
        assert "Cannot read the password" in holdfast("ls", folder, "--password-file", tmp_path / "nowhere").err

    @pytest.mark.parametrize("address", ["s3://", "https://example.com/x", "file://other/x", ""])
    def test_addresses_that_make_no_sense(self, address: str, holdfast: Holdfast) -> None:
        done = holdfast("ls", address)
        assert (done.code, "is no address" in done.err, "s3://bucket/folder" in done.err) == (1, True, True)

    def test_an_empty_folder(self, tmp_path: Path, holdfast: Holdfast) -> None:
        assert "There is no repository" in holdfast("ls", tmp_path).err

    def test_a_kms_key_that_is_none(self, folder: Path, holdfast: Holdfast) -> None:
        assert "is no ARN" in holdfast("ls", folder, "--kms-key", "alias/x").err

    def test_an_unknown_profile(self, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_PROFILE", "")  # set, so that it is put back after the test
        done = holdfast("ls", "s3://bucket/x", "--profile", "nobody-has-this")
        assert (done.code, "nobody-has-this" in done.err, "Traceback" in done.err) == (1, True, False)


class TestCheck:
    def test_a_sound_one(self, folder: Path, holdfast: Holdfast) -> None:
        done = holdfast("check", folder, "--level", "content")
        assert (done.code, done.out) == (0, "")
        assert "No damage" in done.err

    def test_damage_names_points_disks_and_bytes(self, folder: Path, holdfast: Holdfast) -> None:
        pack = pack_of(folder)
        data = bytearray(pack.read_bytes())
        data[len(data) // 2] ^= 1
        pack.write_bytes(data)
        done = holdfast("check", folder, "--level", "content")
        assert done.code == 3
        assert pack.name in done.out
        assert f"hurts point {FULL} vol-data bytes {5 * BLOCK}–{6 * BLOCK}" in done.out
        assert "--record" in done.err
        found = json.loads(holdfast("check", folder, "--level", "content", "--json").out)
        assert {harm["diskId"] for problem in found for harm in problem["harm"]} == {"vol-data"}

    def test_damage_is_noted_when_asked(self, folder: Path, holdfast: Holdfast) -> None:
        pack_of(folder).unlink()
        assert holdfast("check", folder).code == 3
        assert not (folder / "damage").exists()
        assert holdfast("check", folder, "--record").code == 3
        assert len(list((folder / "damage").iterdir())) == 1

    def test_all_shares_together_find_it(self, folder: Path, holdfast: Holdfast) -> None:
        pack = pack_of(folder)
        data = bytearray(pack.read_bytes())
        data[len(data) // 2] ^= 1
        pack.write_bytes(data)
        codes = [holdfast("check", folder, "--level", "content", "--sample", f"{part}/3").code for part in (1, 2, 3)]
        assert sorted(codes) == [0, 0, 3]

    def test_a_missing_pack_is_found_without_reading_any(self, folder: Path, holdfast: Holdfast) -> None:
        pack_of(folder).unlink()
        assert holdfast("check", folder).code == 3

    @pytest.mark.parametrize("wrong", [("--level", "all"), ("--sample", "0/7"), ("--sample", "8/7"), ("--sample", "half")])
    def test_wrong_options(self, wrong: tuple[str, str], folder: Path, holdfast: Holdfast) -> None:
        done = holdfast("check", folder, *wrong)
        assert (done.code, wrong[1] in done.err) == (1, True)


class TestRestore:
    def test_one_disk_to_a_sparse_file(self, folder: Path, tmp_path: Path, holdfast: Holdfast) -> None:
        disk = POINTS[INCREMENT][0]
        target = tmp_path / "disk.raw"
        assert holdfast("restore", folder, INCREMENT, "--disk", disk.disk_id, "--to", target).code == 0
        assert target.stat().st_size == disk.size_bytes
        assert target.stat().st_blocks * 512 <= (len(disk.blocks) + 1) * BLOCK
        with target.open("rb") as restored:
            for index, data in content(disk):
                restored.seek(index * BLOCK)
                assert restored.read(BLOCK) == data[: disk.size_bytes - index * BLOCK]

    def test_all_disks_to_a_folder(self, folder: Path, tmp_path: Path, holdfast: Holdfast) -> None:
        assert holdfast("restore", folder, FULL, "--to", tmp_path / "all").code == 0
        sizes = {path.name: path.stat().st_size for path in (tmp_path / "all").iterdir()}
        assert sizes == {f"{disk.disk_id}.img": disk.size_bytes for disk in POINTS[FULL]}

    def test_never_over_a_file_that_is_there(self, folder: Path, tmp_path: Path, holdfast: Holdfast) -> None:
        (tmp_path / "kept").write_text("mine")
        done = holdfast("restore", folder, FULL, "--disk", "vol-root", "--to", tmp_path / "kept")
        assert (done.code, "exists already" in done.err) == (1, True)
        assert (tmp_path / "kept").read_text() == "mine"

    def test_onto_a_block_device_when_told_so(
        self, folder: Path, tmp_path: Path, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        device = tmp_path / "device"
        device.write_bytes(b"old " * (10 * BLOCK))
        monkeypatch.setattr(Path, "is_block_device", lambda path: path == device)
        where = ("restore", folder, FULL, "--disk", "vol-root", "--to", device)
        assert "--overwrite" in holdfast(*where).err
        assert device.read_bytes() == b"old " * (10 * BLOCK)
        assert holdfast(*where, "--overwrite").code == 0
        assert device.read_bytes()[: 3 * BLOCK] == block("boot") + block("kernel") + bytes(BLOCK)

    def test_an_unknown_disk(self, folder: Path, tmp_path: Path, holdfast: Holdfast) -> None:
        done = holdfast("restore", folder, FULL, "--disk", "nix", "--to", tmp_path / "x")
        assert "Its disks: vol-root, vol-data." in done.err


class TestCat:
    def test_a_whole_disk_is_what_a_restore_writes(self, folder: Path, tmp_path: Path, holdfast: Holdfast) -> None:
        holdfast("restore", folder, FULL, "--disk", "vol-root", "--to", tmp_path / "disk")
        assert (
            hashlib.sha256(holdfast("cat", folder, FULL, "vol-root").raw).digest()
            == hashlib.sha256((tmp_path / "disk").read_bytes()).digest()
        )

    def test_a_range_across_stored_and_zero_blocks(self, folder: Path, holdfast: Holdfast) -> None:
        done = holdfast("cat", folder, FULL, "vol-data", "--offset", 6 * BLOCK - 3, "--length", 10)
        assert done.raw == block("raw noise")[-3:] + bytes(7)

    def test_beyond_the_end(self, folder: Path, holdfast: Holdfast) -> None:
        done = holdfast("cat", folder, FULL, "vol-root", "--offset", 40 * BLOCK, "--length", 1)
        assert (done.code, done.raw) == (1, b"")

    def test_damage_is_an_error_not_wrong_bytes(self, folder: Path, holdfast: Holdfast) -> None:
        pack_of(folder).unlink()
        done = holdfast("cat", folder, FULL, "vol-data", "--offset", 5 * BLOCK, "--length", BLOCK)
        assert (done.code, done.raw) == (1, b"")
        assert "missing" in done.err


class TestPassword:
    def test_the_new_one_opens_and_the_old_one_does_not(
        self, folder: Path, tmp_path: Path, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "new"
        file.write_text("another password")
        assert holdfast("password", folder, "--new-password-file", file, "--hint", "h").code == 0
        assert holdfast("ls", folder).code == 1
        monkeypatch.setenv("HOLDFAST_REPOSITORY_PASSWORD", "another password")
        assert holdfast("check", folder, "--level", "content").code == 0

    def test_the_new_one_is_never_taken_from_where_the_old_one_is(self, folder: Path, holdfast: Holdfast) -> None:
        assert "there is no terminal" in holdfast("password", folder).err


class TestCollect:
    def test_two_calls_delete_what_was_forgotten(self, folder: Path, holdfast: Holdfast) -> None:
        first = json.loads(holdfast("gc", folder, "--min-age", 0, "--json").out)
        second = json.loads(holdfast("gc", folder, "--min-age", 0, "--json").out)
        assert first["deletedPoints"] + second["deletedPoints"] == 1
        assert not (folder / layout.point(FORGOTTEN)).exists()
        assert holdfast("check", folder, "--level", "content").code == 0

    def test_it_tells_what_it_did_and_why_it_waits(self, folder: Path, holdfast: Holdfast) -> None:
        assert "Deleted: 1 points" in holdfast("gc", folder, "--min-age", 0).err
        assert "Nothing was done yet" in holdfast("gc", folder, "--min-age", 1).err

    def test_a_negative_age(self, folder: Path, holdfast: Holdfast) -> None:
        assert holdfast("gc", folder, "--min-age", "-1").code != 0


class TestS3:
    def test_the_whole_life_of_one(
        self, demo_cloud: DemoCloud, tmp_path: Path, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        address = f"s3://{BUCKET}/{uuid4()}"
        where = (address, "--endpoint-url", demo_cloud.url, "--region", "us-east-1")
        assert holdfast("init", *where).code == 0
        assert holdfast("ls", *where, "--json").out.strip() == "[]"
        disk = POINTS[FULL][0]
        back_up(Place(url=address, endpoint_url=demo_cloud.url, region="us-east-1").write(), FULL, (disk,), SystemClock())
        assert [point["id"] for point in json.loads(holdfast("ls", *where, "--json").out)] == [str(FULL)]
        assert holdfast("check", *where).code == 0
        assert holdfast("cat", *where, FULL, disk.disk_id, "--length", BLOCK).raw == block("boot")
        assert holdfast("gc", *where).code == 0
        monkeypatch.setenv("HOLDFAST_REPOSITORY_PASSWORD", "wrong password")
        assert "password is wrong" in holdfast("ls", *where).err

    def test_with_a_kms_key_no_password_is_needed(
        self, demo_cloud: DemoCloud, tmp_path: Path, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("HOLDFAST_REPOSITORY_PASSWORD")
        aws = Boto3Aws(SystemClock(), endpoint_url=demo_cloud.url)
        here = AwsPlace(NOBODY, None, None, "us-east-1")
        keys = [aws.call(here, "kms", "create_key")["KeyMetadata"]["Arn"] for _ in range(2)]
        folder, cloud = tmp_path / "new", ("--endpoint-url", demo_cloud.url)
        assert holdfast("init", folder, "--kms-key", keys[0], *cloud).code == 0
        assert holdfast("ls", folder, "--kms-key", keys[0], *cloud).code == 0
        assert f"opens with the KMS key {keys[0]}" in holdfast("ls", folder, *cloud).err
        assert keys[0] in holdfast("ls", folder, "--kms-key", keys[1], *cloud).err
        assert holdfast("password", folder, "--kms-key", keys[0], "--new-kms-key", keys[1], *cloud).code == 0
        assert holdfast("ls", folder, "--kms-key", keys[0], *cloud).code == 1
        assert holdfast("ls", folder, "--kms-key", keys[1], *cloud).code == 0

    def test_a_bucket_there_is_not(self, demo_cloud: DemoCloud, holdfast: Holdfast) -> None:
        done = holdfast("ls", "s3://no-such-bucket-here/x", "--endpoint-url", demo_cloud.url, "--region", "us-east-1")
        assert (done.code, "no bucket no-such-bucket-here" in done.err) == (1, True)


class TestRetrieve:
    def test_an_archived_point_is_asked_for_and_then_read(self, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = FakeClock(SystemClock().now())
        blobs = MemoryBlobs(clock)
        monkeypatch.setattr(Place, "blobs", lambda _: blobs)
        assert holdfast("init", "anywhere", "--storage-class", "glacier").code == 0
        disk = POINTS[FULL][0]
        back_up(Place(url="anywhere").write(), FULL, (disk,), clock)
        read = ("cat", "anywhere", FULL, disk.disk_id, "--length", BLOCK)
        assert "archived" in holdfast(*read).err
        asked = holdfast("retrieve", "anywhere", FULL, "--mode", "bulk", "--days", 2)
        assert (asked.code, "1 were asked for now" in asked.err, "again later" in asked.err) == (0, True, True)
        clock.advance(timedelta(hours=13))
        assert "All can be read until" in holdfast("retrieve", "anywhere", FULL).err
        assert holdfast(*read).raw == block("boot")

    def test_what_is_not_archived_can_be_read_at_once(self, folder: Path, holdfast: Holdfast) -> None:
        assert "All can be read." in holdfast("retrieve", folder, FULL, "--disk", "vol-root").err
