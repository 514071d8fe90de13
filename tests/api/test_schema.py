"""Rules every field of the schema keeps, whoever adds it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from graphql import GraphQLEnumType, GraphQLInterfaceType, GraphQLObjectType, get_named_type
from graphql.type.introspection import introspection_types

from server.api.graphql import errors, permissions
from server.api.graphql.connections import FIRST_MAX
from server.api.graphql.schema import schema
from server.api.rest import problems
from server.domain.access import Role
from server.domain.errors import HoldfastError, TooManyRequests, tree
from tests.api.bench import Bench

TYPES = [
    kind
    for name, kind in schema._schema.type_map.items()
    if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType) and name not in introspection_types
]
FIELDS = [(kind, name) for kind in TYPES for name in kind.fields]
PUBLIC = {"Mutation.signIn", "Mutation.refreshToken"}
PUBLIC_TYPES = {"SignInPayload", "User", "Version"}  # what the public mutations answer with, and the version


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=lambda value: getattr(value, "name", value))
def test_every_field_declares_who_may_read_it(kind: GraphQLObjectType, name: str) -> None:
    role = permissions.needed(kind, kind.fields[name])
    assert role is not None, f"{kind.name}.{name} lacks @requires"
    if role is permissions.Public:
        assert f"{kind.name}.{name}" in PUBLIC or kind.name in PUBLIC_TYPES
    else:
        assert isinstance(role, Role)


def test_every_mutation_needs_more_than_looking() -> None:
    mutation = schema._schema.mutation_type
    assert mutation is not None
    harmless = {"signIn", "refreshToken", "signOut"}
    for name, field in mutation.fields.items():
        role = permissions.needed(mutation, field)
        assert name in harmless or (isinstance(role, Role) and role is not Role.VIEWER), name


def test_every_list_is_bounded() -> None:
    for kind in TYPES:
        for name, field in kind.fields.items():
            if get_named_type(field.type).name.endswith("Connection"):
                assert str(field.args["first"].type) == "Int!", f"{kind.name}.{name}"
    assert FIRST_MAX == 100


def test_enums_are_written_in_capitals() -> None:
    for name, kind in schema._schema.type_map.items():
        if isinstance(kind, GraphQLEnumType) and not name.startswith("__"):
            assert all(value == value.upper() for value in kind.values), name


def test_schema_graphql_is_what_the_code_prints() -> None:
    printed = subprocess.run([sys.executable, "-m", "server.api.graphql"], capture_output=True, check=True).stdout.decode()
    stored = (Path(__file__).parents[2] / "schema.graphql").read_text(encoding="utf-8")
    assert printed == stored, "run scripts/schema"


# ---- errors -------------------------------------------------------------------------------------------------------------

LEAVES = [kind for kind in tree() if kind.__module__ == HoldfastError.__module__ and kind is not HoldfastError]


def _example(kind: type[HoldfastError]) -> HoldfastError:
    if issubclass(kind, TooManyRequests):
        return kind("What happened.", retry_after=2.5, remedy="What to do.")
    if kind.__init__ is HoldfastError.__init__:
        return kind("What happened.", remedy="What to do.", fields={"name": "Taken."})
    return kind("What happened.", remedy="What to do.")


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.__name__)
def test_every_error_has_a_code_and_a_place_at_both_doors(kind: type[HoldfastError]) -> None:
    from graphql import GraphQLError

    error = _example(kind)
    shown = errors.shown(GraphQLError(error.message, original_error=error))
    assert shown.message == "What happened."
    assert shown.extensions is not None
    assert shown.extensions["code"] == kind.code != "INTERNAL"
    assert shown.extensions["remedy"] == "What to do."
    found = problems.from_errors([shown.formatted], signed=True)  # type: ignore[list-item]  # a TypedDict is a dict here
    assert kind.code in problems.BY_CODE
    assert 400 <= found.kind.status <= 503


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in LEAVES]
    assert len(codes) == len(set(codes))


def test_rest_knows_no_code_that_does_not_exist() -> None:
    known = {kind.code for kind in LEAVES} | {errors.BAD_DOCUMENT, errors.INTERNAL}
    assert set(problems.BY_CODE) == known


def test_every_problem_kind_has_its_page() -> None:
    kinds = [value for value in vars(problems).values() if isinstance(value, problems.Kind)]
    assert kinds
    assert all(kind.page in problems.PAGES for kind in kinds)


def test_the_unexpected_is_logged_and_hidden(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(*_args: object, **_more: object) -> None:
        raise RuntimeError("the password is swordfish")

    bench.header()
    monkeypatch.setattr("server.services.overview.overview", explode)
    error = bench.error("{ overview { policyCount } }")
    assert error["extensions"]["code"] == "INTERNAL"
    assert "swordfish" not in str(error)
    assert error["extensions"]["id"] in error["message"]


def test_needed_is_typed() -> None:
    assert Role in get_args(permissions.Needed)


# ---- roles at work ------------------------------------------------------------------------------------------------------


def test_without_a_token_nothing_but_signing_in_is_possible(bench: Bench) -> None:
    for document in (
        "{ me { name } }",
        "{ version { version } }",
        "{ __schema { types { name } } }",
        "{ overview { policyCount } }",
    ):
        assert bench.error(document, role=None)["extensions"]["code"] == "UNAUTHENTICATED", document
    assert bench.ask("{ __typename }", role=None) == {"data": {"__typename": "Query"}}


def test_a_role_that_falls_short_is_told_which_it_needs(bench: Bench) -> None:
    error = bench.error('mutation { rescan(input: {accountId: "x"}) { session { id } } }', role=Role.VIEWER)
    assert error["message"] == "Mutation.rescan needs the role operator; viewer has viewer."
    assert error["extensions"]["code"] == "FORBIDDEN"


def test_a_forbidden_field_hidden_in_a_fragment_is_found(bench: Bench) -> None:
    document = """
        query { ...Deep }
        fragment Deep on Query { restoreTargets(accountId: "x", region: "us-east-1") { zones } }
    """
    assert bench.error(document, role=Role.VIEWER)["extensions"]["code"] == "FORBIDDEN"


def test_services_check_the_role_themselves(bench: Bench) -> None:
    from server.domain.errors import Forbidden
    from server.services import accounts, policies, repositories

    viewer = bench.caller(Role.VIEWER)
    with pytest.raises(Forbidden):
        policies.delete(bench.services, viewer, bench.home.id)
    with pytest.raises(Forbidden):
        accounts.remove(bench.services, viewer, bench.home.id)
    with pytest.raises(Forbidden):
        repositories.remove(bench.services, viewer, bench.home.id)
