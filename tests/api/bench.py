"""An appliance in this process behind its real web application: real database, scripted AWS, repositories in memory."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import uvicorn
from starlette.applications import Starlette

from server.adapters.aws_scripted import ScriptedAws
from server.adapters.blobs.local import LocalBlobs
from server.adapters.blobs.memory import MemoryBlobs
from server.adapters.blocks_memory import MemoryBlocks
from server.adapters.clock import FakeClock
from server.adapters.db import Database
from server.adapters.db.sealing import Sealer
from server.adapters.messaging import MemoryJobs, MemoryWakeups
from server.adapters.passwords import Argon2Passwords
from server.api.app import Setup, create_app
from server.api.graphql.scalars import global_id
from server.domain import repository as stored
from server.domain.access import Caller, Role, User
from server.domain.errors import HoldfastError
from server.domain.workload import Account
from server.ports import Blobs
from server.repository.repository import KmsKey, Repository
from server.services import access
from server.services.context import Services
from server.workloads import workloads
from tests.repository.kms import KEY, OTHER_KEY, MemoryKms

HOME_NUMBER = "123456789012"
OTHER_NUMBER = "210987654321"
ROLE_ARN = f"arn:aws:iam::{OTHER_NUMBER}:role/HoldfastBackup"
PASSWORD = "a long password"
REGIONS = {"Regions": [{"RegionName": "us-east-1"}, {"RegionName": "eu-central-1"}]}


@dataclass
class Bench:
    """``client`` speaks HTTP to the application. ``buckets`` are the S3 places that exist, by bucket name."""

    services: Services
    store: Database
    clock: FakeClock
    aws: ScriptedAws
    jobs: MemoryJobs
    wakeups: MemoryWakeups
    passwords: Argon2Passwords
    local_root: Path
    buckets: dict[str, Blobs | HoldfastError]
    client: httpx.Client
    home: Account
    statements: list[str]
    signed: dict[Role, dict[str, str]] = field(default_factory=dict)

    # ---- signing in

    def header(self, role: Role = Role.ADMINISTRATOR) -> dict[str, str]:
        """The Authorization header of a user with this role, made and signed in at first use."""
        if role not in self.signed:
            user = User(
                id=uuid4(),
                name=role.value,
                password_hash=self.passwords.hash(PASSWORD),
                role=role,
                created_at=self.clock.now(),
            )
            with self.store.transaction() as tx:
                tx.users.add(user)
            grant = access.sign_in(self.services, self.passwords, username=user.name, password=PASSWORD, address="test")
            self.signed[role] = {"authorization": f"Bearer {grant.access_token}"}
        return self.signed[role]

    def caller(self, role: Role = Role.ADMINISTRATOR) -> Caller:
        """The user behind ``header``."""
        token = self.header(role)["authorization"].removeprefix("Bearer ")
        return access.authenticate(self.services, token).caller

    # ---- asking

    def ask(
        self, document: str, variables: dict[str, Any] | None = None, *, role: Role | None = Role.ADMINISTRATOR
    ) -> dict[str, Any]:
        """The whole GraphQL answer, as JSON."""
        headers = {} if role is None else self.header(role)
        response = self.client.post("/graphql", json={"query": document, "variables": variables}, headers=headers)
        answer: dict[str, Any] = response.json()
        return answer

    def data(self, document: str, variables: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """The data of an answer without errors."""
        answer = self.ask(document, variables, **more)
        assert "errors" not in answer, answer["errors"]
        found: dict[str, Any] = answer["data"]
        return found

    def error(self, document: str, variables: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """The first error of an answer."""
        answer = self.ask(document, variables, **more)
        assert answer.get("errors"), answer
        first: dict[str, Any] = answer["errors"][0]
        return first

    def count_statements(self, act: Callable[[], object]) -> int:
        """How many SQL statements ``act`` takes, the token check and transaction control left out."""
        self.statements.clear()
        act()
        return sum(1 for text in self.statements if "tokens" not in text and "FROM users" not in text)

    @property
    def home_id(self) -> str:
        return global_id("Account", self.home.id)


def make_services(
    store: Database,
    clock: FakeClock,
    aws: ScriptedAws,
    jobs: MemoryJobs,
    wakeups: MemoryWakeups,
    buckets: dict[str, Blobs | HoldfastError],
) -> Services:
    owner = uuid4()
    kms = MemoryKms(KEY, OTHER_KEY)

    def open_blobs(repository: stored.Repository) -> Blobs:
        if repository.kind is stored.StorageKind.LOCAL:
            return LocalBlobs(Path(repository.location, repository.prefix))
        found = buckets.setdefault(f"{repository.location}/{repository.prefix}", MemoryBlobs(clock=clock))
        bucket = buckets.get(repository.location, found)
        if isinstance(bucket, HoldfastError):
            raise bucket
        return bucket

    def open_repository(repository: stored.Repository) -> Repository:
        key = KmsKey(repository.kms_key, kms) if repository.kms_key else repository.password
        return Repository.open(open_blobs(repository), key, clock=clock, owner=owner)

    return Services(
        store=store,
        clock=clock,
        aws=aws,
        blocks=MemoryBlocks(),
        workloads={one.kind: one for one in workloads(aws, clock)},
        jobs=jobs,
        wakeups=wakeups,
        open_blobs=open_blobs,
        open_repository=open_repository,
        owner_id=lambda: owner,
        sealing=Sealer(bytes(32)),
        open_kms=lambda _: kms,
    )


def scripted_aws() -> ScriptedAws:
    """An account that answers who it is and which Regions it has; more answers are added by tests."""
    return ScriptedAws(
        {
            ("sts", "get_caller_identity"): {"Account": HOME_NUMBER, "Arn": "arn:aws:iam::123456789012:user/demo"},
            ("ec2", "describe_regions"): REGIONS,
            ("ec2", "describe_snapshots"): {"Snapshots": []},
        }
    )


def home_account(clock: FakeClock) -> Account:
    return Account(
        id=UUID(int=1),
        name="Home account",
        role_arn=None,
        external_id=None,
        aws_account_id=HOME_NUMBER,
        created_at=clock.now(),
    )


def make_app(services: Services, passwords: Argon2Passwords, folder: Path, url: str, **changes: Any) -> Starlette:
    setup = Setup(version="1.2.3", public_url=url, local_root=folder / "repositories", frontend=folder / "frontend")
    return create_app(services, passwords, replace(setup, **changes))


@contextmanager
def serving(make: Callable[[str], Starlette]) -> Iterator[str]:
    """The application on a free port, in a thread, as uvicorn serves it in production; its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    config = uvicorn.Config(
        make(url), log_config=None, access_log=False, ws="websockets-sansio", timeout_graceful_shutdown=2, server_header=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield url  # requests wait in the socket's queue until the server is up
    finally:
        server.should_exit = True
        thread.join()
