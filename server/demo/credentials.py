"""Who is calling: access keys, temporary credentials and Signature Version 4, checked as AWS checks them."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from server.demo.clock import CLOCK, Clock
from server.demo.errors import AwsError, known_regions
from server.demo.wire import Request

HOME_ACCOUNT = "123456789012"
SECOND_ACCOUNT = "210987654321"
DR_ACCOUNT = "321098765432"  # holds nothing but what is copied to it
ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
CLOCK_SKEW = 15 * 60  # seconds
PRESIGNED_MAX = 7 * 86_400
_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Key:
    """An access key. ``token`` and ``expires`` (epoch seconds) belong to temporary ones; ``arn`` is who they are."""

    account: str
    secret: str = field(repr=False)
    arn: str
    token: str | None = field(default=None, repr=False)
    expires: float | None = None


STANDING_KEYS: Mapping[str, Key] = {
    "demo": Key(HOME_ACCOUNT, "demo", f"arn:aws:iam::{HOME_ACCOUNT}:user/demo"),
    "demo2": Key(SECOND_ACCOUNT, "demo2", f"arn:aws:iam::{SECOND_ACCOUNT}:user/demo"),
    "dr": Key(DR_ACCOUNT, "dr", f"arn:aws:iam::{DR_ACCOUNT}:user/demo"),
}


@dataclass(frozen=True, slots=True)
class Caller:
    access_key: str
    account: str
    arn: str
    region: str
    service: str


@dataclass(frozen=True, slots=True)
class Signature:
    """What an Authorization header or a presigned URL says."""

    access_key: str
    date: str
    region: str
    service: str
    signed: tuple[str, ...]
    signature: str
    timestamp: str
    token: str | None
    lifetime: int | None = None  # seconds, presigned URLs only

    @property
    def scope(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


_HEADER = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=([^/,\s]+)/(\d{8})/([^/,\s]+)/([^/,\s]+)/aws4_request\s*,"
    r"\s*SignedHeaders=([^,\s]+)\s*,\s*Signature=([0-9a-f]{64})$"
)
_CREDENTIAL = re.compile(r"([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request$")


def signature_of(request: Request) -> Signature | None:
    """The signature of a request, or None for an anonymous one. Errors: AwsError IncompleteSignature."""
    header = request.headers.get("authorization")
    if header is not None:
        match = _HEADER.match(header)
        if not match:
            raise AwsError("IncompleteSignature", "The Authorization header is not a complete Signature Version 4.", 400)
        key, date, region, service, signed, signature = match.groups()
        timestamp = request.headers.get("x-amz-date", "")
        token = request.headers.get("x-amz-security-token")
        return Signature(key, date, region, service, tuple(signed.split(";")), signature, timestamp, token)
    if "X-Amz-Signature=" not in request.query_string:
        return None
    query = request.query()
    match = _CREDENTIAL.match(query.get("X-Amz-Credential", ""))
    if not match or query.get("X-Amz-Algorithm") != ALGORITHM or not query.get("X-Amz-Expires", "").isdigit():
        raise AwsError("AuthorizationQueryParametersError", "The signature parameters of the URL are not complete.", 400)
    key, date, region, service = match.groups()
    return Signature(
        access_key=key,
        date=date,
        region=region,
        service=service,
        signed=tuple(query.get("X-Amz-SignedHeaders", "").split(";")),
        signature=query["X-Amz-Signature"],
        timestamp=query.get("X-Amz-Date", ""),
        token=query.get("X-Amz-Security-Token"),
        lifetime=min(int(query["X-Amz-Expires"]), PRESIGNED_MAX),
    )


class Gate:
    """Lets in who proves to hold a key. ``find`` knows keys beyond the standing ones (IAM users, assumed roles).

    Sessions end by ``time``'s real clock; requests may be dated by it or by the account's own.
    """

    def __init__(self, find: Callable[[str], Key | None], time: Clock = CLOCK) -> None:
        self._find = find
        self._time = time

    def admit(self, request: Request, signature: Signature | None, payload_hash: str) -> Caller:
        """``payload_hash``: hex SHA-256 of the body, or what the client declared in x-amz-content-sha256.

        Errors: AwsError with the code the service uses.
        """
        if signature is None:
            raise _refusal("anonymous", "")
        service = signature.service
        key = STANDING_KEYS.get(signature.access_key) or self._find(signature.access_key)
        if key is None:
            raise _refusal("unknown", service)
        if (key.token or "") != (signature.token or ""):
            raise _refusal("token", service)
        if key.expires is not None and key.expires <= self._time.real():
            raise _refusal("expired", service)
        self._check_time(signature)
        if signature.region not in known_regions() and signature.region != "aws-global":
            raise AwsError(
                "SignatureDoesNotMatch", f"Credential should be scoped to a valid region, not '{signature.region}'.", 403
            )
        for name in request.headers:
            if name.startswith("x-amz-") and name not in signature.signed and signature.lifetime is None:
                raise AwsError("AccessDenied", f"There were headers present in the request which were not signed: {name}", 403)
        expected = _sign(key.secret, signature, _canonical(request, signature, payload_hash))
        if not hmac.compare_digest(expected, signature.signature):
            raise _refusal("signature", service)
        return Caller(signature.access_key, key.account, key.arn, signature.region, service)

    def _check_time(self, signature: Signature) -> None:
        try:
            made = datetime.strptime(signature.timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        except ValueError:
            raise AwsError("IncompleteSignature", "Date must be in ISO-8601 'basic format'.", 400)
        if not signature.timestamp.startswith(signature.date):
            raise _refusal("signature", signature.service)
        age = min(self._time.real() - made, self._time.now() - made, key=abs)
        if signature.lifetime is not None and age > signature.lifetime:
            raise AwsError("AccessDenied", "Request has expired", 403)
        if age < -CLOCK_SKEW or (signature.lifetime is None and age > CLOCK_SKEW):
            code = "RequestTimeTooSkewed" if signature.service == "s3" else "RequestExpired"
            raise AwsError(code, "The difference between the request time and the current time is too large.", 403)


def _refusal(reason: str, service: str) -> AwsError:
    if service == "ec2" and reason in ("unknown", "signature", "token"):
        return AwsError("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
    if reason == "anonymous":
        return AwsError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
    if reason == "signature":
        text = (
            "The request signature we calculated does not match the signature you provided. Check your key and signing method."
        )
        return AwsError("InvalidSignatureException" if service == "ebs" else "SignatureDoesNotMatch", text, 403)
    if reason == "expired":
        codes = {"ec2": "RequestExpired", "ebs": "ExpiredTokenException"}
        return AwsError(
            codes.get(service, "ExpiredToken"),
            "The security token included in the request is expired",
            400 if service in ("ec2", "s3") else 403,
        )
    codes = {"s3": "InvalidAccessKeyId" if reason == "unknown" else "InvalidToken", "ebs": "UnrecognizedClientException"}
    return AwsError(codes.get(service, "InvalidClientTokenId"), "The security token included in the request is invalid.", 403)


@lru_cache(maxsize=256)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _sign(secret: str, signature: Signature, canonical: str) -> str:
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"{ALGORITHM}\n{signature.timestamp}\n{signature.scope}\n{digest}"
    key = _signing_key(secret, signature.date, signature.region, signature.service)
    return hmac.digest(key, text.encode(), "sha256").hex()


def _canonical(request: Request, signature: Signature, payload_hash: str) -> str:
    path = request.raw_path or "/"
    path = quote(unquote_to_bytes(path), safe="/~-_.") if signature.service == "s3" else quote(path, safe="/~-_.")
    query = "&".join(
        f"{name}={value}"
        for name, value in sorted(
            (quote(name, safe="~-_."), quote(value, safe="~-_."))
            for name, value in parse_qsl(request.query_string, keep_blank_values=True)
            if name != "X-Amz-Signature"
        )
    )
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in signature.signed)
    return f"{request.method}\n{path}\n{query}\n{headers}\n{';'.join(signature.signed)}\n{payload_hash}"


def declared_payload_hash(request: Request, signature: Signature | None) -> str | None:
    """x-amz-content-sha256 as sent; ``UNSIGNED-PAYLOAD`` for presigned URLs; None when the body must be hashed."""
    if signature is not None and signature.lifetime is not None:
        return UNSIGNED
    return request.headers.get("x-amz-content-sha256")


def check_payload(declared: str, digest: str) -> None:
    """Errors: AwsError XAmzContentSHA256Mismatch when the client declared another hash than its body has."""
    if _HEX_DIGEST.fullmatch(declared) and declared != digest:
        raise AwsError(
            "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.", 400
        )
