"""AWS signature version 4 for a client that signs a thousand requests a second: the day's key is derived once.

Every ``x-amz-*`` header is signed, as AWS demands. Published algorithm: "AWS Signature Version 4 for API requests".
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime
from typing import Final
from urllib.parse import quote

EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()


class Signer:
    """Signs for one identity, Region and service. Safe to share between threads."""

    def __init__(self, *, access_key: str, secret_key: str, token: str | None, region: str, service: str, host: str) -> None:
        self._access_key = access_key
        self._secret_key = secret_key
        self._token = token
        self._region = region
        self._service = service
        self._host = host
        self._day: tuple[str, bytes, str] = ("", b"", "")  # date, signing key, scope; replaced as one

    def headers(
        self,
        method: str,
        path: str,
        query: str,
        *,
        now: datetime,
        extra: Iterable[tuple[str, str]] = (),
        payload_sha256: str = EMPTY_SHA256,
    ) -> list[tuple[str, str]]:
        """All headers to send, ``host`` included. ``query`` is canonical (see ``canonical_query``), ``path`` encoded,
        ``extra`` lower-case names to be signed and sent along."""
        stamp = now.strftime("%Y%m%dT%H%M%SZ")
        date, key, scope = self._day
        if date != stamp[:8]:
            date, key, scope = self._day = self._derive(stamp[:8])
        signed = [("host", self._host), ("x-amz-content-sha256", payload_sha256), ("x-amz-date", stamp), *extra]
        if self._token:
            signed.append(("x-amz-security-token", self._token))
        signed.sort()
        names = ";".join([name for name, _ in signed])
        lines = "".join([f"{name}:{value}\n" for name, value in signed])
        request = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{payload_sha256}"
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
        signed.append(
            (
                "authorization",
                f"AWS4-HMAC-SHA256 Credential={self._access_key}/{scope}, SignedHeaders={names}, Signature={signature}",
            )
        )
        return signed

    def _derive(self, date: str) -> tuple[str, bytes, str]:
        key = ("AWS4" + self._secret_key).encode()
        for part in (date, self._region, self._service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return date, key, f"{date}/{self._region}/{self._service}/aws4_request"


def canonical_query(params: Iterable[tuple[str, str]]) -> str:
    """Sorted and encoded the way the signature wants it; also what is sent."""
    return "&".join(sorted(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in params))
