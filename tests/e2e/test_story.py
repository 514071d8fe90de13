"""The product's main job as a person does it in the browser: find, protect, watch, restore."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.e2e.conftest import BUCKET, REPOSITORY_PASSWORD, Console, next_step


def test_a_wrong_password_is_refused_and_says_what_to_do(new_console: Callable[..., Console]) -> None:
    console = new_console()
    console.open("/policies")
    console.sign_in("not the password")
    expect(console.page.get_by_text("User name or password is wrong.")).to_be_visible()
    expect(console.page.get_by_label("Password")).to_be_focused()
    console.shoot("sign-in-refused")

    console.sign_in()
    expect(console.page.get_by_role("heading", level=1, name=re.compile("^Policies"))).to_be_visible()


def test_from_discovery_to_restore(new_console: Callable[..., Console]) -> None:
    console = new_console()
    console.open()
    console.shoot("sign-in")
    console.sign_in()
    expect(console.page.get_by_text("Needs attention")).to_be_visible()

    _rescan(console)
    _add_repository(console)
    _create_policy(console)
    _run_and_watch(console)
    _restore_volumes(console)
    _restore_instance(console)

    console.go_to("Overview")
    expect(console.page.get_by_text("Browser story").first).to_be_visible()
    console.shoot("overview")
    _sign_out(console)


def _rescan(console: Console) -> None:
    page = console.page
    console.go_to("Resources")
    console.button("Rescan").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("AWS account")).to_contain_text("Home")
    for region in ("us-east-1", "eu-central-1"):
        dialog.get_by_label("Regions").click()
        page.get_by_role("option").filter(has_text=region).first.click()
        page.keyboard.press("Escape")
    dialog.get_by_role("button", name="Rescan").click()
    expect(page.get_by_text(re.compile("Rescan .* has ended successfully"))).to_be_visible(timeout=60_000)
    expect(page.get_by_role("link", name="web-01")).to_be_visible()
    console.shoot("resources")


def _add_repository(console: Console) -> None:
    page = console.page
    console.go_to("Repositories")
    page.get_by_role("link", name="Add repository").first.click()
    page.get_by_label("Name", exact=True).fill("Story repository")
    console.button("Next").click()
    expect(page.get_by_text("Choose the bucket's Region.").last).to_be_visible()
    console.choose("Region", "us-east-1")
    page.get_by_label("Bucket", exact=True).fill(BUCKET)
    page.get_by_label("Folder in the bucket").fill("browser-story")
    console.shoot("repository-place")
    console.button("Next").click()
    expect(page.get_by_text("Ready for a new repository")).to_be_visible()
    console.shoot("repository-folder")
    console.button("Next").click()
    page.get_by_label("Password", exact=True).fill("short")
    expect(page.get_by_text("Too short")).to_be_visible()
    page.get_by_label("Password", exact=True).fill(REPOSITORY_PASSWORD)
    expect(page.get_by_text("Strong")).to_be_visible()
    page.get_by_label("Password again").fill(REPOSITORY_PASSWORD)
    page.get_by_label("The password is kept somewhere safe").check()
    console.shoot("repository-encryption")
    console.button("Next").click()
    expect(page.get_by_text("A new, empty repository is created in the folder.")).to_be_visible()
    console.shoot("repository-summary")
    console.button("Add repository").click()
    expect(page.get_by_text("Repository Story repository is added.")).to_be_visible()
    expect(page.get_by_role("heading", level=1, name="Story repository")).to_be_visible()
    console.shoot("repository")
    console.go_to("Repositories")
    expect(page.get_by_role("row").filter(has_text="Story repository")).to_contain_text("Available")
    console.shoot("repositories")


def _create_policy(console: Console) -> None:
    page = console.page
    console.go_to("Policies")
    page.get_by_role("link", name="Create policy").first.click()
    console.button("Next").click()
    expect(page.get_by_text("Give the policy a name.")).to_be_visible()
    page.get_by_label("Name", exact=True).fill("Browser story")
    next_step(console, "Sources")
    next_step(console, "Resources")

    page.get_by_label("Some instances").check()
    page.get_by_role("button", name="Add tag").first.click()
    page.get_by_role("combobox", name="Tags Key").fill("Environment")
    page.get_by_role("combobox", name="Tags Value").fill("production")
    page.keyboard.press("Escape")
    preview = page.get_by_role("row").filter(has_text="web-01")
    expect(preview).to_contain_text("Selected by tag Environment=production.")
    console.shoot("policy-resources")
    next_step(console, "Guest processing")
    next_step(console, "Targets")

    console.choose("Repository", "Story repository")
    next_step(console, "Schedule")
    page.get_by_role("button", name="Snapshot at 14:00").click()
    page.get_by_label("Snapshots to keep").first.fill("3")
    expect(page.get_by_text("The 3 newest daily snapshots")).to_be_visible()
    console.shoot("policy-schedule")
    for title in ("Tags", "Settings", "Cost", "Review"):
        next_step(console, title)
    expect(page.get_by_text("Backups go to the repository Story repository.")).to_be_visible()
    console.shoot("policy-review")
    console.button("Create policy").click()
    expect(page.get_by_role("heading", level=1, name="Browser story")).to_be_visible()
    console.shoot("policy")


def _run_and_watch(console: Console) -> None:
    page = console.page
    console.button("Run now").click()
    page.get_by_role("dialog").get_by_role("button", name="Run", exact=True).click()
    expect(page).to_have_url(re.compile("/sessions/"))
    page.evaluate("window.notReloaded = true")

    expect(console.log_lines().first).to_be_visible()
    counts = [console.log_lines().count()]
    for _ in range(2):  # the log moves by itself: twice more lines than before, while the session runs
        page.wait_for_function("before => document.querySelectorAll('.hf-log-line').length > before", arg=counts[-1])
        counts.append(console.log_lines().count())
    expect(console.button("Cancel session")).to_be_visible()
    console.shoot("session-running")

    console.wait_for_end("Success")
    assert console.log_lines().count() > counts[-1]
    assert page.evaluate("window.notReloaded") is True
    expect(page.get_by_role("row").filter(has_text="web-01")).to_contain_text("Success")
    console.shoot("session")


def _restore_volumes(console: Console) -> None:
    page = console.page
    _open_backup_of(console, "web-01")
    page.get_by_role("menuitem", name="Restore volumes").click()
    expect(page.get_by_text("(1 of 1)")).to_be_visible()
    console.button("Next").click()
    expect(page.get_by_label("Availability Zone")).to_contain_text("us-east-1")
    console.shoot("restore-volumes")
    console.button("Next").click()
    page.get_by_label("Reason").fill("Browser test")
    console.button("Restore").click()
    expect(page).to_have_url(re.compile("/sessions/"))
    console.wait_for_end("Success")
    console.shoot("restored-volumes")


def _restore_instance(console: Console) -> None:
    page = console.page
    _open_backup_of(console, "web-02")
    page.get_by_role("menuitem", name="Restore instance").click()
    console.button("Next").click()
    page.get_by_label("Name", exact=True).fill("web-02-from-browser")
    console.shoot("restore-instance")
    console.button("Next").click()
    expect(page.get_by_text("web-02-from-browser")).to_be_visible()
    console.button("Restore").click()
    expect(page).to_have_url(re.compile("/sessions/"))
    console.wait_for_end("Success")
    console.shoot("restored-instance")


def _open_backup_of(console: Console, name: str) -> None:
    """Protected data → the resource → its backup selected → the menu of restores opened."""
    console.go_to("Protected data")
    console.shoot("protected-data")
    console.page.get_by_role("link", name=name, exact=True).click()
    expect(console.page.get_by_role("heading", level=1, name=name)).to_be_visible()
    console.pick_row("Backup")
    console.button("Restore").click()
    console.shoot("restore-points")


def _sign_out(console: Console) -> None:
    console.page.get_by_role("button", name=re.compile("admin")).click()
    console.page.get_by_role("menuitem", name="Sign out").click()
    expect(console.page.get_by_role("button", name="Sign in")).to_be_visible()
    console.page.reload()
    expect(console.page.get_by_role("button", name="Sign in")).to_be_visible()
