"""The ``holdfast`` command: one subcommand per process, and those that run several of them on one machine."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from server.cli import policy, repository
from server.cli.output import complain, out
from server.domain.errors import HoldfastError, InvalidInput
from server.settings import PASSWORD_MIN, Settings

app = typer.Typer(
    name="holdfast",
    help="Self-hosted backup appliance for AWS. Settings are environment variables; the README lists them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its report shows local variables, and with them secrets
)
app.add_typer(repository.app, name="repository")
app.add_typer(policy.app, name="policy")
NAME_WIDTH: Final = 10  # of the longest process name, so that prefixed lines align


def main() -> None:
    """The console script. What Holdfast raises on purpose becomes one sentence and a remedy, never a traceback."""
    try:
        app()
    except HoldfastError as error:
        complain(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


@app.command()
def serve() -> None:
    """Run the web server: console, GraphQL and REST."""
    settings = _started("serve")
    from server import main as process  # here: wrong settings are told at once, and each process loads only what it runs

    process.run(settings)


@app.command()
def worker() -> None:
    """Run a worker: it takes backup, restore and other tasks from the queue. Start as many as you like."""
    settings = _started("worker")
    from server import worker as process

    process.run(settings)


@app.command()
def scheduler() -> None:
    """Run the scheduler: it starts policies on time. More than one is safe."""
    settings = _started("scheduler")
    from server import scheduler as process

    process.run(settings)


@app.command()
def migrate() -> None:
    """Bring the database to this version's tables. Run it before starting a new version."""
    from server.adapters import db
    from server.adapters.db.migrate import current_revision

    url = _started("migrate").need_database_url()
    before = current_revision(url)
    db.migrate(url)
    after = current_revision(url)
    out.print(f"The database is at revision {after}." if before == after else f"The database went from {before} to {after}.")


@app.command("reset-password")
def reset_password(
    username: Annotated[str, typer.Argument(help="Whose password.")] = "admin",
    generate: Annotated[bool, typer.Option("--generate", help="Make a random one and print it.")] = False,
) -> None:
    """Give a user a new password and end the user's sessions. For those who can reach this machine but not sign in."""
    from server import bootstrap
    from server.domain.access import SYSTEM
    from server.services import access

    joined = bootstrap.build(_started("reset-password"))
    password = secrets.token_urlsafe(18) if generate else _ask_password()
    try:
        access.reset_password(joined.services, SYSTEM, joined.passwords, username, password)
    finally:
        joined.close()
    out.print(f"{username} has a new password" + (f": {password}" if generate else "."), highlight=False)


@app.command()
def up() -> None:
    """Run everything on this machine: web server, worker, scheduler, and PostgreSQL and Redis unless set.

    AWS is reached with the standard credential chain: environment, shared configuration files, instance profile.
    """
    from server.adapters.db import migrate as migrate_database
    from server.supervise.appliance import Appliance

    appliance = Appliance(_started("up"), sink=_to_stdout, migrate=migrate_database)
    with _until_signal() as stopped:
        try:
            settings = appliance.start(lambda step: _to_stdout("holdfast", step))
            _to_stdout("holdfast", f"Ready at {settings.public_url}")
            if settings.initial_password_file.exists():
                _to_stdout("holdfast", f"Sign in as admin; the first password is in {settings.initial_password_file}")
            appliance.watch(stopped)
        finally:
            _to_stdout("holdfast", "Stopping")
            appliance.stop()


@app.command()
def permissions(
    workload: Annotated[str | None, typer.Argument(help="Only this workload's, such as ec2.")] = None,
    bucket: Annotated[list[str] | None, typer.Option(help="A repository's bucket; may be repeated.")] = None,
    role: Annotated[list[str] | None, typer.Option(help="ARN of a role in another account; may be repeated.")] = None,
    kms_key: Annotated[list[str] | None, typer.Option(help="ARN of a KMS key repositories open with; may be repeated.")] = None,
) -> None:
    """Print the IAM policy Holdfast needs, as JSON to paste into AWS."""
    from server.permissions import permission_policy

    typer.echo(permission_policy(workload, buckets=bucket or (), roles=role or (), keys=kms_key or ()))


@app.command("trust-policy")
def trust_policy(
    trusted: Annotated[str, typer.Argument(help="ARN of the identity Holdfast runs as.")],
    external_id: Annotated[str, typer.Argument(help="The external id you enter when adding the account.")],
) -> None:
    """Print the trust policy of a role Holdfast is to assume in another account, as JSON."""
    from server.permissions import trust_policy as made

    typer.echo(made(trusted, external_id))


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="Run the whole story, compare every byte, and end.")] = False,
    data: Annotated[Path | None, typer.Option(help="Folder for the demo's data.", show_default="./.holdfast/demo")] = None,
    disks: Annotated[
        Literal["full", "small"], typer.Option(help="Sample disks: full (gigabytes) or small (megabytes).")
    ] = "full",
) -> None:
    """Run the appliance against an AWS account emulated on this machine. Nothing leaves it."""
    from server.supervise import demonstration

    if once:
        sys.exit(0 if demonstration.once(data, disks, out) else 1)
    with _until_signal() as stopped:
        demonstration.stay(data, disks, out, stopped)


def _started(process: str) -> Settings:
    from server.adapters import logging as logs  # here: it takes a third of a second to load, and not every command logs

    settings = Settings.from_env(os.environ)
    logs.configure(settings.log_format, settings.log_level, process=process)
    return settings


def _to_stdout(name: str, line: str) -> None:
    sys.stdout.write(f"{name:<{NAME_WIDTH}} | {line}\n")
    sys.stdout.flush()


def _ask_password() -> str:
    password: str = typer.prompt("New password", hide_input=True, confirmation_prompt=True)
    if len(password) < PASSWORD_MIN:
        raise InvalidInput(f"The password needs at least {PASSWORD_MIN} characters.")
    return password


@contextmanager
def _until_signal() -> Iterator[threading.Event]:
    """An event that SIGTERM sets; Ctrl-C (SIGINT) does the same once things run, and interrupts while they start."""
    stopped = threading.Event()

    def on_signal(number: int, _frame: object) -> None:
        if stopped.is_set() or number == signal.SIGINT:
            stopped.set()
            raise KeyboardInterrupt
        stopped.set()

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopped
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
