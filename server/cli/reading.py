"""Getting a point's disks back: as files or onto block devices, as a stream, as network block devices."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from server.cli.output import moment, progress, say, size, working
from server.cli.place import Place, PointId, at_place, find_point
from server.domain.errors import AlreadyThere, InvalidInput
from server.domain.repository import RetrievalMode
from server.ports import BLOCK_SIZE

if TYPE_CHECKING:
    from socket import socket

    from server.repository.manifest import DiskRecord, Manifest
    from server.repository.repository import Repository
    from server.repository.view import DiskView

DiskId = Annotated[str, typer.Argument(help="A disk of the point; see ls.", show_default=False)]
Disks = Annotated[list[str] | None, typer.Option("--disk", help="Only this disk; may be repeated.", show_default="all")]
NBD_PORT: Final = 10809  # registered for it
FETCHERS: Final = 8
ZEROS: Final = bytes(BLOCK_SIZE)
STEP: Final = 8 * BLOCK_SIZE


@at_place
def restore(
    place: Place,
    point: PointId,
    to: Annotated[
        Path, typer.Option(help="A new file or a block device for one disk; for several a folder that gets DISK.img files.")
    ],
    disk: Disks = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Do write onto a block device.")] = False,
) -> None:
    """Restore disks to sparse files, or one onto a block device."""
    repo = place.read()
    manifest = repo.point(find_point(repo, point))
    chosen = _chosen(manifest, disk)
    if to.is_block_device() and not overwrite:
        raise InvalidInput(f"{to} is a block device; what is on it would be lost.", remedy="Say --overwrite if it may be.")
    for record, target in _targets(chosen, to):
        _restore(repo, manifest, record, target)
        say(f"{record.disk_id} → {target} ({size(record.size_bytes)})")


@at_place
def cat(
    place: Place,
    point: PointId,
    disk: DiskId,
    offset: Annotated[int, typer.Option(min=0, help="First byte.")] = 0,
    length: Annotated[int | None, typer.Option(min=0, help="Number of bytes.", show_default="to the end")] = None,
) -> None:
    """Write a disk's bytes to standard output."""
    if sys.stdout.isatty():
        raise InvalidInput("A disk's bytes are not for a terminal.", remedy="Redirect the output to a file or a program.")
    from concurrent.futures import ThreadPoolExecutor

    from server.repository.view import BlockCache, DiskView

    repo = place.read()
    manifest = repo.point(find_point(repo, point))
    with ThreadPoolExecutor(FETCHERS, thread_name_prefix="fetch") as pool:
        view = DiskView(repo, manifest, disk, BlockCache(pool))
        end = view.size_bytes if length is None else offset + length
        if end > view.size_bytes or offset > end:
            raise InvalidInput(f"{disk} has {view.size_bytes} bytes.", remedy="Choose an offset and a length within them.")
        for at in range(offset, end, STEP):
            for piece in view.read(at, min(STEP, end - at)):
                sys.stdout.buffer.write(ZEROS[: piece.length] if piece.data is None else piece.data)
    sys.stdout.buffer.flush()


@at_place
def retrieve(
    place: Place,
    point: PointId,
    disk: Disks = None,
    mode: Annotated[
        RetrievalMode, typer.Option(help="Expedited: minutes; standard: hours; bulk: up to two days, cheapest.")
    ] = RetrievalMode.STANDARD,
    days: Annotated[int, typer.Option(min=1, help="How long the copies stay readable.")] = 7,
) -> None:
    """Ask for readable copies of an archived point's data. Call it again to see how far it is; then restore."""
    from server.repository.retrieval import arrived, ask, needed

    repo = place.read()
    manifest = repo.point(find_point(repo, point))
    with working("Retrieving"):
        packs = needed(repo, manifest, [record.disk_id for record in _chosen(manifest, disk)])
        least = repo.vault.blobs.now() + timedelta(days=days - 1)
        asked = ask(repo, packs, mode=mode, days=days, least=least)
        ready = arrived(repo, packs)
    say(f"{len(packs)} packs are needed; {asked} were asked for now.")
    if ready.packs == len(packs):
        say(f"All can be read until {moment(ready.until)} UTC." if ready.until else "All can be read.")
    else:
        say(f"{ready.packs} of the first can be read already. Call this again later.")


