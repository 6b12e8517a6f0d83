"""What people meet when something goes wrong: the platform is down, a session ends, two tabs know different things."""

from __future__ import annotations

import re

from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.browser.conftest import WAIT_MS, Visit, Visitor
from tests.browser.test_screens import enter, settled
from tests.platform import Platform

DOWN = "**/api/**"
MORE_THAN_A_PAGE = 12


def other_tab(at: Visitor, path: str) -> Visitor:
    """A second tab of the same browser."""
    beside = object.__new__(Visitor)
    beside.__dict__.update(at.__dict__)
    context: BrowserContext = at.page.context
    beside.page = context.new_page()
    beside.go(path)
    settled(beside)
    return beside


def look_at(page: Page) -> None:
    """Come back to a tab: nobody else can make a browser without a window see it again."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange', {bubbles: true}))")


def test_while_the_platform_is_down_a_screen_says_so_and_goes_on_afterwards(visit: Visit) -> None:
    at = visit("zh")
    enter(at)
    at.go("/keys")
    settled(at)
    at.page.route(DOWN, lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>", content_type="text/html"))
    at.page.get_by_role("link", name=at.say("Wallet"), exact=True).click()
    at.see("The platform cannot be reached. Your input is still here; try again in a moment.")
    at.page.unroute(DOWN)
    at.click("Try again")
    at.see("Available")
    at.page.route(DOWN, lambda route: route.abort())
    at.page.reload()
    at.page.get_by_role("heading", level=1, name=at.say("This did not load")).wait_for()
    at.see("The platform cannot be reached. Your input is still here; try again in a moment.")
    at.page.unroute(DOWN)
    at.click("Try again")
    at.see("Available")
    assert at.wrong == []


def test_a_slow_answer_shows_the_shape_of_what_comes_and_nothing_jumps_in_twice(visit: Visit) -> None:
    at = visit("en")
    enter(at)
    held: list[Route] = []
    at.page.route("**/api/wallet", lambda route: held.append(route))
    at.go("/wallet")
    expect(at.page.locator(".waiting").first).to_be_visible(timeout=WAIT_MS)
    for each in held:
        each.continue_()
    at.page.unroute("**/api/wallet")
    settled(at)
    expect(at.page.get_by_text("Available", exact=True)).to_have_count(1)


def test_a_dialog_that_could_not_do_it_keeps_what_was_typed(visit: Visit) -> None:
    at = visit("en")
    enter(at)
    at.go("/organisation")
    at.click("Create a project")
    at.fill("Name", "kept in the dialog")
    held: list[Route] = []
    at.page.route(
        "**/api/projects", lambda route: held.append(route) if route.request.method == "POST" else route.continue_()
    )
    dialog = at.page.get_by_role("dialog")
    go = dialog.get_by_role("button", name=at.say("Create the project"))
    with at.page.expect_request(lambda one: one.method == "POST"):
        go.dblclick()
    clicked = at.page.evaluate("performance.now()")
    at.page.keyboard.press("Escape")
    expect(dialog).to_be_visible()
    assert len(held) == 1, "its button works once"
    held[0].fulfill(status=502, body="<h1>Bad Gateway</h1>", content_type="text/html")
    dialog.get_by_role("alert").wait_for()
    expect(go).to_be_focused(timeout=WAIT_MS)
    assert dialog.get_by_label(at.say("Name"), exact=True).input_value() == "kept in the dialog"
    at.page.unroute("**/api/projects")
    # What comes sooner is the second half of a double click (`parts/once.ts`).
    at.page.wait_for_function("clicked => performance.now() - clicked > 500", arg=clicked)
    at.page.keyboard.press("Enter")
    dialog.wait_for(state="detached")
    manage = at.page.get_by_role("button", name=at.say("Manage {name}", name="kept in the dialog"))
    manage.click()
    at.click("Rules", "menuitem")
    expect(dialog.get_by_label(at.say("Name"), exact=True)).to_be_focused(timeout=WAIT_MS)
    at.page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    expect(manage).to_be_focused(timeout=WAIT_MS)
    assert at.wrong == []


def test_a_page_that_does_not_come_is_asked_for_again(visit: Visit) -> None:
    at = visit("en")
    enter(at)
    for _ in range(MORE_THAN_A_PAGE):
        at.page.request.get(f"{at.platform.base_url}/api/privacy/data")
        at.page.request.get(f"{at.platform.base_url}/api/me")
    at.go("/privacy")
    section = at.page.get_by_role("region", name=at.say("Who opened your data"))
    rows = section.get_by_role("listitem")
    more = section.get_by_role("button", name=at.say("Show more"))
    more.wait_for()
    before = rows.count()
    at.page.route("**/api/me/openings*", lambda route: route.abort())
    more.click()
    section.get_by_role("alert").wait_for(timeout=WAIT_MS)
    assert rows.count() == before, "what was there stays"
    at.page.unroute("**/api/me/openings*")
    more.click()
    expect(rows.nth(before)).to_be_visible(timeout=WAIT_MS)


def test_two_tabs_know_the_same(visit: Visit, platform: Platform) -> None:
    one = visit("en")
    made = enter(one)
    one.go("/keys")
    two = other_tab(one, "/keys")
    one.click("Create a key")
    one.fill("Name", "seen by both")
    one.page.get_by_role("dialog").get_by_role("button", name="Create the key", exact=True).click()
    one.see("Your new key")
    look_at(two.page)
    two.page.get_by_text("seen by both", exact=True).wait_for()
    two.click("Create a key")
    two.fill("Name", "typed before")
    one.click("Sign out")
    one.page.get_by_role("heading", level=1, name="Sign in", exact=True).wait_for()
    two.see("You signed out in another tab")
    two.fill("Password", made["password"])
    two.click("Continue")
    two.page.get_by_role("heading", name="You signed out in another tab").wait_for(state="detached")
    assert two.page.get_by_label("Name", exact=True).input_value() == "typed before"
    one.go("/keys")
    one.page.get_by_role("heading", level=1, name="API keys", exact=True).wait_for()
    assert one.wrong == []


def test_who_signs_in_as_somebody_else_is_shown_nothing_of_the_person_before(visit: Visit, platform: Platform) -> None:
    at = visit("en")
    made = enter(at)
    at.go("/settings")
    settled(at)
    with platform.http() as elsewhere:
        other = platform.sign_up(elsewhere, name="Somebody Else")
        platform.sign_in(elsewhere, made["email"], made["password"])
        assert elsewhere.delete("/api/me/sessions").is_success
    sent: list[str] = []
    at.page.on("request", lambda each: sent.append(each.url) if each.method == "PATCH" else None)
    at.page.get_by_label("Name", exact=True).first.fill("of the person before")
    at.click("Save")
    at.see("Your session has ended")
    asked = at.page.get_by_role("dialog")
    asked.get_by_label("E-mail address").fill(other["email"])
    asked.get_by_label("Password", exact=True).fill(other["password"])
    at.click("Continue")
    at.page.get_by_role("heading", level=1, name="Hello, Somebody Else").wait_for()
    with platform.http() as http:
        assert platform.sign_in(http, other["email"], other["password"])["facts"]["name"] == "Somebody Else"
    assert len(sent) == 1, sent
    assert not re.search("of the person before", at.page.content())
