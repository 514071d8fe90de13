"""Is a backup good? A second repository by the wizard, a policy that verifies into it, a check, and what a point shows then."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.conftest import RunningAppliance
from tests.e2e.conftest import REPOSITORY_PASSWORD, Api, Console, Prepared

POLICY = """mutation($i: PolicyInput!) { createPolicy(input: $i) { policy { id } } }"""


def test_a_second_repository_its_check_and_a_point_that_is_proven(
    console: Console, appliance: RunningAppliance, prepared: Prepared
) -> None:
    page, api = console.page, Api(appliance)
    _add_repository(console)
    _back_up(api, prepared)

    page.get_by_role("link", name="Second", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="Second")).to_be_visible()
    point = page.get_by_role("row").filter(has_text="log-eu-01")
    expect(point).to_contain_text("Healthy")
    expect(point).to_contain_text("by verification")
    console.button("Actions").first.click()
    page.get_by_role("menuitem", name=re.compile("^Check")).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Content").check()
    console.shoot("check-repository")
    dialog.get_by_role("button", name="Check", exact=True).click()
    expect(page.get_by_text(re.compile("Repository check .* has ended successfully"))).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Never")).to_have_count(2)  # rescanned, collected: checked it was
    console.shoot("repository-checked")

    point.get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1, name="log-eu-01")).to_be_visible()
    expect(page.get_by_text("Healthy")).to_be_visible()
    expect(page.get_by_text("by verification")).to_be_visible()
    console.shoot("point")


def _add_repository(console: Console) -> None:
    page = console.page
    console.open("/repositories/add")
    page.get_by_label("Name", exact=True).fill("Second")
    page.get_by_label("Local folder").check()
    page.get_by_label("Folder", exact=True).fill("second")
    console.button("Next").click()
    expect(page.get_by_text("Ready for a new repository")).to_be_visible()
    console.button("Next").click()
    page.get_by_label("Password", exact=True).fill(REPOSITORY_PASSWORD)
    page.get_by_label("Password again").fill(REPOSITORY_PASSWORD)
    page.get_by_label("The password is kept somewhere safe").check()
    page.get_by_label("Hint").fill("The usual one")
    console.button("Next").click()
    expect(page.get_by_text("Password (hint: The usual one)")).to_be_visible()
    console.button("Add repository").click()
    expect(page.get_by_role("heading", level=1, name="Second")).to_be_visible()
    console.go_to("Repositories")


def _back_up(api: Api, prepared: Prepared) -> None:
    """One backup of a small instance that no other test touches, into the repository of the wizard, verified."""
    repositories = api.ask('{ repositories(first: 1, filter: { search: "Second" }) { edges { node { id } } } }')
    resources = api.ask('{ resources(first: 1, filter: { search: "log-eu-01" }) { edges { node { id } } } }')
    policy = api.ask(
        POLICY,
        i={
            "name": "Verified",
            "scope": {
                "accountId": prepared.account_id,
                "regions": ["eu-central-1"],
                "mode": "LISTED",
                "resourceIds": [resources["resources"]["edges"][0]["node"]["id"]],
            },
            "retention": {"snapshots": 1, "backups": {"amount": 7}},
            "repositoryId": repositories["repositories"]["edges"][0]["node"]["id"],
            "verify": True,
        },
    )["createPolicy"]["policy"]["id"]
    started = api.ask("mutation($i: StartPolicyInput!) { startPolicy(input: $i) { session { id } } }", i={"id": policy})
    api.finish(started["startPolicy"]["session"]["id"])
