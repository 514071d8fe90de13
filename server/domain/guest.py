"""What happens inside a guest around its snapshot: application-aware processing, and people's own scripts."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from server.domain.errors import InvalidInput

SCRIPT_SECONDS: Final = 600  # how long a script may run unless the policy says otherwise
SECONDS_MIN: Final = 5
SECONDS_MAX: Final = 48 * 3600  # the longest SSM lets a command run
PATH_MAX: Final = 1024  # characters
ARGUMENTS_MAX: Final = 2048
LINUX_SCRIPTS: Final = ("sh",)
WINDOWS_SCRIPTS: Final = ("exe", "bat", "cmd", "wsf", "js", "vbs", "ps1")
# Runtime variable in a script's arguments → what it stands for. Scripts find the same in their environment.
VARIABLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "policy": "the policy's name",
        "instance": "the instance's name",
        "instanceId": "the instance's id",
        "region": "the instance's Region",
        "moment": "pre or post",
        "backup": "yes when a backup is made from the snapshot, else no",
    }
)
_VARIABLE: Final = re.compile(r"%([A-Za-z]+)%")


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A file that is in the guest already. ``arguments``: words as on a command line, a word with spaces in double quotes;
    ``%policy%`` and the other ``VARIABLES`` are replaced in them."""

    path: str
    arguments: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripts:
    """Before and after the snapshot, for the guests of one platform.

    ``only_for_backups``: not for snapshots no backup is made from. ``ignore_missing``: the snapshot is made although the script
    is not there, or the guest cannot be reached. ``ignore_exit_codes``: although the script says it failed.
    """

    pre: Script | None = None
    post: Script | None = None
    timeout_seconds: int = SCRIPT_SECONDS  # of each
    only_for_backups: bool = False
    ignore_missing: bool = False
    ignore_exit_codes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """``application_aware``: Windows guests are snapshotted through VSS. ``linux``, ``windows``: scripts, None: none."""

    application_aware: bool = False
    linux: Scripts | None = None
    windows: Scripts | None = None


def words(arguments: str) -> tuple[str, ...]:
    """The arguments, variables not yet replaced. Errors: InvalidInput for a quote that is not closed."""
    reader = shlex.shlex(arguments, posix=True)
    reader.whitespace_split = True
    reader.quotes, reader.escape, reader.commenters = '"', "", ""
    try:
        return tuple(reader)
    except ValueError:
        raise InvalidInput(
            f"The arguments {arguments!r} open a quote that is not closed.",
            remedy='Put a word with spaces between two ", as in --name "my instance".',
        ) from None


def filled(word: str, values: Mapping[str, str]) -> str:
    """``word`` with its variables replaced, each once: what a value contains is not looked at again."""
    return _VARIABLE.sub(lambda found: values.get(found[1], found[0]), word)


def extension(path: str) -> str:
    """Of a Windows or Linux path, in small letters, without the dot; "" if there is none."""
    name = re.split(r"[\\/]", path)[-1]
    return name.rpartition(".")[2].lower() if "." in name else ""


def problems(guest: Guest) -> Iterator[tuple[str, str]]:
    """What is wrong with the settings, as input path → sentence."""
    for platform, scripts, extensions in (("linux", guest.linux, LINUX_SCRIPTS), ("windows", guest.windows, WINDOWS_SCRIPTS)):
        if scripts is None:
            continue
        where = f"guest.{platform}"
        if scripts.pre is None and scripts.post is None:
            yield where, "Name a script to run before or after the snapshot, or switch scripts off."
        if not SECONDS_MIN <= scripts.timeout_seconds <= SECONDS_MAX:
            yield f"{where}.timeoutSeconds", f"A script may run between {SECONDS_MIN} seconds and {SECONDS_MAX // 3600} hours."
        for moment, script in (("pre", scripts.pre), ("post", scripts.post)):
            if script is not None:
                yield from _script_problems(f"{where}.{moment}", script, extensions)


def _script_problems(where: str, script: Script, extensions: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    absolute = script.path.startswith("/") if extensions == LINUX_SCRIPTS else re.match(r"[A-Za-z]:\\|\\\\", script.path)
    if not absolute:
        example = "/opt/scripts/freeze.sh" if extensions == LINUX_SCRIPTS else r"C:\Scripts\freeze.ps1"
        yield f"{where}.path", f"Give the script's full path in the guest, such as {example}."
    elif len(script.path) > PATH_MAX or not script.path.isprintable():
        yield f"{where}.path", f"A path has at most {PATH_MAX} printable characters."
    elif extension(script.path) not in extensions:
        yield f"{where}.path", f"The script must be one of: {', '.join(extensions).upper()}."
    if len(script.arguments) > ARGUMENTS_MAX or not script.arguments.isprintable():
        yield f"{where}.arguments", f"Arguments have at most {ARGUMENTS_MAX} printable characters."
        return
    try:
        parts = words(script.arguments)
    except InvalidInput as problem:
        yield f"{where}.arguments", problem.sentence()
        return
    unknown = sorted({name for part in parts for name in _VARIABLE.findall(part)} - VARIABLES.keys())
    if unknown:
        known = ", ".join(f"%{name}%" for name in VARIABLES)
        yield f"{where}.arguments", f"There is no variable %{unknown[0]}%. Known ones: {known}."
