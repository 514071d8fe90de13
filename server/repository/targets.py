"""What a disk is restored to: a new sparse file, or a block device that is overwritten."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from pathlib import Path

from server.domain.errors import Conflict, HoldfastError, InvalidInput, RepositoryError, StorageFull
from server.ports import BLOCK_SIZE

BLKZEROOUT = 0x127F  # linux/fs.h: make a range read as zeros, without sending any where the device can
SECTOR = 512
PIECE = 4 * 1024 * 1024  # bytes looked at once when a device cannot be told to zero a range
_ZEROS = bytes(PIECE)


class SparseFile:
    """A new file; what is never written is a hole. Written by several threads at once."""

    def __init__(self, path: Path, size: int) -> None:
        """Errors: Conflict when it exists, StorageFull, RepositoryError."""
        self.path = path
        self._size = size
        try:
            self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as failure:
            raise _refused(path, failure) from failure
        try:
            os.ftruncate(self._handle, size)
        except OSError as failure:
            os.close(self._handle)
            path.unlink(missing_ok=True)
            raise _refused(path, failure) from failure

    def write(self, index: int, data: bytes | memoryview) -> None:
        _write(self.path, self._handle, memoryview(data)[: self._size - index * BLOCK_SIZE], index * BLOCK_SIZE)

    def sync(self) -> None:
        _sync(self.path, self._handle)

    def close(self) -> None:
        os.close(self._handle)


class Device:
    """A block device, opened exclusively, or an existing file. Zeros are not sent: the device is told to zero a range where it
    can; elsewhere only what does not read as zeros is overwritten. What lies beyond the disk's size stays. Written by several
    threads at once, each block by one."""

    def __init__(self, path: Path, size: int) -> None:
        """Errors: Conflict (in use), InvalidInput (too small, or neither device nor file), RepositoryError."""
        self.path = path
        self._size = size
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
        except OSError as failure:
            raise _refused(path, failure) from failure
        found = os.fstat(self._handle)
        self._zeroes = stat.S_ISBLK(found.st_mode) and _can_zero(found.st_rdev)
        try:
            if not stat.S_ISBLK(found.st_mode) and not stat.S_ISREG(found.st_mode):
                raise InvalidInput(f"{path} is neither a block device nor a file.", remedy="Choose a disk of this machine.")
            room = os.lseek(self._handle, 0, os.SEEK_END)
            if room < size:
                raise InvalidInput(f"{path} has {room} bytes, the disk {size}.", remedy="Choose a larger device.")
        except BaseException:
            os.close(self._handle)
            raise

    def write(self, index: int, data: bytes | memoryview) -> None:
        """Errors: StorageFull, RepositoryError."""
        _write(self.path, self._handle, memoryview(data)[: self._size - index * BLOCK_SIZE], index * BLOCK_SIZE)

    def zero(self, blocks: range) -> None:
        """Make these blocks read as zeros. Errors as ``write``."""
        start, end = blocks.start * BLOCK_SIZE, min(blocks.stop * BLOCK_SIZE, self._size)
        if self._zeroes and end % SECTOR == 0:
            try:
                fcntl.ioctl(self._handle, BLKZEROOUT, struct.pack("QQ", start, end - start))
            except OSError as failure:
                raise _refused(self.path, failure) from failure
            return
        for at in range(start, end, PIECE):
            self._clear(at, min(PIECE, end - at))

    def _clear(self, start: int, length: int) -> None:
        zeros = memoryview(_ZEROS)[:length]
        try:
            found = os.pread(self._handle, length, start)
        except OSError as failure:
            raise _refused(self.path, failure) from failure
        if found != zeros:
            _write(self.path, self._handle, zeros, start)

    def sync(self) -> None:
        _sync(self.path, self._handle)

    def close(self) -> None:
        os.close(self._handle)


def _can_zero(device: int) -> bool:
    """Whether the device zeroes ranges itself: otherwise the kernel would write every zero."""
    folder = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve()
    for queue in (folder / "queue", folder.parent / "queue"):  # a partition has its disk's
        limit = queue / "write_zeroes_max_bytes"
        if limit.exists():
            return int(limit.read_text()) > 0
    return False


def _write(path: Path, handle: int, view: memoryview, offset: int) -> None:
    try:
        while view:
            done = os.pwrite(handle, view, offset)
            view, offset = view[done:], offset + done
    except OSError as failure:
        raise _refused(path, failure) from failure


def _sync(path: Path, handle: int) -> None:
    try:
        os.fsync(handle)
    except OSError as failure:
        raise _refused(path, failure) from failure


def _refused(path: Path, failure: OSError) -> HoldfastError:
    reason = failure.strerror or str(failure)
    if failure.errno == errno.EEXIST:
        return Conflict(f"{path} exists already.", remedy="Choose another file name.")
    if failure.errno == errno.EBUSY:
        return Conflict(f"{path} is in use.", remedy="Unmount it and stop what uses it, or choose another device.")
    if failure.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageFull(f"No space left to write {path} ({reason}).", remedy="Free space or choose another disk.")
    return RepositoryError(f"Cannot write {path} ({reason}).", remedy="Check the path and its permissions.")
