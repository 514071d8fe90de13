"""``/token`` and ``/system/version``."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from server.api.rest.problems import INVALID, Problem
from server.api.rest.shim import Call

ROLES = {
    "VIEWER": "Portal Viewer",
    "RESTORE_OPERATOR": "Restore Operator",
    "OPERATOR": "Portal Operator",
    "ADMINISTRATOR": "Portal Administrator",
}


def ask(call: Call) -> tuple[str, dict[str, Any]]:
    """Which operation a token request is, and its variables."""
    grant = call.form.get("grant_type", "").lower()
    if grant == "password":
        return "sign_in", {"username": _field(call, "username"), "password": _field(call, "password")}
    if grant == "refresh_token":
        return "refresh_token", {"token": _field(call, "refresh_token")}
    raise Problem(
        INVALID,
        "grant_type must be password or refresh_token." if grant else "The form needs grant_type.",
        {"grant_type": "password or refresh_token."},
    )


def _field(call: Call, name: str) -> str:
    value = call.form.get(name, "")
    if not value:
        raise Problem(INVALID, f"The form needs {name}.", {name: "Needed."})
    return value


def login(call: Call, data: dict[str, Any]) -> dict[str, Any]:
    grant = data["grant"]
    issued = datetime.fromisoformat(grant["issuedAt"])
    expires = issued + timedelta(seconds=grant["expiresIn"])
    return {
        "access_token": grant["accessToken"],
        "token_type": "bearer",
        "refresh_token": grant["refreshToken"],
        "expires_in": grant["expiresIn"],
        ".issued": _stamp(call, issued),
        ".expires": _stamp(call, expires),
        "username": grant["user"]["name"],
        "roleName": ROLES[grant["user"]["role"]],
        "mfa_enabled": False,
    }


def _stamp(call: Call, at: datetime) -> str:
    text = at.replace(tzinfo=None).isoformat()
    return f"{text}Z" if call.at_least(2) else text


def version(_call: Call, data: dict[str, Any]) -> dict[str, Any]:
    return {"about": "Holdfast: self-hosted backup appliance for AWS", "version": data["version"]["version"]}
