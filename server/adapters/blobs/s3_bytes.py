"""Bodies as S3 takes them."""

from __future__ import annotations

import base64
import io
import zlib
from typing import Any


class _Body(io.RawIOBase):
    """A memoryview as a seekable stream: botocore takes no memoryview, and copying packs would double their memory."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def __len__(self) -> int:
        return len(self._data)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._data)}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        end = len(self._data) if size is None or size < 0 else self._at + size
        chunk = bytes(self._data[self._at : end])
        self._at += len(chunk)
        return chunk


def body_of(data: bytes | memoryview) -> Any:
    """For one attempt: a stream is used up by it. Any: boto3's types know no raw streams."""
    return data if isinstance(data, bytes) else _Body(data)


def crc32(data: bytes | memoryview) -> str:
    """As the header x-amz-checksum-crc32 wants it. S3 refuses objects and parts that get a lock, their own or the bucket's
    default, without a checksum: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html"""
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
