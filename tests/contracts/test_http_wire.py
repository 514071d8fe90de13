"""The lean HTTP client: keeps connections, notices what is cut off, speaks through proxies; and its signatures are AWS's."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from server.adapters.http_wire import Wire, WireError
from server.adapters.sigv4 import Signer, canonical_query

HEADERS = [("host", "x")]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Serve = Callable[[list[list[bytes]]], str]


class Scripted:
    """A server: for each connection a list of replies, one per request; the connection is closed after the last."""

    def __init__(self, connections: list[list[bytes]]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, args=(connections,))
        self._thread.start()

    def _serve(self, connections: list[list[bytes]]) -> None:
        for replies in connections:
            connection, _ = self._listener.accept()
            with connection:
                for reply in replies:
                    request = b""
                    while b"\r\n\r\n" not in request:
                        received = connection.recv(65536)
                        if not received:
                            break
                        request += received
                    self.requests.append(request)
                    connection.sendall(reply)

    def close(self) -> None:
        self._thread.join(10)
        self._listener.close()


@pytest.fixture
def serve() -> Iterator[Callable[[list[list[bytes]]], Scripted]]:
    running: list[Scripted] = []

    def start(connections: list[list[bytes]]) -> Scripted:
        running.append(Scripted(connections))
        return running[-1]

    yield start
    for server in running:
        server.close()


@pytest.fixture
def open_wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Wire]]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    opened: list[Wire] = []

    def start(url: str) -> Wire:
        opened.append(Wire(url, connect_timeout=2, read_timeout=2))
        return opened[-1]

    yield start
    for wire in opened:
        wire.close()


Starting = Callable[[list[list[bytes]]], Scripted]
Opening = Callable[[str], Wire]


def test_one_connection_serves_many_requests(serve: Starting, open_wire: Opening) -> None:
    wire = open_wire(serve([[OK, OK, OK]]).url)
    assert [wire.request("GET", "/", HEADERS).body for _ in range(3)] == [b"ok"] * 3


def test_a_connection_closed_while_idle_is_replaced(serve: Starting, open_wire: Opening) -> None:
    wire = open_wire(serve([[OK], [OK]]).url)
    assert wire.request("GET", "/", HEADERS).body == b"ok"
    assert wire.request("GET", "/", HEADERS).body == b"ok"


def test_a_connection_the_server_wants_closed_is_not_used_again(serve: Starting, open_wire: Opening) -> None:
    last = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    wire = open_wire(serve([[last], [OK]]).url)
    wire.request("GET", "/", HEADERS)
    assert wire.request("GET", "/", HEADERS).body == b"ok"


def test_chunks_are_joined(serve: Starting, open_wire: Opening) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nTrailer: x\r\n\r\n"
    wire = open_wire(serve([[chunked, OK]]).url)
    assert wire.request("GET", "/", HEADERS).body == b"abcdefg"
    assert wire.request("GET", "/", HEADERS).body == b"ok"


def test_an_interim_answer_is_skipped(serve: Starting, open_wire: Opening) -> None:
    wire = open_wire(serve([[b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK]]).url)
    assert wire.request("GET", "/", HEADERS).status == 200


def test_a_body_without_length_ends_with_the_connection(serve: Starting, open_wire: Opening) -> None:
    wire = open_wire(serve([[b"HTTP/1.1 200 OK\r\n\r\nall of it"], [OK]]).url)
    assert wire.request("GET", "/", HEADERS).body == b"all of it"
    assert wire.request("GET", "/", HEADERS).body == b"ok"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "cut off after 5 of 10"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\n", "cut off"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "claims"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "more than 100 headers"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "invalid literal"),
        (b"", "closed before an answer"),
    ],
    ids=["body", "header", "headers end", "ssh", "huge", "many headers", "chunk size", "nothing"],
)
def test_what_is_not_a_whole_answer_is_an_error(serve: Starting, open_wire: Opening, reply: bytes, words: str) -> None:
    with pytest.raises(WireError, match=words):
        open_wire(serve([[reply]]).url).request("GET", "/", HEADERS)


def test_a_body_is_sent_with_its_length(serve: Starting, open_wire: Opening) -> None:
    server = serve([[OK]])
    open_wire(server.url).request("PUT", "/there", HEADERS, b"")
    assert server.requests[0].startswith(b"PUT /there HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n")


def test_a_plain_proxy_gets_the_whole_address(serve: Starting, open_wire: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = serve([[OK]])
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    wire = open_wire("http://ebs.example.com")
    assert wire.request("GET", "/snapshots", HEADERS).body == b"ok"
    assert proxy.requests[0].startswith(b"GET http://ebs.example.com/snapshots HTTP/1.1\r\n")


def test_a_proxy_is_asked_to_connect_for_https_with_its_login(
    serve: Starting, open_wire: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve([[b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"]])
    monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("http://", "http://user:pass%21@"))
    with pytest.raises(WireError, match="407"):
        open_wire("https://ebs.example.com").request("GET", "/", HEADERS)
    assert proxy.requests[0].startswith(b"CONNECT ebs.example.com:443 HTTP/1.")
    assert b"Proxy-Authorization: Basic dXNlcjpwYXNzIQ==" in proxy.requests[0]


def test_no_proxy_is_heeded(serve: Starting, open_wire: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve([[OK]])
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert open_wire(server.url).request("GET", "/", HEADERS).body == b"ok"


@pytest.mark.parametrize("url", ["ftp://x", "nonsense", "http://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not an http"):
        Wire(url, connect_timeout=1, read_timeout=1)


# ---- signatures

NAMES = st.text("abcdefghijklmnopqrstuvwxyzABC", min_size=1, max_size=8)
VALUES = st.text(max_size=20)


@given(
    method=st.sampled_from(["GET", "PUT", "POST"]),
    query=st.dictionaries(NAMES, VALUES, max_size=4),
    extra=st.dictionaries(
        st.sampled_from(["x-amz-checksum", "x-amz-data-length", "content-type"]), st.sampled_from(["a", "b/c="])
    ),
    token=st.one_of(st.none(), st.just("session/token==")),
    day=st.integers(1, 28),
)
def test_signatures_equal_botocores(
    method: str, query: dict[str, str], extra: dict[str, str], token: str | None, day: int
) -> None:
    now = datetime(2026, 11, day, 12, 30, 1, tzinfo=UTC)
    host, path, payload = "ebs.eu-central-1.amazonaws.com", "/snapshots/snap-1/blocks/7", "ab" * 32
    signer = Signer(access_key="AK", secret_key="SK", token=token, region="eu-central-1", service="ebs", host=host)
    canonical = canonical_query(query.items())
    ours = dict(signer.headers(method, path, canonical, now=now, extra=list(extra.items()), payload_sha256=payload))
    request = AWSRequest(method=method, url=f"https://{host}{path}?{canonical}")
    for name, value in ours.items():
        if name not in ("host", "authorization"):
            request.headers[name] = value
    theirs = SigV4Auth(Credentials("AK", "SK", token), "ebs", "eu-central-1")
    request.context["timestamp"] = ours["x-amz-date"]
    signature = theirs.signature(theirs.string_to_sign(request, theirs.canonical_request(request)), request)
    assert ours["authorization"].endswith(f"Signature={signature}")
    assert all(name in ours["authorization"] for name in ours if name.startswith("x-amz-"))


def test_the_signing_key_changes_with_the_day() -> None:
    signer = Signer(access_key="AK", secret_key="SK", token=None, region="r", service="ebs", host="h")
    today, tomorrow = (dict(signer.headers("GET", "/", "", now=datetime(2026, 11, d, tzinfo=UTC))) for d in (22, 23))
    assert "/20261122/" in today["authorization"]
    assert "/20261123/" in tomorrow["authorization"]
