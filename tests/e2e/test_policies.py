"""Policies as people write them: four schedules with a preview and a forecast, SLA templates with what was kept of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, Route, expect

from tests.conftest import RunningAppliance
from tests.e2e.conftest import RUN_MS, Api, Console, Prepared, next_step

SCHEDULED = "win-01"  # instances no other test's policy covers
PROMISED = "win-eu-01"


def name_instance(page: Page, name: str) -> None:
    page.get_by_label("Some instances").check()
    page.get_by_label("Instances", exact=True).click()
    page.get_by_role("option").filter(has_text=name).first.click()
    page.keyboard.press("Escape")


def flags(row: Locator, name: str) -> Locator:
    return row.get_by_role("img", name=name, exact=True)


def test_a_policy_of_four_schedules_from_the_wizard_to_its_flags(console: Console, prepared: Prepared) -> None:
    page = console.page
    console.open("/policies/create")
    page.get_by_label("Name", exact=True).fill("Four schedules")
    next_step(console, "Sources")
    next_step(console, "Resources")
    name_instance(page, SCHEDULED)
    expect(page.get_by_role("row").filter(has_text=SCHEDULED)).to_contain_text("Selected by name.")
    next_step(console, "Guest processing")
    next_step(console, "Targets")
    console.choose("Repository", "Prepared")
    next_step(console, "Schedule")
    _four_schedules(console)
    for title in ("Tags", "Settings", "Cost"):
        next_step(console, title)
    expect(page.get_by_text(re.compile(r"Expected cost: .*\$"))).to_be_visible()
    console.shoot("policy-cost")
    next_step(console, "Review")
    expect(page.get_by_text("2 runs: makes 2 snapshots and 1 backup, deletes nothing").first).to_be_visible()
    console.button("Test configuration").click()
    expect(page.get_by_role("row").filter(has_text="Home account").filter(has_text="Works").first).to_be_visible()
    console.shoot("policy-review-forecast")
    console.button("Create policy").click()
    expect(page.get_by_role("heading", level=1, name="Four schedules")).to_be_visible()
    _run_and_look(console)


def _four_schedules(console: Console) -> None:
    page = console.page
    page.get_by_role("button", name="Snapshot at 07:00").click()
    page.get_by_role("button", name="Snapshot at 07:00").press("ArrowLeft")
    expect(page.get_by_role("button", name="Snapshot at 06:00")).to_be_focused()
    for frequency in ("Weekly", "Monthly", "Yearly"):
        page.get_by_label(f"{frequency} schedule", exact=True).check()
    weekly, monthly, yearly = (page.get_by_label("Time", exact=True).nth(index) for index in range(3))
    weekly.click()
    page.get_by_role("option").filter(has_text="07:00").first.click()
    for inherited in (monthly, yearly):  # one restore point is to serve all of them
        expect(inherited).to_be_disabled()
        expect(inherited).to_contain_text("07:00")
    expect(page.get_by_text("so that one restore point serves both").first).to_be_visible()

    told = page.get_by_role("list", name="Coming runs")
    expect(told.get_by_role("img", name="Daily, Weekly", exact=True).first).to_be_visible()
    expect(page.get_by_text("The 7 newest daily snapshots")).to_be_visible()
    page.get_by_label("Snapshots to keep").first.fill("")
    expect(page.get_by_text("Enter a whole number from 0 to 1,000.")).to_be_visible()
    page.get_by_label("Snapshots to keep").first.fill("5")
    expect(page.get_by_text("The 5 newest daily snapshots")).to_be_visible()
    console.shoot("policy-four-schedules")


def _run_and_look(console: Console) -> None:
    page = console.page
    console.shoot("policy-overview")
    page.get_by_role("tab", name="Forecast").click()
    expect(page.get_by_text("The next 14 days")).to_be_visible()
    expect(page.get_by_text(re.compile("2 runs: makes 2 snapshots")).first).to_be_visible()
    console.button("Run now").click()
    page.get_by_role("dialog").get_by_role("button", name="Run", exact=True).click()
    expect(page).to_have_url(re.compile("/sessions/"))
    console.wait_for_end("Success")
    task = page.get_by_role("row").filter(has_text=SCHEDULED)
    for leg in ("Snapshot", "Backup"):
        expect(task.get_by_text(leg, exact=True)).to_be_visible()
    console.shoot("session-legs")

    console.go_to("Protected data")
    page.get_by_role("link", name=SCHEDULED, exact=True).click()
    expect(page.get_by_text("Held for the next backup").first).to_be_visible()
    rows = page.get_by_role("row").filter(has_text="by Four schedules")
    expect(rows).to_have_count(2)
    for index in range(2):
        expect(flags(rows.nth(index), "Daily")).to_be_visible()
    console.shoot("protected-flags")


def test_points_are_removed_by_sets_after_they_were_counted(
    console: Console, appliance: RunningAppliance, prepared: Prepared
) -> None:
    page = console.page
    api = Api(appliance)
    found = api.ask('{ resources(first: 1, filter: { search: "build-01" }) { edges { node { id } } } }')
    resource = found["resources"]["edges"][0]["node"]["id"]
    console.open(f"/protected-data/{resource}")
    console.button("Take snapshot").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Delete it by itself after some days").check()
    dialog.get_by_label("Days to keep").fill("3")
    dialog.get_by_role("button", name="Take snapshot").click()
    expect(page.get_by_text(re.compile("Manual snapshot .* has ended successfully"))).to_be_visible(timeout=RUN_MS)
    page.get_by_role("tab", name="Manual snapshots").click()
    expect(page.get_by_role("row").filter(has_text="by hand")).to_have_count(1)
    console.shoot("manual-snapshots")

    console.button("Remove").click()
    page.get_by_role("menuitem", name="Manual snapshots").click()
    expect(dialog).to_contain_text("1 manual snapshot will be deleted")
    expect(dialog.get_by_role("button", name="Remove")).to_be_disabled()
    dialog.get_by_label("I understand").check()
    console.shoot("remove-set")
    dialog.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("No manual snapshot")).to_be_visible(timeout=RUN_MS)


def test_an_sla_template_becomes_a_policy_that_runs_at_once(console: Console, prepared: Prepared) -> None:
    page = console.page
    console.go_to("Templates")
    page.get_by_role("link", name="Create SLA template").first.click()
    console.button("Create template").click()
    expect(page.get_by_text("Give the template a name.").first).to_be_visible()
    page.get_by_label("Template name").fill("Every four hours")
    console.button("Create template").click()
    expect(page.get_by_role("heading", level=1, name="Every four hours")).to_be_visible()
    expect(page.get_by_text("Snapshots every 4 hours, all day, kept for 7 days.")).to_be_visible()

    _promise(console)

    console.go_to("Policies")
    page.get_by_role("tab", name="By SLA").click()
    row = page.get_by_role("row").filter(has_text="Promised")
    expect(row).to_contain_text("As promised by Every four hours")
    console.shoot("policies-sla")
    page.get_by_role("link", name="Promised", exact=True).click()
    expect(page.get_by_role("link", name="Success")).to_be_visible(timeout=RUN_MS)  # all day is one window, and it is open
    page.get_by_role("tab", name="Compliance").click()
    expect(page.get_by_text("Nothing to judge yet")).to_be_visible()

    page.get_by_role("link", name="Every four hours").click()
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Kept from, in percent").fill("90")
    console.button("Save changes").click()
    expect(page.get_by_text("Earlier versions")).to_be_visible()
    expect(page.get_by_text("The promise counts as kept from 90 % on.")).to_be_visible()
    console.shoot("sla-template")


def _promise(console: Console) -> None:
    page = console.page
    console.open("/policies/create?kind=SLA")
    page.get_by_label("Name", exact=True).fill("Promised")
    next_step(console, "Sources")
    next_step(console, "Resources")
    name_instance(page, PROMISED)
    next_step(console, "Guest processing")
    next_step(console, "Protection settings")
    console.choose("SLA template", "Every four hours")
    expect(page.get_by_text("Each daily snapshot for 7 days")).to_be_visible()
    console.button("Create storage template").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Template name").fill("Everywhere")
    dialog.get_by_label("Repository", exact=True).click()
    page.get_by_role("option").filter(has_text="Prepared").first.click()
    dialog.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_text("Backups: Prepared.")).to_be_visible()
    console.shoot("policy-protection")
    for title in ("Tags", "Settings", "Cost", "Review"):
        next_step(console, title)
    console.button("Create policy").click()
    expect(page.get_by_role("heading", level=1, name="Promised")).to_be_visible()


def test_policies_are_cloned_ordered_switched_and_carried_over(console: Console, prepared: Prepared, tmp_path: Path) -> None:
    page = console.page
    dialog = page.get_by_role("dialog")
    console.open("/policies")
    _act(console, prepared.policy_name, "Clone")
    dialog.get_by_label("Name of the copy").fill("Twin")
    dialog.get_by_role("button", name="Clone", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="Twin")).to_be_visible()

    console.go_to("Policies")
    _act(console, "Twin", "To the top")
    expect(page.get_by_role("row").nth(1)).to_contain_text("Twin")
    _act(console, "Twin", "Enable")
    expect(dialog).to_contain_text("unless another policy comes first")
    dialog.get_by_role("button", name="Enable", exact=True).click()
    expect(page.get_by_role("row").filter(has_text="Twin")).to_contain_text("Enabled")
    _change_tries(console)
    console.go_to("Policies")
    _act(console, "Twin", "Delete")
    expect(dialog).to_contain_text("Restore points it has made stay")
    dialog.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("row").filter(has_text="Twin")).to_have_count(0)

    with page.expect_download() as download:
        console.button("Export").click()
    document = json.loads(download.value.path().read_text())
    document["policies"] = [each for each in document["policies"] if each["name"] == prepared.policy_name]
    carried = tmp_path / "policies.json"
    carried.write_text(json.dumps(document))
    console.button("Import").click()
    dialog.locator("input[type=file]").set_input_files(carried)
    dialog.get_by_role("button", name="Check", exact=True).click()
    expect(dialog.get_by_role("button", name="Import", exact=True)).to_have_count(0)  # the name is taken
    dialog.get_by_label(f"New name of {prepared.policy_name}").fill("Carried over")
    dialog.get_by_role("button", name="Check", exact=True).click()
    expect(dialog).to_contain_text("Nothing has been created yet.")
    console.shoot("policies-import")
    dialog.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("row").filter(has_text="Carried over")).to_be_visible()
    _act(console, "Carried over", "Delete")
    dialog.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("row").filter(has_text="Carried over")).to_have_count(0)


def _change_tries(console: Console) -> None:
    """Who edits goes straight to the step in question, and saves from there."""
    page = console.page
    _act(console, "Twin", "Edit")
    page.get_by_role("navigation", name="Steps").get_by_text("Settings", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="Settings", exact=True)).to_be_visible()
    page.get_by_label("Tries after a failure").fill("5")
    console.button("Save changes").click()
    expect(page.get_by_text("Policy Twin is saved.")).to_be_visible()


def _act(console: Console, policy: str, action: str) -> None:
    rows = console.page.get_by_role("row").filter(has=console.page.get_by_role("link", name=policy, exact=True))
    rows.get_by_role("radio").check()
    console.button("Actions").click()
    console.page.get_by_role("menuitem", name=action, exact=True).click()


ENTRY = {"end": "2026-11-24T00:00:00Z", "target": 97, "removed": 0, "__typename": "ComplianceEntry"}
ENTRIES = [
    {**ENTRY, "start": "2026-11-22T00:00:00Z", "state": "MET", "percent": 100, "met": 2, "missed": 0},
    {**ENTRY, "start": "2026-11-23T00:00:00Z", "state": "MISSED", "percent": 87.5, "met": 1, "missed": 1},
    {**ENTRY, "start": "2026-11-24T00:00:00Z", "state": "NOT_AVAILABLE", "percent": None, "met": 0, "missed": 0},
]
INSTANCE = {"id": "x", "name": "web-01", "awsId": "i-1", "region": "us-east-1", "__typename": "Resource"}
MISSED = {"resource": INSTANCE, "state": "MISSED", "percent": 75, "made": 6, "expected": 8, "removed": False, "sessions": []}


def test_the_compliance_chart_leads_to_instances(console: Console, appliance: RunningAppliance, prepared: Prepared) -> None:
    """The bars of past days are put into the server's answers: a test cannot wait for them."""
    page = console.page
    api = Api(appliance)
    policy = _sla_policy(api, prepared)

    def with_history(route: Route) -> None:
        asked = json.loads(route.request.post_data or "{}").get("query", "")
        if "query PolicyCompliance" in asked:
            data: dict[str, Any] = {"node": {"__typename": "Policy", "compliance": ENTRIES}}
        elif "query ComplianceEntry" in asked:
            data = {"complianceEntry": [{**MISSED, "__typename": "ResourceCompliance"}]}
        else:
            route.continue_()
            return
        route.fulfill(json={"data": data})

    page.route("**/graphql", with_history)
    console.open(f"/policies/{policy}?tab=compliance")
    met, missed = (
        page.get_by_role("button", name="Sun 22 Nov: Met, 100 %"),
        page.get_by_role("button", name="Mon 23 Nov: Missed, 87.5 %"),
    )
    expect(met).to_be_visible()
    expect(page.get_by_role("button", name="Tue 24 Nov: Not over yet")).to_be_disabled()
    missed.press("Enter")
    expect(missed).to_have_attribute("aria-pressed", "true")
    row = page.get_by_role("row").filter(has_text="web-01")
    expect(row).to_contain_text("6 of 8")
    expect(page.get_by_text("1 instance met, 1 missed, 0 removed meanwhile.")).to_be_visible()
    console.shoot("compliance")


def _sla_policy(api: Api, prepared: Prepared) -> str:
    """Disabled: only its page is looked at."""
    daily = {"everyMinutes": 1440, "keep": {"amount": 7}}
    template = api.ask(
        "mutation($i: SlaTemplateInput!) { createSlaTemplate(input: $i) { slaTemplate { id } } }",
        i={"name": "Chart", "terms": {"snapshot": {"daily": daily}}},
    )["createSlaTemplate"]["slaTemplate"]["id"]
    policy: str = api.ask(
        "mutation($i: PolicyInput!) { createPolicy(input: $i) { policy { id } } }",
        i={
            "name": "Charted",
            "kind": "SLA",
            "enabled": False,
            "slaTemplateId": template,
            "scope": {
                "accountId": prepared.account_id,
                "regions": ["us-east-1"],
                "mode": "LISTED",
                "tags": [{"key": "No such tag"}],
            },
        },
    )["createPolicy"]["policy"]["id"]
    return policy
