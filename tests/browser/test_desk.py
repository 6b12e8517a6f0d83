"""The desk as staff use it: a right answered, the policy changed by two, a claim that stands as long as its document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import WAIT_MS, Visit
from tests.browser.looks import is_too_wide, serious
from tests.browser.staff import DESK, Colleague
from tests.browser.test_screens import NARROW, WIDE, settled
from tests.browser.test_trouble import look_at
from tests.platform import MODEL, Platform, dated, new_platform, policy_text

PRICED = {
    "paints/pictures": (
        ("--per-image", "0.011", "--per-image-of", "1024x1792,hd=0.12"),
        ("$0.011", "an image", "1024x1792, hd: $0.12"),
    ),
    "hears/sound": (("--per-minute", "0.0065"), ("$0.0065", "a minute of sound")),
    "speaks/texts": (("--per-million-characters", "15"), ("$0.000015", "a character")),
    "writes/texts": (("--input", "0.075", "--output", "0.6"), ("$0.075", "$0.60", "a million tokens")),
}
"""What an operator says that a model costs, and what stands at the desk."""
CHANGED_ELSEWHERE = """() => new Promise((heard) => {
    new BroadcastChannel("avow").onmessage = () => heard();
    new BroadcastChannel("avow").postMessage({ what: "changed" });
})"""
FEATURE, CLAIM = 'features = ["evidence", ', '[organisation.audits]\nevidence = "audits"\n'


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    """One of these tests' own: its policy changes, and its clock moves."""
    with new_platform(policy_text(("features = [", FEATURE)) + CLAIM) as made:
        yield made.start()


@pytest.fixture(scope="module")
def staff(platform: Platform) -> dict[str, Colleague]:
    """One of each role that the screens need, and a second operator."""
    roles = {"operator": "operator", "second": "operator", "privacy": "privacy", "auditor": "auditor"}
    return {name: Colleague(platform, role) for name, role in roles.items()}


def test_a_request_is_opened_with_a_reason_and_answered_once(
    visit: Visit, platform: Platform, staff: dict[str, Colleague]
) -> None:
    with platform.http() as http:
        me = platform.sign_up(http)
        asked = http.post("/api/privacy/requests", json={"kind": "complain", "text": "The answers are too slow."})
        at = staff["privacy"].enter(visit("zh"))
        at.go("/desk/requests")
        at.page.get_by_role(
            "button", name=at.say("Open {what} of {id}", what=at.say("Complaint"), id=asked.json()["id"][-8:])
        ).click()
        at.fill("Reason", "to answer it")
        at.click("Open what they wrote")
        at.page.get_by_text("The answers are too slow.").wait_for()
        sent: list[str] = []
        at.page.on("request", lambda one: sent.append(one.url) if one.url.endswith("/requests/answer") else None)
        at.fill("Your answer", "We mended it.")
        at.page.get_by_role("button", name=at.say("Answer and close")).dblclick()
        at.see("Nobody waits for an answer")
        assert len(sent) == 1, "its button works once"
        [told] = http.get("/api/privacy/requests").json()
        assert told["state"] == "succeeded"
        opened = [line["reason"] for line in http.get("/api/me/openings").json()["openings"] if line["who"] == "staff"]
        assert "to answer it" in opened, me
    assert at.wrong == []


def test_two_operators_change_the_policy(visit: Visit, staff: dict[str, Colleague]) -> None:
    first, second = staff["operator"].enter(visit("en")), staff["second"].enter(visit("en"))
    first.go("/desk/policy")
    text = first.page.get_by_label(first.say("The text of the policy"), exact=True)
    shorter = dated(text.input_value().replace("version = 1 ", "version = 2 ", 1), 2)
    usage = shorter.index("keep =", shorter.index("[category.usage]"))
    shorter = shorter[:usage] + shorter[usage:].replace("30 days", "20 dayz", 1)
    text.fill(shorter)
    line = first.page.get_by_role("button", name=first.say("Line {number}", number=shorter.count("\n", 0, usage) + 1))
    line.wait_for()
    expect(first.page.get_by_role("button", name=first.say("Plan this change"))).to_be_disabled()
    text.fill(shorter.replace("20 dayz", "20 days"))
    first.see("a policy: version {number}", number=2)
    first.page.reload()
    expect(text).to_have_value(re.compile("20 days"))
    first.click("Plan this change")
    first.see("It takes data away: another operator has to approve it.")
    first.see("tightens")
    expect(first.page.locator("del").filter(has_text="30 days").first).to_be_visible()
    expect(first.page.get_by_role("button", name=first.say("Apply it"))).to_be_disabled()
    second.page.goto(first.page.url)
    second.click("Approve it")
    first.page.reload()
    first.click("Apply it")
    first.page.get_by_role("dialog").get_by_role("button", name=first.say("Apply it")).dblclick()
    first.see("applied")
    first.go("/desk/policy")
    first.see("Version {number}", number=2)
    assert first.wrong == second.wrong == []


