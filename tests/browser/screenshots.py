"""Pictures of every screen of the app: `python -m tests.browser.screenshots FOLDER`, or `make screenshots`.

1440 and 390 wide, light and dark, English and Chinese, of a new person who has asked a few things.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from tests.browser.conftest import LOCALES, PROGRAMS, WAIT_MS
from tests.browser.staff import DESK, Colleague
from tests.browser.test_screens import INSIDE, OUTSIDE
from tests.platform import Platform, complete, new_platform

WIDTHS = (1440, 390)
Staff = Mapping[str, Colleague]
QUESTIONS = ("What is a promise?", "Say yes.", "Name a colour.")


def main(folder: Path) -> None:
    """Take them all."""
    folder.mkdir(parents=True, exist_ok=True)
    program = next(found for name in PROGRAMS if (found := shutil.which(name)))
    with new_platform() as platform, sync_playwright() as playwright:
        platform.start()
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        cookies = _lived_in(platform)
        staff = {role: Colleague(platform, role) for role in {*DESK.values()}}
        for language, scheme, width in product(LOCALES, ("light", "dark"), WIDTHS):
            look: dict[str, Any] = {"locale": LOCALES[language], "color_scheme": scheme, "reduced_motion": "reduce"}
            context = browser.new_context(viewport={"width": width, "height": 900}, **look)
            _take(context, platform, folder, f"{language}-{scheme}-{width}", cookies, staff)
            context.close()
        browser.close()


def _lived_in(platform: Platform) -> list[dict[str, str]]:
    """The session of somebody who keeps content and has asked a few things."""
    with platform.http() as http:
        platform.sign_up(http, name="Ada Lovelace")
        http.patch("/api/tenant", json={"keep_h": 24}).raise_for_status()
        secret = platform.key(http, name="First program")["secret"]
        project = http.post("/api/projects", json={"name": "Website chat", "keep_h": 12}).raise_for_status().json()
        limits = {"requests_per_min": 60, "budget_month_nano": 20_000_000_000}
        http.put(f"/api/projects/{project['id']}/limits", json=limits).raise_for_status()
        http.post("/api/projects", json={"name": "存档检索"}).raise_for_status()
        http.post(
            "/api/tenant/invitations", json={"email": "grace.hopper@example.org", "role": "viewer"}
        ).raise_for_status()
        for question in QUESTIONS:
            complete(http, secret, question, max_tokens=20).raise_for_status()
        ask = {"kind": "complain", "text": "The answers come slowly."}
        http.post("/api/privacy/requests", json=ask).raise_for_status()
        return _cookies(platform, http)


def _cookies(platform: Platform, http: httpx.Client) -> list[Any]:
    return [{"name": each.name, "value": str(each.value), "url": platform.base_url} for each in http.cookies.jar]


def _take(
    context: BrowserContext, platform: Platform, folder: Path, suffix: str, cookies: list[Any], staff: Staff
) -> None:
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    for path in OUTSIDE:
        _picture(page, platform, path, folder / f"{path[1:].partition('#')[0]}-{suffix}.png")
    context.add_cookies(cookies)
    for path in INSIDE:
        _picture(page, platform, path, folder / f"{path[1:] or 'home'}-{suffix}.png")
    for path, role in DESK.items():
        staff[role].show()
        context.clear_cookies()
        context.add_cookies(_cookies(platform, staff[role].http))
        _picture(page, platform, path, folder / f"{path[1:].replace('/', '-')}-{suffix}.png")


def _picture(page: Page, platform: Platform, path: str, file: Path) -> None:
    page.goto(f"{platform.base_url}/app{path}")
    page.get_by_role("heading", level=1).wait_for()
    expect(page.locator(".waiting")).to_have_count(0, timeout=WAIT_MS)
    page.screenshot(path=file, full_page=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
