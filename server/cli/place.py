"""Where a repository lies and what opens it, as given on the command line. Needs neither database nor appliance."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn
from urllib.parse import unquote, urlsplit
from uuid import UUID

import typer

from server.cli.output import say
from server.domain.errors import InvalidInput, NotFound, WrongPassword
from server.ports import Blobs
from server.repository import layout

if TYPE_CHECKING:
    from server.ports import Kms
    from server.repository.repository import Header, Repository, Secret

PASSWORD_VARIABLE: Final = "HOLDFAST_REPOSITORY_PASSWORD"  # noqa: S105  a name
NOBODY: Final = UUID(int=0)  # in place of an account's id: only the standard credential chain is used here
SHORTEST_ID: Final = 4  # characters of a point's id that may stand for it when no other begins so

Where = Annotated[str, typer.Argument(help="s3://bucket/folder, file:///path or a path.", show_default=False)]
PointId = Annotated[str, typer.Argument(help="A point's id or its first characters; see ls.", show_default=False)]
Region = Annotated[str | None, typer.Option(help="AWS Region of the bucket.", show_default="from the AWS configuration")]
Endpoint = Annotated[str | None, typer.Option("--endpoint-url", help="Address of an S3-compatible service.")]
Profile = Annotated[str | None, typer.Option(help="Profile of the AWS configuration files.")]
PasswordFile = Annotated[
    Path | None,
    typer.Option(help="File whose first line is the password.", show_default=f"${PASSWORD_VARIABLE}, or it is asked for"),
]
KmsArn = Annotated[str | None, typer.Option("--kms-key", help="ARN of the KMS key that opens it, in place of a password.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """``url`` as typed; AWS credentials come from the standard chain (environment, configuration files, instance profile)."""

    url: str
    region: str | None = None
    endpoint_url: str | None = None
    profile: str | None = None
    password_file: Path | None = None
    kms_key: str | None = None

    def blobs(self) -> Blobs:
        """InvalidInput when the address makes no sense."""
        parts = urlsplit(self.url)
        if parts.scheme == "s3":
            if not parts.netloc:
                _wrong_address(self.url)
            self._check_endpoint()
            return self._s3(parts.netloc, unquote(parts.path).strip("/"))
        if parts.scheme == "file":
            if parts.netloc not in ("", "localhost") or not parts.path:
                _wrong_address(self.url)
            return _folder(Path(unquote(parts.path)))
        if "://" in self.url or not self.url:
            _wrong_address(self.url)
        return _folder(Path(self.url).expanduser())

    def secret(self) -> Secret:
        """What opens it. Never from the command line itself, where every user of the machine could read it."""
        from server.repository.repository import KmsKey, Password

        if self.kms_key is not None:
            return KmsKey(self.kms_key, self._kms(self.kms_key))
        return Password(given_password(self.password_file) or ask_password(f"Password of {self.url}"))

    def with_kms(self, arn: str) -> Place:
        return replace(self, kms_key=arn)

    def peek(self) -> Header:
        from server.adapters.clock import SystemClock
        from server.repository.repository import peek

        return peek(self.blobs(), clock=SystemClock())

    def read(self) -> Repository:
        """Opened for reading only, whoever owns it."""
        return self._open(None)

    def write(self) -> Repository:
        """Opened in its owner's name: several processes of one owner may work at once, and this is one more."""
        return self._open(self.peek().owner)

    def _open(self, owner: UUID | None) -> Repository:
        from server.adapters.clock import SystemClock
        from server.repository.repository import Repository

        clock, blobs = SystemClock(), self.blobs()
        if self.kms_key is None and self.password_file is None and not os.environ.get(PASSWORD_VARIABLE):
            self._explain(self.peek())  # before a password is asked for that cannot help
        try:
            return Repository.open(blobs, self.secret(), clock=clock, owner=owner)
        except WrongPassword as wrong:
            hint = _shown(self.peek().hint)
            if not hint or self.kms_key is not None:
                raise
            raise WrongPassword(wrong.message, remedy=f"{wrong.remedy} Its reminder: {hint}") from wrong

    @staticmethod
    def _explain(header: Header) -> None:
        if not header.password and header.kms_keys:
            raise InvalidInput(
                f"The repository opens with the KMS key {header.kms_keys[0]}.", remedy="Give it as --kms-key if you trust it."
            )
        if header.hint:
            say(f"Reminder of the password: {_shown(header.hint)}")

    def _check_endpoint(self) -> None:
        parts = urlsplit(self.endpoint_url or "https://aws")
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise InvalidInput(
                f"{self.endpoint_url!r} is no address of a service.", remedy="Write http://HOST:PORT or https://HOST."
            )

    def _s3(self, bucket: str, folder: str) -> Blobs:
        from server.adapters.aws import Boto3Aws
        from server.adapters.blobs.s3 import S3Blobs
        from server.adapters.clock import SystemClock
        from server.domain.workload import Place as AwsPlace

        aws = Boto3Aws(SystemClock(), endpoint_url=self.endpoint_url)
        return S3Blobs(aws.s3_client(AwsPlace(NOBODY, None, None, self._region())), bucket, folder)

    def _kms(self, arn: str) -> Kms:
        from server.adapters.aws import Boto3Aws
        from server.adapters.clock import SystemClock
        from server.adapters.kms import AwsKms
        from server.domain.workload import Place as AwsPlace

        parts = arn.split(":")
        if len(parts) != 6 or parts[2] != "kms" or not parts[5].startswith("key/"):
            raise InvalidInput(f"{arn!r} is no ARN of a KMS key.", remedy="It looks like arn:aws:kms:REGION:ACCOUNT:key/ID.")
        self._choose_profile()
        aws = Boto3Aws(SystemClock(), endpoint_url=self.endpoint_url)
        return AwsKms(aws, AwsPlace(NOBODY, None, None, parts[3]))

    def _region(self) -> str:
        from server.adapters.aws import default_region

        self._choose_profile()
        return self.region or default_region()

    def _choose_profile(self) -> None:
        if self.profile is not None:
            os.environ["AWS_PROFILE"] = self.profile  # where botocore looks for it


