"""AWS errors and their four shapes on the wire: EC2's XML, query XML, S3's XML and JSON."""

from __future__ import annotations

import json
from functools import lru_cache
from uuid import uuid4
from xml.sax.saxutils import escape

import botocore.exceptions
import botocore.session

from server.demo.wire import Reply


class AwsError(Exception):
    """An error an AWS service answers. ``extra`` are further members of the error document, by their wire names."""

    def __init__(self, code: str, message: str, status: int = 400, **extra: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.extra = extra


@lru_cache(maxsize=1)
def _models() -> botocore.session.Session:
    return botocore.session.Session()


@lru_cache(maxsize=256)
def protocol(service: str) -> str:
    """``ec2``, ``query``, ``rest-xml``, ``json`` ...; JSON for a service nobody knows."""
    try:
        return str(_models().get_service_model(service).protocol)
    except botocore.exceptions.UnknownServiceError:
        return "json"


@lru_cache(maxsize=1)
def known_regions() -> frozenset[str]:
    return frozenset(_models().get_available_regions("ec2", "aws", allow_non_regional=False))


def render(service: str, error: AwsError) -> Reply:
    """The reply by which ``service`` reports ``error``."""
    request_id = str(uuid4())
    kind = protocol(service)
    if kind == "ec2":
        return _xml(error, _ec2_document(error, request_id), request_id)
    if kind == "rest-xml":
        return _xml(error, _s3_document(error, request_id), request_id)
    if kind == "query":
        return _xml(error, _query_document(error, request_id), request_id)
    return _json(error, request_id, message_key="Message" if service == "ebs" else "message")


def _xml(error: AwsError, document: str, request_id: str) -> Reply:
    body = '<?xml version="1.0" encoding="UTF-8"?>\n' + document
    headers = [("content-type", "text/xml"), ("x-amzn-requestid", request_id), ("x-amz-request-id", request_id)]
    if "BucketRegion" in error.extra:
        headers.append(("x-amz-bucket-region", error.extra["BucketRegion"]))
    return Reply(error.status, body.encode(), headers)


def _members(error: AwsError) -> str:
    members = {"Code": error.code, "Message": error.message, **error.extra}
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in members.items())


def _ec2_document(error: AwsError, request_id: str) -> str:
    return f"<Response><Errors><Error>{_members(error)}</Error></Errors><RequestID>{request_id}</RequestID></Response>"


def _s3_document(error: AwsError, request_id: str) -> str:
    return f"<Error>{_members(error)}<RequestId>{request_id}</RequestId></Error>"


def _query_document(error: AwsError, request_id: str) -> str:
    side = "Sender" if error.status < 500 else "Receiver"
    return (
        f"<ErrorResponse><Error><Type>{side}</Type>{_members(error)}</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )


def _json(error: AwsError, request_id: str, message_key: str) -> Reply:
    document = {"__type": error.code, message_key: error.message, **error.extra}
    headers = [
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amzn-errortype", error.code),
        ("x-amzn-requestid", request_id),
    ]
    return Reply(error.status, json.dumps(document).encode(), headers)
