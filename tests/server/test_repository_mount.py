"""``holdfast repository mount``: a point's disks as network block devices, until it is told to stop."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from tests.repository.frozen.contents import FULL, INCREMENT, PASSWORDS, POINTS
from tests.server.conftest import Holdfast
from tests.server.test_cli import ROOT, clean_environment
from tests.waiting import until


@contextmanager
def mounted(folder: Path, *arguments: object) -> Iterator[list[str]]:
    """The addresses that a running ``holdfast repository mount`` printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "server.cli", "repository", "mount", str(folder), *map(str, arguments)],
        env=clean_environment(REPOSITORY_PASSWORD=PASSWORDS[0]),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        addresses = [process.stdout.readline().strip() for _ in range(2)]
        yield addresses
    finally:
        process.terminate()
        _, said = process.communicate(timeout=30)
        assert (process.returncode, "Traceback" in said) == (0, False), said


def tool(*command: object) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class TestMount:
    def test_every_disk_as_a_network_block_device(self, folder: Path, tmp_path: Path, holdfast: Holdfast) -> None:
        assert holdfast("restore", folder, INCREMENT, "--to", tmp_path / "all").code == 0
        with mounted(folder, INCREMENT, "--port", 0) as addresses:
            assert [address.rsplit("/", 1)[-1] for address in addresses] == ["vol-root", "vol-data"]
            for address, disk in zip(addresses, POINTS[INCREMENT], strict=True):
                image = tmp_path / "all" / f"{disk.disk_id}.img"
                assert "identical" in tool("qemu-img", "compare", "-f", "raw", "-F", "raw", address, image)

    def test_over_a_unix_socket(self, folder: Path, short_folder: Path) -> None:
        path = short_folder / f"{uuid4().hex[:8]}.sock"
        with mounted(folder, INCREMENT, "--socket", path) as addresses:
            assert path.stat().st_mode & 0o077 == 0
            size = int(tool("nbdinfo", "--size", addresses[0]))
            assert size == POINTS[INCREMENT][0].size_bytes
        until(lambda: not path.exists(), what="the removal of the socket")

    def test_a_taken_port_is_named(self, folder: Path, holdfast: Holdfast) -> None:
        with mounted(folder, FULL, "--port", 0) as addresses:
            port = addresses[0].split(":")[2].split("/")[0]
            done = holdfast("mount", folder, FULL, "--port", port)
            assert (done.code, f"127.0.0.1:{port} is in use" in done.err) == (1, True)
