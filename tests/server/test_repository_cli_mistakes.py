"""``holdfast repository …`` where something is wrong: it says what and what to do, and leaves nothing half-made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from server.adapters.blobs.local import LocalBlobs
from server.adapters.clock import SystemClock
from server.cli import reading
from server.repository import layout
from server.repository.control import Control
from server.repository.crypto import canonical, checksum
from server.repository.repository import peek
from tests.repository.frozen.contents import FULL, PASSWORDS
from tests.server.conftest import Holdfast


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestFormat:
    @pytest.mark.parametrize(
        "command", [("ls",), ("check",), ("gc",), ("restore", FULL, "--to", "x"), ("cat", FULL, "vol-root"), ("password",)]
    )
    def test_a_newer_version_is_named_and_left_alone(
        self, command: tuple[object, ...], folder: Path, holdfast: Holdfast
    ) -> None:
        config = json.loads((folder / layout.CONFIG).read_bytes()) | {"version": 3}
        (folder / layout.CONFIG).write_bytes(canonical(config | {"checksum": checksum(config)}))
        before = tree(folder)
        done = holdfast(command[0], folder, *command[1:])
        assert (done.code, "format version 3" in done.err, "Use a newer Holdfast" in done.err) == (1, True, True)
        assert tree(folder) == before

    def test_a_lost_config_is_no_foreign_folder(self, folder: Path, holdfast: Holdfast) -> None:
        (folder / layout.CONFIG).unlink()
        done = holdfast("ls", folder)
        assert (done.code, "has lost its config" in done.err, "from a copy" in done.err) == (1, True, True)

    def test_what_a_dying_creator_did_not_write_is_written(self, folder: Path, holdfast: Holdfast) -> None:
        creator = json.loads((folder / layout.CONFIG).read_bytes())["createdBy"]
        (folder / layout.OWNER).unlink()
        assert holdfast("gc", folder).code == 0
        assert str(peek(LocalBlobs(folder), clock=SystemClock()).owner) == creator

    def test_nothing_where_the_address_points(self, tmp_path: Path, holdfast: Holdfast) -> None:
        done = holdfast("ls", tmp_path / "mistyped")
        assert (done.code, f"no repository at {(tmp_path / 'mistyped').as_uri()}" in done.err) == (1, True)
        assert "Check the address" in done.err
        assert not (tmp_path / "mistyped").exists()


class TestSecrets:
    def test_the_reminder_is_shown_after_a_wrong_password(
        self, tmp_path: Path, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert holdfast("init", tmp_path / "new", "--hint", "the \x1b[2Jusual").code == 0
        monkeypatch.setenv("HOLDFAST_REPOSITORY_PASSWORD", "hunter22")
        done = holdfast("ls", tmp_path / "new")
        assert (done.code, "Its reminder: the [2Jusual" in done.err) == (1, True)
        assert [secret for secret in ("\x1b", "hunter22", PASSWORDS[0]) if secret in done.err] == []

    def test_an_address_of_a_service_that_is_none(self, holdfast: Holdfast) -> None:
        done = holdfast("ls", "s3://bucket/x", "--endpoint-url", "localhost:9000")
        assert (done.code, "'localhost:9000' is no address" in done.err, "http://HOST:PORT" in done.err) == (1, True, True)


class TestRestore:
    def test_an_image_that_is_there_is_found_before_the_first_is_written(
        self, folder: Path, tmp_path: Path, holdfast: Holdfast
    ) -> None:
        images = tmp_path / "images"
        images.mkdir()
        (images / "vol-data.img").write_text("mine")
        done = holdfast("restore", folder, FULL, "--to", images)
        assert (done.code, "vol-data.img exists already" in done.err) == (1, True)
        assert tree(images) == {"vol-data.img": b"mine"}

    def test_an_interrupted_one_leaves_nothing(
        self, folder: Path, tmp_path: Path, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt() -> NoReturn:
            raise KeyboardInterrupt

        @contextmanager
        def interrupted(_what: str, _total: int | None) -> Iterator[Control]:
            yield Control(cancelled=interrupt)

        monkeypatch.setattr(reading, "progress", interrupted)
        images = tmp_path / "images"
        images.mkdir()
        done = holdfast("restore", folder, FULL, "--to", images)
        assert (done.code, done.out, "Traceback" in done.err) == (130, "", False)
        assert tree(images) == {}
