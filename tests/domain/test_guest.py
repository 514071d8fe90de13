"""What people may ask to be run in a guest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.errors import InvalidInput
from server.domain.guest import VARIABLES, Guest, Script, Scripts, extension, filled, problems, words


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", ()),
        ("  a  b ", ("a", "b")),
        ('--name "my instance" x', ("--name", "my instance", "x")),
        ('--name="my instance"', ("--name=my instance",)),
        (r"C:\dir\new it's #1 a'b", ("C:\\dir\\new", "it's", "#1", "a'b")),
        ('""', ("",)),
    ],
)
def test_arguments_are_split_like_a_command_line(arguments: str, expected: tuple[str, ...]) -> None:
    assert words(arguments) == expected


def test_an_open_quote_is_refused() -> None:
    with pytest.raises(InvalidInput, match="not closed"):
        words('--name "open')


@given(st.lists(st.text(st.characters(exclude_characters='" \t\r\n', exclude_categories=["Cs"]), min_size=1)))
def test_words_without_quotes_and_spaces_stay_as_they_are(parts: list[str]) -> None:
    assert words(" ".join(parts)) == tuple(parts)


def test_variables_are_replaced_once_and_unknown_ones_stay() -> None:
    values = {"policy": "%instance%", "instance": "db"}
    assert filled("%policy%-%instance%-%other%-100%", values) == "%instance%-db-%other%-100%"


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/opt/a.sh", "sh"), (r"C:\a.b\run.PS1", "ps1"), ("/opt.d/run", ""), ("run.", ""), (r"\\host\share\x.bat", "bat")],
)
def test_the_extension_says_how_a_script_is_started(path: str, expected: str) -> None:
    assert extension(path) == expected


def linux(path: str = "/opt/a.sh", arguments: str = "", timeout: int = 600) -> Guest:
    return Guest(linux=Scripts(pre=Script(path=path, arguments=arguments), timeout_seconds=timeout))


def windows(path: str) -> Guest:
    return Guest(windows=Scripts(post=Script(path=path)))


ALL_VARIABLES = " ".join(f"%{name}%" for name in VARIABLES)
GOOD = [
    Guest(),
    linux(),
    linux(arguments=ALL_VARIABLES),
    linux(timeout=5),
    windows(r"D:\x.vbs"),
    windows(r"\\host\share\x.exe"),
]
GOOD += [windows(rf"C:\x.{kind}") for kind in ("EXE", "BAT", "CMD", "WSF", "JS", "VBS", "PS1")]


@pytest.mark.parametrize("guest", GOOD)
def test_what_can_be_run_is_accepted(guest: Guest) -> None:
    assert dict(problems(guest)) == {}


@pytest.mark.parametrize(
    ("guest", "path", "sentence"),
    [
        (Guest(linux=Scripts()), "guest.linux", "Name a script"),
        (linux("a.sh"), "guest.linux.pre.path", "full path"),
        (linux("/opt/a.ps1"), "guest.linux.pre.path", "one of: SH"),
        (linux("/opt/\n.sh"), "guest.linux.pre.path", "printable"),
        (linux("/" + "a" * 1024 + ".sh"), "guest.linux.pre.path", "at most 1024"),
        (linux(arguments="x" * 2049), "guest.linux.pre.arguments", "at most 2048"),
        (linux(arguments='"open'), "guest.linux.pre.arguments", "not closed"),
        (linux(arguments="%Policy%"), "guest.linux.pre.arguments", "no variable %Policy%"),
        (linux(timeout=4), "guest.linux.timeoutSeconds", "between 5 seconds and 48 hours"),
        (linux(timeout=172801), "guest.linux.timeoutSeconds", "between 5 seconds and 48 hours"),
        (windows("/opt/a.ps1"), "guest.windows.post.path", "full path"),
        (windows(r"C:\a.sh"), "guest.windows.post.path", "EXE, BAT, CMD, WSF, JS, VBS, PS1"),
    ],
)
def test_what_cannot_be_run_is_refused_with_its_reason(guest: Guest, path: str, sentence: str) -> None:
    found = dict(problems(guest))
    assert set(found) == {path}
    assert sentence in found[path]
