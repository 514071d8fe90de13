"""Settings: every value is checked, every problem is named at once, secrets stay hidden, the README lists all of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from server.domain.errors import Misconfigured
from server.settings import VARIABLES, Settings


def problems(**environ: str) -> dict[str, str]:
    with pytest.raises(Misconfigured) as caught:
        Settings.from_env({f"HOLDFAST_{name}": value for name, value in environ.items()})
    return caught.value.fields


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PORT", "http", "whole number from 0 to 65535"),
        ("PORT", "70000", "whole number from 0 to 65535"),
        ("PORT", "-1", "whole number"),
        ("WORKER_THREADS", "0", "from 1 to 64"),
        ("COMPRESSION_LEVEL", "20", "from 1 to 19"),
        ("LOG_FORMAT", "xml", "one of text, json"),
        ("LOG_LEVEL", "chatty", "one of debug, info, warning, error"),
        ("GRAPHIQL", "perhaps", "true or false"),
        ("HOST", "http://localhost", "host name or address"),
        ("PUBLIC_URL", "holdfast.example", "must begin with http:// or https://"),
        ("AWS_ENDPOINT_URL", "ftp://localhost", "must begin with http:// or https://"),
        ("AWS_ENDPOINT_URL", "http://localhost:99999", "port must be a number"),
        ("DATABASE_URL", "mysql://localhost/x", "must begin with postgresql://"),
        ("DATABASE_URL", "postgresql://localhost", "names no database"),
        ("REDIS_URL", "localhost:6379", "must begin with redis://"),
        ("REDIS_URL", "redis://", "names no host"),
        ("ADMIN_PASSWORD", "short", "at least 8 characters"),
        ("TLS_CERTIFICATE", "/no/such/file", "cannot be read"),
        ("DATABSE_URL", "postgresql://localhost/x", "did you mean HOLDFAST_DATABASE_URL?"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_expected(name: str, value: str, said: str) -> None:
    assert said in problems(**{name: value})[f"HOLDFAST_{name}"]


def test_all_problems_are_reported_together() -> None:
    found = problems(PORT="x", LOG_LEVEL="y", GRAPHIQL="z")
    assert set(found) == {"HOLDFAST_PORT", "HOLDFAST_LOG_LEVEL", "HOLDFAST_GRAPHIQL"}


def test_a_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    certificate = tmp_path / "cert.pem"
    certificate.write_text("x")
    assert "go together" in problems(TLS_CERTIFICATE=str(certificate))["HOLDFAST_TLS_KEY"]


def test_a_wrong_address_is_not_quoted_since_it_may_hold_a_password() -> None:
    with pytest.raises(Misconfigured) as caught:
        Settings.from_env({"HOLDFAST_DATABASE_URL": "mysql://root:hunter22@db/x", "HOLDFAST_REDIS_URL": "http://:hunter22@r"})
    assert "hunter22" not in caught.value.sentence()


def test_defaults_follow_each_other(tmp_path: Path) -> None:
    settings = Settings.from_env({"HOLDFAST_DATA_DIR": str(tmp_path), "HOLDFAST_HOST": "::1", "HOLDFAST_PORT": "9000"})
    assert settings.public_url == "http://[::1]:9000"
    assert settings.secret_key_file == tmp_path / "secret.key"
    assert settings.local_repository_root == tmp_path / "repositories"


def test_an_empty_variable_counts_as_unset() -> None:
    assert Settings.from_env({"HOLDFAST_PORT": "", "HOLDFAST_REDIS_URL": " "}).port == 8000


def test_usual_spellings_of_the_database_address_are_accepted() -> None:
    for scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        settings = Settings.from_env({"HOLDFAST_DATABASE_URL": f"{scheme}://u:p@h/d"})
        assert settings.need_database_url() == "postgresql://u:p@h/d"


def test_settings_travel_to_a_child_process_unchanged(tmp_path: Path) -> None:
    settings = Settings.from_env(
        {
            "HOLDFAST_DATA_DIR": str(tmp_path),
            "HOLDFAST_DATABASE_URL": "postgresql://u:p@h/d",
            "HOLDFAST_ADMIN_PASSWORD": "correct horse",
            "HOLDFAST_GRAPHIQL": "yes",
            "HOLDFAST_LOG_FORMAT": "TEXT",
        }
    )
    assert Settings.from_env(settings.to_env()) == settings
    assert set(settings.to_env()) <= {variable.name for variable in VARIABLES}


def test_secrets_are_not_in_the_representation() -> None:
    settings = Settings.from_env(
        {
            "HOLDFAST_DATABASE_URL": "postgresql://u:hunter22@h/d",
            "HOLDFAST_REDIS_URL": "redis://:hunter22@h",
            "HOLDFAST_ADMIN_PASSWORD": "hunter22",
        }
    )
    assert "hunter22" not in repr(settings)


def test_a_missing_server_says_what_to_do() -> None:
    settings = Settings.from_env({})
    with pytest.raises(Misconfigured, match="HOLDFAST_DATABASE_URL"):
        settings.need_database_url()
    with pytest.raises(Misconfigured, match="HOLDFAST_REDIS_URL"):
        settings.need_redis_url()


def test_the_readme_lists_every_variable_with_its_default() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    rows = dict(re.findall(r"^\| `(HOLDFAST_\w+)` \| ([^|]*) \|", readme, re.MULTILINE))
    assert {name: default.strip().strip("`") for name, default in rows.items()} == {
        variable.name: variable.default or "–" for variable in VARIABLES
    }
