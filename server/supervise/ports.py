"""Free TCP ports on the loopback address."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

from server.domain.errors import Conflict


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port nobody uses now. Another process may still take it first: callers try again with a new one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def remembered_port(path: Path) -> int:
    """The port kept in ``path`` if it is free, else a new one, kept there from now on."""
    with contextlib.suppress(OSError, ValueError):
        port = int(path.read_text())
        if is_free(port):
            return port
    port = free_port()
    partial = path.with_name(path.name + ".partial")
    partial.write_text(f"{port}\n")
    os.replace(partial, path)
    return port


def port_taken(host: str, port: int) -> Conflict:
    return Conflict(
        f"Port {port} on {host} is in use by another program.", remedy="Stop that program, or set HOLDFAST_PORT to a free port."
    )