def test_somebody_who_was_refused_reads_why_in_their_privacy_centre(
    visit: Visit, platform: Platform, staff: dict[str, Colleague]
) -> None:
    why, other = "The weights belong to their maker.\nNone of your data is in them.", "A second engine runs now."
    staff["privacy"].show()
    with platform.http() as http:
        platform.sign_up(http)
        for state, answer in (("succeeded", other), ("refused", why)):
            asked = http.post("/api/privacy/requests", json={"kind": "complain", "text": "Well?"}).json()
            reply = {"id": asked["id"], "state": state, "answer": answer}
            assert staff["privacy"].http.post("/api/desk/requests/answer", json=reply).is_success
        cookies = [{"name": one.name, "value": str(one.value), "url": platform.base_url} for one in http.cookies.jar]
    for language in ("zh", "en"):
        at = visit(language)
        at.page.context.add_cookies(cookies)
        at.go("/privacy")
        row = at.page.get_by_role("listitem").filter(has_text=at.say("Why it was refused"))
        expect(row.locator(".said")).to_have_text(why, timeout=WAIT_MS)
        expect(row).not_to_contain_text("see answer")
        expect(at.page.get_by_text(other)).to_have_count(0)
        at.page.get_by_text(at.say("The answer"), exact=True).click()
        at.page.get_by_text(other).wait_for()
        assert at.wrong == []


def test_a_credit_is_in_the_balance_that_is_shown_after_it(
    visit: Visit, platform: Platform, staff: dict[str, Colleague]
) -> None:
    at = staff["operator"].enter(visit("en"))
    with platform.http() as http:
        me = platform.sign_up(http)
    at.go("/desk/accounts")
    at.fill("Address or id", me["id"])
    at.fill("Reason", "ticket 9")
    at.click("Look up")
    balance = at.page.locator(".figure").filter(has_text=at.say("Balance"))
    expect(balance).to_contain_text("$1.00", timeout=WAIT_MS)
    at.click("Give a credit")
    dialog = at.page.get_by_role("dialog")
    at.fill("Amount", "2.50")
    dialog.get_by_label(at.say("Reason"), exact=True).fill("ticket 9")
    at.click("Give the credit")
    dialog.wait_for(state="detached")
    at.see("The credit is in the wallet, and on the record.")
    expect(balance).to_contain_text("$3.50")
    looked = at.sql("SELECT count(*) FROM audit WHERE subject_id = $1::uuid AND act = 'look at account'", me["id"])
    assert looked[0][0] == 1 and at.wrong == []


def test_an_upstream_is_changed_and_its_key_is_shown_to_nobody(
    visit: Visit, platform: Platform, staff: dict[str, Colleague]
) -> None:
    platform.cli("upstream", "add", "ours", "http://127.0.0.1:9/v1", "--own", "--key", stdin="sk-before\n")
    at = staff["operator"].enter(visit("zh"))
    at.go("/desk/upstreams")
    row = at.page.get_by_role("row").filter(has_text="ours")
    expect(row).to_have_count(1, timeout=WAIT_MS)
    expect(at.page.get_by_role("button", name=at.say("Change {name}", name="engine"))).to_have_count(0)

    def change(**fields: str) -> None:
        row.get_by_role("button", name=at.say("Change {name}", name="ours")).click()
        expect(at.page.get_by_role("button", name=at.say("Save"), exact=True)).to_be_disabled()
        for label, value in fields.items():
            at.fill(label.replace("_", " "), value)
        at.click("Save")

    def is_refused(text: str) -> None:
        expect(at.page.get_by_role("alert")).to_contain_text(text, timeout=WAIT_MS)
        at.click("Cancel")
        at.page.get_by_role("dialog").wait_for(state="detached")

    change(Base_URL="http://127.0.0.1:10/v1")
    is_refused("已保存的密钥不会发送到那里")
    change(Base_URL="http://127.0.0.1:10/v1", New_API_key="sk-after")
    at.page.get_by_role("dialog").wait_for(state="detached")
    change(Party="stranger")
    is_refused("the policy names no processor stranger")
    row.get_by_role("button", name=at.say("Change {name}", name="ours")).click()
    expect(at.page.get_by_label(at.say("New API key"), exact=True)).to_have_value("")
    [seen] = [
        each for each in staff["second"].http.get("/api/desk/upstreams").json()["upstreams"] if each["name"] == "ours"
    ]
    assert (seen["base_url"], seen["revision"]) == ("http://127.0.0.1:10/v1", 2)
    other = staff["second"].http.patch("/api/desk/upstreams", json={"name": "ours", "revision": 2, "leaving": "drain"})
    assert other.is_success, other.text
    at.fill("Region", "DE")
    at.click("Save")
    expect(at.page.get_by_role("alert")).to_contain_text("其他人在此期间更改了此上游", timeout=WAIT_MS)
    assert "sk-after" not in at.page.content() and "sk-before" not in at.page.content()
    auditor = staff["auditor"].enter(visit("en"))
    auditor.go("/desk/upstreams")
    expect(auditor.page.get_by_role("row").filter(has_text="ours")).to_have_count(1, timeout=WAIT_MS)
    expect(auditor.page.get_by_role("button", name=auditor.say("Change {name}", name="ours"))).to_have_count(0)
    assert at.wrong == auditor.wrong == []


