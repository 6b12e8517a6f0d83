"""A real browser on the running platform: Debian's Chromium, driven by Playwright, speaking one language or the other."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from avow.site import app_build
from tests import LIMIT_S
from tests.house.conftest import ROOT
from tests.platform import Platform
from tests.site.test_catalogue import catalogue

WAIT_MS = LIMIT_S * 1000
"""The limit of every wait; it only ends a test that would never end."""
LOCALES = {"en": "en-GB", "zh": "zh-CN"}
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


class Visitor:
    """Somebody at a browser. `say` gives a text of the app in their language; `wrong` is what the browser complained of."""

    def __init__(self, context: BrowserContext, platform: Platform, language: str) -> None:
        self.page: Page = context.new_page()
        self.platform, self.language = platform, language
        self.wrong: list[str] = []
        self._words = catalogue(language)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda said: self.wrong.append(said.text) if "Content Security" in said.text else None)
        self.page.on("request", self._look)

    def _look(self, request: Any) -> None:
        if not request.url.startswith((self.platform.base_url, "blob:", "data:")):
            self.wrong.append(f"a foreign request: {request.url}")

    def say(self, text: str, **values: object) -> str:
        return self._words[text].format(**values)

    def sql(self, query: str, *values: Any) -> list[Any]:
        """Ask the platform's database as its superuser; beside Playwright, in whose thread no other loop can run."""
        with ThreadPoolExecutor(1) as beside:
            return beside.submit(self.platform.sql, query, *values).result()

    def go(self, path: str = "") -> None:
        """To a screen, until its heading stands there."""
        self.page.goto(f"{self.platform.base_url}/app{path}")
        self.page.get_by_role("heading", level=1).wait_for()

    def click(self, text: str, role: Any = "button") -> None:
        self.page.get_by_role(role, name=self.say(text), exact=True).first.click()

    def fill(self, label: str, value: str) -> None:
        self.page.get_by_label(self.say(label), exact=True).fill(value)

    def see(self, text: str, **values: object) -> None:
        self.page.get_by_text(self.say(text, **values)).first.wait_for()


Visit = Callable[[str], Visitor]


@pytest.fixture(scope="module")
def browser(platform: Platform) -> Iterator[Browser]:
    """Chromium; without it or without the built app there is nothing to look at.

    Playwright keeps a loop running between its calls, in which no other can be begun: so the platform is there before it,
    and it ends with each file.
    """
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("there is no Chromium: apt-get install chromium fonts-noto-cjk")
    if not any((folder / app_build.PAGE).is_file() for folder in app_build.folders()):
        pytest.skip("the app was not built: tools/ui")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield started
        started.close()


@pytest.fixture
def visit(browser: Browser, platform: Platform) -> Iterator[Visit]:
    """Opens a browser window of its own for somebody who speaks a language."""
    opened: list[BrowserContext] = []

    def begin(language: str) -> Visitor:
        context = browser.new_context(locale=LOCALES[language], viewport={"width": 1280, "height": 900})
        context.set_default_timeout(WAIT_MS)
        opened.append(context)
        return Visitor(context, platform, language)

    yield begin
    for context in opened:
        context.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, as the app's packages brought it."""
    places = (os.environ.get("AXE", ""), str(ROOT / "ui" / "node_modules" / "axe-core" / "axe.min.js"))
    found = next((Path(each) for each in places if each and Path(each).is_file()), None)
    if found is None:
        pytest.skip("axe-core is not here: tools/ui brings it")
    return found.read_text()
