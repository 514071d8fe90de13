"""Every workload in the registry declares what the rest of the product reads from it."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server.domain.errors import InvalidInput
from server.permissions import permission_policy, trust_policy
from server.ports import Workload
from server.workloads import WORKLOADS

SERVER = Path(__file__).parents[2] / "server"
SERVICES = {"ec2", "iam", "kms", "ssm", "sts"}
CAPABILITIES = {"discover", "guest", "snapshot", "replica", "backup", "restore"}
each = pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.kind)


def test_kinds_are_unique() -> None:
    kinds = [workload.kind for workload in WORKLOADS]
    assert len(kinds) == len(set(kinds))


@each
def test_names_and_permissions_are_well_formed(workload: type[Any]) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", workload.kind)
    assert workload.title
    assert set(workload.permissions) == CAPABILITIES
    for actions in workload.permissions.values():
        assert actions
        assert list(actions) == sorted(set(actions))
        assert all(re.fullmatch(r"[a-z0-9-]+:[A-Z][A-Za-z0-9]+", action) for action in actions)


@each
def test_every_method_of_the_port_is_there_with_the_same_parameters(workload: type[Any]) -> None:
    for name, expected in inspect.getmembers(Workload, inspect.isfunction):
        if not name.startswith("_"):
            assert list(inspect.signature(getattr(workload, name)).parameters) == list(inspect.signature(expected).parameters)


@each
def test_every_action_a_workload_declares_is_in_the_printed_policy(workload: type[Any]) -> None:
    policy = json.loads(
        permission_policy(workload.kind, buckets=["backups"], roles=["arn:aws:iam::210987654321:role/Holdfast"])
    )
    granted = {action for statement in policy["Statement"] for action in statement["Action"]}
    assert {action for actions in workload.permissions.values() for action in actions} <= granted
    assert "sts:AssumeRole" in granted
    assert len({statement["Sid"] for statement in policy["Statement"]}) == len(policy["Statement"])
    assert all(re.fullmatch(r"[A-Za-z0-9]+", statement["Sid"]) for statement in policy["Statement"])


def test_every_call_whose_name_is_written_down_is_in_the_printed_policy() -> None:
    granted = {
        action for statement in json.loads(permission_policy(keys=["key"]))["Statement"] for action in statement["Action"]
    }
    called = {
        f"{service}:{''.join(word.capitalize() for word in operation.split('_'))}": path.name
        for path in SERVER.rglob("*.py")
        if not {"demo", "api"} & set(path.relative_to(SERVER).parts)
        for service, operation in aws_calls(ast.parse(path.read_text()))
    }
    assert {"ec2:DescribeSubnets", "iam:ListInstanceProfiles"} <= set(called)
    assert {action: name for action, name in called.items() if action not in granted} == {}


def aws_calls(code: ast.AST) -> Iterator[tuple[str, str]]:
    """Service and operation wherever ``Aws.call`` or ``Aws.pages`` gets both as text."""
    for node in ast.walk(code):
        if isinstance(node, ast.Call):
            texts = [word.value for word in node.args if isinstance(word, ast.Constant) and isinstance(word.value, str)]
            if texts and texts[0] in SERVICES and len(texts) > 1:
                yield texts[0], texts[1]


def test_an_unknown_workload_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput) as caught:
        permission_policy("lambda")
    assert "ec2" in (caught.value.remedy or "")


def test_the_trust_policy_demands_the_external_id() -> None:
    policy = json.loads(trust_policy("arn:aws:iam::123456789012:role/Holdfast", "a-secret"))
    assert policy["Statement"][0]["Condition"] == {"StringEquals": {"sts:ExternalId": "a-secret"}}


def test_the_readme_shows_the_policy_as_it_is_printed() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    shown = re.search(r"```json\n(.*?)\n```", readme, re.DOTALL)
    assert shown is not None
    assert shown.group(1) == permission_policy()