def test_a_route_is_changed_to_what_it_was_looked_at(
    visit: Visit, platform: Platform, staff: dict[str, Colleague]
) -> None:
    for name in ("near", "far"):
        platform.cli("upstream", "add", name, "http://127.0.0.1:9/v1", "--own")
        platform.cli("model", "add", "two/ways", "--upstream", name, "--input", "1", "--output", "2", "--cost", "0.1")
    at = staff["operator"].enter(visit("zh"))
    at.go("/desk/models")
    at.page.get_by_role("button", name=at.say("Routes of {name}", name="two/ways")).click()
    row = at.page.get_by_role("row").filter(has_text="near").filter(has_text="0.1")

    def change(**fields: str) -> None:
        row.get_by_role("button", name=at.say("Change {name}", name="near")).click()
        expect(at.page.get_by_role("button", name=at.say("Save"), exact=True)).to_be_disabled()
        for label, value in fields.items():
            at.fill(label.replace("_", " "), value)
        at.click("Save")

    change(Rank="2", Cost_of_a_million="0.125")
    expect(row).to_contain_text("0.125", timeout=WAIT_MS)
    change(Cost_of_a_million="little")
    expect(at.page.get_by_role("alert")).to_contain_text("A cost is a decimal", timeout=WAIT_MS)
    at.click("Cancel")

    def seen() -> list[dict[str, object]]:
        models = staff["second"].http.get("/api/desk/models").json()["models"]
        return next(each["routes"] for each in models if each["id"] == "two/ways")

    assert [(each["upstream"], each["rank"], each["cost"]) for each in seen()] == [
        ("far", 0, "0.100000000"),
        ("near", 2, "0.125000000"),
    ], "as they are tried"
    row.get_by_role("button", name=at.say("Change {name}", name="near")).click()
    body = {"model": "two/ways", "upstream": "near", "revision": seen()[1]["revision"], "weight": 7}
    assert staff["second"].http.patch("/api/desk/models/routes", json=body).is_success
    at.fill("Rank", "5")
    at.click("Save")
    expect(at.page.get_by_role("alert")).to_contain_text("其他人在此期间更改了此路由", timeout=WAIT_MS)
    auditor = staff["auditor"].enter(visit("en"))
    auditor.go("/desk/models")
    auditor.page.get_by_role("button", name=auditor.say("Routes of {name}", name="two/ways")).click()
    expect(auditor.page.get_by_role("row").filter(has_text="near").filter(has_text="0.125")).to_have_count(1)
    expect(auditor.page.get_by_role("button", name=auditor.say("Change {name}", name="near"))).to_have_count(0)
    assert at.wrong == auditor.wrong == []


def test_a_price_is_shown_by_what_the_model_is_paid_by(
    visit: Visit, platform: Platform, staff: dict[str, Colleague]
) -> None:
    platform.cli("upstream", "add", "inside", "http://127.0.0.1:9/v1", "--own")
    for name, (told, _) in PRICED.items():
        platform.cli("model", "add", name, "--upstream", "inside", *told)
    at = staff["operator"].enter(visit("en"))
    at.go("/desk/models")
    for name, (_, shown) in PRICED.items():
        for each in shown:
            expect(at.page.get_by_role("row").filter(has_text=name)).to_contain_text(each, timeout=WAIT_MS)
    set_it = at.page.get_by_role("button", name=at.say("Set this price from now on"))
    at.page.get_by_role("button", name=at.say("Prices of {name}", name="paints/pictures")).click()
    at.see("What is not paid by tokens is priced at the terminal: avow model add.")
    expect(set_it).to_have_count(0)
    at.go("/desk/models")
    at.page.get_by_role("button", name=at.say("Prices of {name}", name="writes/texts")).click()
    expect(set_it).to_be_visible()
    assert at.wrong == []


