"""Settings: read from the environment once, checked as a whole, then passed around as one frozen value.

``VARIABLES`` is the complete list; the README's table and the check for misspelt names derive from it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeVar, cast
from urllib.parse import urlsplit

from server.domain.errors import Misconfigured

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

PREFIX: Final = "HOLDFAST_"
PASSWORD_MIN: Final = 8  # characters; the same limit the sign-in service sets for passwords


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable, for people. ``default`` is text, "" when there is none."""

    name: str
    default: str
    meaning: str


VARIABLES: Final = (
    Variable("HOLDFAST_DATA_DIR", "./.holdfast", "Folder of the appliance: keys, embedded servers, repositories, caches."),
    Variable("HOLDFAST_DATABASE_URL", "", "PostgreSQL 14 or later. Without it `up` and `demo` start a server of their own."),
    Variable("HOLDFAST_REDIS_URL", "", "Redis 7 or Valkey. Without it `up` and `demo` start a server of their own."),
    Variable("HOLDFAST_HOST", "127.0.0.1", "Address the web server listens on."),
    Variable("HOLDFAST_PORT", "8000", "Port of the web server."),
    Variable("HOLDFAST_PUBLIC_URL", "http(s)://HOST:PORT", "Address people reach the console at."),
    Variable("HOLDFAST_TLS_CERTIFICATE", "", "PEM file with the certificate chain; needs the key too."),
    Variable("HOLDFAST_TLS_KEY", "", "PEM file with the private key."),
    Variable("HOLDFAST_AWS_ENDPOINT_URL", "", "Another address for every AWS service, such as the demo account's."),
    Variable(
        "HOLDFAST_SECRET_KEY_FILE", "DATA_DIR/secret.key", "Key that seals stored secrets; made on first start. Back it up."
    ),
    Variable("HOLDFAST_ADMIN_PASSWORD", "", "First password of `admin`. Without it one is made and shown once."),
    Variable("HOLDFAST_WORKER_THREADS", "2", "Resources whose data a worker moves at once, 1 to 64 (120 MiB of memory each)."),
    Variable("HOLDFAST_COMPRESSION_LEVEL", "1", "How hard backups compress, 1 to 19 (zstd). Higher: smaller and much slower."),
    Variable("HOLDFAST_LOG_FORMAT", "json", "`json` or `text`."),
    Variable("HOLDFAST_LOG_LEVEL", "info", "`debug`, `info`, `warning` or `error`."),
    Variable("HOLDFAST_GRAPHIQL", "false", "Serve the GraphQL explorer at /graphql (development only)."),
    Variable("HOLDFAST_REPOSITORY_PASSWORD", "", "Password of the repository that `holdfast repository …` opens."),
    Variable(
        "HOLDFAST_LOCAL_REPOSITORY_ROOT", "DATA_DIR/repositories", "Repositories on a local disk must lie beneath this folder."
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the processes can be told. Built by ``from_env``; tests build it directly.

    ``database_url`` is ``postgresql://…``, ``redis_url`` is ``redis://…``, ``rediss://…`` or ``unix://…``. Values that hold
    secrets stay out of ``repr``.
    """

    data_dir: Path
    database_url: str | None = field(default=None, repr=False)
    redis_url: str | None = field(default=None, repr=False)
    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str = "http://127.0.0.1:8000"
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    aws_endpoint_url: str | None = None
    secret_key_file: Path
    admin_password: str | None = field(default=None, repr=False)
    worker_threads: int = 2
    compression_level: int = 1
    log_format: LogFormat = "json"
    log_level: LogLevel = "info"
    graphiql: bool = False
    local_repository_root: Path

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Raises Misconfigured naming every problem at once; ``fields`` maps variable names to what is wrong."""
        reader = _Reader(environ)
        settings = reader.settings()
        if reader.problems:
            listed = "; ".join(f"{name} {problem}" for name, problem in reader.problems.items())
            raise Misconfigured(
                f"The settings are wrong: {listed}.", remedy="Correct these environment variables.", fields=reader.problems
            )
        return settings

    @property
    def initial_password_file(self) -> Path:
        return self.data_dir / "initial-password"

    @property
    def cache_folder(self) -> Path:
        """What is kept to be faster, such as deduplication indexes; may be deleted while nothing runs."""
        return self.data_dir / "cache"

    def need_database_url(self) -> str:
        """The database's address. Raises Misconfigured when none is set."""
        if self.database_url is None:
            raise Misconfigured("HOLDFAST_DATABASE_URL is not set.", remedy=_NEED_SERVERS)
        return self.database_url

    def need_redis_url(self) -> str:
        """The queue's address. Raises Misconfigured when none is set."""
        if self.redis_url is None:
            raise Misconfigured("HOLDFAST_REDIS_URL is not set.", remedy=_NEED_SERVERS)
        return self.redis_url

    def to_env(self) -> dict[str, str]:
        """The same settings as environment variables, for a child process. ``from_env`` of the result is equal."""
        values: dict[str, str | int | Path | None] = {
            "HOLDFAST_DATA_DIR": self.data_dir,
            "HOLDFAST_DATABASE_URL": self.database_url,
            "HOLDFAST_REDIS_URL": self.redis_url,
            "HOLDFAST_HOST": self.host,
            "HOLDFAST_PORT": self.port,
            "HOLDFAST_PUBLIC_URL": self.public_url,
            "HOLDFAST_TLS_CERTIFICATE": self.tls_certificate,
            "HOLDFAST_TLS_KEY": self.tls_key,
            "HOLDFAST_AWS_ENDPOINT_URL": self.aws_endpoint_url,
            "HOLDFAST_SECRET_KEY_FILE": self.secret_key_file,
            "HOLDFAST_ADMIN_PASSWORD": self.admin_password,
            "HOLDFAST_WORKER_THREADS": self.worker_threads,
            "HOLDFAST_COMPRESSION_LEVEL": self.compression_level,
            "HOLDFAST_LOG_FORMAT": self.log_format,
            "HOLDFAST_LOG_LEVEL": self.log_level,
            "HOLDFAST_GRAPHIQL": "true" if self.graphiql else "false",
            "HOLDFAST_LOCAL_REPOSITORY_ROOT": self.local_repository_root,
        }
        return {name: str(value) for name, value in values.items() if value is not None}


_NEED_SERVERS: Final = "Set it, or start everything with `holdfast up`, which brings servers of its own."
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})

