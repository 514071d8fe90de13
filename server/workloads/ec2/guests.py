"""People's scripts in a guest, before and after the snapshot. What went wrong in there is an outcome, never an error."""

from __future__ import annotations

from typing import Any, Final

from server.domain.errors import InvalidInput
from server.domain.guest import Script, Scripts
from server.ports import Aws, Clock, GuestJob, GuestStep, Step
from server.workloads.ec2 import commands, records, scripts, vss
from server.workloads.ec2.commands import Command, Ended

WORDS: Final = {"pre": "pre-snapshot", "post": "post-snapshot"}

Json = dict[str, Any]


def step(aws: Aws, clock: Clock, job: GuestJob, memo: Json) -> GuestStep:
    """Phases: none (is there anything to run, and can it be?) → ``run`` (``commands``)."""
    if "outcome" in memo:
        return _over(memo["outcome"], memo["message"])
    if memo.get("phase") == "run":
        return _run(aws, clock, job, memo)
    wanted = [each for each in (job.guest.linux, job.guest.windows) if each is not None and _script(job, each) is not None]
    if not wanted:
        return _over("skipped", "")
    if all(each.only_for_backups for each in wanted) and not job.for_backup:
        return _over("skipped", "Scripts run only for snapshots a backup is made from.")
    found = records.lookup(aws, job.place, job.resource.aws_id)
    if found is None or found["State"]["Name"] != "running":
        state = found["State"]["Name"] if found else "gone"
        return _over(
            "skipped", f"{job.resource.name} is {state}: there is nothing to run scripts in, and its disks are at rest."
        )
    platform = "windows" if vss.windows(records.instance(found)) else "linux"
    chosen = job.guest.windows if platform == "windows" else job.guest.linux
    script = _script(job, chosen) if chosen is not None else None
    if chosen is None or script is None:
        return _over("skipped", f"There is no {WORDS[job.moment]} script for {platform.capitalize()}.")
    if chosen.only_for_backups and not job.for_backup:
        return _over("skipped", "Scripts run only for snapshots a backup is made from.")
    why = commands.unreachable(aws, job.place, job.resource.aws_id)
    if why is not None:
        return _over("warning" if chosen.ignore_missing else "failed", f"The {WORDS[job.moment]} script did not run: {why}")
    text = f"Running the {WORDS[job.moment]} script {script.path}."
    return GuestStep(memo={"phase": "run", "platform": platform, "command": {}}, message=text)


def _run(aws: Aws, clock: Clock, job: GuestJob, memo: Json) -> GuestStep:
    chosen = job.guest.windows if memo["platform"] == "windows" else job.guest.linux
    script = _script(job, chosen) if chosen is not None else None
    if chosen is None or script is None:  # the policy was changed meanwhile
        return _over("skipped", f"There is no {WORDS[job.moment]} script any more.")
    try:
        command = _command(job, memo["platform"], chosen, script)
    except InvalidInput as problem:
        return _over("failed", problem.sentence())
    answer = commands.step(aws, clock, command, memo["command"])
    if isinstance(answer, Step):
        text = answer.message or f"The {WORDS[job.moment]} script is running."
        return GuestStep(memo={**memo, "command": answer.memo}, wait=answer.wait, message=text)
    return _judged(job, chosen, script, answer)


def _judged(job: GuestJob, chosen: Scripts, script: Script, ended: Ended) -> GuestStep:
    what = f"The {WORDS[job.moment]} script {script.path}"
    if ended.status == "Success":
        return _over("done", f"{what} ran.")
    if ended.exit_code == scripts.MISSING_CODE and scripts.MISSING_MARK in ended.output:
        return _over("skipped" if chosen.ignore_missing else "failed", f"{what} does not exist in {job.resource.name}.")
    by_itself = ended.status == "Failed" and ended.exit_code not in (None, -1)
    if by_itself and chosen.ignore_exit_codes:
        return _over("done", f"{what} ran; its exit code {ended.exit_code} is ignored.")
    return _over("failed", f"{what} failed. {ended.why}")


def _over(outcome: Any, message: str) -> GuestStep:
    return GuestStep(memo={"outcome": outcome, "message": message}, done=True, outcome=outcome, message=message)


def _script(job: GuestJob, chosen: Scripts) -> Script | None:
    return chosen.pre if job.moment == "pre" else chosen.post


def _command(job: GuestJob, platform: str, chosen: Scripts, script: Script) -> Command:
    values = {
        "policy": job.policy_name,
        "instance": job.resource.name,
        "instanceId": job.resource.aws_id,
        "region": job.place.region,
        "moment": job.moment,
        "backup": "yes" if job.for_backup else "no",
    }
    is_windows = platform == "windows"
    lines = scripts.windows(script, values) if is_windows else scripts.linux(script, values)
    return Command(
        place=job.place,
        instance_id=job.resource.aws_id,
        document=scripts.WINDOWS_DOCUMENT if is_windows else scripts.LINUX_DOCUMENT,
        parameters={"commands": lines, "executionTimeout": [str(chosen.timeout_seconds)]},
        mark=commands.mark(job.token, job.moment),
        seconds=chosen.timeout_seconds,
    )
