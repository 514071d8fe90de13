"""What a document may not be: too long, too deep, too costly. And that what is cached stays right."""

from __future__ import annotations

import itertools

import pytest

from server.api.graphql import limits
from server.api.graphql.schema import Documents, Prepared
from server.domain.access import Role
from tests.api.bench import Bench


def nested(levels: int) -> str:
    inner = "lastSession { policy { " * levels + "name" + " } }" * levels
    return f"{{ sessions(first: 1) {{ edges {{ node {{ policy {{ {inner} }} }} }} }} }}"


COSTLY = """{ sessions(first: 100) { edges { node { tasks { resource {
    protection { considered { policy { scope { resources { name } } } } }
} } } } } }"""


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("{ me { name } } #" + "x" * limits.DOCUMENT_MAX, "The document has"),
        (nested(10), "nests"),
        ("{ " + " ".join(f"a{n}: me {{ name }}" for n in range(51)) + " }", "51 aliases"),
        (COSTLY, "may return"),
    ],
    ids=["long", "deep", "aliases", "cost"],
)
def test_documents_over_a_limit_are_refused_before_they_run(bench: Bench, document: str, said: str) -> None:
    bench.header(Role.VIEWER)
    bench.statements.clear()
    error = bench.error(document, role=Role.VIEWER)
    assert error["extensions"]["code"] == "LIMIT_EXCEEDED"
    assert said in error["message"]
    assert not [text for text in bench.statements if "sessions" in text]


def test_too_many_tokens_are_a_syntax_error(bench: Bench) -> None:
    error = bench.error("{ " + "me " * (limits.TOKENS_MAX + 1) + "}")
    assert "token" in error["message"].lower()
    assert error["extensions"]["code"] == "INVALID_QUERY"


def test_cost_counts_first_given_as_a_variable(bench: Bench) -> None:
    document = """query($n: Int!) { sessions(first: $n) { edges { node { tasks { name resource { name
        protection { considered { reason policy { name scope { regions resources { name tags { key } } } } } } } } } } } }"""
    bench.data(document, {"n": 1})
    assert "may return" in bench.error(document, {"n": 100})["message"]


def test_fragments_that_double_are_measured_without_exploding(bench: Bench) -> None:
    names = [f"F{n}" for n in range(40)]
    parts = [f"fragment {a} on Query {{ ...{b} ...{b} }}" for a, b in itertools.pairwise(names)]
    document = "{ ...F0 } " + " ".join(parts) + " fragment F39 on Query { overview { policyCount } }"
    assert bench.error(document)["extensions"]["code"] == "LIMIT_EXCEEDED"


def test_the_standard_introspection_query_passes(bench: Bench) -> None:
    from graphql import get_introspection_query

    assert bench.data(get_introspection_query(), role=Role.VIEWER)["__schema"]["types"]


def test_a_cached_document_is_still_checked_for_the_caller(bench: Bench) -> None:
    document = 'mutation { deletePolicy(input: {id: "x"}) { id } }'
    assert bench.error(document)["extensions"]["code"] == "INVALID_INPUT"
    assert bench.error(document, role=Role.VIEWER)["extensions"]["code"] == "FORBIDDEN"
    assert bench.error(document, role=None)["extensions"]["code"] == "UNAUTHENTICATED"


def test_a_cached_invalid_document_stays_invalid(bench: Bench) -> None:
    for _ in range(2):
        error = bench.error("{ me { colour } }")
        assert error["extensions"]["code"] == "INVALID_QUERY"
        assert "colour" in error["message"]


def test_the_cache_forgets_the_oldest() -> None:
    from graphql import parse

    documents, prepared = Documents(limit=2), Prepared(parse("{ a }"), ())
    for name in ("a", "b"):
        documents.put(name, prepared)
    assert documents.get("a")
    documents.put("c", prepared)
    assert documents.get("b") is None
    assert documents.get("a")