def given_password(file: Path | None) -> str | None:
    """From the file, else from the environment; None when neither has one."""
    if file is None:
        return os.environ.get(PASSWORD_VARIABLE) or None
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as failure:
        raise InvalidInput(f"Cannot read the password from {file} ({failure}).") from failure
    if not lines or not lines[0]:
        raise InvalidInput(f"The first line of {file} is empty.", remedy="Write the password there.")
    return lines[0]


def ask_password(prompt: str, *, confirm: bool = False) -> str:
    if not sys.stdin.isatty():
        raise InvalidInput(
            "A password is needed, and there is no terminal to ask for it.",
            remedy=f"Use --password-file or set {PASSWORD_VARIABLE}.",
        )
    answer: str = typer.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True)
    return answer


def find_point(repo: Repository, text: str) -> UUID:
    """The one visible point whose id begins with ``text``. NotFound, InvalidInput (several do)."""
    if len(text) < SHORTEST_ID:
        raise InvalidInput(f"Give at least {SHORTEST_ID} characters of the point's id.")
    found = _beginning(repo, text.lower())
    if not found:
        raise NotFound(f"The repository holds no point {text}.", remedy="Run `holdfast repository ls` to see what it holds.")
    if len(found) > 1:
        raise InvalidInput(f"{len(found)} points begin with {text}.", remedy="Give more characters.")
    return found[0]


def _beginning(repo: Repository, text: str) -> list[UUID]:
    hidden = set(repo.forgotten())
    ids = (layout.uuid_of(blob.name) for blob in repo.vault.blobs.list(layout.POINTS + text))
    return [point_id for point_id in ids if point_id is not None and point_id not in hidden]


def _folder(path: Path) -> Blobs:
    from server.adapters.blobs.local import LocalBlobs

    return LocalBlobs(path)


def _shown(hint: str) -> str:
    """A hint on one line, without what would move the cursor: nobody vouches for it before the repository is open."""
    return "".join(character for character in hint if character.isprintable())


def _wrong_address(url: str) -> NoReturn:
    raise InvalidInput(f"{url!r} is no address of a repository.", remedy="Write s3://bucket/folder, file:///path or a path.")


def at_place(command: Callable[..., None]) -> Callable[..., None]:
    """The command with WHERE as its first argument and the options of ``Place`` as its last, in place of ``place``."""
    own = inspect.signature(command, eval_str=True).parameters.values()

    @functools.wraps(command)
    def run(**given: Any) -> None:
        chosen = {option: given.pop(option) for option in _OPTIONS}
        command(place=Place(url=given.pop("where"), **chosen), **given)

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("where", keyword, annotation=Where),
        *(parameter.replace(kind=keyword) for parameter in own if parameter.name != "place"),
        *(inspect.Parameter(name, keyword, default=None, annotation=hint) for name, hint in _OPTIONS.items()),
    ]
    signed: Any = run
    signed.__signature__ = inspect.Signature(parameters)
    signed.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


_OPTIONS: Final[dict[str, Any]] = {
    "password_file": PasswordFile,
    "kms_key": KmsArn,
    "region": Region,
    "endpoint_url": Endpoint,
    "profile": Profile,
}
