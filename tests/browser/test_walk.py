"""A new person's first hour, in each language: from signing up to being gone."""

from __future__ import annotations

import email
import email.policy
import re
import secrets
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Request, expect

from tests.browser.conftest import WAIT_MS, Visit, Visitor
from tests.platform import Platform, wait_until

RECEIPT = "**/api/privacy/receipts/*"
NAMES = {"en": "Zoë 𝒵 مرحبا", "zh": "陈小明 🌙"}
"""Letters from right to left, and of four bytes."""


def letter_to(platform: Platform, address: str) -> str:
    """The text of the newest message to an address, from the folder that stands for its mailbox."""
    found: list[str] = []

    def look() -> bool:
        for path in sorted((platform.home / "mail").rglob("*.eml"), key=lambda each: each.stat().st_mtime):
            message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            if address in str(message["to"]):
                body = message.get_body()
                assert body is not None
                found.append(str(body.get_content()))
        return bool(found)

    wait_until(look)
    return found[-1]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_from_signing_up_to_being_gone(visit: Visit, platform: Platform, language: str, tmp_path: Path) -> None:
    at = visit(language)
    address, password = f"w-{secrets.token_hex(6)}@example.org", secrets.token_hex(12)
    sign_up(at, address, password)
    confirm(at, address)
    make_a_key(at)
    ask_to_keep(at)
    talk(at)
    delete_what_was_said(at)
    fetch_a_copy(at, tmp_path / "copy.zip", address)
    erase(at, password)
    with platform.http() as http:
        assert http.post("/api/auth/login", json={"email": address, "password": password}).status_code == 401
    assert at.wrong == []


def sign_up(at: Visitor, address: str, password: str) -> None:
    at.go()
    at.click("Sign up", "link")
    at.fill("E-mail address", address)
    at.page.locator("input[autocomplete=name]").fill(NAMES[at.language])
    at.fill("Password", password)
    hello = at.page.get_by_role("heading", level=1, name=at.say("Hello, {name}", name=NAMES[at.language]))
    refused, statuses = at.page.get_by_role("alert").first, list[int]()
    at.page.on("response", lambda answer: statuses.append(answer.status) if "/api/auth/" in answer.url else None)
    at.click("Create the account")
    expect(hello.or_(refused)).to_be_visible(timeout=WAIT_MS)
    if not hello.is_visible():  # a machine that is busy with others' passwords says so, and that nothing was done
        assert 503 in statuses, (refused.inner_text(), statuses)
        at.click("Create the account")
        hello.wait_for()


def confirm(at: Visitor, address: str) -> None:
    at.see("Your address is not confirmed yet. Follow the link in the message that was sent at sign-up.")
    link = re.search(r"/confirm#\S+", letter_to(at.platform, address))
    assert link is not None
    at.page.goto(at.platform.base_url + link[0])
    expect(at.page.locator("[role=status]").first).to_contain_text(
        "Thank you" if at.language == "en" else "谢谢", timeout=WAIT_MS
    )


def make_a_key(at: Visitor) -> None:
    at.go("/keys")
    at.see("No keys yet")
    at.click("Create a key")
    at.fill("Name", "first")
    at.page.get_by_role("dialog").get_by_role("button", name=at.say("Create the key"), exact=True).click()
    assert re.search(r"sk-avow-\S{20,}", at.page.get_by_role("region", name=at.say("API key")).inner_text())
    at.click("I have stored it")
    at.page.get_by_text("first", exact=True).wait_for()


def ask_to_keep(at: Visitor) -> None:
    at.go("/privacy")
    at.fill("Keep what requests say and what is answered, in hours", "24")
    at.click("Save")
    at.see("Kept for {hours} hours now. Empty it to keep nothing from now on.", hours=24)


def talk(at: Visitor) -> None:
    at.go("/playground")
    at.page.get_by_role("switch").or_(at.page.locator("input[type=checkbox]")).first.check(force=True)
    at.fill("Tokens at most", "8")
    at.fill("Message", "Say yes.")
    at.click("Send")
    at.page.get_by_text(re.compile(re.escape(at.say("cost {amount}", amount="")))).first.wait_for()


def delete_what_was_said(at: Visitor) -> None:
    at.go("/requests")
    kept = at.page.get_by_text(re.compile(at.say("stored, {left} left", left=".+")))
    kept.first.click()
    at.see("Why it was stored so")
    at.click("Delete its content now")
    at.page.get_by_role("dialog").wait_for(state="detached")
    at.see("not stored")


def fetch_a_copy(at: Visitor, file: Path, address: str) -> None:
    at.go("/privacy")
    at.click("Prepare a copy")
    with at.page.expect_download() as download:
        at.click("Fetch the file")
    download.value.save_as(file)
    with zipfile.ZipFile(file) as copy:
        assert any(address.encode() in copy.read(name) for name in copy.namelist())


def erase(at: Visitor, password: str) -> None:
    at.go("/privacy")
    at.click("Show the plan")
    at.see("Stays for a while, because the law demands it")
    at.fill("Your password", password)
    at.page.get_by_label(at.say("I understand: my account is gone after this.")).check()
    asked: list[str] = []
    at.page.on("request", lambda sent: asked.append(sent.url) if is_erasure(sent) else None)
    at.page.route(RECEIPT, lambda route: route.fulfill(status=404, json={"code": "not_found"}))
    at.page.get_by_role("button", name=at.say("Erase everything now")).dblclick()
    at.page.get_by_role("heading", level=1, name=at.say("Your data is being erased")).wait_for()
    at.see("kept by law")
    at.see("destroyed")
    at.page.unroute(RECEIPT)
    at.page.get_by_role("heading", level=1, name=at.say("Your account is gone")).wait_for()
    at.page.get_by_role("button", name=at.say("Save the receipt")).wait_for()
    assert len(asked) == 1, "its button works once"


def is_erasure(sent: Request) -> bool:
    return sent.method == "POST" and sent.url.endswith("/api/privacy/requests")
