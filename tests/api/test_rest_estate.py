"""Instances and EC2 policies over REST."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from server.domain.guest import Guest, Script, Scripts
from server.domain.periods import WORK_DAYS, DayRule, Ordinal, Period, Unit, Weekday
from server.domain.policy import Notifications, PolicyKind, Tag
from server.domain.replicas import KeyUsage, ReplicaTarget
from server.domain.restore import Leg
from server.domain.schedule import Daily, Monthly, Rule, Schedule, Weekly, Yearly
from server.domain.scope import Scope, SelectionMode, TagMatch, VolumeExclusions
from tests.api.bench import Bench
from tests.api.test_rest import V10, get
from tests.contracts.entities import point as make_point
from tests.contracts.entities import policy as make_policy
from tests.contracts.entities import repository as make_repository
from tests.contracts.entities import resource as make_resource
from tests.contracts.entities import template as make_sla_template


def add_estate(bench: Bench) -> dict[str, Any]:
    """Three instances: one protected with points, one protected without, one not."""
    web = make_resource(bench.home, name="web", tags={"Environment": "production"}, size_bytes=8 << 30,
                        document={"instanceType": "t3.small", "zone": "us-east-1a"})  # fmt: skip
    app = make_resource(bench.home, name="app", tags={"Environment": "production"}, region="eu-central-1")
    lab = make_resource(bench.home, name="lab", tags={})
    repository = make_repository(bench.home)
    policy = make_policy(
        bench.home,
        name="gold",
        repository_id=repository.id,
        scope=Scope(
            account_id=bench.home.id,
            regions=("us-east-1", "eu-central-1"),
            mode=SelectionMode.LISTED,
            tags=(TagMatch(key="Environment", value="production"),),
        ),
        schedule=Schedule(
            daily=Daily(
                days=(Weekday.MONDAY, Weekday.FRIDAY),
                snapshot=Rule(slots=(1, 13), count=3),
                backup=Rule(slots=(13,), period=Period(14)),
            )
        ),
    )
    only_lab = replace(policy.scope, tags=(), resource_ids=(lab.id,))
    off = make_policy(bench.home, name="off", enabled=False, priority=2, schedule=None, scope=only_lab)
    with bench.store.transaction() as tx:
        for server in (web, app, lab):
            tx.resources.add(server)
        tx.repositories.add(repository)
        tx.policies.add(policy)
        tx.policies.add(off)
        tx.points.add(make_point(web))
        tx.points.add(make_point(web, leg=Leg.BACKUP, repository_id=repository.id))
    return {"web": web, "app": app, "lab": lab, "policy": policy, "off": off, "repository": repository}


def test_instances_at_1_0_and_later(bench: Bench) -> None:
    estate = add_estate(bench)
    rows = get(bench, "/virtualMachines", V10, SearchPattern="WEB")["results"]
    assert len(rows) == 1
    old = rows[0]
    assert old["id"] == str(estate["web"].id)
    assert old["awsResourceId"] == estate["web"].aws_id
    assert old["protectionStatus"] == "Protected"
    assert old["backupDestinations"] == ["Snapshot", "AwsBlob"]
    assert old["location"]["name"] == "us-east-1a"
    assert old["isDeleted"] is False
    assert "instanceType" not in old
    new = get(bench, "/virtualMachines", searchpattern="web")["results"][0]
    assert new["instanceSizeGigabytes"] == 8
    assert new["instanceType"] == "t3.small"
    assert new["policiesCount"] == 1
    assert new["backupState"] == "Protected"
    assert new["backupTypes"] == ["Snapshot", "Backup"]
    assert new["resourceAwsAccountId"] == "123456789012"
    UUID(new["region"]["id"])


def test_instance_filters_and_sorts(bench: Bench) -> None:
    add_estate(bench)

    def names(**params: Any) -> list[str]:
        return [row["name"] for row in get(bench, "/virtualMachines", **params)["results"]]

    assert names(Sort="nameDesc") == ["web", "lab", "app"]
    assert names(Sort="locationDesc,nameAsc") == ["lab", "web", "app"]
    assert names(ProtectionStatus="Unprotected") == ["lab"]
    assert names(ProtectedByPolicy="Protected", Sort="nameAsc") == ["app", "web"]
    assert names(ProtectionStatus="Protected,Unprotected", Sort="nameAsc") == ["app", "lab", "web"]
    assert names(BackupState="OnlyBackedUp") == ["web"]
    assert names(BackupState="OnlyNotBackedUp", Sort="nameAsc") == ["app", "lab"]
    assert names(BuckupDestination="AwsBlob") == ["web"]
    assert names(BuckupDestination="ManualSnapshot") == []
    assert names(ResourceAwsAccountId="123456789012", Sort="nameAsc") == ["app", "lab", "web"]
    region = get(bench, "/virtualMachines", SearchPattern="app")["results"][0]["region"]["id"]
    assert names(RegionId=region) == ["app"]
    assert names(RegionId=str(uuid4())) == []
    assert names(ResourceAwsAccountId="999999999999") == []


def test_a_policy_reads_as_clients_expect(bench: Bench) -> None:
    estate = add_estate(bench)
    row = get(bench, "/virtualMachines/policies", Sort="priorityAsc")["results"][0]
    assert row["name"] == "gold"
    assert row["isEnabled"] is True
    assert row["backupType"] == "SelectedItems"
    assert row["backupSettings"] == {"targetRepositoryId": str(estate["repository"].id)}
    assert row["lastPolicySessionStatus"] == "NeverExecuted"
    assert row["identityId"] == row["identity"]["id"] == str(bench.home.id)
    daily = row["scheduleSettings"]["dailySchedule"]
    assert daily["kind"] == "SelectedDays"
    assert daily["days"] == ["Monday", "Friday"]
    assert daily["snapshotOptions"] == {"retention": {"count": 3}, "schedule": {"hours": [1, 13]}}
    assert daily["backupOptions"] == {"retention": {"type": "Days", "count": 14}, "schedule": {"hours": [13]}}
    assert len(row["selectedItems"]["tagIds"]) == 1


def add_everything(bench: Bench) -> dict[str, Any]:
    """One policy that uses what the product can do."""
    repository, archive = make_repository(bench.home), make_repository(bench.home)
    script = Script(path="/opt/freeze.sh", arguments="%policy%")
    policy = make_policy(
        bench.home,
        name="everything",
        repository_id=repository.id,
        archive_repository_id=archive.id,
        scope=Scope(
            account_id=bench.home.id,
            regions=("us-east-1", "eu-central-1", "eu-west-3"),
            excluded_volumes=VolumeExclusions(system=True, volume_ids=("vol-0123456789abcdef0",), tags=(TagMatch(key="tmp"),)),
        ),
        schedule=Schedule(
            daily=Daily(enabled=False, days=WORK_DAYS, per_hour=2, snapshot=Rule(slots=(7,), count=3)),
            weekly=Weekly(
                hour=7,
                snapshot=Rule(slots=(0, 4), count=2),
                replica=Rule(slots=(4,), count=1),
                backup=Rule(slots=(0,), period=Period(2, Unit.MONTHS)),
            ),
            monthly=Monthly(
                hour=7,
                day=DayRule(ordinal=Ordinal.LAST, weekday=Weekday.FRIDAY),
                snapshot=Rule(count=1),
                archive=Rule(slots=(1, 12), period=Period(12, Unit.MONTHS)),
            ),
            yearly=Yearly(hour=3, day=DayRule(day=31), backup=Rule(slots=(12,), period=Period(7, Unit.YEARS))),
        ),
        replicas=(
            ReplicaTarget(regions=("us-east-1",), account_id=bench.home.id, region="us-west-2"),
            ReplicaTarget(
                account_id=bench.home.id, region="eu-west-1", encrypt=True, kms_key="alias/x", key_usage=KeyUsage.ENCRYPTED
            ),
        ),
        guest=Guest(application_aware=True, linux=Scripts(pre=script, only_for_backups=True)),
        tags=(Tag(key="made-by", value="holdfast"),),
        notifications=Notifications(recipients=("a@example.com", "b@example.com"), on_success=False),
    )
    with bench.store.transaction() as tx:
        tx.repositories.put([repository, archive])
        tx.policies.add(policy)
    row: dict[str, Any] = get(bench, "/virtualMachines/policies")["results"][0]
    assert row["archiveSettings"] == {"targetRepositoryId": str(archive.id)}
    return row


def test_every_schedule_reads_as_clients_expect(bench: Bench) -> None:
    plan = add_everything(bench)["scheduleSettings"]
    assert (plan["dailyScheduleEnabled"], plan["weeklyScheduleEnabled"]) == (False, True)
    assert (plan["dailySchedule"]["kind"], plan["dailySchedule"]["runsPerHour"]) == ("WeekDays", 2)
    assert plan["weeklySchedule"] == {
        "timeLocal": "07:00",
        "days": ["Monday", "Friday"],
        "snapshotOptions": {"retention": {"count": 2}, "schedule": {"days": ["Monday", "Friday"]}},
        "replicaOptions": {"retention": {"count": 1}, "schedule": {"days": ["Friday"]}},
        "backupOptions": {"retention": {"type": "Months", "count": 2}, "schedule": {"days": ["Monday"]}},
    }
    monthly = plan["monthlySchedule"]
    assert (monthly["dayNumberInMonth"], monthly["dayOfWeek"], monthly["sendBackupsToArchive"]) == ("Last", "Friday", True)
    assert monthly["backupOptions"]["schedule"] == {"months": ["January", "December"]}
    assert plan["yearlySchedule"] == {
        "timeLocal": "03:00",
        "dayNumberInMonth": "OnDay",
        "dayOfMonth": 31,
        "month": "December",
        "retention": {"type": "Years", "count": 7},
        "sendBackupsToArchive": False,
    }
    old = get(bench, "/virtualMachines/policies", V10)["results"][0]["scheduleSettings"]
    assert old["weeklySchedule"]["timeLocal"] == "0001-01-01T07:00:00"
    assert "sendBackupsToArchive" not in old["yearlySchedule"]


def test_targets_scripts_and_mail_read_as_clients_expect(bench: Bench) -> None:
    row = add_everything(bench)
    assert [one.get("encryptionKey") for one in row["replicaSettings"]["mapping"]] == [None, "alias/x", "alias/x"]
    assert [one["encryptOnlyEncryptedVolumes"] for one in row["replicaSettings"]["mapping"]] == [False, True, True]
    assert [one["sourceRegionId"] for one in row["replicaSettings"]["mapping"]] == row["regionIds"]
    assert row["snapshotSettings"]["tryCreateVSSSnapshot"] is True
    assert row["snapshotSettings"]["additionalTags"] == [{"key": "made-by", "value": "holdfast"}]
    scripts = row["snapshotSettings"]["snapshotScripts"]
    assert scripts["windowsScript"] == {"enabled": False}
    assert scripts["linuxScript"]["preSnapshotScript"] == "/opt/freeze.sh"
    assert scripts["linuxScript"]["runOnlyForBackupSnapshots"] is True
    volumes = row["excludedItems"]["excludedVolumes"]
    assert volumes["excludeSystemVolumes"] is True
    assert [one["type"] for one in volumes["excludedItems"]] == ["Volume", "Tag"]
    mail = row["policyNotificationSettings"]
    assert (mail["email"], mail["notifyOnSuccess"], mail["notifyOnFailure"]) == ("a@example.com;b@example.com", False, True)
    old = get(bench, "/virtualMachines/policies", V10)["results"][0]
    assert old["policyNotificationSettings"]["recipient"] == "a@example.com;b@example.com"
    assert old["replicaSettings"]["mapping"][0]["targetAmazonAccountId"] == str(bench.home.id)


def test_policies_that_follow_templates_are_another_collection(bench: Bench) -> None:
    template = make_sla_template()
    with bench.store.transaction() as tx:
        tx.sla_templates.add(template)
        tx.policies.add(make_policy(bench.home, kind=PolicyKind.SLA, sla_template_id=template.id, schedule=None))
    assert get(bench, "/virtualMachines/policies")["results"] == []


def test_hours_are_booleans_and_the_account_has_its_old_name_before_1_2(bench: Bench) -> None:
    add_estate(bench)
    row = get(bench, "/virtualMachines/policies", V10, Sort="priorityAsc")["results"][0]
    hours = row["scheduleSettings"]["dailySchedule"]["snapshotOptions"]["schedule"]["hours"]
    assert hours == [hour in (1, 13) for hour in range(24)]
    assert row["amazonAccountId"] == str(bench.home.id)
    assert get(bench, "/virtualMachines/policies", {"x-api-version": "1.3-rev0"})["results"][0]["IAMRoleId"]


def test_policy_filters(bench: Bench) -> None:
    estate = add_estate(bench)

    def names(**params: Any) -> list[str]:
        return [row["name"] for row in get(bench, "/virtualMachines/policies", Sort="nameAsc", **params)["results"]]

    assert names() == ["gold", "off"]
    assert names(IsEnabled="False") == ["off"]
    assert names(VirtualMachineId=str(estate["lab"].id)) == ["off"]
    assert names(VirtualMachineId=str(estate["web"].id)) == ["gold"]
    assert names(VirtualMachineId=str(UUID(int=0))) == ["gold", "off"]
    assert names(RepositoryId=str(estate["repository"].id)) == ["gold"]
    assert names(LastPolicySessionStatus="NeverExecuted") == ["gold", "off"]
    assert names(LastPolicySessionStatus="Running") == []
    assert names(SearchPattern="GO") == ["gold"]
