"""What a person relies on without thinking: links, reloads, lost connections, light and dark, the keyboard."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.conftest import RunningAppliance
from tests.e2e.conftest import Api, Console, Prepared

PAGES = (
    "/",
    "/resources",
    "/policies",
    "/policies?tab=sla",
    "/policies/create",
    "/policies/create?kind=SLA",
    "/templates",
    "/templates?tab=storage",
    "/templates/sla/create",
    "/templates/storage/create",
    "/protected-data",
    "/protected-data?tab=points",
    "/sessions",
    "/repositories",
    "/repositories/add",
    "/accounts",
    "/accounts/add",
    "/preferences",
)

# Pixels of each table that only scrolling shows.
CLIPPED = """[...document.querySelectorAll('table')]
    .map(table => table.parentElement.scrollWidth - table.parentElement.clientWidth)
    .filter(hidden => hidden > 0)"""


def _numbers(page: Page) -> list[int]:
    """Numbers of the log lines shown, in order."""
    found: list[int] = page.locator(".hf-log-line").evaluate_all("lines => lines.map(line => Number(line.dataset.number))")
    return found


def _run(api: Api, prepared: Prepared) -> str:
    """Start the prepared policy; the session's id."""
    started = api.ask(
        "mutation($i: StartPolicyInput!) { startPolicy(input: $i) { session { id } } }", i={"id": prepared.policy_id}
    )
    session_id: str = started["startPolicy"]["session"]["id"]
    return session_id


def _start(appliance: RunningAppliance, prepared: Prepared) -> str:
    """Run the prepared policy; the session's address."""
    return f"/sessions/{_run(Api(appliance), prepared)}"


