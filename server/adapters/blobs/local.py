"""Objects as files in a local folder: written aside, synced, then linked or renamed into place."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from server.adapters.blobs.names import checked
from server.domain.errors import AlreadyThere, HoldfastError, NotFound, RepositoryError, StorageFull, Unavailable
from server.ports import Blob

_ASIDE = ".aside"  # unfinished files: never listed, no object can be called so because names are checked on the way in
_LOCK = ".lock"
_WRITE = 1024 * 1024  # bytes at once: measured on ext4, one write of 16 MiB costs the kernel eight times the CPU of sixteen
_ABANDONED = 24 * 3600  # seconds
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)


class LocalBlobs:
    """A folder. Several processes may use it at once: conditions hold through a link (absent) and a file lock (version)."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._swept = False

    @property
    def url(self) -> str:
        return self._root.as_uri()

    def put(self, name: str, data: bytes | memoryview, *, if_absent: bool = False, if_version: str | None = None) -> Blob:
        target = self._path(name)
        with self._translated(f"write {name} to"):
            aside = self._write_aside(data)
            try:
                self._make_folder(target.parent)
                if if_absent:
                    self._link(aside, target, name)
                else:
                    self._replace(aside, target, name, if_version)
            finally:
                aside.unlink(missing_ok=True)
            _sync_folder(target.parent)
            return _blob(name, target.stat())

    def get(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        with self._translated(f"read {name} from"):
            try:
                handle = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                raise NotFound(f"{self.url} has no object {name}.") from None
            try:
                end = os.fstat(handle).st_size
                wanted = max(0, end - start) if length is None else max(0, min(length, end - start))
                return _read_exactly(handle, start, wanted)
            finally:
                os.close(handle)

    def head(self, name: str) -> Blob | None:
        with self._translated(f"look at {name} in"):
            try:
                found = os.lstat(self._path(name))
            except FileNotFoundError:
                return None
            return _blob(name, found) if stat.S_ISREG(found.st_mode) else None

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[Blob]:
        for name, path in self._walk("", self._root, prefix):
            if name > after and name.startswith(prefix):
                with self._translated(f"list {name} in"):
                    try:
                        found = os.lstat(path)
                    except FileNotFoundError:
                        continue  # deleted since
                    if stat.S_ISREG(found.st_mode):
                        yield _blob(name, found)

    def delete(self, names: Sequence[str]) -> None:
        folders = set()
        for name in names:
            path = self._path(name)
            with self._translated(f"delete {name} from"):
                path.unlink(missing_ok=True)
            folders.add(path.parent)
        for folder in folders:
            with self._translated("delete from"):
                if folder.is_dir():
                    _sync_folder(folder)

    def now(self) -> datetime:
        """The time the file system gives a new file: on a network file system that is the server's."""
        with self._translated("ask the time of"):
            aside = self._write_aside(b"")
            try:
                return _time(aside.stat())
            finally:
                aside.unlink(missing_ok=True)

    # -- paths

    def _path(self, name: str) -> Path:
        return self._root / checked(name)

    def _walk(self, folder_name: str, folder: Path, prefix: str) -> Iterator[tuple[str, str]]:
        """Files in byte order of their whole names; only folders that can hold ``prefix`` are entered."""
        with self._translated("list"):
            try:
                with os.scandir(folder) as entries:
                    found = sorted((e.name + "/" if e.is_dir(follow_symlinks=False) else e.name, e.path) for e in entries)
            except FileNotFoundError:
                return
        for label, path in found:
            name = folder_name + label
            if not folder_name and label in (_ASIDE + "/", _LOCK):
                continue
            if not label.endswith("/"):
                yield name, path
            elif name.startswith(prefix) or prefix.startswith(name):
                yield from self._walk(name, Path(path), prefix)

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        missing = [folder]
        while not missing[-1].parent.is_dir():
            missing.append(missing[-1].parent)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for made in missing:
            _sync_folder(made.parent)

    # -- writing

    def _write_aside(self, data: bytes | memoryview) -> Path:
        folder = self._root / _ASIDE
        self._make_folder(folder)
        if not self._swept:
            self._swept = True
            self._sweep_aside(folder)
        handle, path = tempfile.mkstemp(dir=folder)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view[:_WRITE]) :]
            os.fsync(handle)
        except BaseException:
            Path(path).unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)
        return Path(path)

    def _sweep_aside(self, folder: Path) -> None:
        """Remove what killed writers left long ago; a file a living one is writing is younger."""
        with os.scandir(folder) as entries:
            found = [(entry.path, entry.stat(follow_symlinks=False).st_mtime) for entry in entries]
        newest = max((modified for _, modified in found), default=0.0)
        for path, modified in found:
            if newest - modified > _ABANDONED:
                Path(path).unlink(missing_ok=True)

    def _link(self, aside: Path, target: Path, name: str) -> None:
        try:
            os.link(aside, target)
        except FileExistsError:
            raise AlreadyThere(f"{name} exists already.", fields={"object": name}) from None

    def _replace(self, aside: Path, target: Path, name: str, if_version: str | None) -> None:
        with self._locked():
            try:
                there = os.lstat(target)
            except FileNotFoundError:
                there = None
            if if_version is not None and (there is None or _version(there) != if_version):
                raise AlreadyThere(f"{name} has changed.", fields={"object": name})
            if there is not None:
                # Versions are file times: the new one must differ even within one tick of the kernel's clock.
                new = max(aside.stat().st_mtime_ns, there.st_mtime_ns + 1)
                os.utime(aside, ns=(new, new))
            os.replace(aside, target)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        handle = os.open(self._root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except HoldfastError:
            raise
        except OSError as failure:
            raise self._error(failure, doing) from failure

    def _error(self, failure: OSError, doing: str) -> HoldfastError:
        reason = failure.strerror or str(failure)
        if failure.errno in _FULL:
            return StorageFull(
                f"No space left to {doing} {self.url} ({reason}).", remedy="Free space, or let retention remove restore points."
            )
        if failure.errno in _REFUSED:
            return RepositoryError(
                f"The appliance may not {doing} {self.url} ({reason}).",
                remedy="Check the folder's owner and permissions, and that it is mounted writable.",
            )
        return Unavailable(f"Could not {doing} {self.url} ({reason}).", remedy="Check the disk or mount, then try again.")


def _read_exactly(handle: int, start: int, length: int) -> bytes:
    first = os.pread(handle, length, start)
    if len(first) == length or not first:
        return first
    parts = [first]
    done = len(first)
    while done < length and (part := os.pread(handle, length - done, start + done)):
        parts.append(part)
        done += len(part)
    return b"".join(parts)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _version(found: os.stat_result) -> str:
    return f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"


def _time(found: os.stat_result) -> datetime:
    return datetime.fromtimestamp(found.st_mtime, UTC)


def _blob(name: str, found: os.stat_result) -> Blob:
    return Blob(name, found.st_size, _version(found), _time(found))
