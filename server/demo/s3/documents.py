"""S3's XML documents."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from server.demo.errors import AwsError
from server.demo.wire import Reply

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
Tree = Iterable[tuple[str, Any]]  # (element, text | Tree)


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(seconds * 1000) % 1000:03d}Z"


def http_date(seconds: float) -> str:
    from email.utils import formatdate

    return formatdate(seconds, usegmt=True)


def shown(key: bytes, encode: bool) -> str:
    return quote(key, safe="/") if encode else key.decode("utf-8", "replace")


def document(root: str, content: Tree | str, status: int = 200) -> Reply:
    inner = escape(content) if isinstance(content, str) else _inner(content)
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{NAMESPACE}">{inner}</{root}>'
    return Reply(status, text.encode(), [("content-type", "application/xml")])


def _inner(tree: Tree) -> str:
    parts = []
    for name, value in tree:
        if value is None:
            continue
        content = escape(value) if isinstance(value, str) else _inner(value)
        parts.append(f"<{name}>{content}</{name}>")
    return "".join(parts)


def parse(body: bytes) -> ElementTree.Element:
    """The root element, namespaces removed. Errors: AwsError MalformedXML."""
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:  # entity expansion has no business here
        raise malformed()
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 (documents with a DTD are refused above)
    except ElementTree.ParseError:
        raise malformed()
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def malformed() -> AwsError:
    return AwsError("MalformedXML", "The XML you provided was not well-formed or did not validate against our schema", 400)
