"""Every screen as it is read by those who do not see it, and what becomes of it when something goes wrong."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import ViewportSize, expect

from tests.browser.conftest import WAIT_MS, Visit, Visitor
from tests.browser.looks import is_too_wide, serious
from tests.platform import Platform

INSIDE = ("", "/playground", "/keys", "/requests", "/usage", "/privacy", "/organisation", "/wallet", "/settings")
OUTSIDE = ("/sign-in", "/sign-up", "/forgot", "/invitation#token", "/erased", "/nowhere")
NARROW, WIDE = ViewportSize(width=320, height=700), ViewportSize(width=1280, height=900)

TWICE = """(box) => {
    const enter = () => new KeyboardEvent("keydown", { key: "Enter", ctrlKey: true, bubbles: true });
    box.dispatchEvent(enter());
    box.dispatchEvent(enter());
}"""


def enter(at: Visitor) -> dict[str, Any]:
    """Sign a new person up, and their browser in."""
    with at.platform.http() as http:
        made = at.platform.sign_up(http)
        at.page.context.add_cookies(
            [{"name": each.name, "value": str(each.value), "url": at.platform.base_url} for each in http.cookies.jar]
        )
    return made


def settled(at: Visitor) -> None:
    """Wait until nothing is being loaded any more."""
    expect(at.page.locator(".waiting, .typing")).to_have_count(0, timeout=WAIT_MS)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_screen_has_a_serious_fault_or_is_too_wide(visit: Visit, axe: str, scheme: Any) -> None:
    at = visit("en" if scheme == "light" else "zh")
    at.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    found: dict[str, list[str]] = {}
    for path in (*OUTSIDE, *INSIDE):
        if path == INSIDE[0]:
            enter(at)
        at.go(path)
        settled(at)
        wrong = serious(at.page, axe)
        at.page.set_viewport_size(NARROW)
        if is_too_wide(at.page):
            wrong.append("needs sideways scrolling where it is narrow")
        at.page.set_viewport_size(WIDE)
        if wrong:
            found[path] = wrong
    assert found == {}, found
    assert at.wrong == []


def test_a_session_that_ends_in_the_middle_of_a_form_loses_nothing(visit: Visit, platform: Platform) -> None:
    at = visit("en")
    made = enter(at)
    at.go("/keys")
    at.click("Create a key")
    at.fill("Name", "kept")
    with platform.http() as elsewhere:
        platform.sign_in(elsewhere, made["email"], made["password"])
        assert elsewhere.delete("/api/me/sessions").is_success
    at.click("Create the key")
    at.see("Sign in again to go on. What you typed is still there.")
    at.fill("Password", made["password"])
    at.click("Continue")
    at.see("Your new key")
    at.page.get_by_text("kept", exact=True).wait_for()


def test_while_the_platform_cannot_be_reached_what_was_typed_stays(visit: Visit) -> None:
    at = visit("en")
    enter(at)
    at.go("/playground")
    settled(at)
    prompt = "long " * 2000
    at.fill("Message", prompt)
    expect(at.page.get_by_role("button", name="Send", exact=True)).to_be_enabled(timeout=WAIT_MS)
    at.page.context.set_offline(True)
    at.click("Send")
    at.page.get_by_role("alert").first.wait_for()
    assert at.page.get_by_label("Message", exact=True).input_value().strip() == prompt.strip()
    at.page.context.set_offline(False)
    settled(at)


def test_a_message_is_sent_once_however_often_its_keys_are_hit(visit: Visit) -> None:
    at = visit("en")
    enter(at)
    at.go("/playground")
    settled(at)
    sent: list[str] = []
    at.page.on("request", lambda one: sent.append(one.url) if one.url.endswith("/v1/chat/completions") else None)
    at.fill("Tokens at most", "8")
    at.fill("Message", "Say yes.")
    expect(at.page.get_by_role("button", name="Send", exact=True)).to_be_enabled(timeout=WAIT_MS)
    at.page.get_by_label("Message", exact=True).evaluate(TWICE)
    at.page.get_by_text(re.compile("^cost ")).first.wait_for()
    assert len(sent) == 1