T = TypeVar("T")


class _Reader:
    """Reads variables one by one and collects what is wrong instead of stopping at the first problem."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: dict[str, str] = dict(_unknown(environ))

    def settings(self) -> Settings:
        data_dir = self._read("DATA_DIR", Path(".holdfast").resolve(), _path)
        certificate, key = self._tls()
        host = self._read("HOST", "127.0.0.1", _host)
        port = self._read("PORT", 8000, lambda text: _integer(text, 0, 65535))
        scheme = "https" if certificate else "http"
        shown_host = f"[{host}]" if ":" in host else host
        return Settings(
            data_dir=data_dir,
            database_url=self._read("DATABASE_URL", None, _database_url),
            redis_url=self._read("REDIS_URL", None, lambda text: _url(text, "redis", "rediss", "unix")),
            host=host,
            port=port,
            public_url=self._read("PUBLIC_URL", f"{scheme}://{shown_host}:{port}", _web_url),
            tls_certificate=certificate,
            tls_key=key,
            aws_endpoint_url=self._read("AWS_ENDPOINT_URL", None, _web_url),
            secret_key_file=self._read("SECRET_KEY_FILE", data_dir / "secret.key", _path),
            admin_password=self._read("ADMIN_PASSWORD", None, _password),
            worker_threads=self._read("WORKER_THREADS", 2, lambda text: _integer(text, 1, 64)),
            compression_level=self._read("COMPRESSION_LEVEL", 1, lambda text: _integer(text, 1, 19)),
            log_format=self._read("LOG_FORMAT", "json", lambda text: cast(LogFormat, _choice(text, "text", "json"))),
            log_level=self._read(
                "LOG_LEVEL", "info", lambda text: cast(LogLevel, _choice(text, "debug", "info", "warning", "error"))
            ),
            graphiql=self._read("GRAPHIQL", False, _boolean),
            local_repository_root=self._read("LOCAL_REPOSITORY_ROOT", data_dir / "repositories", _path),
        )

    def _read(self, name: str, default: T, parse: Callable[[str], T]) -> T:
        """An empty variable counts as unset: that is how unit files and compose files clear one."""
        text = self._environ.get(PREFIX + name, "").strip()
        if not text:
            return default
        try:
            return parse(text)
        except ValueError as problem:
            self.problems[PREFIX + name] = str(problem)
            return default

    def _tls(self) -> tuple[Path | None, Path | None]:
        certificate = self._read("TLS_CERTIFICATE", None, _readable_file)
        key = self._read("TLS_KEY", None, _readable_file)
        given = [bool(self._environ.get(PREFIX + name, "").strip()) for name in ("TLS_CERTIFICATE", "TLS_KEY")]
        if given[0] != given[1]:
            missing = PREFIX + ("TLS_KEY" if given[0] else "TLS_CERTIFICATE")
            self.problems[missing] = "must be set too: a certificate and its key go together"
        return certificate, key


def _unknown(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """A misspelt variable would be ignored in silence; name it instead."""
    known = [variable.name for variable in VARIABLES]
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            yield name, f"is no setting; did you mean {close[0]}?" if close else "is no setting"


def _path(text: str) -> Path:
    return Path(text).expanduser().resolve()


def _readable_file(text: str) -> Path:
    path = _path(text)
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise ValueError(f"names {path}, which cannot be read: {error.strerror}") from error


def _integer(text: str, low: int, high: int) -> int:
    if not text.isdecimal() or not low <= int(text) <= high:
        raise ValueError(f"must be a whole number from {low} to {high}, not {text!r}")
    return int(text)


def _boolean(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(f"must be true or false, not {text!r}")


def _choice(text: str, *allowed: str) -> str:
    if text.lower() not in allowed:
        raise ValueError(f"must be one of {', '.join(allowed)}, not {text!r}")
    return text.lower()


def _host(text: str) -> str:
    host = text.removeprefix("[").removesuffix("]")
    if "/" in host or " " in host:
        raise ValueError(f"must be a host name or address, not {text!r}")
    return host


def _password(text: str) -> str:
    if len(text) < PASSWORD_MIN:
        raise ValueError(f"must have at least {PASSWORD_MIN} characters")
    return text


def _url(text: str, *schemes: str) -> str:
    """Never quotes ``text`` in the problem: it may hold a password."""
    parts = urlsplit(text)
    if parts.scheme not in schemes:
        raise ValueError(f"must begin with {' or '.join(scheme + '://' for scheme in schemes)}")
    if not parts.hostname and parts.scheme != "unix":
        raise ValueError("names no host")
    try:
        parts.port  # noqa: B018  reading it checks the range
    except ValueError as error:
        raise ValueError("the port must be a number from 0 to 65535") from error
    return text


def _web_url(text: str) -> str:
    return _url(text, "http", "https").rstrip("/")


def _database_url(text: str) -> str:
    """``postgresql://``; the spellings other tools use are accepted. A host in the query (unix socket) is one too."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise ValueError("must begin with postgresql://")
    parts = urlsplit(f"postgresql://{rest}")
    if not parts.path.strip("/"):
        raise ValueError("names no database: postgresql://user:password@host:5432/database")
    return f"postgresql://{rest}"
