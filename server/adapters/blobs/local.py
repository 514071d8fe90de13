"""Objects as files in a local folder: written aside, synced, then linked or renamed into place."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from server.adapters.blobs import refusals
from server.adapters.blobs.names import checked
from server.domain.errors import HoldfastError, RepositoryError, StorageFull, Unavailable
from server.domain.immutability import BucketFacts
from server.domain.repository import RetrievalMode, StorageClass
from server.ports import Blob, Upload

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

    def put(
        self,
        name: str,
        data: bytes | memoryview,
        *,
        if_absent: bool = False,
        if_version: str | None = None,
        lock_until: datetime | None = None,
        storage_class: StorageClass = StorageClass.STANDARD,
    ) -> Blob:
        target = self._path(name)
        self._check_plain(lock_until, storage_class)
        with self._translated(f"write {name} to"):
            aside = self._write_aside([data])
            return self._place(name, aside, target, if_absent=if_absent, if_version=if_version)

    def _place(self, name: str, aside: Path, target: Path, *, if_absent: bool, if_version: str | None = None) -> Blob:
        """Make a synced file the object ``name``, or remove it."""
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

    def upload(
        self, name: str, *, lock_until: datetime | None = None, storage_class: StorageClass = StorageClass.STANDARD
    ) -> Upload:
        self._check_plain(lock_until, storage_class)
        return _LocalUpload(self, name, self._path(name))

    def _check_plain(self, lock_until: datetime | None, storage_class: StorageClass) -> None:
        if lock_until is not None:
            raise refusals.no_locks(self.url)
        if storage_class is not StorageClass.STANDARD:
            raise refusals.no_class(self.url, storage_class)

    def delete(self, names: Sequence[str]) -> list[str]:
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
        return []

    def get(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        with self._translated(f"read {name} from"):
            try:
                handle = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                raise refusals.absent(self.url, name) from None
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

    def extend_locks(self, names: Sequence[str], until: datetime) -> None:  # noqa: ARG002  the port asks for them
        raise refusals.no_locks(self.url)

    def reveal(self, name: str) -> bool:
        return self.head(name) is not None

    def retrieve(self, name: str, *, mode: RetrievalMode, days: int) -> None:  # noqa: ARG002  the port asks for them
        raise refusals.absent(self.url, name) if self.head(name) is None else refusals.not_archived(self.url, name)

    def facts(self) -> BucketFacts:
        return BucketFacts()

    def now(self) -> datetime:
        """The time the file system gives a new file: on a network file system that is the server's."""
        with self._translated("ask the time of"):
            aside = self._write_aside([])
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

    def _write_aside(self, pieces: Iterable[bytes | memoryview]) -> Path:
        """A new, synced file holding the pieces one after the other."""
        folder = self._root / _ASIDE
        self._make_folder(folder)
        if not self._swept:
            self._swept = True
            self._sweep_aside(folder)
        handle, path = tempfile.mkstemp(dir=folder)
        try:
            for piece in pieces:
                view = memoryview(piece)
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
            raise refusals.exists(name) from None

    def _replace(self, aside: Path, target: Path, name: str, if_version: str | None) -> None:
        with self._locked():
            try:
                there = os.lstat(target)
            except FileNotFoundError:
                there = None
            if if_version is not None and (there is None or _version(there) != if_version):
                raise refusals.changed(name)
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


class _LocalUpload:
    """Parts lie aside, each in a file of its own, until ``complete`` joins them."""

    def __init__(self, blobs: LocalBlobs, name: str, target: Path) -> None:
        self._blobs = blobs
        self._name = name
        self._target = target
        self._parts: dict[int, Path] = {}
        self._joined: tuple[int, int] | None = None  # device and inode of the joined file, linked into place

    def part(self, number: int, data: bytes | memoryview) -> None:
        with self._blobs._translated(f"write {self._name} to"):
            aside = self._blobs._write_aside([data])
            old, self._parts[number] = self._parts.get(number), aside
            if old is not None:
                old.unlink(missing_ok=True)

    def complete(self) -> Blob:
        with self._blobs._translated(f"write {self._name} to"):
            if self._joined is not None:
                found = os.lstat(self._target)
                if (found.st_dev, found.st_ino) == self._joined:
                    return _blob(self._name, found)
                raise refusals.exists(self._name)
            aside = self._blobs._write_aside(self._contents())
            found = aside.stat()
            blob = self._blobs._place(self._name, aside, self._target, if_absent=True)
            self._joined = (found.st_dev, found.st_ino)
        self.abort()
        return blob

    def _contents(self) -> Iterator[bytes]:
        for _, path in sorted(self._parts.items()):
            with path.open("rb") as part:
                while piece := part.read(_WRITE):
                    yield piece

    def abort(self) -> None:
        with self._blobs._translated(f"write {self._name} to"):
            while self._parts:
                self._parts.popitem()[1].unlink(missing_ok=True)


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
