"""The console's files. Everything that is no API is the console: its router decides what a path means."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cached_property
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

INLINE_SCRIPT = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)
HASHED_NAME = re.compile(r"-[A-Za-z0-9_-]{8,}\.\w+$")  # Vite puts the content's hash into the name
FOR_EVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"

NOT_BUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Holdfast</title>
<h1>The console is not built</h1>
<p>The API works; the console's files are missing. Run <code>scripts/build</code> and reload this page.</p></html>
"""


class Console:
    """ASGI app for the built console in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = self._answer(Request(scope, receive))
        await response(scope, receive, send)

    def _answer(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("Only GET is possible here.", 405, headers={"allow": "GET, HEAD"})
        path = request.url.path.lstrip("/")
        file = self._file(path)
        if file is not None:
            return FileResponse(file, headers={"cache-control": FOR_EVER if HASHED_NAME.search(file.name) else ASK_AGAIN})
        if path.startswith("assets/"):
            return PlainTextResponse("There is no such file.", 404)
        index = self._folder / "index.html"
        if not index.is_file():
            return HTMLResponse(NOT_BUILT, 503)
        return FileResponse(index, headers={"cache-control": ASK_AGAIN, "content-security-policy": self._policy})

    def _file(self, path: str) -> Path | None:
        """A file of the console; never one outside its folder."""
        if not path or path == "index.html" or "\0" in path:
            return None
        file = (self._folder / path).resolve()
        return file if file.is_relative_to(self._folder) and file.is_file() else None

    @cached_property
    def _policy(self) -> str:
        """Own files only. Inline scripts are allowed by their hashes, inline styles because Cloudscape sets them."""
        page = (self._folder / "index.html").read_text(encoding="utf-8")
        digests = [hashlib.sha256(text.encode()).digest() for text in INLINE_SCRIPT.findall(page)]
        scripts = " ".join(["'self'", *(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)])
        return (
            f"default-src 'self'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
            "font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
            "frame-ancestors 'none'"
        )
