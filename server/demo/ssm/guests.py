"""What an emulated guest has and does: its agent, the scripts on its disk, its VSS writers.

No command is ever executed. A guest knows commands by the scripts they name: one it has gives the result set for it; one it
lacks gives what the command itself says for that case (``[ ! -f PATH ]`` or ``Test-Path`` followed by a text and ``exit N``),
or what a shell says of a file that is not there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

Agent = Literal["auto", "online", "offline", "absent"]
Vss = Literal["ok", "writers-fail", "not-installed", "partial"]
AGENTS: Final = ("auto", "online", "offline", "absent")
VSS: Final = ("ok", "writers-fail", "not-installed", "partial")
SCRIPTS_MAX: Final = 100
_FIELDS: Final = {"agent", "scripts", "seconds", "vss", "vssSeconds", "platformName", "platformVersion", "agentVersion"}
_TESTED = re.compile(
    r"""(?:!\s+-[defrsx]\s+|Test-Path\s+(?:-\w+\s+)*)(?P<quote>['"]?)(?P<path>[^'"\n]+?)(?P=quote)[\s\])]"""
    r"""[^\n]*?(?:(?:echo|Write-Output|Write-Host|Write-Error)\s+(?P<mark>['"])(?P<text>.*?)(?P=mark)[^\n]*?)?\bexit\s+(?P<code>\d+)"""
)
_SCRIPT = re.compile(r"""((?:/|[A-Za-z]:\\)[^\s'";|&]*\.(?:sh|ps1|bat|cmd|exe|vbs|js|wsf))\b""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Result:
    """How a script ends. ``seconds``: how long it runs; None: as long as commands take here."""

    exit_code: int = 0
    output: str = ""
    error: str = ""
    seconds: float | None = None

    @classmethod
    def parse(cls, document: Any) -> Result:
        """Errors: ValueError."""
        if not isinstance(document, Mapping) or set(document) - {"exitCode", "output", "error", "seconds"}:
            raise ValueError("a script has exitCode, output, error and seconds")
        seconds = document.get("seconds")
        return cls(
            int(document.get("exitCode", 0)),
            str(document.get("output", "")),
            str(document.get("error", "")),
            None if seconds is None else float(seconds),
        )


@dataclass(frozen=True, slots=True)
class Guest:
    """``agent`` ``auto``: online in a running instance whose profile's role lets it speak to Systems Manager, else absent."""

    agent: Agent = "auto"
    scripts: Mapping[str, Result] = field(default_factory=dict)
    seconds: float | None = None
    vss: Vss = "ok"
    vss_seconds: float | None = None
    platform_name: str = ""
    platform_version: str = ""
    agent_version: str = "3.3.3572.0"

    def changed(self, document: Any) -> Guest:
        """With the members ``document`` names. Errors: ValueError with what is wrong."""
        if not isinstance(document, Mapping):
            raise ValueError("expected a JSON object")
        if unknown := set(document) - _FIELDS:
            raise ValueError(f"there is no {min(unknown)}; a guest has {', '.join(sorted(_FIELDS))}")
        values: dict[str, Any] = {}
        if "agent" in document:
            values["agent"] = _one_of("agent", document["agent"], AGENTS)
        if "vss" in document:
            values["vss"] = _one_of("vss", document["vss"], VSS)
        if "scripts" in document:
            if not isinstance(document["scripts"], Mapping) or len(document["scripts"]) > SCRIPTS_MAX:
                raise ValueError(f"scripts must be an object with at most {SCRIPTS_MAX} paths")
            values["scripts"] = {str(path): Result.parse(result) for path, result in document["scripts"].items()}
        for name, key in (("seconds", "seconds"), ("vssSeconds", "vss_seconds")):
            if name in document:
                values[key] = None if document[name] is None else float(document[name])
        for name, key in (
            ("platformName", "platform_name"),
            ("platformVersion", "platform_version"),
            ("agentVersion", "agent_version"),
        ):
            if name in document:
                values[key] = str(document[name])
        return replace(self, **values)

    def document(self) -> dict[str, Any]:
        scripts = {
            path: {"exitCode": each.exit_code, "output": each.output, "error": each.error, "seconds": each.seconds}
            for path, each in self.scripts.items()
        }
        plain = asdict(self)
        names = {"vss_seconds": "vssSeconds", "platform_name": "platformName", "platform_version": "platformVersion"}
        names["agent_version"] = "agentVersion"
        return {names.get(key, key): value for key, value in plain.items()} | {"scripts": scripts}

    def run(self, commands: Sequence[str], *, windows: bool) -> Result:
        """What the lines of a shell document come to."""
        text = "\n".join(commands)
        for path, result in self.scripts.items():
            if path in text:
                return result
        if tested := _TESTED.search(text):
            said = tested["text"]
            return Result(int(tested["code"]), f"{said}\n" if said else "")
        missing = _SCRIPT.search(text)
        if missing is None:
            return Result()
        if windows:
            return Result(1, error=f"The term '{missing[1]}' is not recognized as the name of a script file.\n")
        return Result(127, error=f"sh: 1: {missing[1]}: not found\n")


def _one_of(name: str, value: Any, known: tuple[str, ...]) -> Any:
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}")
    return value
