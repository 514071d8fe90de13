"""One error tree, mapped completely at every door."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from graphql import GraphQLError

from server.api.graphql.errors import INTERNAL, shown
from server.api.rest.problems import BY_CODE
from server.domain import errors
from server.domain.errors import AwsError, HoldfastError, TooManyRequests, tree

ALL = list(tree())
RAISED = [kind for kind in ALL if kind is not HoldfastError]
each = pytest.mark.parametrize("kind", RAISED, ids=lambda kind: kind.__name__)


def example(kind: type[HoldfastError]) -> HoldfastError:
    if issubclass(kind, TooManyRequests):
        return kind("Too many.", retry_after=3, remedy="Wait.")
    return kind("It went wrong.", remedy="Do this.")


def test_codes_are_unique_and_stable_in_shape() -> None:
    codes = [kind.code for kind in ALL]
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[A-Z]+(_[A-Z]+)*", code) for code in codes)


@each
def test_graphql_tells_code_and_remedy(kind: type[HoldfastError]) -> None:
    seen = shown(GraphQLError("x", original_error=example(kind)))
    assert seen.extensions is not None
    assert seen.extensions["code"] == kind.code != INTERNAL
    assert seen.extensions["remedy"]
    assert seen.message == example(kind).message


@each
def test_rest_has_a_status_for_it(kind: type[HoldfastError]) -> None:
    answer = BY_CODE[kind.code]
    assert 400 <= answer.status < 600
    assert answer.title


@each
def test_the_drawing_in_the_docstring_shows_it(kind: type[HoldfastError]) -> None:
    assert re.search(rf"─ {kind.__name__}\b", errors.__doc__ or "")


def test_what_nobody_foresaw_is_hidden_from_clients() -> None:
    seen = shown(GraphQLError("x", original_error=RuntimeError("postgresql://u:hunter22@h/d")))
    assert seen.extensions is not None
    assert seen.extensions["code"] == INTERNAL
    assert "hunter22" not in seen.message


def test_no_error_class_hides_outside_the_tree() -> None:
    """Every class named ...Error or derived from HoldfastError in ``server`` is in domain/errors.py, so doors can know it."""
    pattern = re.compile(r"^class (\w+)\((\w+(?:, \w+)*)\):", re.MULTILINE)
    names = {kind.__name__ for kind in ALL}
    outside = [
        f"{path}: {name}"
        for path in Path(errors.__file__).parents[1].rglob("*.py")
        if path != Path(errors.__file__)
        for name, bases in pattern.findall(path.read_text())
        if names & set(bases.split(", ")) and not name.startswith("_")  # private ones never leave their module
    ]
    assert not outside


def test_aws_errors_name_the_call() -> None:
    error = AwsError("AWS refused.", operation="ec2:CreateVolume", aws_code="VolumeLimitExceeded")
    assert (error.operation, error.aws_code) == ("ec2:CreateVolume", "VolumeLimitExceeded")
