"""The panel of choices in a real browser: nothing before a choice, one click for either answer, and the browser's signal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route

from avow import app
from avow.policy import Policy, cookies, parse
from tests.browser.conftest import WAIT_MS
from tests.browser.looks import is_too_wide, serious
from tests.platform import Platform, new_platform

VENDOR = "https://ads.example.org/"
PATHS = ("/", "/privacy", "/terms", "/cookies", "/proof", "/privacy/ask", "/app/sign-in")


@pytest.fixture(scope="module")
def text() -> str:
    """A profile with every kind of cookie and a vendor of advertising that is no example."""
    made = app.policy_text("imagine-trooper")
    for part in ("[processor.ads]", "[ad.public]"):
        before, _, after = made.partition(part)
        made = before + part + after.replace("placeholder = true\n", "", 1)
    return made


@pytest.fixture(scope="module")
def policy(text: str) -> Policy:
    return parse(text)


@pytest.fixture(scope="module")
def asking(text: str) -> Iterator[Platform]:
    """Runs before the browser, which keeps a loop of its own."""
    with new_platform(text, region="DE", engine="0") as made:
        yield made.start()


@pytest.fixture(scope="module")
def theirs(asking: Platform, browser: Browser) -> Browser:
    return browser


class Reader:
    """Somebody at a browser; `called` are the hosts other than the platform's that it asked."""

    def __init__(self, context: BrowserContext, base_url: str) -> None:
        self.context, self.base_url, self.called = context, base_url, list[str]()
        context.set_default_timeout(WAIT_MS)
        context.route("**/*", self._look)
        self.page: Page = context.new_page()

    def _look(self, route: Route) -> None:
        if route.request.url.startswith(self.base_url):
            route.continue_()
            return
        self.called.append(route.request.url)
        route.fulfill(status=200, content_type="text/html", body="An advertisement.")

    def go(self, path: str) -> None:
        self.page.goto(f"{self.base_url}{path}")
        self.page.get_by_role("heading", level=1).wait_for()

    def kinds(self, policy: Policy) -> set[str | None]:
        """The kinds of the cookies that the browser has; None: one that the register does not name."""
        return {cookies.kind_of(policy, each["name"]) for each in self.context.cookies()}


def reader(browser: Browser, platform: Platform, **more: Any) -> Reader:
    context = browser.new_context(locale="en-GB", **more)
    return Reader(context, platform.base_url)


def test_nothing_optional_comes_before_a_choice_and_refusing_is_as_easy_as_accepting(
    asking: Platform, theirs: Browser, policy: Policy
) -> None:
    at = reader(theirs, asking, java_script_enabled=False)
    for path in PATHS[:-1]:
        at.go(path)
        assert at.context.cookies() == [] and at.called == [], path
    at.go("/")
    buttons = [at.page.get_by_role("button", name=name, exact=True) for name in ("Reject all", "Accept all")]
    reject, accept = [button.bounding_box() for button in buttons]
    assert reject and accept
    assert (reject["y"], reject["width"], reject["height"]) == (accept["y"], accept["width"], accept["height"])
    buttons[0].click()
    at.page.locator("#panel").wait_for(state="detached")
    assert at.kinds(policy) == {"essential"} and at.called == []
    at.go("/terms")
    assert at.kinds(policy) == {"essential"} and at.called == [] and at.page.locator("#panel").count() == 0
    at.context.close()


def test_one_click_accepts_and_the_vendor_learns_neither_the_page_nor_the_person(
    asking: Platform, theirs: Browser, policy: Policy
) -> None:
    at = reader(theirs, asking)
    at.go("/?locale=zh")
    at.page.get_by_role("button", name="全部接受", exact=True).click()
    frame = at.page.locator("aside.ad iframe")
    frame.scroll_into_view_if_needed()
    at.page.frame_locator("aside.ad iframe").get_by_text("An advertisement.").wait_for()
    assert set(at.called) == {f"{VENDOR}frame?npa=1"}
    assert at.kinds(policy) == {"essential", "preference", "analytics"}
    at.go("/cookies")
    at.page.get_by_role("button", name="全部拒绝", exact=True).click()
    at.page.get_by_role("heading", level=1).wait_for()
    at.go("/")
    assert at.kinds(policy) == {"essential"} and at.page.locator("aside.ad").count() == 0
    at.context.close()


def test_the_browsers_signal_is_honoured_and_that_is_said(asking: Platform, theirs: Browser, policy: Policy) -> None:
    at = reader(theirs, asking, extra_http_headers={"sec-gpc": "1"})
    at.go("/")
    assert "that is honoured" in at.page.locator("#panel").inner_text()
    at.page.get_by_role("button", name="Accept all", exact=True).click()
    at.page.locator("#panel").wait_for(state="detached")
    at.go("/terms?locale=en")
    assert at.kinds(policy) == {"essential", "preference"} and at.called == []
    at.page.get_by_text("that is honoured").first.wait_for()
    at.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_panel_and_the_register_have_no_serious_fault(
    asking: Platform, theirs: Browser, axe: str, scheme: Any
) -> None:
    at = reader(theirs, asking, color_scheme=scheme, bypass_csp=True, viewport={"width": 390, "height": 800})
    for path in ("/", "/cookies"):
        at.go(path)
        assert serious(at.page, axe) == [], path
        assert not is_too_wide(at.page), path
    at.context.close()