def test_a_limit_is_set_changed_and_ended(visit: Visit, platform: Platform, staff: dict[str, Colleague]) -> None:
    at, colleague = staff["operator"].enter(visit("zh")), staff["operator"].http
    with platform.http() as http:
        mine = platform.sign_up(http)["tenant_id"]
        at.go("/desk/limits")
        expect(at.page.get_by_role("link", name=at.say("Wallet"), exact=True)).to_have_count(0)
        at.click("Set a limit")
        at.fill("Organisation (id)", mine)
        expect(at.page.get_by_role("button", name=at.say("Set it"), exact=True)).to_be_disabled()
        at.fill("Requests per minute", "90")
        at.fill("Budget per day", "2.5")
        expect(at.page.get_by_label(at.say("Budget per day"), exact=True)).to_have_value("2.5 USD")
        at.click("Set it")
        at.page.get_by_role("dialog").wait_for(state="detached")
        row = at.page.get_by_role("row").filter(has_text=mine)
        expect(row).to_contain_text("90", timeout=WAIT_MS)
        expect(row).to_contain_text("US$2.50")
        [seen] = http.get("/api/limits").json()["limits"]
        assert (seen["limits"]["requests_per_min"], seen["limits"]["budget_day_nano"]) == (90, 2_500_000_000)
        row.get_by_role("button", name=at.say("Change the limit of {who}", who=mine)).click()
        at.fill("Requests per minute", "30")
        at.click("Save")
        expect(row).to_contain_text("30", timeout=WAIT_MS)
        row.get_by_role("button", name=at.say("End the limit of {who}", who=mine)).click()
        at.click("End it")
        expect(row).to_have_count(0, timeout=WAIT_MS)
        assert http.get("/api/limits").json()["limits"] == []
    auditor = staff["auditor"].enter(visit("en"))
    colleague.post("/api/desk/limits", json={"kind": "model", "model": MODEL, "limits": {"parallel": 3}})
    auditor.go("/desk/limits")
    expect(auditor.page.get_by_role("row").filter(has_text=auditor.say("Requests at once"))).to_have_count(1)
    expect(auditor.page.get_by_role("button", name=auditor.say("Set a limit"))).to_have_count(0)
    assert at.wrong == auditor.wrong == []


def test_a_search_of_the_record_is_sent_by_its_button_alone(visit: Visit, staff: dict[str, Colleague]) -> None:
    at = staff["auditor"].enter(visit("en"))
    at.go("/desk/record")
    sent: list[str] = []
    at.page.on("request", lambda one: sent.append(one.url) if one.url.endswith("/api/desk/openings") else None)
    at.fill("Reason", "a review")
    at.click("Search the record")
    at.page.get_by_role("table").wait_for()
    at.page.evaluate(CHANGED_ELSEWHERE)
    with at.page.expect_request(lambda one: one.url.endswith("/api/me")):
        look_at(at.page)
    at.page.evaluate("fetch('/healthz').then(() => 0)")
    assert len(sent) == 1, "each search stands on the record"
    assert at.wrong == []


def test_no_screen_of_the_desk_has_a_serious_fault_or_is_too_wide(
    visit: Visit, axe: str, staff: dict[str, Colleague]
) -> None:
    found: dict[str, list[str]] = {}
    at = {role: staff[role].enter(visit("zh" if role == "operator" else "en")) for role in {*DESK.values()}}
    for path, role in DESK.items():
        page = at[role].page
        at[role].go(path)
        settled(at[role])
        for scheme, rules in (("light", "{}"), ("dark", "{runOnly: ['color-contrast']}")):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            found.setdefault(path, []).extend(serious(page, axe, rules))
        page.set_viewport_size(NARROW)
        if is_too_wide(page):
            found[path].append("needs sideways scrolling where it is narrow")
        page.set_viewport_size(WIDE)
        assert not any(page.get_by_role("alert").all_inner_texts()), path
    assert {path: faults for path, faults in found.items() if faults} == {}
    assert [each.wrong for each in at.values() if each.wrong] == []


def test_a_document_lets_a_claim_stand_until_it_lapses(
    visit: Visit, platform: Platform, staff: dict[str, Colleague], tmp_path: Path
) -> None:
    at = staff["operator"].enter(visit("en"))
    file = tmp_path / "report.pdf"
    file.write_bytes(b"%PDF-1.4 an auditor's report")
    at.go("/desk/evidence")
    at.see("not published")
    at.click("Add its document")
    at.page.locator("input[type=file]").set_input_files(file)
    at.fill("Issued by", "An auditor")
    at.fill("Until before (UTC)", f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}")
    at.click("Keep it")
    at.page.get_by_text(at.say("on the page"), exact=True).wait_for()
    sentence = at.page.locator(".row .note").first.inner_text()
    assert sentence in published(at.page, platform)
    platform.move_clock(timedelta(days=2).total_seconds())
    assert sentence not in published(at.page, platform), "it does not stand a moment longer"
    assert at.wrong == []


def published(page: Page, platform: Platform) -> str:
    page.goto(f"{platform.base_url}/privacy?locale=en")
    return page.locator("main").text_content() or ""
