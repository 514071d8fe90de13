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
from server.domain.restore import PointState
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


# ---- inputs -------------------------------------------------------------------------------------------------------------

ACCOUNT = {"name": "second", "roleArn": ROLE_ARN}
S3 = {"name": "main", "kind": "S3", "accountId": "HOME", "region": "us-east-1", "location": "backups", "password": PASSWORD}
LOCAL = {"name": "disk", "kind": "LOCAL", "location": "first", "password": PASSWORD}
VOLUMES = {"accountId": "HOME", "region": "us-east-1", "zone": "us-east-1a"}


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
         "The snapshot of web of 2026-11-22 12:00 UTC is in use: it is being made, read, restored from or archived.",
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


def refused(bench: Bench, case: Case) -> None:
    """The input is refused, as the case says."""
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


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_says_what_is_wrong_and_what_to_do(bench: Bench, case: Case) -> None:
    refused(bench, case)


def test_the_table_is_long_enough() -> None:
    assert len(CASES) >= 20
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
