"""Test a policy's configuration: what stands against it, and the permissions that would cure it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import strawberry

from server.api.graphql.context import Info, in_thread
from server.api.graphql.permissions import requires
from server.api.graphql.policy_inputs import PolicyInput
from server.api.graphql.scalars import local_id
from server.domain.access import Role
from server.domain.configuration import Area, Check, Finding, missing_policy
from server.services import configuration_test

strawberry.enum(Area, name="ConfigurationArea", description="What is looked at.")
strawberry.enum(
    Finding,
    name="ConfigurationFinding",
    description="WARNING: could not be checked, or some resources will lack a leg. FAILED: it will not work.",
)


@strawberry.input
class TestConfigurationInput:
    policy: PolicyInput
    id: strawberry.ID | None = strawberry.field(default=None, description="Of the policy it would replace.")
    dry_run: bool = strawberry.field(default=False, description="Write nothing, not even a trial object into repositories.")


@requires(Role.OPERATOR)
@strawberry.type
class ConfigurationCheck:
    area: Area
    subject: str
    finding: Finding
    message: str
    remedy: str | None
    path: str | None = strawberry.field(description="The input behind it.")
    account: str | None = strawberry.field(description="Name of the account whose role is meant.")
    missing_actions: list[str] = strawberry.field(description="IAM actions that are not allowed.")

    @classmethod
    def of(cls, check: Check) -> ConfigurationCheck:
        return cls(
            area=check.area,
            subject=check.subject,
            finding=check.finding,
            message=check.message,
            remedy=check.remedy,
            path=check.path,
            account=check.account,
            missing_actions=list(check.missing),
        )


@requires(Role.OPERATOR)
@strawberry.type(description="An IAM policy, as JSON to attach to the account's role.")
class MissingPermissions:
    account: str
    role_arn: str | None
    document: str


@requires(Role.OPERATOR)
@strawberry.type
class ConfigurationReport:
    record: strawberry.Private[configuration_test.Report]
    finding: Finding = strawberry.field(description="The worst of all checks.")
    tested_at: datetime
    checks: list[ConfigurationCheck]

    @classmethod
    def of(cls, report: configuration_test.Report) -> ConfigurationReport:
        return cls(
            record=report,
            finding=report.finding,
            tested_at=report.tested_at,
            checks=[ConfigurationCheck.of(check) for check in report.checks],
        )

    @strawberry.field(description="All that is missing, of every account, as one IAM policy; null when nothing is.")
    def missing_policy(self) -> str | None:
        return _text(missing_policy(self.record.checks))

    @strawberry.field(description="What is missing, by account.")
    def missing_permissions(self) -> list[MissingPermissions]:
        roles = {check.account: check.role_arn for check in self.record.checks if check.account and check.missing}
        found = []
        for account, role_arn in roles.items():
            document = _text(missing_policy(self.record.checks, account))
            if document is not None:
                found.append(MissingPermissions(account=account, role_arn=role_arn, document=document))
        return found


def _text(document: dict[str, Any] | None) -> str | None:
    return None if document is None else json.dumps(document, indent=2)


@strawberry.type
class ConfigurationMutation:
    @strawberry.mutation(description="Look whether a policy would work: roles, Regions, networks, keys, repositories, guests.")
    @requires(Role.OPERATOR)
    async def test_configuration(self, info: Info, input: TestConfigurationInput) -> ConfigurationReport:
        context = info.context
        found = await in_thread(
            configuration_test.run,
            context.app,
            context.who(),
            input.policy.read(),
            id=None if input.id is None else local_id("Policy", input.id),
            dry_run=input.dry_run,
        )
        return ConfigurationReport.of(found)
