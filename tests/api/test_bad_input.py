"""Bad input, and bad luck, as people meet it: what each gives. The table is the documentation of our messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from server.adapters.blobs.faulty import Faults, FaultyBlobs
from server.adapters.blobs.memory import MemoryBlobs
from server.api.graphql.scalars import global_id
from server.domain.access import Role
from server.domain.errors import AwsAccessDenied, AwsCredentials, AwsNotFound, AwsRejected, DatabaseDown, Throttled
from server.domain.policy import Policy
from server.domain.restore import PointState
from server.domain.scope import Scope
from server.domain.session import SessionKind, State
from server.repository.repository import Repository
from tests.api.bench import OTHER_NUMBER, ROLE_ARN, Bench
from tests.contracts.entities import NOW
from tests.contracts.entities import point as make_point
from tests.contracts.entities import policy as make_policy
from tests.contracts.entities import repository as make_repository
from tests.contracts.entities import resource as make_resource
from tests.contracts.entities import session as make_session

PASSWORD = "a repository password"
NOBODY = global_id("Policy", UUID(int=7))


@dataclass(frozen=True)
class Case:
    """``given`` prepares the appliance and may return values for the input; ``fields`` are the inputs blamed."""

    name: str
    mutation: str
    input: dict[str, Any]
    code: str
    message: str
    remedy: str | None = None
    fields: tuple[str, ...] = ()
    given: Callable[[Bench], dict[str, Any] | None] = field(default=lambda _bench: None)


# ---- what goes wrong around us ------------------------------------------------------------------------------------------


def sts_says(answer: Any) -> Callable[[Bench], None]:
    def given(bench: Bench) -> None:
        bench.aws.answers["sts", "get_caller_identity"] = answer

    return given


def bucket_is(blobs: Any) -> Callable[[Bench], None]:
    def given(bench: Bench) -> None:
        bench.buckets["backups"] = blobs(bench) if callable(blobs) else blobs

    return given


def foreign_folder(bench: Bench) -> MemoryBlobs:
    blobs = MemoryBlobs(clock=bench.clock)
    blobs.put("holiday/beach.jpg", b"not ours")
    return blobs


def owned_by(owner: UUID | None, password: str = PASSWORD) -> Callable[[Bench], MemoryBlobs]:
    def make(bench: Bench) -> MemoryBlobs:
        blobs = MemoryBlobs(clock=bench.clock)
        Repository.create(blobs, password, clock=bench.clock, owner=owner or bench.services.owner_id())
        return blobs

    return make


def full_disk(bench: Bench) -> FaultyBlobs:
    return FaultyBlobs(MemoryBlobs(clock=bench.clock), bench.clock, seed=1, faults=Faults(full=1.0))


def existing_policy(bench: Bench) -> dict[str, Any]:
    policy = make_policy(bench.home, name="nightly")
    with bench.store.transaction() as tx:
        tx.policies.add(policy)
    return {"id": global_id("Policy", policy.id)}


def plain_policy(bench: Bench) -> dict[str, Any]:
    """One that could be saved as it is."""
    scope = Scope(account_id=bench.home.id, regions=("us-east-1",))
    policy = Policy(id=UUID(int=5), name="nightly", scope=scope, created_at=NOW, updated_at=NOW)
    with bench.store.transaction() as tx:
        tx.policies.add(policy)
    return {"id": global_id("Policy", policy.id)}


def running_policy(bench: Bench) -> dict[str, Any]:
    policy = make_policy(bench.home, name="nightly")
    session = make_session(state=State.RUNNING, started_at=NOW, policy_id=policy.id)
    with bench.store.transaction() as tx:
        tx.policies.add(policy)
        tx.sessions.add(session)
    return {"id": global_id("Policy", policy.id)}


def stale_policy(bench: Bench) -> dict[str, Any]:
    return {"id": existing_policy(bench)["id"], "policy": {**POLICY, "scope": {**SCOPE, "accountId": bench.home_id}}}


def used_repository(bench: Bench) -> dict[str, Any]:
    repository = make_repository(bench.home, name="main")
    with bench.store.transaction() as tx:
        tx.repositories.add(repository)
        tx.policies.add(make_policy(bench.home, name="nightly", repository_id=repository.id))
    return {"id": global_id("Repository", repository.id)}


def finished_session(bench: Bench) -> dict[str, Any]:
    session = make_session(name="nightly", state=State.SUCCESS, started_at=NOW, ended_at=NOW)
    with bench.store.transaction() as tx:
        tx.sessions.add(session)
    return {"id": global_id("Session", session.id)}


def point(bench: Bench, **changes: Any) -> dict[str, Any]:
    server = make_resource(bench.home, name="web")
    made = make_point(server, **changes)
    with bench.store.transaction() as tx:
        tx.resources.add(server)
        tx.points.add(made)
    return {"pointId": global_id("RestorePoint", made.id)}


def with_zones(bench: Bench) -> dict[str, Any]:
    bench.aws.answers["ec2", "describe_availability_zones"] = {"AvailabilityZones": [{"ZoneName": "us-east-1a"}]}
    return point(bench)


def point_being_restored(bench: Bench) -> dict[str, Any]:
    id = point(bench)["pointId"]
    session = make_session(kind=SessionKind.VOLUME_RESTORE, document={"pointId": str(_uuid(id))})
    with bench.store.transaction() as tx:
        tx.sessions.add(session)
    return {"ids": [id]}


def _uuid(id: str) -> UUID:
    from server.api.graphql.scalars import local_id

    return local_id("RestorePoint", id)


def escape(bench: Bench) -> None:
    bench.local_root.mkdir(parents=True)
    (bench.local_root / "link").symlink_to("/etc")


def other_account_resource(bench: Bench) -> dict[str, Any]:
    from tests.contracts.entities import account as make_account

    other = make_account()
    server = make_resource(other, name="far-away")
    with bench.store.transaction() as tx:
        tx.accounts.add(other)
        tx.resources.add(server)
    ids = [global_id("Resource", server.id)]
    return {"scope": {**SCOPE, "accountId": bench.home_id, "mode": "LISTED", "resourceIds": ids}}


# ---- inputs -------------------------------------------------------------------------------------------------------------

ACCOUNT = {"name": "second", "roleArn": ROLE_ARN}
S3 = {"name": "main", "kind": "S3", "accountId": "HOME", "region": "us-east-1", "location": "backups", "password": PASSWORD}
LOCAL = {"name": "disk", "kind": "LOCAL", "location": "first", "password": PASSWORD}
SCOPE = {"accountId": "HOME", "regions": ["us-east-1"], "mode": "ALL"}
POLICY = {"name": "nightly", "scope": SCOPE}
SIX = {"snapshot": {"slots": [6], "count": 7}}
MONDAYS = {"hour": 7, "snapshot": {"slots": [0], "count": 2}}
FIRST = {"hour": 8, "day": {"weekday": "MONDAY"}, "snapshot": {"slots": [1], "count": 1}}
VOLUMES = {"accountId": "HOME", "region": "us-east-1", "zone": "us-east-1a"}


def daily(**rules: Any) -> dict[str, Any]:
    """A policy that makes snapshots at six, and what ``rules`` say."""
    return {**POLICY, "schedule": {"daily": {**SIX, **rules}}}


CASES = [
    # accounts
    Case("role ARN that is none", "addAccount", {**ACCOUNT, "roleArn": "arn:aws:iam::12:role/x"}, "INVALID_INPUT",
         "A role's ARN looks like arn:aws:iam::123456789012:role/HoldfastBackup.", fields=("roleArn",)),
    Case("role that cannot be assumed", "addAccount", {**ACCOUNT, "externalId": "wrong"}, "INVALID_INPUT",
         f"The role {ROLE_ARN} cannot be assumed: not authorized.", remedy="Check the external id.",
         fields=("roleArn", "externalId"),
         given=sts_says(AwsAccessDenied(f"The role {ROLE_ARN} cannot be assumed: not authorized.",
                                        remedy="Check the external id."))),
    Case("role of another account", "addAccount", ACCOUNT, "INVALID_INPUT",
         f"The role answered for account 999999999999, its ARN names {OTHER_NUMBER}.", fields=("roleArn",),
         given=sts_says({"Account": "999999999999"})),
    Case("external id with a space", "addAccount", {**ACCOUNT, "externalId": "a b"}, "INVALID_INPUT",
         "An external id has 2 to 1224 characters: letters, digits and +=,.@:/-_.", fields=("externalId",)),
    Case("account without a name", "addAccount", {**ACCOUNT, "name": "  "}, "INVALID_INPUT",
         "A name has 1 to 127 characters.", fields=("name",)),
    Case("account name taken", "addAccount", {**ACCOUNT, "name": "HOME account"}, "CONFLICT",
         "There is an account named HOME account already.", fields=("name",)),
    Case("AWS throttles", "addAccount", ACCOUNT, "THROTTLED",
         "AWS throttles sts:GetCallerIdentity in us-east-1: Rate exceeded.",
         given=sts_says(Throttled("AWS throttles sts:GetCallerIdentity in us-east-1: Rate exceeded."))),
    Case("no AWS credentials", "addAccount", ACCOUNT, "AWS_CREDENTIALS",
         "The appliance has no usable AWS credentials: none found.", remedy="Give the machine an instance profile.",
         given=sts_says(AwsCredentials("The appliance has no usable AWS credentials: none found.",
                                       remedy="Give the machine an instance profile."))),
    Case("home account removed", "removeAccount", {"id": "HOME"}, "CONFLICT",
         "The home account cannot be removed: it is the appliance's own."),
    # repositories
    Case("missing bucket", "addRepository", S3, "INVALID_INPUT", "There is no bucket backups.", remedy="Check its name.",
         fields=("location",), given=bucket_is(AwsNotFound("There is no bucket backups.", remedy="Check its name."))),
    Case("bucket we may not use", "addRepository", S3, "INVALID_INPUT", "AWS denies s3:ListBucket on s3://backups.",
         fields=("location",), given=bucket_is(AwsAccessDenied("AWS denies s3:ListBucket on s3://backups."))),
    Case("bucket in another Region", "addRepository", S3, "INVALID_INPUT", "The bucket backups is not in us-east-1.",
         fields=("region",), given=bucket_is(AwsRejected("The bucket backups is not in us-east-1."))),
    Case("wrong repository password", "addRepository", {**S3, "password": "not the password"}, "INVALID_INPUT",
         "There is a repository at s3://backups, and this does not open it: The repository password is wrong.",
         fields=("password",),
         given=bucket_is(owned_by(None))),
    Case("folder with other files", "addRepository", S3, "INVALID_INPUT",
         "What lies at memory://memory is not a Holdfast repository.", fields=("location",), given=bucket_is(foreign_folder)),
    Case("repository of another appliance", "addRepository", S3, "CONFLICT",
         "*belongs to the appliance*", fields=("takeOver",), given=bucket_is(owned_by(uuid4()))),
    Case("disk full", "addRepository", S3, "STORAGE_FULL", "No space left in memory://memory.", remedy="Free space.",
         given=bucket_is(full_disk)),
    Case("local folder outside the allowed one", "addRepository", {**LOCAL, "location": "/etc"}, "INVALID_INPUT",
         "/etc is not a folder beneath *", fields=("location",)),
    Case("local folder that climbs out", "addRepository", {**LOCAL, "location": "../../etc"}, "INVALID_INPUT",
         "../../etc is not a folder beneath *", fields=("location",)),
    Case("local folder through a link", "addRepository", {**LOCAL, "location": "link/x"}, "INVALID_INPUT",
         "link/x is not a folder beneath *", fields=("location",), given=escape),
    Case("short repository password", "addRepository", {**LOCAL, "password": "short"}, "INVALID_INPUT",
         "A repository's password has 8 to 1024 characters.", fields=("password",)),
    Case("bucket name that is none", "addRepository", {**S3, "location": "My_Bucket"}, "INVALID_INPUT",
         "A bucket's name has 3 to 63 small letters, digits, dots and hyphens.", fields=("location",)),
    Case("folder that climbs", "addRepository", {**S3, "prefix": "a/../b"}, "INVALID_INPUT",
         "A folder is at most 512 letters, digits and !-_.*'()/=+@, without '..'.", fields=("prefix",)),
    Case("bucket without account and Region", "addRepository", {**S3, "accountId": None, "region": None}, "INVALID_INPUT",
         "Choose the account whose bucket this is.", fields=("accountId", "region")),
    Case("repository Region typo", "addRepository", {**S3, "region": "us-esat-1"}, "INVALID_INPUT",
         "'us-esat-1' is not an AWS Region. Did you mean us-east-1?", fields=("region",)),
    Case("repository in use removed", "removeRepository", {}, "CONFLICT", "The policy nightly backs up into main.",
         remedy="Give the policy another repository, or delete it, first.", given=used_repository),
    # policies
    Case("policy Region typo", "createPolicy", {**POLICY, "scope": {**SCOPE, "regions": ["eu-centrall-1"]}}, "INVALID_INPUT",
         "The policy cannot be saved: Unknown Region 'eu-centrall-1'. Did you mean eu-central-1?", fields=("scope.regions",)),
    Case("policy without Regions", "createPolicy", {**POLICY, "scope": {**SCOPE, "regions": []}}, "INVALID_INPUT",
         "The policy cannot be saved: Choose at least one Region.", fields=("scope.regions",)),
    Case("policy without a name", "createPolicy", {**POLICY, "name": " "}, "INVALID_INPUT",
         "The policy cannot be saved: Give the policy a name.", fields=("name",)),
    Case("policy name taken", "createPolicy", POLICY, "CONFLICT", "There is a policy named nightly already.", fields=("name",),
         given=lambda bench: existing_policy(bench) and None),
    Case("hour 24", "createPolicy", daily(snapshot={"slots": [24], "count": 7}), "INVALID_INPUT",
         "The policy cannot be saved: Hours are 0 to 23.", fields=("schedule.daily.snapshot.slots",)),
    Case("backup without a snapshot", "createPolicy", daily(backup={"slots": [7], "period": {"amount": 30}}), "INVALID_INPUT",
         "The policy cannot be saved: A backup needs a snapshot of the same hour: select the hour for snapshots too.",
         fields=("schedule.daily.backup.slots", "repositoryId")),
    Case("backup without a repository", "createPolicy", daily(backup={"slots": [6], "period": {"amount": 30}}),
         "INVALID_INPUT",
         "The policy cannot be saved: Backups need a repository: choose one, or clear their times.",
         fields=("repositoryId",)),
    Case("time zone that is none", "createPolicy", {**POLICY, "schedule": {"daily": SIX, "timezone": "Europe/Berlinn"}},
         "INVALID_INPUT",
         "The policy cannot be saved: Unknown time zone 'Europe/Berlinn': use an IANA name such as Europe/Berlin.",
         fields=("schedule.timezone",)),
    Case("retention of no day", "createPolicy", {**POLICY, "retention": {"backups": {"amount": 0}}}, "INVALID_INPUT",
         "The policy cannot be saved: Keep backups between 1 and 36135 days.", fields=("retention.backups",)),
    Case("monthly at another hour than weekly", "createPolicy", {**POLICY, "schedule": {"weekly": MONDAYS, "monthly": FIRST}},
         "INVALID_INPUT",
         "The policy cannot be saved: "
         "The monthly schedule goes with the weekly one: choose 07:00, or a fixed day of the month.",
         fields=("schedule.monthly.hour",)),
    Case("SLA policy without a template", "createPolicy", {**POLICY, "kind": "SLA"}, "INVALID_INPUT",
         "The policy cannot be saved: Choose an SLA template.", fields=("slaTemplateId",)),
    Case("SLA template that is not known", "createPolicy",
         {**POLICY, "kind": "SLA", "slaTemplateId": global_id("SlaTemplate", UUID(int=9))}, "INVALID_INPUT",
         "The policy cannot be saved: There is no such SLA template.", fields=("slaTemplateId",)),
    Case("six tags", "createPolicy", {**POLICY, "tags": [{"key": f"t{n}"} for n in range(6)]}, "INVALID_INPUT",
         "The policy cannot be saved: At most 5 tags of your own.", fields=("tags",)),
    Case("copies to where the snapshots are", "createPolicy",
         {**POLICY, "replicas": [{"accountId": "HOME", "region": "us-east-1"}]}, "INVALID_INPUT",
         "The policy cannot be saved: "
         "Snapshots of us-east-1 would be copied to where they are: choose another Region or account for them.",
         fields=("replicas.0.region",)),
    Case("copies to a Region typo", "createPolicy", {**POLICY, "replicas": [{"accountId": "HOME", "region": "eu-wets-1"}]},
         "INVALID_INPUT", "The policy cannot be saved: Unknown Region 'eu-wets-1'. Did you mean eu-west-1?",
         fields=("replicas.0.region",)),
    Case("recipient that is none", "createPolicy", {**POLICY, "notifications": {"recipients": ["ops"]}}, "INVALID_INPUT",
         "The policy cannot be saved: 'ops' is no mail address: one looks like ops@example.com.",
         fields=("notifications.recipients.0",)),
    Case("script that does not run", "createPolicy",
         {**POLICY, "guest": {"linux": {"pre": {"path": "/opt/freeze.exe"}}}}, "INVALID_INPUT",
         "The policy cannot be saved: The script must be one of: SH.", fields=("guest.linux.pre.path",)),
    Case("clone without a name", "clonePolicy", {"name": " "}, "INVALID_INPUT",
         "The policy cannot be saved: Give the policy a name.", fields=("name",), given=plain_policy),
    Case("unknown resource added", "addToPolicy", {"resourceIds": [global_id("Resource", UUID(int=9))]}, "INVALID_INPUT",
         "1 of these resources are not known: rescan, then choose again.", fields=("resourceIds",),
         given=lambda bench: {"policyId": existing_policy(bench)["id"]}),
    Case("resource that is not known", "createPolicy",
         {**POLICY, "scope": {**SCOPE, "mode": "LISTED", "resourceIds": [global_id("Resource", UUID(int=9))]}}, "INVALID_INPUT",
         "The policy cannot be saved: 1 of these resources are not known: rescan, then choose again.",
         fields=("scope.resourceIds",)),
    Case("resource of another account", "createPolicy", POLICY, "INVALID_INPUT",
         "The policy cannot be saved: far-away is in another account.", fields=("scope.resourceIds",),
         given=other_account_resource),
    Case("account that is not known", "createPolicy",
         {**POLICY, "scope": {**SCOPE, "accountId": global_id("Account", UUID(int=9))}}, "INVALID_INPUT",
         "The policy cannot be saved: There is no such account.", fields=("scope.accountId",)),
    Case("repository that is not known", "createPolicy", {**POLICY, "repositoryId": global_id("Repository", UUID(int=9))},
         "INVALID_INPUT", "The policy cannot be saved: There is no such repository.", fields=("repositoryId",)),
    Case("workload that is not known", "createPolicy", {**POLICY, "workload": "vax"}, "INVALID_INPUT",
         "The policy cannot be saved: Unknown workload 'vax': choose one of ec2.", fields=("workload",)),
    Case("id of something else", "createPolicy", {**POLICY, "repositoryId": NOBODY}, "INVALID_INPUT",
         "repositoryId is the id of a Policy, not of a Repository.", fields=("repositoryId",)),
    Case("id that is none", "deletePolicy", {"id": "policy-1"}, "INVALID_INPUT",
         "'policy-1' is not an id of this appliance.", fields=("id",)),
    Case("policy that is gone", "deletePolicy", {"id": NOBODY}, "NOT_FOUND", "There is no such policy.",
         remedy="It may have been removed; reload the list."),
    Case("policy changed meanwhile", "updatePolicy", {"edition": 7}, "CONFLICT",
         "nightly was changed meanwhile: it is at edition 1, not 7.", remedy="Read it again and repeat the change.",
         fields=("edition",), given=stale_policy),
    Case("policy started twice", "startPolicy", {}, "CONFLICT",
         "The policy nightly is still running, since 2026-11-22 12:00 UTC.",
         remedy="Wait for the session to end, or cancel it.", given=running_policy),
    Case("clientMutationId without end", "createPolicy", {**POLICY, "clientMutationId": "x" * 129}, "INVALID_INPUT",
         "clientMutationId has 1 to 128 characters.", fields=("clientMutationId",)),
    # sessions, rescans, restores
    Case("rescan Region typo", "rescan", {"accountId": "HOME", "regions": ["us-esat-1"]}, "INVALID_INPUT",
         "Not enabled for the account: us-esat-1. Choose from eu-central-1, us-east-1.", fields=("regions",)),
    Case("finished session cancelled", "cancelSession", {}, "CONFLICT", "nightly has already ended.", given=finished_session),
    Case("restore from a deleted point", "startVolumeRestore", VOLUMES, "CONFLICT",
         "The snapshot of web of 2026-11-22 12:00 UTC has been deleted.", remedy="Choose another restore point.",
         given=lambda bench: point(bench, state=PointState.DELETED)),
    Case("restore of a snapshot elsewhere", "startVolumeRestore", {**VOLUMES, "region": "eu-central-1"}, "INVALID_INPUT",
         "A snapshot is restored in its own Region, us-east-1; use a backup to restore into another.", fields=("region",),
         given=point),
    Case("restore into a zone that is none", "startVolumeRestore", {**VOLUMES, "zone": "us-east-1z"}, "INVALID_INPUT",
         "us-east-1 has no Availability Zone us-east-1z: choose one of us-east-1a.", fields=("zone",), given=with_zones),
    Case("point in use deleted", "deleteRestorePoints", {}, "CONFLICT",
         "The snapshot of web of 2026-11-22 12:00 UTC is in use: it is being made, restored from or archived.",
         remedy="Wait for that to end, or cancel it.", given=point_being_restored),
    Case("no point named", "deleteRestorePoints", {"ids": []}, "INVALID_INPUT", "Name the restore points to delete.",
         fields=("ids",)),
]  # fmt: skip

ANSWERS = {"deletePolicy": "id", "removeAccount": "id", "removeRepository": "id"}
INPUTS = {
    "addAccount": "AddAccountInput",
    "addRepository": "AddRepositoryInput",
    "createPolicy": "PolicyInput",
    "updatePolicy": "UpdatePolicyInput",
    "startPolicy": "StartPolicyInput",
    "clonePolicy": "ClonePolicyInput",
    "addToPolicy": "AddToPolicyInput",
    "rescan": "RescanInput",
    "startVolumeRestore": "VolumeRestoreInput",
    "deleteRestorePoints": "DeletePointsInput",
}


def at_home(value: Any, bench: Bench) -> Any:
    """HOME stands for the home account's id, which the table cannot know."""
    if isinstance(value, dict):
        return {name: at_home(inner, bench) for name, inner in value.items()}
    if isinstance(value, list):
        return [at_home(inner, bench) for inner in value]
    return bench.home_id if value == "HOME" else value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_says_what_is_wrong_and_what_to_do(bench: Bench, case: Case) -> None:
    given = case.given(bench) or {}
    variables = {"in": {**at_home(case.input, bench), **given}}
    answer = ANSWERS.get(case.mutation, "clientMutationId")
    document = f"mutation($in: {INPUTS.get(case.mutation, 'IdInput')}!) {{ {case.mutation}(input: $in) {{ {answer} }} }}"
    error = bench.error(document, variables)
    extensions = error["extensions"]
    assert extensions["code"] == case.code, error
    if "*" in case.message:
        assert case.message.strip("*") in error["message"]
    else:
        assert error["message"] == case.message
    assert tuple(extensions.get("fields", {})) == case.fields
    if case.remedy is not None:
        assert extensions["remedy"] == case.remedy


