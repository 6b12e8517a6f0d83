"""What people do with others: projects, members, invitations, a provider's sign-in, what filters decided; and a hand that
clicks twice."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from uuid import UUID

from playwright.sync_api import Request, Route, expect

from avow.base.ids import uuid7
from tests.browser.conftest import WAIT_MS, Visit, Visitor
from tests.browser.test_screens import enter
from tests.browser.test_walk import letter_to
from tests.platform import Platform

NOT_LINKED = (
    "This address has an account here that is not linked with the provider. "
    "Sign in another way, then link it in the settings."
)


def dialog_click(at: Visitor, text: str, *, double: bool = False) -> None:
    """Click a button of the dialog that is open."""
    button = at.page.get_by_role("dialog").get_by_role("button", name=at.say(text), exact=True)
    button.dblclick() if double else button.click()


def gone(at: Visitor) -> None:
    at.page.get_by_role("dialog").wait_for(state="detached")


def sent_to(at: Visitor, path: str) -> list[str]:
    """The method of each request to a path from now on, as it is sent."""
    found: list[str] = []

    def look(request: Request) -> None:
        if re.search(path, request.url) and request.method != "GET":
            found.append(request.method)

    at.page.on("request", look)
    return found


def test_an_owner_works_with_others(visit: Visit, platform: Platform) -> None:
    owner = visit("en")
    enter(owner)
    make_a_project(owner)
    give_it_a_key(owner)
    address, password = f"i-{secrets.token_hex(6)}@example.org", secrets.token_hex(12)
    invite(owner, address)
    join(visit("zh"), address, password)
    change_and_remove(owner, address)
    assert owner.wrong == []


def make_a_project(at: Visitor) -> None:
    at.go("/organisation")
    at.see("No projects yet")
    at.click("Create a project")
    at.fill("Name", "النشر 𝒵")
    written = at.page.get_by_label("Name", exact=True).evaluate("each => getComputedStyle(each).unicodeBidi")
    assert written == "plaintext", "a name from right to left is written so"
    at.fill("Requests per minute", "60")
    sent = sent_to(at, "/api/projects")
    dialog_click(at, "Create the project", double=True)
    gone(at)
    at.page.get_by_text("النشر 𝒵", exact=True).wait_for()
    at.page.get_by_text("Requests per minute: 60").wait_for()
    assert sent == ["POST", "PUT"]


def give_it_a_key(at: Visitor) -> None:
    at.go("/keys")
    at.click("Create a key")
    at.fill("Name", "of the project")
    at.page.get_by_role("dialog").get_by_label("Project", exact=True).first.click()
    at.page.get_by_role("option", name="النشر 𝒵").click()
    at.page.get_by_role("dialog").get_by_text("Rules", exact=True).click()
    at.fill("Requests per minute", "7")
    dialog_click(at, "Create the key")
    at.see("project {name}", name="النشر 𝒵")
    at.page.get_by_role("button", name="Manage of the project").click()
    at.click("Rules", "menuitem")
    at.see("requests in this minute: {count}", count=0)


def invite(at: Visitor, address: str) -> None:
    at.go("/organisation")
    at.fill("E-mail address", address)
    sent = sent_to(at, "/api/tenant/invitations")
    at.page.get_by_role("button", name="Invite", exact=True).dblclick()
    at.see("The invitation is on its way.")
    at.page.get_by_text(address, exact=True).wait_for()
    assert sent == ["POST"]


def join(at: Visitor, address: str, password: str) -> None:
    link = re.search(r"/app/invitation#\S+", letter_to(at.platform, address))
    assert link is not None
    at.page.goto(at.platform.base_url + link[0])
    at.fill("Password", password)
    at.click("Join")
    at.page.get_by_role("heading", level=1, name=at.say("You belong to it now")).wait_for()
    at.click("Sign in", "link")
    at.fill("E-mail address", address)
    at.fill("Password", password)
    at.page.locator("button[type=submit]").click()
    at.page.get_by_role("heading", level=1, name=at.say("Hello")).wait_for()
    at.go("/organisation")
    at.page.get_by_text("النشر 𝒵", exact=True).wait_for()
    expect(at.page.get_by_role("button", name=at.say("Create a project"))).to_have_count(0)
    assert at.wrong == []


def change_and_remove(at: Visitor, address: str) -> None:
    at.go("/organisation")
    at.page.get_by_label(at.say("Role of {name}", name=address)).first.click()
    at.page.get_by_role("option", name="Viewer", exact=True).click()
    expect(at.page.get_by_label(at.say("Role of {name}", name=address)).first).to_have_value("Viewer", timeout=WAIT_MS)
    at.page.get_by_role("button", name=at.say("Remove {name}", name=address)).click()
    sent = sent_to(at, "/api/tenant/members/")
    dialog_click(at, "Remove", double=True)
    gone(at)
    at.see("has left")
    assert sent == ["DELETE"]


def test_a_double_click_does_nothing_twice_however_slow_the_answer_is(visit: Visit) -> None:
    at = visit("en")
    enter(at)
    held: list[Route] = []
    at.page.route(
        "**/api/keys", lambda route: route.continue_() if route.request.method == "GET" else held.append(route)
    )
    at.go("/keys")
    at.click("Create a key")
    at.fill("Name", "once")
    sent = sent_to(at, "/api/keys")
    dialog_click(at, "Create the key", double=True)
    at.page.keyboard.press("Enter")
    expect(at.page.locator("button[data-loading=true]")).to_be_visible(timeout=WAIT_MS)
    assert len(held) == 1
    held[0].continue_()
    at.see("Your new key")
    at.page.get_by_role("button", name="Manage once").click()
    at.click("Revoke", "menuitem")
    dialog_click(at, "Revoke", double=True)
    gone(at)
    at.see("revoked")
    assert sent == ["POST", "DELETE"]
    at.go("/settings")
    begun = sent_to(at, "/api/me/second-factor")
    at.page.get_by_role("button", name="Set one up").dblclick()
    at.page.get_by_role("dialog").wait_for()
    assert begun == ["POST"]


def test_the_provider_is_offered_where_there_is_one_and_its_refusal_is_told(visit: Visit, platform: Platform) -> None:
    at = visit("zh")
    at.go("/sign-in?refused=provider_not_linked")
    at.see(NOT_LINKED)
    expect(at.page.locator("a[href='/api/auth/provider/start']")).to_have_count(0)
    at.page.route("**/api/auth/provider", lambda route: route.fulfill(json={"name": "accounts.example.org"}))
    at.go("/sign-in")
    offered = at.page.get_by_role("link", name=at.say("Sign in with {name}", name="accounts.example.org"))
    expect(offered).to_have_attribute("href", "/api/auth/provider/start", timeout=WAIT_MS)
    enter(at)
    at.go("/settings")
    at.see("Link with {name}", name="accounts.example.org")
    assert at.wrong == []


def test_what_a_filter_decided_is_looked_at_again_by_a_person(visit: Visit, platform: Platform) -> None:
    at = visit("zh")
    me = enter(at)
    at.go("/privacy")
    expect(at.page.get_by_role("heading", name=at.say("What filters decided"))).to_have_count(0)
    at.sql(
        "INSERT INTO filter_decision (id, tenant_id, subject_id, since, ends_at, policy_version, request_id, filter, "
        "stage, kind, action, score, state) VALUES ($1, $2, $3, $4, NULL, 1, $5, 'house', 'prompt', 'words', 'block', 2, "
        "'stands')",
        *(uuid7(), UUID(me["tenant_id"]), UUID(me["id"]), datetime.now(UTC), uuid7()),
    )
    at.go("/privacy")
    at.see("in what you asked")
    at.click("Have a person look at it")
    at.page.get_by_role("dialog").get_by_role("textbox").fill("这是误判")
    sent = sent_to(at, "/appeal")
    dialog_click(at, "Send", double=True)
    gone(at)
    at.see("a person looks at it")
    at.see("Complaint")
    assert sent == ["POST"] and at.wrong == []
