"""A browser before the real appliance, and a quick way to prepare what a test is not about.

Screenshots go to the folder ``HOLDFAST_SCREENSHOTS``, or into pytest's temporary folder.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect, sync_playwright

from tests.conftest import RunningAppliance

BUCKET = "holdfast-demo-backups"  # made by the sample account, in us-east-1
REPOSITORY_PASSWORD = "four unrelated words, 1 number"
RUN_MS = 120_000  # a whole run of the small sample takes seconds; this is for machines under load
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")

expect.set_options(timeout=20_000)


def _chromium() -> str | None:
    """A Chromium of the system; None lets Playwright use its own."""
    given = os.environ.get("HOLDFAST_CHROMIUM")
    return given or next((path for name in BROWSERS if (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Chromium's sandbox refuses to start for root, which is who runs tests in containers.
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        launched = playwright.chromium.launch(executable_path=_chromium(), args=[*flags, "--disable-dev-shm-usage"])
        yield launched
        launched.close()


@dataclass
class Console:
    """The console in one browser window. ``faults`` is what the browser complained about."""

    page: Page
    appliance: RunningAppliance
    shots: Path
    faults: list[str] = field(default_factory=list)

    def open(self, path: str = "/") -> None:
        self.page.goto(self.appliance.url + path)

    def sign_in(self, password: str | None = None, *, user: str | None = None) -> None:
        self.page.get_by_label("User name").fill(user or self.appliance.username)
        self.page.get_by_label("Password").fill(password or self.appliance.password)
        self.page.get_by_role("button", name="Sign in").click()

    def go_to(self, name: str) -> None:
        """By the navigation, without a reload."""
        self.page.get_by_role("navigation", name="Side navigation").get_by_role("link", name=name, exact=True).click()
        expect(self.page.get_by_role("heading", level=1, name=re.compile(f"^{name}"))).to_be_visible()

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def choose(self, label: str, option: str) -> None:
        """In the select called ``label``, the first option that contains ``option``."""
        self.page.get_by_label(label, exact=True).click()
        self.page.get_by_role("option").filter(has_text=option).first.click()

    def pick_row(self, text: str) -> None:
        """Select the first table row with a cell, or a part of one, that is exactly ``text``."""
        rows = self.page.get_by_role("row").filter(has=self.page.get_by_text(text, exact=True))
        rows.first.get_by_role("checkbox").check()

    def log_lines(self) -> Locator:
        return self.page.locator(".hf-log-line")

    def wait_for_end(self, state: str = "Success") -> None:
        """Until the session on the page has ended, and then it must be in ``state``."""
        self.page.get_by_text("Complete.", exact=True).wait_for(timeout=RUN_MS)
        summary = self.page.locator("dl, [class*=key-value]").first
        expect(summary.get_by_text(state, exact=True)).to_be_visible()

    def shoot(self, name: str) -> None:
        self.page.screenshot(path=self.shots / f"{name}.png")


def next_step(console: Console, title: str) -> None:
    """On to the wizard's next step, called ``title``: the server is asked about the one before it shows."""
    console.button("Next").click()
    expect(console.page.get_by_role("heading", level=1, name=title, exact=True)).to_be_visible()


@pytest.fixture
def new_console(
    browser: Browser, appliance: RunningAppliance, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Console]]:
    """Opens windows. A complaint of the browser (script error, refused by the content security policy) fails the test."""
    shots = Path(os.environ.get("HOLDFAST_SCREENSHOTS") or tmp_path)
    shots.mkdir(parents=True, exist_ok=True)
    opened: list[tuple[BrowserContext, Console]] = []

    def make(**options: Any) -> Console:
        context = browser.new_context(
            **{
                "viewport": {"width": 1440, "height": 900},
                "timezone_id": "Europe/Berlin",
                "locale": "en-GB",
                "reduced_motion": "reduce",
                **options,
            }
        )
        console = Console(context.new_page(), appliance, shots)
        console.page.on("pageerror", lambda error: console.faults.append(str(error)))
        console.page.on("console", lambda message: _note(console, message))
        opened.append((context, console))
        return console

    yield make
    faults = [fault for _, console in opened for fault in console.faults]
    for context, console in opened:
        if request.session.testsfailed:
            console.shoot(f"failed-{request.node.name}")
        context.close()
    assert faults == []


def _note(console: Console, message: ConsoleMessage) -> None:
    # A connection that the test itself cuts is reported by the browser as an error; the console must live with it.
    if message.type == "error" and "WebSocket connection" not in message.text:
        console.faults.append(message.text)


@pytest.fixture
def console(new_console: Callable[..., Console]) -> Console:
    """A window with somebody signed in."""
    window = new_console()
    window.open()
    window.sign_in()
    expect(window.page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
    return window


class Api:
    """GraphQL over HTTP as the administrator."""

    def __init__(self, appliance: RunningAppliance) -> None:
        self._url = f"{appliance.url}/graphql"
        self._token = ""
        credentials = {"username": appliance.username, "password": appliance.password}
        signed_in = self.ask("mutation($i: SignInInput!) { signIn(input: $i) { accessToken } }", i=credentials)
        self._token = signed_in["signIn"]["accessToken"]

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"content-type": "application/json", "authorization": f"Bearer {self._token}"}
        with urllib.request.urlopen(urllib.request.Request(self._url, body, headers), timeout=60) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    def finish(self, session_id: str) -> None:
        """Wait until the session has succeeded."""
        deadline = time.monotonic() + RUN_MS / 1000
        state = "PENDING"
        while state in ("PENDING", "RUNNING"):
            assert time.monotonic() < deadline, "the session did not end"
            state = self.ask("query($id: ID!) { node(id: $id) { ... on Session { state } } }", id=session_id)["node"]["state"]
        assert state == "SUCCESS"


@dataclass(frozen=True)
class Prepared:
    """A policy with a repository of its own, ready to run."""

    account_id: str
    policy_id: str
    policy_name: str


@pytest.fixture(scope="session")
def prepared(appliance: RunningAppliance) -> Prepared:
    """Resources found, a local repository and a policy that protects one small instance in it: one no other test touches."""
    api = Api(appliance)
    account = api.ask("{ accounts(first: 10) { edges { node { id isHome } } } }")["accounts"]["edges"][0]["node"]["id"]
    rescan = api.ask(
        "mutation($i: RescanInput!) { rescan(input: $i) { session { id } } }",
        i={"accountId": account, "regions": ["us-east-1", "eu-central-1"]},
    )
    api.finish(rescan["rescan"]["session"]["id"])
    repository = api.ask(
        "mutation($i: AddRepositoryInput!) { addRepository(input: $i) { repository { id } } }",
        i={"name": "Prepared", "kind": "LOCAL", "location": "prepared", "password": REPOSITORY_PASSWORD},
    )["addRepository"]["repository"]["id"]
    resources = api.ask('{ resources(first: 1, filter: { search: "build-01" }) { edges { node { id } } } }')
    policy = api.ask(
        "mutation($i: PolicyInput!) { createPolicy(input: $i) { policy { id } } }",
        i={
            "name": "Prepared policy",
            "scope": {
                "accountId": account,
                "regions": ["us-east-1"],
                "mode": "LISTED",
                "resourceIds": [resources["resources"]["edges"][0]["node"]["id"]],
            },
            "retention": {"snapshots": 3, "backups": {"amount": 7}},
            "repositoryId": repository,
        },
    )["createPolicy"]["policy"]["id"]
    return Prepared(account, policy, "Prepared policy")
