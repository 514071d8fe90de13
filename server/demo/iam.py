"""IAM's policy simulator: what a user, group or role may do, told without doing it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from moto.core.responses import ActionResult
from moto.iam.models import IAMBackend, iam_backends
from moto.iam.responses import IamResponse

from server.demo import identity, policies
from server.demo.errors import AwsError

PAGE_MAX: Final = 1000
PAGE_DEFAULT: Final = 100
_ACTION = re.compile(r"(\*|[a-z0-9-]+:[A-Za-z0-9*?]+)$")
_SOURCE = re.compile(r"arn:aws:iam::(\d{12}):(user|role|group)/.+$")


class DemoIamBackend(IAMBackend):
    @property
    def flask_paths(self) -> dict[str, Callable[[Any, str, Any], Any]]:
        return {"/": DemoIamResponse.dispatch}


class DemoIamResponse(IamResponse):
    def simulate_principal_policy(self) -> ActionResult:
        source, caller = self._get_param("PolicySourceArn") or "", self.headers["x-demo-caller-arn"]
        if not identity.allowed(caller, "iam:SimulatePrincipalPolicy", source):
            text = f"User: {caller} is not authorized to perform: iam:SimulatePrincipalPolicy on resource: {source}"
            raise AwsError("AccessDenied", text, 403)
        match = _SOURCE.match(source)
        if not match or match[1] != self.current_account:
            raise AwsError("InvalidInput", f"Invalid Entity Arn: {source} is not a user, group or role of this account.")
        try:
            documents = list(identity.documents_of(source))
        except identity.NoSuchPrincipal:
            raise AwsError("NoSuchEntity", f"There is no {match[2]} with the ARN {source}.", 404)
        return self._simulated([*documents, *self._documents_given()], source)

    def simulate_custom_policy(self) -> ActionResult:
        return self._simulated(self._documents_given(), "")

    def _documents_given(self) -> list[policies.Document]:
        try:
            return [policies.read(text) for text in self._get_param("PolicyInputList", [])]
        except ValueError as error:
            raise AwsError("InvalidInput", f"A policy of PolicyInputList is not valid: {error}")

    def _simulated(self, documents: Sequence[policies.Document], source: str) -> ActionResult:
        actions, resources = self._get_param("ActionNames", []), self._get_param("ResourceArns", []) or ["*"]
        if not actions:
            raise AwsError("ValidationError", "ActionNames must name at least one action.")
        for action in actions:
            if not _ACTION.match(action):
                raise AwsError("InvalidInput", f"Invalid Action: {action} does not look like service:Operation.")
        context = {"aws:PrincipalArn": source, "aws:PrincipalAccount": self.current_account} if source else {}
        for entry in self._get_param("ContextEntries", []):
            context[entry["ContextKeyName"]] = next(iter(entry.get("ContextKeyValues") or [""]))
        results = [_evaluated(documents, action, resource, context) for action in actions for resource in resources]
        return ActionResult(self._page(results))

    def _page(self, results: Sequence[dict[str, Any]]) -> dict[str, Any]:
        size, marker = int(self._get_param("MaxItems") or PAGE_DEFAULT), self._get_param("Marker") or "0"
        if not 1 <= size <= PAGE_MAX or not marker.isdigit():
            raise AwsError("ValidationError", f"MaxItems must be between 1 and {PAGE_MAX}, and Marker one that was given.")
        following = int(marker) + size
        page: dict[str, Any] = {"EvaluationResults": list(results[int(marker) : following])}
        more = following < len(results)
        return page | {"IsTruncated": more} | ({"Marker": str(following)} if more else {})


def _evaluated(
    documents: Iterable[policies.Document], action: str, resource: str, context: Mapping[str, str]
) -> dict[str, Any]:
    documents = list(documents)
    known = {key.lower() for key in context}
    return {
        "EvalActionName": action,
        "EvalResourceName": resource,
        "EvalDecision": policies.decide(documents, action, resource, context),
        "MatchedStatements": [],
        "MissingContextValues": sorted(key for key in policies.keys_asked(documents, action) if key.lower() not in known),
    }


def install() -> None:
    """Make moto build our IAM. Call once, before the first request."""
    iam_backends.backend = DemoIamBackend