@at_place
def mount(
    place: Place,
    point: PointId,
    disk: Disks = None,
    host: Annotated[str, typer.Option(help="Address to listen on. NBD is neither encrypted nor authenticated.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = NBD_PORT,
    socket: Annotated[Path | None, typer.Option(help="A Unix socket instead of a port.")] = None,
    cache: Annotated[int, typer.Option(min=16, help="MiB of blocks kept in memory.")] = 128,
) -> None:
    """Serve a point's disks as read-only network block devices (NBD) until interrupted. Nothing is copied beforehand."""
    from concurrent.futures import ThreadPoolExecutor

    from server.adapters.nbd import NbdServer
    from server.repository.view import BlockCache, DiskView

    repo = place.read()
    manifest = repo.point(find_point(repo, point))
    with ThreadPoolExecutor(FETCHERS, thread_name_prefix="fetch") as pool:
        blocks = BlockCache(pool, blocks=cache * 1024 * 1024 // BLOCK_SIZE)
        views = [DiskView(repo, manifest, record.disk_id, blocks) for record in _chosen(manifest, disk)]
        listener, address = _listen(host, port, socket)
        server = NbdServer(views, listener)
        _announce(views, address)
        signal.signal(signal.SIGTERM, _interrupt)
        try:
            server.serve()
        except KeyboardInterrupt:
            say("Stopped.")
        finally:
            server.close()
            if socket is not None:
                socket.unlink(missing_ok=True)


def _listen(host: str, port: int, path: Path | None) -> tuple[socket, str]:
    """The socket and the beginning of its NBD address, to which a disk's name is added."""
    from server.adapters.nbd import listen_tcp, listen_unix

    if path is not None:
        return listen_unix(path), f"nbd+unix:///{{disk}}?socket={path.absolute()}"
    listener = listen_tcp(host, port)
    shown = f"[{host}]" if ":" in host else host
    return listener, f"nbd://{shown}:{listener.getsockname()[1]}/{{disk}}"


def _announce(views: Sequence[DiskView], address: str) -> None:
    """One address a line on stdout, for programs; how to use it on stderr."""
    for view in views:
        sys.stdout.write(f"{address.format(disk=view.name)}\n")
    sys.stdout.flush()
    say("Read-only. Attach one with nbd-client, qemu-nbd or qemu, or copy it with nbdcopy or qemu-img. Ctrl-C ends it.")


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _chosen(manifest: Manifest, names: Sequence[str] | None) -> list[DiskRecord]:
    """InvalidInput for a disk the point does not have, or a point without disks."""
    known = {record.disk_id: record for record in manifest.disks}
    unknown = [name for name in names or () if name not in known]
    if unknown or not known:
        raise InvalidInput(
            f"Point {manifest.id} has no disk {unknown[0]}." if unknown else f"Point {manifest.id} has no disks.",
            remedy=f"Its disks: {', '.join(known) or 'none'}.",
        )
    return [known[name] for name in dict.fromkeys(names or known)]


def _targets(disks: Sequence[DiskRecord], to: Path) -> list[tuple[DiskRecord, Path]]:
    if len(disks) == 1 and not to.is_dir():
        return [(disks[0], to)]
    try:
        to.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise InvalidInput(f"Cannot make the folder {to} ({failure.strerror}).") from failure
    targets = [(disk, to / f"{disk.disk_id.replace('/', '_')}.img") for disk in disks]
    for _, target in targets:  # all before the first, which may take hours
        if target.exists():
            raise AlreadyThere(f"{target} exists already.", remedy="Choose another folder, or move the file away.")
    return targets


def _restore(repo: Repository, manifest: Manifest, disk: DiskRecord, target: Path) -> None:
    from server.repository.restore import restore_disk_to_device, restore_disk_to_file

    write = restore_disk_to_device if target.is_block_device() else restore_disk_to_file
    with progress(disk.disk_id, disk.blocks * BLOCK_SIZE) as control:
        write(repo, manifest, disk.disk_id, target, control=control)
