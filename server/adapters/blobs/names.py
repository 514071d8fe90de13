"""What an object may be called: the same rule for every store, so that a repository can move between them."""

from __future__ import annotations

from server.domain.errors import InvalidInput

MAX_NAME = 1000  # bytes; S3 allows 1,024 with the folder in front


def checked(name: str) -> str:
    """``name``, or InvalidInput when it could leave the folder or differ between stores."""
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or any(char in name for char in "\\\0\n\r"):
        raise InvalidInput(f"{name!r} cannot be an object's name.")
    if len(name.encode()) > MAX_NAME:
        raise InvalidInput(f"An object's name of {len(name.encode())} bytes is too long.")
    return name
