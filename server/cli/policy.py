"""``holdfast policy …``: policies as code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from server.cli.output import as_json, out, plain, say
from server.domain.errors import InvalidInput
from server.settings import Settings

if TYPE_CHECKING:
    from server.cli.policy_files import Loaded
    from server.services.context import Services
    from server.services.policy_documents import Change, Plan

DIFFERS: Final = 3  # exit code of a plan that would change something; 1 is an error, 2 a wrong command line
MARKS: Final = {"create": "[green]+[/]", "change": "[yellow]~[/]", "delete": "[red]-[/]"}

app = typer.Typer(
    help="Policies as code: export, compare, apply. Run it where the appliance's settings are.", no_args_is_help=True
)
File = Annotated[Path, typer.Argument(help="YAML or JSON, as export writes it; - reads stdin.")]
Prune = Annotated[bool, typer.Option("--prune", help="Delete policies the file does not name; their restore points stay.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def export(
    name: Annotated[list[str] | None, typer.Argument(help="Only these policies.", show_default="all")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write here.", show_default="stdout")] = None,
    print_json: Json = False,
) -> None:
    """Print policies as YAML: names instead of ids, without what has its default."""
    from server.cli.policy_files import dump
    from server.domain.access import SYSTEM
    from server.services import policy_documents

    with _appliance() as services:
        found = policy_documents.export(services, SYSTEM, named=name)
    if print_json and output is None:
        as_json(found)
        return
    text = dump(found)
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{output} cannot be written: {error.strerror}.") from error
    say(f"{len(found['policies'])} policies written to {output}.")


@app.command("plan")
def show_plan(file: File, prune: Prune = False, print_json: Json = False) -> None:
    """Show what applying a file would change. Exit code 3 when it would change something, 0 when nothing."""
    from server.domain.access import SYSTEM
    from server.services import policy_documents

    with _located(file) as loaded, _appliance() as services:
        found = policy_documents.plan(services, SYSTEM, loaded.content, prune=prune)
    if print_json:
        as_json(found)
    else:
        _tell(found)
    if not found.empty:
        raise typer.Exit(DIFFERS)


@app.command()
def apply(
    file: File,
    prune: Prune = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, show the plan, change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
) -> None:
    """Make the appliance's policies what the file says, all of it or nothing."""
    from server.domain.access import SYSTEM
    from server.services import policy_documents
    from server.services.policy_documents import Action

    with _located(file) as loaded, _appliance() as services:
        found = policy_documents.apply(services, SYSTEM, loaded.content, prune=prune, dry_run=True)
        _tell(found)
        if dry_run or found.empty:
            return
        gone = found.count(Action.DELETE)
        if gone and not yes and not typer.confirm(f"Delete {gone} policies?", err=True):
            say("Nothing was changed.")
            raise typer.Exit(1)
        policy_documents.apply(services, SYSTEM, loaded.content, prune=prune, digest=found.digest)
        say("Applied.")


# ---- telling ----------------------------------------------------------------------------------------------------------


def _tell(found: Plan) -> None:
    from server.services.policy_documents import Action

    for change in found.changes:
        if change.action is not Action.KEEP:
            for line in _lines(change):
                out.print(line, highlight=False, soft_wrap=True)
    told = [f"{found.count(action)} to {action.value}" for action in (Action.CREATE, Action.CHANGE, Action.DELETE)]
    text = "Nothing to do: policies are as the file says." if found.empty else f"Plan: {', '.join(told)}."
    out.print(text, highlight=False)


def _lines(change: Change) -> Iterator[str]:
    action = change.action.value
    note = " (its restore points stay)" if action == "delete" else ""
    yield f"{MARKS[action]} {action} policy {plain(change.name)}{note}"
    for one in change.differences:
        if action == "create" and one.path == "name":
            continue
        after = plain(_shown(one.after))
        text = after if one.before is None else f"{plain(_shown(one.before))} → {after}"
        yield f"    {plain(one.path)}: {text}"


def _shown(value: Any) -> str:
    """As in the file, on one line."""
    if value is None:
        return "(default)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(_shown(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_shown(item)}' for key, item in value.items())}}}"
    return str(value)


# ---- reaching ---------------------------------------------------------------------------------------------------------


@contextmanager
def _appliance() -> Iterator[Services]:
    from server import bootstrap

    joined = bootstrap.build(Settings.from_env(os.environ))
    try:
        yield joined.services
    finally:
        joined.close()


@contextmanager
def _located(file: Path) -> Iterator[Loaded]:
    """The file; mistakes in it are told with their lines, all of them."""
    from server.cli.policy_files import load

    loaded = load(file)
    try:
        yield loaded
    except InvalidInput as problem:
        if not problem.fields:
            raise
        for path, text in problem.fields.items():
            say(f"{loaded.where(path)}: {path or 'document'}: {text}")
        raise InvalidInput(f"{loaded.name} has {len(problem.fields)} mistakes; nothing was changed.") from problem
