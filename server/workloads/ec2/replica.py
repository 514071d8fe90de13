"""Copies of a point's snapshots in another Region or account.

``check`` (nothing is made when it cannot succeed) → another account: ``share`` → ``granted`` → ``copy`` → ``wait`` → ``tidy``,
or ``failed``.
CopySnapshot knows no client token: it follows the rules of ``intent``; a copy says by its tags which task and disk it is for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from server.domain.errors import AwsLimit, AwsNotFound, AwsRejected, LegImpossible, Throttled, Unavailable
from server.domain.replicas import KeyUsage
from server.domain.workload import Place
from server.ports import Aws, Clock, ReplicaJob, Step
from server.workloads.ec2 import intent, records, sharing, snapshot, sweep, tags
from server.workloads.ec2.intent import FRESH, SETTLE, Standing
from server.workloads.ec2.records import Json

POLL_LONGEST: Final = 60.0  # seconds between looks: copies take minutes to hours
QUEUE: Final = 30.0  # seconds until the next try when the target Region copies as much as it may
GRANTS_KNOWN: Final = 120.0  # seconds after which a grant surely counts
COPIES_AT_ONCE: Final = "ResourceLimitExceeded"  # AWS: 20 per account and target Region


@dataclass(frozen=True, slots=True)
class _Run:
    aws: Aws
    clock: Clock
    job: ReplicaJob
    memo: Json

    @property
    def now(self) -> float:
        return self.clock.now().timestamp()

    @property
    def crosses(self) -> bool:
        return self.job.target_aws_account_id is not None

    @property
    def sources(self) -> Mapping[str, Json]:
        """Disk id → ``{"snapshotId", "encrypted", "kmsKeyId"}``."""
        found: Mapping[str, Json] = self.memo["sources"]
        return found

    def next(self, phase: str, message: str, progress: float, **more: Any) -> Step:
        return Step(memo={**self.memo, **more, "phase": phase}, message=message, progress=progress)

    def wait(self, seconds: float, message: str, progress: float, **more: Any) -> Step:
        return Step(memo={**self.memo, **more}, wait=seconds, message=message, progress=progress)


def step(aws: Aws, clock: Clock, job: ReplicaJob, memo: Json) -> Step:
    if memo.get("volumes"):
        return Step(memo=memo, done=True, progress=1.0)
    return PHASES[memo.get("phase", "check")](_Run(aws, clock, job, memo))


def abandon(aws: Aws, clock: Clock, job: ReplicaJob) -> None:
    """Delete what was copied, and close the source again; the first refusal is raised at the end."""
    sweep.abandon_snapshots(aws, clock, job.target, job.token)
    if job.target_aws_account_id is None:
        return
    volumes = job.document["volumes"]
    keys = sorted({v["kmsKeyId"] for v in volumes if v.get("kmsKeyId")})  # a snapshot has its volume's key
    refusals = sharing.close(aws, job, [v["snapshotId"] for v in volumes], keys)
    if refusals:
        raise refusals[0]


def _check(run: _Run) -> Step:
    volumes = run.job.document["volumes"]
    found = _described(run.aws, run.job.source, [v["snapshotId"] for v in volumes])
    sources = {v["volumeId"]: _source(run.job, found, v["snapshotId"]) for v in volumes}
    encrypted = sorted(disk for disk, source in sources.items() if source["encrypted"])
    if encrypted and not run.job.encrypt:
        raise LegImpossible(
            f"{', '.join(encrypted)} of {run.job.resource_name} is encrypted, and the replica target in "
            f"{run.job.target.region} has no key, so no replica was made.",
            remedy="Switch encryption on for the replica target and choose a KMS key there.",
        )
    keys = sorted({source["kmsKeyId"] for source in sources.values() if source["kmsKeyId"]})
    if run.crosses:
        sharing.refuse_unshareable(run.aws, run.job, keys)
    if run.job.encrypt and run.job.kms_key is not None:
        _check_target_key(run, run.job.kms_key)
    text = f"Copying {len(volumes)} snapshot{'s' if len(volumes) > 1 else ''} to {run.job.target.region}."
    plan = {"sources": sources, "keys": keys, "copies": {}}
    if run.crosses:
        return run.next("share", text, 0.0, **plan)
    return run.next("copy", text, 0.0, **plan, **intent.stated(run.clock))


def _source(job: ReplicaJob, found: Mapping[str, Json], snapshot_id: str) -> Json:
    known = found.get(snapshot_id)
    if known is None:
        raise AwsNotFound(
            f"The snapshot {snapshot_id} of {job.resource_name} no longer exists in {job.source.region}.",
            operation="ec2:DescribeSnapshots",
            aws_code="InvalidSnapshot.NotFound",
            remedy="Run the policy again.",
        )
    encrypted = bool(known.get("Encrypted"))
    return {"snapshotId": snapshot_id, "encrypted": encrypted, "kmsKeyId": known.get("KmsKeyId") if encrypted else None}


def _check_target_key(run: _Run, key: str) -> None:
    where = f"{key} in {run.job.target.region}"
    try:
        found = sharing.describe_key(run.aws, run.job.target, key)
    except AwsNotFound as missing:
        raise AwsNotFound(
            f"There is no KMS key {where} for the replicas of {run.job.resource_name}.",
            operation="kms:DescribeKey",
            aws_code=missing.aws_code,
            remedy="Choose a key of the target account and Region in the policy.",
        ) from missing
    if found is not None and found.get("KeyState", "Enabled") != "Enabled":
        raise AwsRejected(
            f"The KMS key {where} is {found['KeyState']}.",
            operation="kms:DescribeKey",
            aws_code="KMSInvalidStateException",
            remedy="Enable it, cancel its deletion, or choose another key in the policy.",
        )


def _share(run: _Run) -> Step:
    sharing.share(run.aws, run.job, [source["snapshotId"] for source in run.sources.values()])
    grants = sharing.grant(run.aws, run.job, run.memo["keys"])
    text = f"The snapshots are shared with account {run.job.target_aws_account_id}."
    return run.next("granted", text, 0.05, grants=grants, grantedAt=run.now)


def _granted(run: _Run) -> Step:
    late = run.now - run.memo["grantedAt"] > GRANTS_KNOWN
    if late or sharing.usable(run.aws, run.job, run.memo["grants"]):
        return run.next("copy", "The target may read the snapshots.", 0.1, **intent.stated(run.clock))
    return run.wait(intent.LOOK_AGAIN, "Waiting for the grants on the source's keys to be known.", 0.05)


def _copy(run: _Run) -> Step:
    found = {disk: copies[0]["SnapshotId"] for disk, copies in _copies(run).items()}
    copies = {**found, **run.memo["copies"]}
    missing = [disk for disk in run.sources if disk not in copies]
    if not missing:
        return run.next("wait", "The copies have been started.", 0.15, copies=copies, copiedAt=run.now)
    standing = intent.standing(run.clock, run.memo)
    if standing is Standing.ANEW:
        return Step(memo={**intent.renewed(run.clock, run.memo), "copies": copies}, progress=0.1)
    if standing is Standing.LOOK:
        return run.wait(intent.LOOK_AGAIN, "Looking for copies of an interrupted request.", 0.1, copies=copies)
    try:
        copies[missing[0]] = _request(run, missing[0])
    except AwsLimit as full:
        if full.aws_code != COPIES_AT_ONCE:
            raise
        text = f"{run.job.target.region} copies as many snapshots as it may at once; waiting for a place."
        return run.wait(QUEUE, text, 0.1, copies=copies, **intent.stated(run.clock, after=QUEUE))
    except Throttled:
        raise  # refused before anything was made
    except Unavailable as error:
        return Step(memo=intent.doubtful({**run.memo, "copies": copies}), wait=intent.LOOK_AGAIN, message=error.sentence())
    return run.next(
        "copy", f"{len(copies)} of {len(run.sources)} copies started.", 0.1, copies=copies, **intent.stated(run.clock)
    )


def _request(run: _Run, disk: str) -> str:
    source = run.sources[disk]
    record = next(v for v in run.job.document["volumes"] if v["volumeId"] == disk)
    params: dict[str, Any] = {}
    if run.job.encrypt and (source["encrypted"] or run.job.key_usage is KeyUsage.ALL):
        params["Encrypted"] = True
        if run.job.kms_key is not None:
            params["KmsKeyId"] = run.job.kms_key
    answer = run.aws.call(
        run.job.target,
        "ec2",
        "copy_snapshot",
        SourceRegion=run.job.source.region,
        SourceSnapshotId=source["snapshotId"],
        Description=f"Holdfast: replica of {source['snapshotId']} from {run.job.source.region}, {run.job.resource_name}"[:255],
        TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags.to_aws(_tags(run.job, record))}],
        **params,
    )
    return str(answer["SnapshotId"])


def _tags(job: ReplicaJob, record: Mapping[str, Any]) -> dict[str, str]:
    own = {
        tags.TASK: job.token,
        tags.DISK: record["volumeId"],
        tags.POLICY: job.policy_name,
        tags.RESOURCE: job.document["instance"]["instanceId"],
        tags.NAME: job.resource_name,
    }
    wanted = tags.chosen(own, job.tags)
    return tags.merged(wanted, record.get("tags", {}), free_tags=tags.FOR_RECORDS) if job.copy_tags else wanted


def _wait(run: _Run) -> Step:
    found = _copies(run)
    ours = set(run.memo["copies"].values())
    seen = {s["SnapshotId"]: s for copies in found.values() for s in copies}
    for snapshot_id in seen.keys() - ours:
        snapshot.delete(run.aws, run.job.target, snapshot_id)  # AWS had not listed the first one yet
    failed = next((seen[i] for i in sorted(ours & seen.keys()) if seen[i]["State"] == "error"), None)
    age = run.now - run.memo["copiedAt"]
    missing = sorted(ours - seen.keys())
    if failed is not None:
        return run.next("failed", "A copy failed; the others are removed.", 0.9, failure=_failure(run, failed))
    if missing and age > SETTLE + FRESH:
        return run.next("failed", "A copy is gone; the others are removed.", 0.9, failure=_vanished(run, missing))
    ready = [i for i in ours & seen.keys() if seen[i]["State"] == "completed"]
    if len(ready) < len(ours):
        done = sum(snapshot.percent(seen.get(i)) for i in ours) / len(ours)
        text = f"{len(ready)} of {len(ours)} copies completed in {run.job.target.region}."
        return run.wait(min(POLL_LONGEST, max(intent.LOOK_AGAIN, age / 10)), text, 0.15 + 0.8 * done)
    keys = {disk: seen[i].get("KmsKeyId") for disk, i in run.memo["copies"].items()}
    return run.next("tidy", f"{len(ours)} copies completed in {run.job.target.region}.", 0.95, targetKeys=keys)


def _failed(run: _Run) -> Step:
    """In a step of its own, so that trouble with the cleaning hides no reason."""
    abandon(run.aws, run.clock, run.job)
    raise AwsRejected(run.memo["failure"]["message"], operation="ec2:CopySnapshot", remedy=run.memo["failure"]["remedy"])


def _tidy(run: _Run) -> Step:
    snapshot_ids = [source["snapshotId"] for source in run.sources.values()]
    left = sharing.close(run.aws, run.job, snapshot_ids, run.memo["keys"]) if run.crosses else []
    volumes = [_replicated(run, v) for v in run.job.document["volumes"]]
    document = {**run.job.document, "volumes": volumes, "copiedFrom": run.job.source.region}
    text = f"{len(volumes)} replica{'s' if len(volumes) > 1 else ''} in {run.job.target.region}."
    warnings = tuple(f"Access given for the copy could not be taken back: {refusal.sentence()}" for refusal in left)
    return Step(memo=document, done=True, message=text, progress=1.0, warnings=warnings)


def _replicated(run: _Run, record: Mapping[str, Any]) -> Json:
    """The disk as the copy holds it: a restore takes the copy's key, as the source's is out of reach."""
    disk = record["volumeId"]
    key = run.memo["targetKeys"][disk]
    copy = {"snapshotId": run.memo["copies"][disk], "encrypted": key is not None, "kmsKeyId": key}
    return {**record, **copy, "sourceSnapshotId": run.sources[disk]["snapshotId"]}


PHASES: Final[Mapping[str, Callable[[_Run], Step]]] = MappingProxyType(
    {
        "check": _check,
        "share": _share,
        "granted": _granted,
        "copy": _copy,
        "wait": _wait,
        "failed": _failed,
        "tidy": _tidy,
    }
)


def _described(aws: Aws, place: Place, ids: list[str]) -> dict[str, Json]:
    filters = [{"Name": "snapshot-id", "Values": ids}]
    pages = aws.pages(place, "ec2", "describe_snapshots", OwnerIds=["self"], Filters=filters, MaxResults=records.PAGE)
    return {s["SnapshotId"]: s for page in pages for s in page["Snapshots"]}


def _copies(run: _Run) -> dict[str, list[Json]]:
    """Disk id → its copies, oldest first."""
    job = run.job
    pages = run.aws.pages(
        job.target,
        "ec2",
        "describe_snapshots",
        OwnerIds=["self"],
        Filters=tags.made_by(job.token),
        MaxResults=records.PAGE,
    )
    listed = sorted((s for page in pages for s in page["Snapshots"]), key=lambda s: (str(s.get("StartTime")), s["SnapshotId"]))
    copies: dict[str, list[Json]] = {}
    for each in listed:
        copies.setdefault(tags.from_aws(each.get("Tags")).get(tags.DISK, ""), []).append(each)
    return copies


def _failure(run: _Run, copy: Json) -> Json:
    job = run.job
    why = copy.get("StateMessage") or "AWS gives no reason"
    remedy = f"Check that the target's role may use the key chosen in {job.target.region}"
    if run.memo["keys"]:
        granted = {each["key"] for each in run.memo.get("grants", ())}
        needed = [key for key in run.memo["keys"] if key not in granted] or run.memo["keys"]
        who = job.target.role_arn or f"account {job.target_aws_account_id or 'of the appliance'}"
        actions = ", ".join(f"kms:{name}" for name in sharing.OPERATIONS)
        remedy += f", and allow {who} {actions} in the policy of {', '.join(needed)}"
    text = f"The copy {copy['SnapshotId']} of {job.resource_name} in {job.target.region} failed: {why.rstrip('.')}."
    return {"message": text, "remedy": f"{remedy}."}


def _vanished(run: _Run, missing: list[str]) -> Json:
    where = run.job.target.region
    text = f"{', '.join(missing)}, copied from {run.job.resource_name}, vanished in {where}: somebody deleted it."
    return {"message": text, "remedy": "Run the policy again."}
