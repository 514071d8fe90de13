"""Instances and EC2 policies over REST."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from server.domain.policy import DailySchedule, Scope, SelectionMode, TagMatch, Weekday
from server.domain.restore import Leg
from tests.api.bench import Bench
from tests.api.test_rest import V10, get
from tests.contracts.entities import point as make_point
from tests.contracts.entities import policy as make_policy
from tests.contracts.entities import repository as make_repository
from tests.contracts.entities import resource as make_resource


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
        schedule=DailySchedule(snapshot_hours=(1, 13), backup_hours=(13,), days=(Weekday.MONDAY, Weekday.FRIDAY)),
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
