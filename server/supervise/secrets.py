"""Random secrets kept in files only we can read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from server.domain.errors import Misconfigured


def kept_password(path: Path) -> str:
    """The password in ``path``, made on first use. Durable and 0600 before it is returned."""
    try:
        text = path.read_text().strip()
        if text:
            return text
    except FileNotFoundError:
        pass  # first start
    except OSError as error:
        raise Misconfigured(
            f"Cannot read {path}: {error.strerror}.", remedy="Make the file readable for the user that runs Holdfast."
        ) from error
    password = secrets.token_urlsafe(24)
    partial = path.with_name(path.name + ".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(password + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    return password
