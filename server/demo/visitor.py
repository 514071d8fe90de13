"""A user of the appliance's public API: signs in, sends GraphQL over HTTP, waits for sessions. Uses nothing internal."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from server.domain.errors import HoldfastError, Unavailable

_LOOK_EVERY: Final = 0.25  # seconds between looks at a running session
_TIMEOUT: Final = 120.0  # seconds for one answer
OPEN_STATES: Final = frozenset({"PENDING", "RUNNING"})

_SESSION: Final = """
query Session($id: ID!) {
  node(id: $id) {
    ... on Session {
      id kind name state progressDone progressTotal bytesRead bytesStored startedAt endedAt
      tasks { id kind name state stage message errorCode progressDone progressTotal bytesRead bytesStored result }
      log(first: 100) { number level message }
    }
  }
}
"""

Session = Mapping[str, Any]


@dataclass
class Visitor:
    """``url`` is the appliance's address. Not for several threads."""

    url: str
    _token: str | None = field(default=None, init=False, repr=False)
    _credentials: tuple[str, str] | None = field(default=None, init=False, repr=False)

    def sign_in(self, username: str, password: str) -> None:
        self._credentials = (username, password)
        answer = self.ask(
            "mutation($input: SignInInput!) { signIn(input: $input) { accessToken } }",
            input={"username": username, "password": password},
        )
        self._token = answer["signIn"]["accessToken"]

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The ``data`` of the answer. HoldfastError with the first error's message and remedy; Unavailable."""
        status, answer = self._post(query, variables)
        if _says(answer, "TOKEN_EXPIRED") and self._credentials is not None:
            self._token = None
            self.sign_in(*self._credentials)
            status, answer = self._post(query, variables)
        errors = answer.get("errors")
        if errors or "data" not in answer:
            first: Mapping[str, Any] = errors[0] if errors else {"message": f"HTTP {status}: {str(answer)[:300]}"}
            extensions = first.get("extensions") or {}
            raise HoldfastError(str(first["message"]), remedy=extensions.get("remedy"), fields=extensions.get("fields"))
        data: dict[str, Any] = answer["data"]
        return data

    def session(self, session_id: str) -> Session:
        found: Session = self.ask(_SESSION, id=session_id)["node"]
        return found

    def finished(self, session_id: str, *, look: Callable[[Session], None], seconds: float) -> Session:
        """Wait until the session is over; ``look`` sees it on the way. Unavailable after ``seconds``."""
        deadline = time.monotonic() + seconds
        while True:
            session = self.session(session_id)
            look(session)
            if session["state"] not in OPEN_STATES:
                return session
            if time.monotonic() > deadline:
                raise Unavailable(f"{session['name']} did not end within {seconds:.0f} seconds.")
            time.sleep(_LOOK_EVERY)

    def _post(self, query: str, variables: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"content-type": "application/json"}
        if self._token is not None:
            headers["authorization"] = f"Bearer {self._token}"
        status, content = fetch("POST", f"{self.url}/graphql", body, headers)
        try:
            answer = json.loads(content)
        except ValueError:
            answer = {"text": content[:300].decode(errors="replace")}
        return status, answer if isinstance(answer, dict) else {"text": str(answer)}


def fetch(method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """Status and content. Unavailable when nobody answers."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_TIMEOUT)
    try:
        connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, body, dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"{url} does not answer: {error}") from error
    finally:
        connection.close()


def _says(answer: Mapping[str, Any], code: str) -> bool:
    return any((error.get("extensions") or {}).get("code") == code for error in answer.get("errors") or ())
