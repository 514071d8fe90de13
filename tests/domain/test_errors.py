"""The error tree: complete in its drawing, and each leaf tells doors apart by its code."""

from __future__ import annotations

import re

import server.domain.errors as errors
from server.domain.errors import AwsError, HoldfastError, NotFound, TooManyRequests, Unavailable, tree


def test_the_docstring_draws_every_class_beneath_its_parent() -> None:
    drawn: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^([│ ]*)(?:[├└]── )(\w+)", line)
        if match:
            depth = len(match[1]) // 4
            path[depth:] = [match[2]]
            drawn[match[2]] = path[depth - 1] if depth else "HoldfastError"
    real = {child.__name__: child.__bases__[0].__name__ for child in tree() if child is not HoldfastError}
    assert drawn == real


def test_codes_are_stable_names_and_unique() -> None:
    codes = [error.code for error in tree()]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[A-Z]+(_[A-Z]+)*", code) for code in codes)


def test_what_may_pass_by_itself_is_marked_transient() -> None:
    transient = {error.__name__ for error in tree() if error.transient}
    assert transient == {"Unavailable", "DatabaseDown", "QueueDown", "Throttled", "StorageFull"}
    assert issubclass(errors.Throttled, Unavailable)


def test_an_error_is_a_sentence_with_a_remedy() -> None:
    assert NotFound("It is gone.", remedy="Reload.").sentence() == "It is gone. Reload."
    assert NotFound("It is gone.").sentence() == "It is gone."
    assert str(NotFound("It is gone.", remedy="Reload.")) == "It is gone."
    assert NotFound("x", fields={"id": "gone"}).fields == {"id": "gone"}


def test_errors_that_carry_more() -> None:
    assert TooManyRequests("Slow down.", retry_after=2.5).retry_after == 2.5
    refused = AwsError("No.", operation="ec2:RunInstances", aws_code="UnauthorizedOperation")
    assert (refused.operation, refused.aws_code) == ("ec2:RunInstances", "UnauthorizedOperation")
