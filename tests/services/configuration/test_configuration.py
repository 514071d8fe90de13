"""Testing a policy's configuration against a real-looking account: what is found, said, and cured by what is exported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from server.domain.access import Caller, Role
from server.domain.configuration import Area, Check, Finding, missing_policy
from server.domain.errors import Forbidden, Unavailable
from server.domain.guest import Guest, Script, Scripts
from server.domain.periods import Period
from server.domain.replicas import ReplicaTarget
from server.domain.schedule import Daily, Rule, Schedule
from server.domain.scope import Scope
from server.domain.workload import Place
from server.services.configuration_test import Report, run
from server.services.policies import PolicyDraft
from tests.demo_account import REGION
from tests.services.configuration.conftest import CALLER, Bench

FAR = "eu-west-1"
WITH_BACKUPS = Schedule(daily=Daily(snapshot=Rule(slots=(7,), count=3), backup=Rule(slots=(7,), period=Period(30))))
WITH_REPLICAS = Schedule(daily=Daily(snapshot=Rule(slots=(7,), count=3), replica=Rule(slots=(7,), count=3)))


def report_on(bench: Bench, draft: PolicyDraft) -> Report:
    return run(bench.app, CALLER, draft)


def of(report: Report, area: Area) -> list[Check]:
    return [check for check in report.checks if check.area is area]


def bad(report: Report) -> list[Check]:
    return [check for check in report.checks if check.finding is not Finding.PASSED]


def test_a_sound_policy_passes_every_check(bench: Bench) -> None:
    row, key = bench.repository(), bench.key(FAR)
    bench.resource("db-1", key=bench.key())
    schedule = replace(WITH_BACKUPS, daily=replace(WITH_BACKUPS.daily, replica=Rule(slots=(7,), count=2)))  # type: ignore[type-var]  # there is one
    target = ReplicaTarget(account_id=bench.home.id, region=FAR, encrypt=True, kms_key=key)
    report = report_on(bench, bench.draft(schedule=schedule, repository_id=row.id, replicas=(target,)))
    assert bad(report) == []
    assert report.finding is Finding.PASSED
    assert {check.area for check in report.checks} == set(Area) - {Area.GUEST}
    assert missing_policy(report.checks) is None
    assert [blob.name for blob in bench.app.open_blobs(row).list("probe")] == []


def test_what_a_role_lacks_is_named_and_the_exported_policy_cures_it(bench: Bench) -> None:
    other, role = bench.role("ec2:CopySnapshot", "ec2:DescribeRegions", "iam:SimulatePrincipalPolicy", "kms:DescribeKey")
    target = ReplicaTarget(account_id=other.id, region=FAR, encrypt=True)
    draft = bench.draft(schedule=WITH_REPLICAS, replicas=(target,))
    report = report_on(bench, draft)
    [lacking] = [check for check in bad(report) if check.missing]
    assert (lacking.finding, lacking.account, lacking.role_arn) == (Finding.FAILED, other.name, other.role_arn)
    assert "ec2:CreateTags" in lacking.missing
    assert "ec2:CopySnapshot" not in lacking.missing
    document = missing_policy(report.checks, other.name)
    assert document is not None
    assert document == missing_policy(report.checks)
    bench.allow(role, document)
    assert bad(report_on(bench, draft)) == []


def test_a_role_that_may_not_be_asked_about_is_a_warning(bench: Bench) -> None:
    other, _ = bench.role("ec2:*", "kms:*")
    target = ReplicaTarget(account_id=other.id, region=FAR, encrypt=True)
    report = report_on(bench, bench.draft(schedule=WITH_REPLICAS, replicas=(target,)))
    [check] = bad(report)
    assert (check.area, check.finding) == (Area.PERMISSIONS, Finding.WARNING)
    assert "iam:SimulatePrincipalPolicy" in check.missing


def test_a_role_that_cannot_be_assumed_is_said_once(bench: Bench) -> None:
    other, _ = bench.role("*")
    gone = replace(other, role_arn=f"{other.role_arn}-gone", revision=other.revision + 1)
    with bench.app.store.transaction() as tx:
        tx.accounts.save(gone)
    target = ReplicaTarget(account_id=other.id, region=FAR, encrypt=True)
    report = report_on(bench, bench.draft(schedule=WITH_REPLICAS, replicas=(target,)))
    [account] = [check for check in of(report, Area.ACCOUNT) if check.finding is Finding.FAILED]
    assert account.subject == other.name
    assert account.remedy


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda bench, key: bench.aws.call(Place(bench.home.id, None, None, FAR), "kms", "disable_key", KeyId=key), "state"),
        (lambda bench, key: f"{key}-gone", "gone"),
        (lambda bench, key: bench.key(REGION), REGION),
    ],
    ids=["disabled", "absent", "in another Region"],
)
def test_a_target_key_that_cannot_be_used_fails(bench: Bench, spoil: Callable[[Bench, str], Any], message: str) -> None:
    key = bench.key(FAR)
    changed = spoil(bench, key)
    chosen = changed if isinstance(changed, str) else key
    target = ReplicaTarget(account_id=bench.home.id, region=FAR, encrypt=True, kms_key=chosen)
    report = report_on(bench, bench.draft(schedule=WITH_REPLICAS, replicas=(target,)))
    [check] = [check for check in bad(report) if check.area is Area.KEY]
    assert (check.finding, check.path) == (Finding.FAILED, "replicas.0.kmsKey")
    assert message in check.message


def test_encrypted_disks_without_a_target_key_would_get_no_replica(bench: Bench) -> None:
    bench.resource("db-1", key=bench.key())
    bench.resource("web-1")
    target = ReplicaTarget(account_id=bench.home.id, region=FAR)
    [check] = bad(report_on(bench, bench.draft(schedule=WITH_REPLICAS, replicas=(target,))))
    assert (check.finding, check.path) == (Finding.WARNING, "replicas.0.encrypt")
    assert check.message == "1 resource with encrypted disks would get no replica: db-1."


def test_disks_under_the_key_of_aws_cannot_be_replicated_into_another_account(bench: Bench) -> None:
    home = Place(bench.home.id, None, None, REGION)
    default = bench.aws.call(home, "kms", "describe_key", KeyId="alias/aws/ebs")["KeyMetadata"]["Arn"]
    bench.resource("db-1", key=default)
    other, _ = bench.role("*")
    abroad = ReplicaTarget(account_id=other.id, region=FAR, encrypt=True)
    [check] = bad(report_on(bench, bench.draft(schedule=WITH_REPLICAS, replicas=(abroad,))))
    assert (check.area, check.finding) == (Area.KEY, Finding.FAILED)
    assert "cannot be shared" in check.message
    same = ReplicaTarget(account_id=bench.home.id, region=FAR, encrypt=True)
    assert bad(report_on(bench, bench.draft(schedule=WITH_REPLICAS, replicas=(same,)))) == []


def test_a_repository_that_is_gone_fails_and_the_rest_is_still_looked_at(bench: Bench) -> None:
    row = bench.repository()
    lost = replace(row, location=f"{row.location}-gone", revision=row.revision + 1)
    with bench.app.store.transaction() as tx:
        tx.repositories.save(lost)
    report = report_on(bench, bench.draft(schedule=WITH_BACKUPS, repository_id=row.id))
    failed = [check for check in bad(report) if check.area is Area.REPOSITORY]
    assert [check.finding for check in failed] == [Finding.FAILED]
    assert of(report, Area.ENDPOINT)


def test_a_dry_run_writes_nothing(bench: Bench) -> None:
    row = bench.repository()
    before = bench.account.calls("PutObject")
    run(bench.app, CALLER, bench.draft(schedule=WITH_BACKUPS, repository_id=row.id), dry_run=True)
    assert bench.account.calls("PutObject") == before


def test_guests_systems_manager_does_not_know_are_named(bench: Bench) -> None:
    bench.resource("web-1")
    bench.resource("win-1", platform="Windows")
    scripts = Scripts(pre=Script(path="/opt/quiesce.sh"))
    [check] = bad(report_on(bench, bench.draft(guest=Guest(linux=scripts))))
    assert (check.area, check.finding) == (Area.GUEST, Finding.WARNING)
    assert check.message == "1 guest not managed by Systems Manager: web-1."
    both = bad(report_on(bench, bench.draft(guest=Guest(linux=scripts, application_aware=True))))
    assert "web-1, win-1" in both[0].message


def test_a_region_that_is_not_enabled_fails(bench: Bench) -> None:
    scope = Scope(account_id=bench.home.id, regions=(REGION, "us-gov-west-1"))
    report = report_on(bench, bench.draft(scope=scope))
    assert [check.subject for check in of(report, Area.REGION) if check.finding is Finding.FAILED] == ["us-gov-west-1"]


def test_an_endpoint_that_does_not_answer_fails_with_what_to_open(bench: Bench) -> None:
    silent = replace(bench.app, aws=Silent(bench.aws))
    report = run(silent, CALLER, bench.draft())
    [check] = [check for check in of(report, Area.ENDPOINT) if check.finding is Finding.FAILED]
    assert "443" in (check.remedy or "")


class Silent:
    """AWS without EC2's zones."""

    def __init__(self, aws: Any) -> None:
        self._aws = aws

    def call(self, place: Place, service: str, operation: str, **params: Any) -> dict[str, Any]:
        if operation == "describe_availability_zones":
            raise Unavailable("ec2 does not answer.")
        found: dict[str, Any] = self._aws.call(place, service, operation, **params)
        return found

    def pages(self, place: Place, service: str, operation: str, **params: Any) -> Iterator[dict[str, Any]]:
        yield from self._aws.pages(place, service, operation, **params)


def test_what_is_wrong_with_the_policy_itself_comes_first(bench: Bench) -> None:
    report = report_on(bench, bench.draft(name="", schedule=WITH_BACKUPS))
    assert report.checks[0].area is Area.POLICY
    assert {check.path for check in of(report, Area.POLICY)} == {"name", "repositoryId"}


def test_viewers_may_not_test(bench: Bench) -> None:
    with pytest.raises(Forbidden):
        run(bench.app, Caller(user_id=None, name="eve", role=Role.VIEWER), bench.draft())