def test_a_dropped_connection_loses_and_repeats_no_line(
    new_console: Callable[..., Console], appliance: RunningAppliance, prepared: Prepared
) -> None:
    console = new_console()
    sockets: list[WebSocketRoute] = []

    def forward(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        socket.connect_to_server()

    console.page.route_web_socket(re.compile("/graphql"), forward)
    console.open()
    console.sign_in()
    expect(console.page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
    console.open(_start(appliance, prepared))
    expect(console.log_lines().first).to_be_visible()
    before = len(sockets)
    sockets[-1].close(code=1001, reason="cut by the test")
    console.wait_for_end("Success")

    assert len(sockets) > before
    shown = _numbers(console.page)
    assert shown == list(range(1, len(shown) + 1))
    expect(console.page.get_by_role("log")).to_contain_text("finished")


def test_the_log_is_live_where_sockets_are_blocked(
    new_console: Callable[..., Console], appliance: RunningAppliance, prepared: Prepared
) -> None:
    console = new_console()
    console.page.route_web_socket(re.compile("/graphql"), lambda socket: socket.close(code=1011, reason="blocked"))
    console.open()
    console.sign_in()
    expect(console.page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
    console.open(_start(appliance, prepared))
    console.wait_for_end("Success")
    shown = _numbers(console.page)
    assert len(shown) > 3
    assert shown == list(range(1, len(shown) + 1))


def test_the_address_holds_the_view(console: Console, prepared: Prepared) -> None:
    page = console.page
    console.open("/resources")
    page.get_by_placeholder("Find by name").fill("web-")
    expect(page).to_have_url(re.compile(r"search=web-"))
    page.get_by_role("button", name=re.compile("^Name")).press("Enter")  # by the keyboard, as everything can be used
    expect(page).to_have_url(re.compile(r"sort=name%3Adesc"))
    expect(page.get_by_role("row").nth(1)).to_contain_text("web-eu-01")
    expect(page.get_by_role("link", name="db-01")).to_have_count(0)

    page.reload()
    expect(page.get_by_role("row").nth(1)).to_contain_text("web-eu-01")
    expect(page.get_by_placeholder("Find by name")).to_have_value("web-")
    expect(page.get_by_role("link", name="db-01")).to_have_count(0)

    page.get_by_role("link", name="web-01", exact=True).click()
    page.get_by_role("tab", name=re.compile("^Tags")).click()
    expect(page).to_have_url(re.compile("tab=tags"))
    page.reload()
    expect(page.get_by_role("tab", name=re.compile("^Tags"))).to_have_attribute("aria-selected", "true")


def test_who_is_signed_out_comes_back_to_where_they_were(console: Console, prepared: Prepared) -> None:
    page = console.page
    console.open("/sessions?state=SUCCESS")
    expect(page.get_by_role("heading", level=1, name=re.compile("^Sessions"))).to_be_visible()
    page.evaluate("sessionStorage.clear()")
    page.reload()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    console.sign_in()
    expect(page.get_by_role("heading", level=1, name=re.compile("^Sessions"))).to_be_visible()
    expect(page).to_have_url(re.compile(r"/sessions\?state=SUCCESS"))


def test_the_choice_of_dark_mode_is_kept(console: Console) -> None:
    page = console.page
    expect(page.locator("body")).not_to_have_class(re.compile("awsui-dark-mode"))
    page.get_by_role("button", name="Appearance").click()
    page.get_by_role("menuitemcheckbox", name="Dark").click()
    expect(page.locator("body")).to_have_class(re.compile("awsui-dark-mode"))
    page.reload()
    expect(page.locator("body")).to_have_class(re.compile("awsui-dark-mode"))


def test_what_the_server_refuses_is_shown_at_its_field(console: Console, prepared: Prepared) -> None:
    page = console.page
    console.open("/repositories/add")
    page.get_by_label("Local folder").check()
    page.get_by_label("Name", exact=True).fill("Outside")
    page.get_by_label("Folder", exact=True).fill("/etc")
    console.button("Next").click()
    expect(page.get_by_text("Must lie beneath").first).to_be_visible()
    expect(page.get_by_label("Folder", exact=True)).to_have_attribute("aria-invalid", "true")


def test_a_running_session_can_be_cancelled(console: Console, appliance: RunningAppliance, prepared: Prepared) -> None:
    page = console.page
    appliance.cloud.fault("ec2:CreateSnapshots", "slow", delay=4)
    try:
        console.open(_start(appliance, prepared))
        console.button("Cancel session").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("Restore points that are already complete stay.")
        dialog.get_by_role("button", name="Cancel session").click()
        console.wait_for_end("Cancelled")
        console.shoot("session-cancelled")
    finally:
        appliance.cloud.reset()


def test_restore_points_are_deleted_after_a_check_and_a_second_look(
    console: Console, appliance: RunningAppliance, prepared: Prepared
) -> None:
    page = console.page
    api = Api(appliance)
    api.finish(_run(api, prepared))
    console.open("/protected-data?tab=points&search=build-01&where=BACKUP")
    rows = page.get_by_role("row").filter(has_text="build-01")
    expect(rows.first).to_be_visible()
    before = rows.count()
    console.pick_row("Backup")
    console.button("Delete").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Checked: it can be deleted. Nothing has been deleted yet.")
    expect(dialog.get_by_role("button", name="Delete")).to_be_disabled()
    dialog.get_by_label("I understand").check()
    console.shoot("delete-points")
    dialog.get_by_role("button", name="Delete").click()
    expect(page.get_by_text(re.compile("Restore point deletion .* has ended successfully"))).to_be_visible(timeout=60_000)
    expect(rows).to_have_count(before - 1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 1024])
def test_every_page_shows_without_a_complaint(
    new_console: Callable[..., Console], prepared: Prepared, scheme: str, width: int
) -> None:
    """Errors of scripts and of the content security policy are collected by the fixture."""
    console = new_console(color_scheme=scheme, viewport={"width": width, "height": 900})
    page = console.page
    console.open()
    console.sign_in()
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
    for path in PAGES:
        console.open(path)
        expect(page.get_by_role("heading").first).to_be_visible()
        expect(page.get_by_role("status", name="Loading")).to_have_count(0)
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0, f"{path} is {overflow} pixels too wide"
        assert page.evaluate(CLIPPED) == [], f"tables of {path} are cut off at {width} pixels"
        name = re.sub(r"\W+", "-", path.strip("/")) or "overview"
        console.shoot(f"page-{name}-{scheme}-{width}")
