"""A whole appliance on one machine: which parts it has, in which order they start, what each is told."""

from __future__ import annotations

import dataclasses
import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from server.settings import PREFIX, Settings
from server.supervise.ports import is_free, port_taken, remembered_port
from server.supervise.postgres import Postgres
from server.supervise.processes import Lock, Part, Program, Sink, Supervisor
from server.supervise.redis import Redis

DEMO_CREDENTIALS: Final = {
    "AWS_ACCESS_KEY_ID": "demo",
    "AWS_SECRET_ACCESS_KEY": "demo",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
_CLOUD_READY_SECONDS: Final = 60.0
_PROCESSES: Final = ("scheduler", "worker", "serve")
_WORKER_PATIENCE: Final = 40.0  # a worker stores its place at the next block or poll, then stops

Report = Callable[[str], None]
"""Hears in a few words what is being done."""

Migrate = Callable[[str], None]
"""Brings the database at this address to the newest schema."""


class Appliance:
    """PostgreSQL and Redis (ours unless the settings name others), and the three processes.

    ``demo``: with the demo account's keys, and the demo account itself unless the settings name its address.
    """

    def __init__(self, settings: Settings, *, sink: Sink, migrate: Migrate, demo: bool = False) -> None:
        self.settings = settings
        self._sink = sink
        self._migrate = migrate
        self._demo = demo
        self._supervisor = Supervisor(sink)
        self._lock = Lock(settings.data_dir)
        self.programs: dict[str, Program] = {}
        self.servers: dict[str, Part] = {}  # PostgreSQL and Redis, where they are ours

    def start(self, report: Report = lambda _: None, *, furnish: Callable[[str], None] = lambda _: None) -> Settings:
        """Start everything; ``report`` hears of each step. Returns the settings completed with the addresses of our servers.

        ``furnish`` fills the AWS account at the address it is given, while the processes start. Errors: Conflict (already
        running, port taken), Misconfigured, Unavailable, and furnish's. What had started is stopped again.
        """
        self._lock.take(self.settings.public_url)
        try:
            if self._demo and self.settings.aws_endpoint_url is None:
                report("Starting the demo AWS account")
                self._launch_cloud()
            self._start_servers(report)
            report("Preparing the database")
            self._migrate(self.settings.need_database_url())
            report("Starting web server, worker and scheduler")
            self._launch_processes()
            if "demo-aws" in self.programs:
                self.programs["demo-aws"].await_ready()
            furnish(self.settings.aws_endpoint_url or "")
            self.programs["serve"].await_ready()
        except BaseException:
            self.stop()
            raise
        return self.settings

    def watch(self, until: threading.Event) -> None:
        self._supervisor.watch(until)

    def stop(self) -> None:
        """Our processes all at once, then what they depend on, one by one."""
        for name in _PROCESSES:
            if name in self.programs:
                self.programs[name].ask_to_stop()
        self._supervisor.stop()
        self._lock.release()

    def _start_servers(self, report: Callable[[str], None]) -> None:
        if self.settings.database_url is None:
            report("Starting PostgreSQL")
            postgres = Postgres(self.settings.data_dir / "postgres")
            self.servers[postgres.name] = postgres
            self._supervisor.start(postgres)
            self.settings = dataclasses.replace(self.settings, database_url=postgres.url)
        if self.settings.redis_url is None:
            report("Starting Redis")
            redis = Redis(self.settings.data_dir / "redis")
            self.servers[redis.name] = redis
            self._supervisor.start(redis)
            self.settings = dataclasses.replace(self.settings, redis_url=redis.url)

    def _launch_cloud(self) -> None:
        folder = self.settings.data_dir / "aws"
        folder.mkdir(parents=True, exist_ok=True)
        port = remembered_port(folder / "port")
        url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "server.demo.cloud", "--data", str(folder), "--port", str(port)]
        self._launch(
            "demo-aws",
            command,
            base_environment(demo=True),
            ready_url=f"{url}/_demo/healthz",
            ready_seconds=_CLOUD_READY_SECONDS,
        )
        self.settings = dataclasses.replace(self.settings, aws_endpoint_url=url)

    def _launch_processes(self) -> None:
        host, port = self.settings.host, self.settings.port
        if not is_free(port, host):
            raise port_taken(host, port)
        environment = base_environment(demo=self._demo) | self.settings.to_env()
        holdfast = [sys.executable, "-m", "server.cli"]
        self._launch("serve", [*holdfast, "serve"], environment, ready_url=_health_url(self.settings))
        self._launch("worker", [*holdfast, "worker"], environment, patience=_WORKER_PATIENCE)
        self._launch("scheduler", [*holdfast, "scheduler"], environment)

    def _launch(
        self,
        name: str,
        command: list[str],
        env: Mapping[str, str],
        *,
        ready_url: str | None = None,
        ready_seconds: float = 60.0,
        patience: float = 25.0,
    ) -> None:
        program = Program(
            name=name,
            command=command,
            env=env,
            sink=self._sink,
            ready_url=ready_url,
            ready_seconds=ready_seconds,
            patience=patience,
        )
        self.programs[name] = program
        self._supervisor.launch(program)


def base_environment(*, demo: bool) -> dict[str, str]:
    """Our environment without settings. The demo's keys replace any real AWS credentials, so that nothing in a demo can
    reach a real account."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    if demo:
        environment = {name: value for name, value in environment.items() if not name.startswith("AWS_")} | DEMO_CREDENTIALS
    root = str(Path(__file__).resolve().parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH")]))
    environment["PYTHONUNBUFFERED"] = "1"
    return environment


def _health_url(settings: Settings) -> str | None:
    """Where the web server answers locally. With TLS its certificate need not name the loopback address: not asked then."""
    if settings.tls_certificate is not None:
        return None
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104  compared, not bound
    return f"http://{host}:{settings.port}/healthz"
