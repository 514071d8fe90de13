"""IAM policy documents, weighed as AWS weighs them: a denial wins, then an allowance, and silence denies."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

Decision = Literal["allowed", "explicitDeny", "implicitDeny"]
Document = Mapping[str, Any]
Context = Mapping[str, str]

_VARIABLE = re.compile(r"\$\{([^}]+)\}")


def several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def read(document: str | Document | None) -> Document:
    """Errors: ValueError when the text is no JSON object."""
    found = json.loads(document) if isinstance(document, str) and document else document or {}
    if not isinstance(found, Mapping):
        raise ValueError("a policy document is a JSON object")
    return found


def decide(
    documents: Iterable[Document], action: str, resource: str = "*", context: Context | None = None, principal: str = ""
) -> Decision:
    """What the documents say of ``action`` (``ec2:CopySnapshot``) on ``resource`` (an ARN).

    ``principal``: who asks, for documents that name principals (key and trust policies). Statements with a condition nobody
    here can judge do not apply.
    """
    verdict: Decision = "implicitDeny"
    for document in documents:
        for statement in several(document.get("Statement")):
            if not applies(statement, action, resource, context or {}, principal):
                continue
            if statement.get("Effect") == "Deny":
                return "explicitDeny"
            verdict = "allowed"
    return verdict


def applies(statement: Document, action: str, resource: str, context: Context, principal: str) -> bool:
    return (
        _named(statement, "Action", action.lower(), str.lower)
        and _named(statement, "Resource", resource, lambda pattern: _filled(pattern, context))
        and ("Principal" not in statement or is_principal(statement["Principal"], principal))
        and all(_holds(operator, tests, context) for operator, tests in (statement.get("Condition") or {}).items())
    )


def _named(statement: Document, element: str, value: str, prepare: Callable[[str], str]) -> bool:
    """Whether ``Action``/``Resource`` names the value, or ``NotAction``/``NotResource`` does not."""
    if f"Not{element}" in statement:
        return not any(_like(value, prepare(str(pattern))) for pattern in several(statement[f"Not{element}"]))
    if element == "Resource" and element not in statement:
        return True  # trust policies have none
    return any(_like(value, prepare(str(pattern))) for pattern in several(statement.get(element)))


def _filled(pattern: str, context: Context) -> str:
    return _VARIABLE.sub(lambda match: context.get(match[1], "\0"), pattern)


def _like(value: str, pattern: str) -> bool:
    return value == "*" == pattern or fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))


def is_principal(principal: Any, caller_arn: str) -> bool:
    """Whether a ``Principal`` element names the caller, its role, or its whole account."""
    if principal == "*":
        return True
    trusted = several(principal.get("AWS")) if isinstance(principal, Mapping) else []
    return bool({"*", *names_of(caller_arn), *account_names(caller_arn)} & set(trusted))


def names_of(caller_arn: str) -> set[str]:
    """The ARNs a caller goes by: its own, and its role's when it is a session of one."""
    names = {caller_arn}
    if match := re.match(r"arn:(aws[a-z-]*):sts::(\d{12}):assumed-role/([^/]+)/", caller_arn):
        names.add(f"arn:{match[1]}:iam::{match[2]}:role/{match[3]}")
    return names


def account_of(arn: str) -> str:
    """The account part of an ARN; empty when there is none."""
    return (arn.split(":") + [""] * 5)[4]


def account_names(caller_arn: str) -> set[str]:
    account = account_of(caller_arn)
    return {account, f"arn:aws:iam::{account}:root"}


# ---- conditions


def _same(value: str, expected: Sequence[str]) -> bool:
    return value in expected


def _alike(value: str, expected: Sequence[str]) -> bool:
    return any(_like(value, pattern) for pattern in expected)


def _same_letters(value: str, expected: Sequence[str]) -> bool:
    return value.lower() in {text.lower() for text in expected}


_TESTS: Final[Mapping[str, Callable[[str, Sequence[str]], bool]]] = {
    "StringEquals": _same,
    "StringEqualsIgnoreCase": _same_letters,
    "StringLike": _alike,
    "ArnEquals": _alike,
    "ArnLike": _alike,
    "Bool": _same_letters,
    "StringNotEquals": lambda value, expected: not _same(value, expected),
    "StringNotLike": lambda value, expected: not _alike(value, expected),
    "ArnNotEquals": lambda value, expected: not _alike(value, expected),
    "ArnNotLike": lambda value, expected: not _alike(value, expected),
}


def _holds(operator: str, tests: Mapping[str, Any], context: Context) -> bool:
    known = {key.lower(): value for key, value in context.items()}
    name = operator.removeprefix("ForAnyValue:").removeprefix("ForAllValues:")
    optional = name.endswith("IfExists") or operator.startswith("ForAllValues:")
    name = name.removesuffix("IfExists")
    for key, expected in tests.items():
        texts = [_filled(str(text), context) for text in several(expected)]
        value = known.get(key.lower())
        if name == "Null":
            if (value is None) is not (texts[0].lower() == "true"):
                return False
        elif value is None:
            if not optional and "Not" not in name:
                return False
        elif name not in _TESTS or not _TESTS[name](value, texts):
            return False
    return True


def keys_asked(documents: Iterable[Document], action: str) -> set[str]:
    """The condition keys a decision on ``action`` depends on."""
    return {
        str(key)
        for document in documents
        for statement in several(document.get("Statement"))
        if _named(statement, "Action", action.lower(), str.lower)
        for tests in (statement.get("Condition") or {}).values()
        for key in tests
    }
