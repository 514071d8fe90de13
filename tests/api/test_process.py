"""The web process as it runs in production, against real servers and the demo account."""

from __future__ import annotations

import ipaddress
import ssl
import threading
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from server.adapters.clock import SystemClock
from server.domain.errors import Misconfigured
from server.main import listen, server_config, write_private
from server.settings import Settings
from tests.api.bench import Bench, make_app
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


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, valid for an hour."""
    now, key = SystemClock().now(), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "holdfast test")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return folder / "cert.pem", folder / "key.pem"


def tls_settings(tmp_path: Path, cert: Path, key: Path) -> Settings:
    return Settings(
        data_dir=tmp_path,
        secret_key_file=tmp_path / "secret.key",
        local_repository_root=tmp_path,
        tls_certificate=cert,
        tls_key=key,
    )


def test_it_serves_tls_and_tells_browsers_to_insist(bench: Bench, tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    application = make_app(bench.services, bench.passwords, tmp_path, "https://127.0.0.1", tls=True)
    server = uvicorn.Server(server_config(application, tls_settings(tmp_path, *certificate)))
    with listen("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        trusted = ssl.create_default_context(cafile=str(certificate[0]))
        answer = httpx.get(f"https://127.0.0.1:{listening.getsockname()[1]}/healthz", verify=trusted, timeout=30)
        server.should_exit = True
        thread.join()
    assert answer.status_code == 200
    assert "max-age" in answer.headers["strict-transport-security"]


def test_a_certificate_that_cannot_be_used_is_said_plainly(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    (tmp_path / "empty.pem").write_text("")
    for cert in (tmp_path / "empty.pem", tmp_path / "missing.pem"):
        with pytest.raises(Misconfigured) as refused:
            server_config(lambda *_: None, tls_settings(tmp_path, cert, certificate[1]))  # type: ignore[arg-type]  # never called
        assert "TLS certificate" in refused.value.message


def test_the_first_password_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "data" / "initial-password"
    write_private(file, "secret\n")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text() == "secret\n"