def test_the_table_is_long_enough() -> None:
    assert len(CASES) >= 30
    assert len({case.name for case in CASES}) == len(CASES)


# ---- reading ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "code", "message"),
    [
        ("{ policies(first: 0) { totalCount } }", "INVALID_INPUT", "first must be 1 to 100, not 0."),
        ("{ policies(first: 101) { totalCount } }", "INVALID_INPUT", "first must be 1 to 100, not 101."),
        ("{ policies(first: 5, offset: -1) { totalCount } }", "INVALID_INPUT", "offset must be 0 to 1000000, not -1."),
        ('{ policies(first: 5, after: "x") { totalCount } }', "INVALID_INPUT", "This is not a cursor of this list."),
        ('{ sessions(first: 5, filter: {from: "soon"}) { totalCount } }', "INVALID_QUERY", "*'soon' is no DateTime*"),
        ("{ policies { totalCount } }", "INVALID_QUERY", "*of type 'Int!' is required*"),
        ("{ polices(first: 5) { totalCount } }", "INVALID_QUERY", "*Did you mean 'policies'*"),
        ("{ policies(first: 5) { ", "INVALID_QUERY", "Syntax Error: Expected Name, found <EOF>."),
        ('{ restoreTargets(accountId: "HOME", region: "us-esat-1") { zones } }', "INVALID_INPUT",
         "'us-esat-1' is not an AWS Region. Did you mean us-east-1?"),
    ],
)  # fmt: skip
def test_bad_questions(bench: Bench, document: str, code: str, message: str) -> None:
    error = bench.error(document.replace("HOME", bench.home_id))
    assert error["extensions"]["code"] == code
    if "*" in message:
        assert message.strip("*") in error["message"]
    else:
        assert error["message"] == message


