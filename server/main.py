"""The web process: GraphQL, REST and the console, until it is told to stop."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import sys
import threading
from pathlib import Path
from typing import Final

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp

from server import __version__, bootstrap
from server.adapters.logging import configure
from server.api.app import Setup, create_app
from server.domain.access import SYSTEM
from server.domain.errors import HoldfastError, Misconfigured
from server.domain.workload import Account
from server.services import access, accounts
from server.settings import Settings

FRONTEND: Final = Path(__file__).parent.parent / "frontend_dist"
GRACE_SECONDS: Final = 5  # for running requests; streams are resumed by their clients elsewhere
BACKLOG: Final = 512
SOCKET_MESSAGE_MAX: Final = 256 * 1024  # bytes; an operation and its variables
PING_SECONDS: Final = 20.0

log = structlog.get_logger(__name__)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Errors: Misconfigured (address in use, unreadable certificate, bad settings)."""
    configure(settings.log_format, settings.log_level, process="web")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):  # until uvicorn takes the signals over
        signal.signal(number, lambda *_: stop.set())
    listening = listen(settings.host, settings.port)
    app = bootstrap.build(settings)
    if not bootstrap.wait_until_ready(app, stop):
        return
    home = accounts.ensure_home(app.services)
    first_start(app)
    server = uvicorn.Server(server_config(web_application(app), settings))
    threading.Thread(target=_greet_aws, args=(app, home), name="home-account", daemon=True).start()
    log.info("serving", address=settings.public_url)
    server.run(sockets=[listening])
    try:
        app.close()
    except HoldfastError as problem:
        log.warning("while stopping", reason=problem.sentence())
    log.info("stopped")


def listen(host: str, port: int) -> socket.socket:
    """A bound socket, so that a taken port is said before anything else starts. Errors: Misconfigured."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=False)
    except OSError as error:
        raise Misconfigured(
            f"Holdfast cannot listen on {host}:{port}: {error.strerror or error}.",
            remedy="Stop what uses this address, or set HOLDFAST_HOST and HOLDFAST_PORT.",
        ) from error


def web_application(app: bootstrap.App) -> Starlette:
    settings = app.settings
    setup = Setup(
        version=__version__,
        public_url=settings.public_url,
        local_root=settings.local_repository_root,
        frontend=FRONTEND,
        graphiql=settings.graphiql,
        tls=settings.tls_certificate is not None,
    )
    return create_app(app.services, app.passwords, setup)


def server_config(application: ASGIApp, settings: Settings) -> uvicorn.Config:
    """How uvicorn runs it. Errors: Misconfigured when certificate or key cannot be used."""
    config = uvicorn.Config(
        application,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=SOCKET_MESSAGE_MAX,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PING_SECONDS,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(
            f"The TLS certificate or key cannot be used: {error}.",
            remedy="Check HOLDFAST_TLS_CERTIFICATE and HOLDFAST_TLS_KEY: PEM files that belong together.",
        ) from error
    return config


# ---- first start ------------------------------------------------------------------------------------------------------


def first_start(app: bootstrap.App) -> None:
    """Make the administrator when there is none; a password that was made up is written down and shown once."""
    file = app.settings.initial_password_file

    def keep(password: str) -> None:
        write_private(file, password + "\n")

    made = access.ensure_administrator(app.services, app.passwords, app.settings.admin_password, keep=keep)
    if made is None:
        return
    sys.stderr.write(
        f"\nFirst start: sign in as {access.ADMINISTRATOR} with the password {made}\n"
        f"It is also in {file}. Delete that file, and set another password with `holdfast reset-password`.\n\n"
    )


def write_private(file: Path, text: str) -> None:
    """A file only its owner can read. Errors: Misconfigured when it cannot be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise Misconfigured(
            f"{file} cannot be written: {error.strerror}.",
            remedy="Make HOLDFAST_DATA_DIR writable, or set HOLDFAST_ADMIN_PASSWORD.",
        ) from error


def _greet_aws(app: bootstrap.App, home: Account) -> None:
    """The home account, looked at in the background: without network AWS may keep us waiting for minutes."""
    try:
        found = accounts.check(app.services, SYSTEM, home.id)
        log.info("home account", state=found.state.value, aws_account_id=found.aws_account_id, problem=found.problem)
    except HoldfastError as problem:
        log.warning("home account not checked", reason=problem.sentence())
