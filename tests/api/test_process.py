"""The web process as it runs in production, against real servers and the demo account."""

from __future__ import annotations

import httpx
import pytest

from server.domain.errors import Misconfigured
from server.main import listen, write_private
from tests.conftest import RunningAppliance


def test_it_is_ready_serves_and_knows_its_home_account(appliance: RunningAppliance) -> None:
    with httpx.Client(base_url=appliance.url, timeout=30) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/readyz").json() == {"status": "ready", "parts": {"database": "ok", "queue": "ok"}}
        form = {"grant_type": "password", "username": appliance.username, "password": appliance.password}
        token = client.post("/api/v1/token", data=form).json()["access_token"]
        headers = {"authorization": f"Bearer {token}"}
        asked = {"query": "{ me { role } accounts(first: 1) { edges { node { isHome awsAccountId state } } } }"}
        data = client.post("/graphql", json=asked, headers=headers).json()["data"]
        assert data["me"] == {"role": "ADMINISTRATOR"}
        assert data["accounts"]["edges"][0]["node"]["isHome"] is True


def test_a_taken_address_is_said_plainly() -> None:
    with listen("127.0.0.1", 0) as first, pytest.raises(Misconfigured) as refused:
        listen("127.0.0.1", first.getsockname()[1])
    assert "Address already in use" in refused.value.message
    assert "HOLDFAST_PORT" in (refused.value.remedy or "")


def test_the_first_password_is_readable_by_its_owner_only(tmp_path: object) -> None:
    from pathlib import Path

    file = Path(str(tmp_path)) / "data" / "initial-password"
    write_private(file, "secret\n")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text() == "secret\n"
