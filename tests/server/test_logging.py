"""Logs: one line per event, ids from the context, no secret in any form."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from server.adapters.logging import clean_text, configure, context


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers, root.level
    yield
    root.handlers, level = before[0], before[1]
    root.setLevel(level)
    structlog.reset_defaults()


def last(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    line = capsys.readouterr().err.strip().splitlines()[-1]
    found: dict[str, object] = json.loads(line)
    return found


def test_lines_carry_the_ids_of_their_context(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "info", process="worker")
    with context(session_id=7, task_id="t", resource_id=None):
        logging.getLogger("x").info("Read %d blocks", 3)
    line = last(capsys)
    assert (line["event"], line["session_id"], line["task_id"]) == ("Read 3 blocks", "7", "t")
    assert (line["process"], line["level"]) == ("worker", "info")
    assert "resource_id" not in line
    logging.getLogger("x").info("outside")
    assert "session_id" not in last(capsys)


@pytest.mark.parametrize(
    "name", ["password", "refreshToken", "secret_key", "externalId", "Authorization", "aws_secret_access_key"]
)
def test_values_under_secret_names_are_blanked_at_any_depth(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "info", process="serve")
    structlog.get_logger().info("asked", **{name: "hunter22", "body": {"list": [{name: "hunter22"}]}})
    assert "hunter22" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "GET / Authorization: Bearer hunter22.hunter22",
        "cannot reach postgresql://holdfast:hunter22@127.0.0.1:5432/holdfast",
        "redis://:hunter22@127.0.0.1:6379/0 is down",
        "https://s3.amazonaws.com/x?X-Amz-Signature=hunter22&a=b",
        "https://s3.amazonaws.com/x?X-Amz-Security-Token=hunter22",
    ],
)
def test_secrets_inside_texts_are_blanked(text: str) -> None:
    assert "hunter22" not in clean_text(text)
    assert "***" in clean_text(text)


def test_an_access_key_is_shortened() -> None:
    assert clean_text("key AKIAIOSFODNN7EXAMPLE") == "key AKIAIOSF***"


def test_exceptions_are_cleaned_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure("text", "info", process="serve")
    try:
        raise RuntimeError("postgresql://u:hunter22@h/d")
    except RuntimeError:
        logging.getLogger("x").exception("Failed")
    written = capsys.readouterr().err
    assert "RuntimeError" in written
    assert "hunter22" not in written