def test_an_expired_token_says_so_at_both_doors(bench: Bench) -> None:
    headers = bench.header(Role.VIEWER)
    bench.clock.advance(timedelta(hours=1))
    error = bench.error("{ me { name } }", role=Role.VIEWER)
    assert (error["message"], error["extensions"]["code"]) == ("The access token has expired.", "TOKEN_EXPIRED")
    body = bench.client.get("/api/v1/sessions", headers=headers).json()
    assert (body["status"], body["errorCode"]) == (401, "ExpiredToken")
    assert body["details"] == "The access token has expired. Refresh it, or sign in again."


def test_a_database_that_is_down_is_said_at_both_doors(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = bench.header(Role.VIEWER)

    def down(*_args: object) -> None:
        raise DatabaseDown("The database does not answer: refused.", remedy="Check that PostgreSQL runs.")

    monkeypatch.setattr(type(bench.store), "transaction", down)
    error = bench.error("{ me { name } }", role=Role.VIEWER)
    assert error["message"] == "The database does not answer: refused."
    assert error["extensions"] == {"code": "DATABASE_DOWN", "remedy": "Check that PostgreSQL runs."}
    answer = bench.client.get("/api/v1/sessions", headers=headers)
    assert (answer.status_code, answer.json()["errorCode"]) == (503, "ServiceUnavailable")
