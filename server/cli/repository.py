"""``holdfast repository …``: a repository used with its address and its password or key alone."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID, uuid4

import typer

from server.cli import reading
from server.cli.output import as_json, moment, say, size, table, working
from server.cli.place import Json, Place, ask_password, at_place, find_point, given_password
from server.domain.errors import InvalidInput
from server.domain.repository import StorageClass

if TYPE_CHECKING:
    from server.repository.check import Problem
    from server.repository.prune import CollectReport
    from server.repository.repository import Manifest, PointSummary

DAMAGED: Final = 3  # exit code of a check that found something; 1 is an error, 2 a wrong command line
MIN_PASSWORD: Final = 8

app = typer.Typer(
    help="Work on a repository with its address and its password or KMS key: no appliance, no database.",
    no_args_is_help=True,
)
for command in (reading.restore, reading.cat, reading.mount, reading.retrieve):
    app.command()(command)


@app.command()
@at_place
def init(
    place: Place,
    hint: Annotated[str, typer.Option(help="Reminder of the password, readable for whoever can read the folder.")] = "",
    storage_class: Annotated[
        StorageClass, typer.Option(help="Of the data: an archive class is cheap to keep and takes hours to read.")
    ] = StorageClass.STANDARD,
) -> None:
    """Make a repository in an empty folder. An appliance takes it over when it is added there."""
    from server.adapters.clock import SystemClock
    from server.repository.repository import Repository

    secret = place.secret() if place.kms_key else new_password(place.password_file)
    repo = Repository.create(place.blobs(), secret, clock=SystemClock(), owner=uuid4(), hint=hint, storage_class=storage_class)
    say(f"Repository {repo.id} made at {repo.vault.blobs.url}.")
    say("Without its password nobody can read it." if not place.kms_key else "Without that KMS key nobody can read it.")


@app.command("ls")
@at_place
def list_points(
    place: Place,
    point: Annotated[str | None, typer.Argument(help="Show this point's disks.", show_default=False)] = None,
    print_json: Json = False,
) -> None:
    """List the restore points, oldest first; or the disks of one."""
    repo = place.read()
    if point is not None:
        _show_disks(repo.point(find_point(repo, point)), print_json)
        return
    points = sorted(repo.points(), key=lambda summary: (summary.at, summary.id))
    if print_json:
        as_json(points)
        return
    rows = [_row(one) for one in points]
    table(["point", "time (UTC)", "resource", "disks", "size", "added"], rows, numbers=("disks", "size", "added"))


@app.command("check")
@at_place
def check_repository(
    place: Place,
    level: Annotated[
        str, typer.Option(help="structure: every list and node; available: and every pack is there; content: and every block.")
    ] = "available",
    point: Annotated[list[str] | None, typer.Option(help="Only this point; may be repeated.", show_default="all")] = None,
    sample: Annotated[
        str | None, typer.Option(help="With content: the 3rd of 7 shares as 3/7. All shares are all blocks.")
    ] = None,
    note: Annotated[
        bool, typer.Option("--record", help="Note the damage in the repository, so that the next backup heals it.")
    ] = False,
    print_json: Json = False,
) -> None:
    """Look for damage: names the points, disks and bytes it hurts. Exit code 3 when there is any."""
    from server.repository.check import check, record

    repo = place.write() if note else place.read()
    chosen = {find_point(repo, one) for one in point} if point else None
    with working("Checking"):
        found = _told(check(repo, _level(level), **_scope(chosen, sample)), print_json=print_json)
        if note:
            record(repo, found)
    if found:
        if not print_json:
            say(_advice(found, recorded=note))
        raise typer.Exit(DAMAGED)
    if not print_json:
        say("No damage found.")


@app.command()
@at_place
def gc(
    place: Place,
    min_age: Annotated[float, typer.Option(help="Days a thing must have been unused between the two passes.")] = 1.0,
    print_json: Json = False,
) -> None:
    """Delete what no restore point uses. Two calls, at least the minimum age apart: the first marks, the second deletes.

    Safe while an appliance backs up to the repository.
    """
    from server.repository.prune import collect

    if min_age < 0:
        raise InvalidInput("The minimum age is at least 0 days.")
    repo = place.write()
    with working("Collecting"):
        report = collect(repo, min_age=timedelta(days=min_age), region=place.region)
    if print_json:
        as_json(report)
        return
    for line in _collected(report):
        say(line)


@app.command()
@at_place
def password(
    place: Place,
    new_password_file: Annotated[Path | None, typer.Option(help="File whose first line is the new password.")] = None,
    new_kms_key: Annotated[str | None, typer.Option(help="ARN of the KMS key to open it with from now on.")] = None,
    hint: Annotated[str, typer.Option(help="Reminder of the new password, readable for whoever can read the folder.")] = "",
) -> None:
    """Change what opens the repository: a new password, or a KMS key. No data is rewritten."""
    from server.repository.repository import Secret

    repo = place.write()
    secret: Secret
    if new_kms_key is not None:
        secret = place.with_kms(new_kms_key).secret()
    else:
        secret = new_password(new_password_file, from_environment=False)
    locked = repo.change_secret(secret, hint=hint)
    say("The repository opens with the new one from now on.")
    if locked:
        say(f"An Object Lock still protects {len(locked)} key slots: the old one opens it too until the lock ends.")


# ---- asking and telling -----------------------------------------------------------------------------------------------


def new_password(file: Path | None, *, from_environment: bool = True) -> str:
    from server.repository.repository import Password

    given = given_password(file) if file is not None or from_environment else None
    text = given or ask_password("New password of the repository", confirm=True)
    if len(text) < MIN_PASSWORD:
        raise InvalidInput(f"The password needs at least {MIN_PASSWORD} characters.")
    return Password(text)


def _level(text: str) -> Any:
    known = ("structure", "available", "content")
    if text not in known:
        raise InvalidInput(f"There is no level {text!r}.", remedy=f"Choose one of {', '.join(known)}.")
    return text


def _scope(points: Collection[UUID] | None, sample: str | None) -> dict[str, Any]:
    from server.repository.check import Sample

    if sample is None:
        return {"points": points}
    part, _, of = sample.partition("/")
    if not (part.isdecimal() and of.isdecimal() and 1 <= int(part) <= int(of)):
        raise InvalidInput(f"{sample!r} is no share.", remedy="Write 1/7 for the first of seven.")
    return {"points": points, "sample": Sample(int(part) - 1, int(of))}


def _told(problems: Iterator[Problem], *, print_json: bool) -> list[Problem]:
    found: list[Problem] = []
    for problem in problems:
        found.append(problem)
        if not print_json:
            named = problem.object in problem.message
            sys.stdout.write(f"{problem.message}\n" if named else f"{problem.object}: {problem.message}\n")
            for harm in problem.harm:
                where = f" {harm.disk_id} bytes {harm.start}–{harm.end}" if harm.disk_id else ""
                sys.stdout.write(f"    hurts point {harm.point_id}{where}\n")
    if print_json:
        as_json(found)
    return found


def _advice(found: Sequence[Problem], *, recorded: bool) -> str:
    points = len({harm.point_id for problem in found for harm in problem.harm})
    next_step = (
        "The next backup stores again what it can." if recorded else "With --record the next backup stores again what it can."
    )
    return f"{len(found)} problems; {points} points are hurt. {next_step}"


def _collected(report: CollectReport) -> Iterator[str]:
    if report.waiting:
        yield f"Nothing was done yet: {report.reason}"
        return
    yield f"Deleted: {report.deleted_points} points, {report.deleted_objects} objects, {size(report.deleted_bytes)}."
    moved = report.compacted
    if moved.packs:
        yield f"Compacted: {moved.packs} packs; {size(moved.moved_bytes)} moved, {size(moved.freed_bytes)} freed."
    if report.locked_objects:
        yield f"Kept: {report.locked_objects} objects that an Object Lock protects; tried again every time."
    yield f"Marked for a later call: {report.marked_objects} objects, {size(report.marked_bytes)}."
    yield f"To be compacted then: {report.to_compact} packs."
    before, after = report.before, report.after
    yield (
        f"Data and trees take {size(after.size_bytes)} in {after.objects} objects, about {after.usd_month:.2f} USD a month; "
        f"before: {size(before.size_bytes)} in {before.objects}, {before.usd_month:.2f} USD."
    )


def _show_disks(manifest: Manifest, print_json: bool) -> None:
    if print_json:
        as_json(manifest.to_json())
        return
    say(f"Point {manifest.id} of {moment(manifest.at)} UTC")
    rows = [
        [disk.disk_id, size(disk.size_bytes), size(disk.blocks * 512 * 1024), size(disk.stored_bytes), disk.content_root[:16]]
        for disk in manifest.disks
    ]
    table(["disk", "size", "used", "added", "content root"], rows, numbers=("size", "used", "added"))


def _row(summary: PointSummary) -> list[str]:
    numbers = [str(summary.disks), size(summary.size_bytes), size(summary.stored_bytes)]
    return [str(summary.id), moment(summary.at), _title(summary), *numbers]


def _title(summary: PointSummary) -> str:
    names = (summary.resource.get(key) for key in ("name", "awsId", "id"))
    return " ".join(dict.fromkeys(str(name) for name in names if name))
