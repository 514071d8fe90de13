"""AWS accounts and Regions through the door."""

from __future__ import annotations

from typing import Any

from server.domain.access import SYSTEM, Role
from server.domain.errors import AwsCredentials
from server.domain.workload import AccountState
from server.services import accounts
from tests.api.bench import OTHER_NUMBER, ROLE_ARN, Bench
from tests.contracts.entities import policy as make_policy
from tests.contracts.entities import resource as make_resource

ADD = "mutation($in: AddAccountInput!) { addAccount(input: $in) { account { id name state awsAccountId roleArn isHome } } }"
REMOVE = "mutation($in: IdInput!) { removeAccount(input: $in) { id } }"
CHECK = "mutation($in: IdInput!) { checkAccount(input: $in) { account { state problem awsAccountId checkedAt } } }"


def add(bench: Bench, **changes: Any) -> dict[str, Any]:
    bench.aws.answers["sts", "get_caller_identity"] = {"Account": OTHER_NUMBER}
    given = {"name": "second", "roleArn": ROLE_ARN, "externalId": "between-us", **changes}
    made: dict[str, Any] = bench.data(ADD, {"in": given})["addAccount"]["account"]
    return made


def test_an_account_is_added_after_its_role_was_assumed(bench: Bench) -> None:
    made = add(bench)
    assert made["state"] == "AVAILABLE"
    assert made["awsAccountId"] == OTHER_NUMBER
    assert made["isHome"] is False
    asked = bench.aws.asked[-1]
    assert (asked.place.role_arn, asked.place.external_id) == (ROLE_ARN, "between-us")


def test_the_external_id_is_never_shown(bench: Bench) -> None:
    made = add(bench)
    with bench.store.transaction() as tx:
        account = tx.accounts.find(name="second")
    assert account is not None
    assert account.external_id == "between-us"
    assert "externalId" not in bench.data('{ __type(name: "Account") { fields { name } } }')["__type"].__str__()
    assert "between-us" not in str(made)


def test_a_dry_run_assumes_the_role_and_adds_nothing(bench: Bench) -> None:
    assert add(bench, dryRun=True)["awsAccountId"] == OTHER_NUMBER
    assert bench.data("{ accounts(first: 9) { totalCount } }")["accounts"]["totalCount"] == 1


def test_adding_again_under_a_key_is_the_same_account(bench: Bench) -> None:
    assert add(bench, clientMutationId="k") == add(bench, clientMutationId="k")


def test_checking_notes_what_aws_says(bench: Bench) -> None:
    bench.aws.answers["sts", "get_caller_identity"] = AwsCredentials("The appliance has no usable AWS credentials: none.")
    found = bench.data(CHECK, {"in": {"id": bench.home_id}})["checkAccount"]["account"]
    assert found["state"] == "UNAVAILABLE"
    assert "no usable AWS credentials" in found["problem"]
    assert "instance profile" in found["problem"]
    bench.aws.answers["sts", "get_caller_identity"] = {"Account": "123456789012"}
    found = bench.data(CHECK, {"in": {"id": bench.home_id}})["checkAccount"]["account"]
    assert (found["state"], found["problem"]) == ("AVAILABLE", None)


def test_the_home_account_is_made_once(bench: Bench) -> None:
    assert accounts.ensure_home(bench.services).id == bench.home.id
    assert bench.data("{ accounts(first: 9) { totalCount } }")["accounts"]["totalCount"] == 1


def test_the_home_account_is_made_on_an_empty_database(bench: Bench) -> None:
    with bench.store._engine.begin() as connection:
        connection.exec_driver_sql("TRUNCATE accounts CASCADE")
    made = accounts.ensure_home(bench.services)
    assert made.is_home
    assert accounts.ensure_home(bench.services).id == made.id


