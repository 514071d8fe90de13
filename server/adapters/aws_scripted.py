"""The ``Aws`` port from a script: answers are given per operation, and every call is checked, offline, against AWS's own
service models. For rehearsing what an emulated account cannot be brought to do.

    aws = ScriptedAws({("ec2", "describe_volumes"): {"Volumes": []}, ("ec2", "create_volume"): AwsLimit("...")})
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.validate import ParamValidator

from server.domain.errors import AwsRejected, HoldfastError
from server.domain.workload import Place

Answer = dict[str, Any] | HoldfastError | Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that was made."""

    place: Place
    service: str
    operation: str
    params: dict[str, Any]


class ScriptedAws:
    """An answer is returned, raised if it is an error, or computed from the parameters if it is callable.

    ``asked`` lists the calls, ``actions`` their IAM actions. ``answers`` may be changed while the test goes on.
    """

    def __init__(self, answers: Mapping[tuple[str, str], Answer]) -> None:
        self.answers = dict(answers)
        self.asked: list[Asked] = []
        self.actions: set[str] = set()
        self._session = botocore.session.Session()

    def call(self, place: Place, service: str, operation: str, **params: Any) -> dict[str, Any]:
        action = self._check(service, operation, params)
        self.asked.append(Asked(place, service, operation, params))
        self.actions.add(action)
        answer = self.answers.get((service, operation))
        if answer is None:
            raise AwsRejected(f"No answer is scripted for {service}.{operation}.", operation=action, aws_code="NotScripted")
        if isinstance(answer, HoldfastError):
            raise answer
        return copy.deepcopy(answer) if isinstance(answer, dict) else answer(params)

    def pages(self, place: Place, service: str, operation: str, **params: Any) -> Iterator[dict[str, Any]]:
        page = self.call(place, service, operation, **params)
        yield page
        while page.get("NextToken"):
            page = self.call(place, service, operation, **params, NextToken=page["NextToken"])
            yield page

    def called(self, operation: str) -> list[dict[str, Any]]:
        """The parameters of every call of an operation."""
        return [asked.params for asked in self.asked if asked.operation == operation]

    def _check(self, service: str, operation: str, params: dict[str, Any]) -> str:
        model = self._session.get_service_model(service)
        api_name = {xform_name(name): name for name in model.operation_names}.get(operation)
        if api_name is None:
            raise AwsRejected(f"AWS has no operation {service}.{operation}.", operation=f"{service}:{operation}")
        action = f"{model.signing_name}:{api_name}"
        shape = model.operation_model(api_name).input_shape
        if shape is not None:
            report = ParamValidator().validate(params, shape)
            if report.has_errors():
                raise AwsRejected(f"{action} was called wrongly: {report.generate_report()}", operation=action)
        return action
