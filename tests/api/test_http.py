"""Around the doors: health, headers, limits, the console's files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from server.api.middleware import BODY_MAX
from server.domain.errors import DatabaseDown, QueueDown
from tests.api.bench import Bench, make_app, serving

INDEX = '<!doctype html><script>document.title = "x"</script><script type="module" src="/assets/app-0aB_9xYz.js"></script>'


# ---- health -----------------------------------------------------------------------------------------------------------


def test_alive_and_ready(bench: Bench) -> None:
    assert bench.client.get("/healthz").json() == {"status": "ok"}
    ready = bench.client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json() == {"status": "ready", "parts": {"database": "ok", "queue": "ok"}}


@pytest.mark.parametrize(
    ("part", "error"),
    [("database", DatabaseDown("The database does not answer.", remedy="Start it.")), ("queue", QueueDown("No Redis."))],
)
def test_not_ready_says_which_part_is_down(bench: Bench, monkeypatch: pytest.MonkeyPatch, part: str, error: Exception) -> None:
    def down(*_args: object) -> None:
        raise error

    target = bench.store if part == "database" else bench.jobs
    monkeypatch.setattr(type(target), "ping", down)
    answer = bench.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["parts"][part] == f"{part.upper()}_DOWN"
    assert bench.client.get("/healthz").status_code == 200


# ---- headers and limits -----------------------------------------------------------------------------------------------


def test_every_answer_has_an_id_and_security_headers(bench: Bench) -> None:
    for path in ("/healthz", "/api/v1/nothing", "/some/page"):
        headers = bench.client.get(path).headers
        assert len(headers["x-request-id"]) == 32
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "server" not in headers
    assert bench.client.get("/healthz", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert bench.client.get("/healthz", headers={"x-request-id": "a b\\n"}).headers["x-request-id"] != "a b\\n"
    assert bench.client.get("/api/v1/sessions").headers["cache-control"] == "no-store"


def test_too_large_bodies_are_refused_announced_or_not(bench: Bench) -> None:
    large = b"x" * (BODY_MAX + 1)

    def pieces() -> Iterator[bytes]:
        yield large[: BODY_MAX // 2]
        yield large[BODY_MAX // 2 :]

    headers = {"content-type": "application/json"}
    for content in (large, pieces()):
        answer = bench.client.post("/graphql", content=content, headers=headers)
        assert answer.status_code == 413
        assert answer.json()["errors"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        ('{"query": ', "application/json", "JSON"),
        ("query={me{name}}", "application/x-www-form-urlencoded", "content type"),
        ('{"query": 7}', "application/json", "query"),
        ('{"query": "{me{name}}", "variables": []}', "application/json", "variables"),
        ('[{"query": "{me{name}}"}]', "application/json", "Batching"),
        ("{}", "application/json", "No GraphQL query"),
    ],
)
def test_what_is_no_graphql_request_is_a_400_in_json(bench: Bench, content: str, kind: str, said: str) -> None:
    answer = bench.client.post("/graphql", content=content, headers={"content-type": kind})
    assert answer.status_code == 400
    error = answer.json()["errors"][0]
    assert said in error["message"]
    assert error["extensions"]["code"] == "INVALID_QUERY"


def test_queries_in_addresses_are_not_run_and_the_explorer_is_off(bench: Bench) -> None:
    headers = {**bench.header(), "accept": "text/html"}
    assert bench.client.get("/graphql", params={"query": "{ me { name } }"}, headers=headers).status_code == 400
    assert bench.client.get("/graphql", headers=headers).status_code == 404


def test_the_explorer_can_be_switched_on(bench: Bench, tmp_path: Path) -> None:
    def make(url: str) -> object:
        return make_app(bench.services, bench.passwords, tmp_path, url, graphiql=True)

    with serving(make) as url:  # type: ignore[arg-type]  # a Starlette application
        answer = httpx.get(f"{url}/graphql", headers={"accept": "text/html"})
    assert answer.status_code == 200
    assert "graphiql" in answer.text.lower()


def test_a_mistaken_api_address_is_told_in_json(bench: Bench) -> None:
    for path in ("/api/v2/sessions", "/api/v1", "/api/"):
        answer = bench.client.get(path)
        assert answer.status_code == 404
        assert answer.json()["errors"][0]["extensions"]["code"] == "NOT_FOUND"


# ---- the console ------------------------------------------------------------------------------------------------------


def build_console(bench: Bench) -> None:
    folder = bench.local_root.parent / "frontend"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(INDEX)
    (folder / "favicon.svg").write_text("<svg/>")
    (folder / "assets" / "app-0aB_9xYz.js").write_text("1")
    (bench.local_root.parent / "secret.txt").write_text("secret")


def test_without_a_build_the_page_says_what_to_run(bench: Bench) -> None:
    answer = bench.client.get("/")
    assert answer.status_code == 503
    assert "scripts/build" in answer.text


def test_every_page_is_the_index_and_never_cached(bench: Bench) -> None:
    build_console(bench)
    for path in ("/", "/policies/abc?tab=1", "/sessions"):
        answer = bench.client.get(path)
        assert answer.text == INDEX
        assert answer.headers["cache-control"] == "no-cache"
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self' 'sha256-" in policy
    assert "'unsafe-inline'" not in policy.split("style-src")[0]


def test_hashed_files_are_kept_for_ever_others_asked_for_again(bench: Bench) -> None:
    build_console(bench)
    assert "immutable" in bench.client.get("/assets/app-0aB_9xYz.js").headers["cache-control"]
    assert bench.client.get("/favicon.svg").headers["cache-control"] == "no-cache"
    assert bench.client.get("/assets/gone.js").status_code == 404
    assert bench.client.post("/").status_code == 405


@pytest.mark.parametrize(
    "path", ["/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/assets/../../secret.txt", "/%00"]
)
def test_no_file_outside_the_console_is_served(bench: Bench, path: str) -> None:
    build_console(bench)
    request = httpx.Request("GET", httpx.URL(str(bench.client.base_url), raw_path=path.encode()))
    assert "secret" not in bench.client.send(request).text