def test_an_account_goes_with_its_resources_unless_it_is_needed(bench: Bench) -> None:
    made = add(bench)
    with bench.store.transaction() as tx:
        account = tx.accounts.find(name="second")
        assert account is not None
        tx.resources.add(make_resource(account))
        policy = make_policy(account)
        tx.policies.add(policy)
    error = bench.error(REMOVE, {"in": {"id": made["id"]}})
    assert error["extensions"]["code"] == "CONFLICT"
    assert policy.name in error["message"]
    with bench.store.transaction() as tx:
        tx.policies.remove(policy.id)
    bench.data(REMOVE, {"in": {"id": made["id"]}})
    assert bench.data("{ resources(first: 1) { totalCount } }")["resources"]["totalCount"] == 0
    assert bench.error(REMOVE, {"in": {"id": bench.home_id}})["message"].startswith("The home account cannot be removed")


def test_regions_of_an_account_are_counted(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        tx.resources.add(make_resource(bench.home, region="eu-central-1"))
        tx.resources.add(make_resource(bench.home, region="eu-central-1", present=False))
    document = "query($id: ID) { regions(accountId: $id) { name title resourceCount } }"
    assert bench.data(document, {"id": bench.home_id})["regions"] == [
        {"name": "eu-central-1", "title": "Europe (Frankfurt)", "resourceCount": 1},
        {"name": "us-east-1", "title": "US East (N. Virginia)", "resourceCount": 0},
    ]
    assert len(bench.data(document, {"id": None})["regions"]) > 30


def test_restore_targets_list_what_a_restore_can_use(bench: Bench) -> None:
    bench.aws.answers |= {
        ("ec2", "describe_availability_zones"): {"AvailabilityZones": [{"ZoneName": "us-east-1b"}, {"ZoneName": "us-east-1a"}]},
        ("ec2", "describe_subnets"): {
            "Subnets": [
                {"SubnetId": "subnet-1", "VpcId": "vpc-1", "AvailabilityZone": "us-east-1a", "CidrBlock": "10.0.0.0/24",
                 "Tags": [{"Key": "Name", "Value": "apps"}]}
            ]
        },
        ("ec2", "describe_security_groups"): {"SecurityGroups": [{"GroupId": "sg-1", "GroupName": "web", "VpcId": "vpc-1"}]},
        ("ec2", "describe_instance_type_offerings"): {"InstanceTypeOfferings": [{"InstanceType": "t3.small"}]},
        ("iam", "list_instance_profiles"): {"InstanceProfiles": [{"InstanceProfileName": "app"}]},
    }  # fmt: skip
    document = """query($id: ID!) { restoreTargets(accountId: $id, region: "us-east-1") { zones instanceTypes instanceProfiles
        subnets { id name vpcId zone cidr } securityGroups { id name vpcId } } }"""
    found = bench.data(document, {"id": bench.home_id}, role=Role.RESTORE_OPERATOR)["restoreTargets"]
    assert found["zones"] == ["us-east-1a", "us-east-1b"]
    assert found["subnets"][0]["name"] == "apps"
    assert found["securityGroups"] == [{"id": "sg-1", "name": "web", "vpcId": "vpc-1"}]
    assert (found["instanceTypes"], found["instanceProfiles"]) == (["t3.small"], ["app"])


def test_a_rescan_is_a_session_per_key(bench: Bench) -> None:
    document = "mutation($in: RescanInput!) { rescan(input: $in) { session { id kind tasks { kind } } } }"
    given = {"accountId": bench.home_id, "clientMutationId": "r1"}
    first = bench.data(document, {"in": given}, role=Role.OPERATOR)["rescan"]["session"]
    assert first["kind"] == "RESCAN"
    assert [task["kind"] for task in first["tasks"]] == ["RESCAN", "RESCAN"]
    assert bench.data(document, {"in": given}, role=Role.OPERATOR)["rescan"]["session"]["id"] == first["id"]


def test_workloads_say_which_permissions_they_need(bench: Bench) -> None:
    [ec2] = bench.data("{ workloads { kind title permissions { name actions } } }", role=Role.VIEWER)["workloads"]
    assert ec2["kind"] == "ec2"
    actions = {one["name"]: one["actions"] for one in ec2["permissions"]}
    assert "ec2:CreateSnapshots" in actions["snapshot"]


def test_the_appliance_itself_may_check(bench: Bench) -> None:
    assert accounts.check(bench.services, SYSTEM, bench.home.id).state is AccountState.AVAILABLE
