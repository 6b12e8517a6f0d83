"""The same without a mouse: every step by keys, the place of the keyboard always to be seen, and never lost."""

from __future__ import annotations

import secrets

from playwright.sync_api import ViewportSize, expect

from tests.browser.conftest import WAIT_MS, Visit, Visitor
from tests.browser.looks import is_too_wide, serious
from tests.browser.test_screens import enter, settled

MANY_TABS = 60
SEEN = """() => {
    const here = document.activeElement, look = getComputedStyle(here);
    const isDrawn = look.outlineStyle !== "none" && parseFloat(look.outlineWidth) > 0;
    const around = here.closest("label, .mantine-Switch-root, .mantine-Checkbox-root");
    const near = around && [...around.querySelectorAll("*")].some((each) => getComputedStyle(each).outlineStyle !== "none");
    return isDrawn || !!near || here === document.body;
}"""


def tab_to(at: Visitor, name: str, role: str = "") -> None:
    """Press Tab until what has this name is reached; each step on the way is to be seen."""
    wanted = (
        at.page.get_by_role(role, name=at.say(name), exact=True)
        if role
        else at.page.get_by_label(at.say(name), exact=True)
    )  # type: ignore[arg-type]
    for _ in range(MANY_TABS):
        if wanted.first.evaluate("each => each === document.activeElement"):
            return
        at.page.keyboard.press("Tab")
        assert at.page.evaluate(SEEN), at.page.evaluate("document.activeElement.outerHTML.slice(0, 300)")
    raise AssertionError(f"the keyboard never came to {name!r}")


def test_signing_up_asking_and_erasing_by_keys_alone(visit: Visit, axe: str) -> None:
    at = visit("en")
    address, password = f"k-{secrets.token_hex(6)}@example.org", secrets.token_hex(12)
    at.go("/sign-up")
    keys = at.page.keyboard
    tab_to(at, "E-mail address")
    keys.type(address)
    tab_to(at, "Password")
    keys.type(password)
    keys.press("Enter")
    at.page.get_by_role("heading", level=1, name="Hello").wait_for()
    expect(at.page.get_by_role("heading", level=1)).to_be_focused(timeout=WAIT_MS)

    at.page.reload()
    at.page.get_by_role("heading", level=1).wait_for()
    keys.press("Tab")
    expect(at.page.get_by_role("link", name="Skip to the content")).to_be_focused(timeout=WAIT_MS)
    keys.press("Enter")
    expect(at.page.locator("#main")).to_be_focused(timeout=WAIT_MS)

    at.page.get_by_role("link", name="Playground", exact=True).focus()
    keys.press("Enter")
    expect(at.page.get_by_role("heading", level=1, name="Playground")).to_be_focused(timeout=WAIT_MS)
    settled(at)
    tab_to(at, "Message")
    keys.type("Say yes.")
    keys.press("Control+Enter")
    at.page.get_by_text("cost", exact=False).first.wait_for()

    at.page.get_by_role("link", name="Privacy centre", exact=True).first.focus()
    keys.press("Enter")
    expect(at.page.get_by_role("heading", level=1, name="Privacy centre")).to_be_focused(timeout=WAIT_MS)
    settled(at)
    tab_to(at, "Show the plan", "button")
    keys.press("Enter")
    dialog = at.page.get_by_role("dialog")
    dialog.wait_for()
    stays_inside(at)
    keys.press("Escape")
    dialog.wait_for(state="detached")
    expect(at.page.get_by_role("button", name="Show the plan")).to_be_focused(timeout=WAIT_MS)
    keys.press("Enter")
    settled(at)
    tab_to(at, "Your password")
    keys.type(password)
    tab_to(at, "I understand: my account is gone after this.")
    keys.press("Space")
    tab_to(at, "Erase everything now", "button")
    keys.press("Enter")
    at.page.get_by_role("heading", level=1, name="Your account is gone").wait_for()
    assert serious(at.page, axe) == []
    assert at.wrong == []


def stays_inside(at: Visitor) -> None:
    """Tab goes round within a dialog and never below it."""
    settled(at)
    for _ in range(12):
        at.page.keyboard.press("Tab")
        assert at.page.evaluate("document.activeElement.closest('[role=dialog]') !== null")


def test_dialogs_fit_a_small_screen_and_give_the_keyboard_back(visit: Visit, axe: str) -> None:
    at = visit("en")
    enter(at)
    at.page.set_viewport_size(ViewportSize(width=320, height=640))
    at.page.emulate_media(reduced_motion="reduce")  # what is still fading in has no contrast yet
    for path, name in (("/keys", "Create a key"), ("/organisation", "Create a project"), ("/privacy", "Show the plan")):
        at.go(path)
        settled(at)
        opener = at.page.get_by_role("button", name=at.say(name), exact=True).first
        opener.focus()
        at.page.keyboard.press("Enter")
        at.page.get_by_role("dialog").wait_for()
        settled(at)
        assert serious(at.page, axe) == [], path
        assert not is_too_wide(at.page), path
        at.page.keyboard.press("Escape")
        at.page.get_by_role("dialog").wait_for(state="detached")
        expect(opener).to_be_focused(timeout=WAIT_MS)
