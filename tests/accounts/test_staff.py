"""Staff see what the policy lets their role see, with a reason, on record first, and the person can read it."""

from datetime import timedelta
from uuid import UUID

import httpx
import pyotp
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from tests.accounts.conftest import PASSWORD, PROFILE, House

from avow.accounts import people, staff
from avow.accounts.staff import StaffRefused
from avow.base.actor import PLATFORM
from avow.base.errors import BadInput, NotFound
from avow.policy import Policy, parse

ADA = "ada@example.org"
WHY = "asked-in-ticket-7"
LET = {
    "account": 'purposes = ["service", "security", "notices", "support", "legal", "enforce"]\n'
    'staff = ["support", "privacy", "abuse"]',
    "audit": 'purposes = ["security", "proof"]\nstaff = ["auditor"]',
    "credential": 'purposes = ["security", "legal"]\nstaff = ["privacy"]',
}
"""Credentials are for nobody's eyes, whatever a policy lists."""


def with_staff(profile: str) -> str:
    """The default policy with the lines of LET in the place of the purposes of a category."""
    for category, lines in LET.items():
        head, _, tail = profile.partition(f"[category.{category}]")
        before, _, after = tail.partition("purposes = ")
        profile = f"{head}[category.{category}]{before}{lines}\n{after.partition(chr(10))[2]}"
    return profile


@pytest.fixture
def policy() -> Policy:
    return parse(with_staff(PROFILE.read_text()))


async def entered(house: House, email: str) -> httpx.AsyncClient:
    """A new browser of somebody who signs in, with a code of their app where they have one."""
    browser, body = house.browser(), {"email": email, "password": PASSWORD}
    if email in house.factors:
        body["code"] = pyotp.TOTP(house.factors[email]).at(house.clock.now() + timedelta(seconds=30))
    answer = await browser.post("/api/auth/login", json=body)
    assert answer.status_code == 200, answer.text
    return browser


async def person(house: House) -> tuple[httpx.AsyncClient, dict[str, str]]:
    browser = await house.signed_in(ADA, name="Ada Lovelace")
    return browser, (await browser.get("/api/me")).json()


def asked(subject: str, category: str = "account", purpose: str = "support", reason: str = WHY) -> dict[str, str]:
    return {"subject": subject, "category": category, "purpose": purpose, "reason": reason}


async def test_support_finds_and_opens_an_account_and_its_owner_reads_who_and_why(house: House) -> None:
    ada, me = await person(house)
    desk = await house.hired("support")
    found = await desk.post("/api/desk/people", json={"email": "ADA@example.org", "purpose": "support", "reason": WHY})
    assert found.json() == {"id": me["id"], "tenant_id": me["tenant_id"], "confirmed": False}
    opened = await desk.post("/api/desk/open", json=asked(me["id"]))
    assert [(fact["store"], fact["fields"]) for fact in opened.json()["facts"]] == [
        ("person", {"email": ADA, "name": "Ada Lovelace"})
    ]
    assert opened.headers["cache-control"] == "no-store"
    lines = [line for line in (await ada.get("/api/me/openings")).json()["openings"] if line["who"] == "staff"]
    assert [(line["role"], line["purpose"], line["outcome"], line["act"], line["reason"]) for line in lines] == [
        ("support", "support", "opened", None, WHY),
        ("support", "support", "done", "find by address", WHY),
    ]


@pytest.mark.parametrize(
    ("role", "question"),
    [
        ("support", asked("", category="api_content")),
        ("support", asked("", purpose="legal")),
        ("support", asked("", purpose="service")),
        ("billing", asked("", purpose="billing")),
        ("privacy", asked("", category="credential", purpose="legal")),
        ("privacy", asked("", category="no_such", purpose="legal")),
        ("auditor", asked("", purpose="proof")),
    ],
)
async def test_what_the_policy_does_not_list_is_refused_and_still_leaves_a_mark(
    house: House, role: str, question: dict[str, str]
) -> None:
    ada, me = await person(house)
    desk = await house.hired(role)
    refused = await desk.post("/api/desk/open", json={**question, "subject": me["id"]})
    assert (refused.status_code, refused.json()["code"]) == (403, "open_refused")
    assert ADA not in refused.text
    lines = (await ada.get("/api/me/openings")).json()["openings"]
    assert [line["role"] for line in lines if line["who"] == "staff" and line["reason"] == WHY] == [role]


@pytest.mark.promise("TRO-3.7")
@pytest.mark.parametrize(("role", "purpose"), [("support", "support"), ("privacy", "legal"), ("abuse", "enforce")])
async def test_without_a_reason_nothing_is_shown(house: House, role: str, purpose: str) -> None:
    ada, me = await person(house)
    desk = await house.hired(role)
    bodies = {
        "/api/desk/open": asked(me["id"], purpose=purpose),
        "/api/desk/people": {"email": ADA, "purpose": purpose},
    }
    for path, body in bodies.items():
        for nothing in ("", "  \n"):
            refused = await desk.post(path, json={**body, "reason": nothing})
            assert (refused.status_code, refused.json()["code"]) == (400, "reason_missing")
            assert me["id"] not in refused.text and ADA not in refused.text
    assert (await desk.post("/api/desk/open", json=bodies["/api/desk/open"])).json()["facts"]
    line = next(each for each in (await ada.get("/api/me/openings")).json()["openings"] if each["who"] == "staff")
    assert (line["role"], line["purpose"], line["reason"]) == (role, purpose, WHY)


async def test_people_and_keys_have_no_desk_and_staff_no_customers_routes(house: House) -> None:
    ada, me = await person(house)
    key = (await ada.post("/api/keys", json={})).json()["secret"]
    program = house.browser(authorization=f"Bearer {key}")
    for stranger, code in ((ada, "not_permitted"), (program, "session_needed")):
        refused = await stranger.post("/api/desk/open", json=asked(me["id"]))
        assert (refused.status_code, refused.json()["code"]) == (403, code)
    desk = await house.hired("operator")
    for method, path in (("POST", "/api/keys"), ("PATCH", "/api/tenant"), ("POST", "/api/desk/openings")):
        refused = await desk.request(method, path, json={})
        assert (refused.status_code, refused.json()["code"]) == (403, "not_permitted")
    assert (await desk.get("/api/me")).status_code == 200


async def test_the_desk_asks_who_it_is_again_after_ten_minutes(house: House) -> None:
    _, me = await person(house)
    desk = await house.hired("support", email="again@avow.example")
    house.clock.move(timedelta(minutes=9))
    assert (await desk.post("/api/desk/open", json=asked(me["id"]))).status_code == 200
    house.clock.move(timedelta(minutes=2))
    stale = await desk.post("/api/desk/open", json=asked(me["id"]))
    assert (stale.status_code, stale.json()["code"]) == (403, "step_up_needed")
    assert (await desk.get("/api/me")).status_code == 200
    shown = pyotp.TOTP(house.factors["again@avow.example"]).at(house.clock.now())
    assert (await desk.post("/api/auth/step-up", json={"code": shown})).status_code == 200
    assert (await desk.post("/api/desk/open", json=asked(me["id"]))).status_code == 200


async def test_staff_without_a_second_factor_see_nothing(house: House) -> None:
    _, me = await person(house)
    until = house.needs.clock.now() + timedelta(days=9)
    facts = {"email": "bare@avow.example"}
    await staff.appoint(house.needs, house.databases.keeper, facts, PASSWORD, "support", until, "NDA 2026-11")
    bare = await entered(house, "bare@avow.example")
    for path in ("/api/desk/open", "/api/desk/people"):
        refused = await bare.post(path, json=asked(me["id"]))
        assert (refused.status_code, refused.json()["code"]) == (403, "second_factor_missing")


@pytest.mark.promise("TRO-4.4")
async def test_a_role_rests_when_the_training_has_run_out(house: House) -> None:
    _, me = await person(house)
    await house.hired("support", days=1, email="late@avow.example")
    house.clock.move(timedelta(days=1))
    late = await entered(house, "late@avow.example")
    refused = await late.post("/api/desk/open", json=asked(me["id"]))
    assert (refused.status_code, refused.json()["code"]) == (403, "not_permitted")


@pytest.mark.promise("LAB-5.5")
async def test_without_an_agreement_or_training_there_is_no_role(house: House) -> None:
    now = house.needs.clock.now()
    for until, agreement in ((now + timedelta(days=9), " "), (now, "NDA 2026-11")):
        with pytest.raises(BadInput):
            facts = {"email": "new@avow.example"}
            await staff.appoint(house.needs, house.databases.keeper, facts, PASSWORD, "support", until, agreement)
    assert await house.rows("staff") == await house.rows("person") == 0


async def test_a_customer_is_never_made_staff(house: House) -> None:
    _, me = await person(house)
    until = house.needs.clock.now() + timedelta(days=9)
    with pytest.raises(StaffRefused):
        await staff.appoint(house.needs, house.databases.keeper, {"email": ADA}, PASSWORD, "support", until, "NDA")
    assert await house.rows("staff") == 0
    with pytest.raises(DBAPIError, match="permission denied"):
        async with house.needs.database.tenant(UUID(me["tenant_id"])) as c:
            await c.execute(text("DELETE FROM staff"))


async def test_who_is_dismissed_is_out_at_once(house: House) -> None:
    _, me = await person(house)
    desk = await house.hired("support", email="gone@avow.example")
    await staff.dismiss(house.needs, house.databases.keeper, "gone@avow.example")
    assert (await desk.post("/api/desk/open", json=asked(me["id"]))).status_code == 401
    desk = await entered(house, "gone@avow.example")
    assert (await desk.post("/api/desk/open", json=asked(me["id"]))).status_code == 403
    acts = [line["act"] for line in (await desk.get("/api/me/openings")).json()["openings"] if line["act"]]
    assert [act for act in acts if "staff" in act] == ["dismiss staff", "appoint staff"]
    with pytest.raises(NotFound):
        await staff.dismiss(house.needs, house.databases.keeper, "gone@avow.example")


async def test_the_auditor_finds_who_looked_by_person_and_by_time(house: House) -> None:
    ada, me = await person(house)
    desk = await house.hired("support")
    me_staff = (await desk.get("/api/me")).json()["id"]
    before = house.needs.clock.now()
    await desk.post("/api/desk/open", json=asked(me["id"]))
    auditor = await house.hired("auditor")
    lines = (await auditor.post("/api/desk/openings", json={"subject": me["id"]})).json()["openings"]
    line = next(each for each in lines if each["role"] == "support")
    assert (line["actor"], line["category"], line["outcome"]) == (f"staff:{me_staff}", "account", "opened")
    assert line["has_reason"] and WHY not in str(lines)
    assert {each["subject_id"] for each in lines} == {me["id"]}
    assert (lines[0]["role"], lines[0]["act"]) == ("auditor", "search record")
    span = {"since": before.isoformat(), "until": house.needs.clock.now().isoformat()}
    recent = (await auditor.post("/api/desk/openings", json=span)).json()["openings"]
    assert line["id"] in [each["id"] for each in recent]
    older = (await auditor.post("/api/desk/openings", json={"until": span["since"]})).json()["openings"]
    assert older and line["id"] not in [each["id"] for each in older]
    for narrower, count in (({"actor": line["actor"], "act": "look"}, 0), ({"actor": line["actor"]}, 1)):
        narrow = {"subject": me["id"], "category": "account", "outcome": "opened", **narrower}
        found = (await auditor.post("/api/desk/openings", json=narrow)).json()["openings"]
        assert len(found) == count and all(each["actor"] == line["actor"] for each in found)
    # A search of all is on the platform's own record.
    searched = {"subject": str(PLATFORM), "act": "search record"}
    assert len((await auditor.post("/api/desk/openings", json=searched)).json()["openings"]) == 3
    reasons = await auditor.post("/api/desk/open", json=asked(me["id"], "audit", "proof", "yearly review"))
    assert WHY in [fact["fields"].get("reason") for fact in reasons.json()["facts"]]
    seen = (await ada.get("/api/me/openings")).json()["openings"]
    assert (seen[0]["role"], seen[0]["category"], seen[0]["reason"]) == ("auditor", "audit", "yearly review")


async def test_who_stands_behind_a_change_is_an_operator_with_valid_training(house: House) -> None:
    names = {}
    for role, email in (("operator", "op@avow.example"), ("support", "help@avow.example")):
        await house.hired(role, email=email, days=30)
        found = await people.find(house.needs, email)
        assert found is not None
        names[role] = f"staff:{found.subject_id}"
    keeper, now = house.databases.keeper, house.needs.clock.now()
    assert await staff.stands(keeper, names["operator"], now)
    assert not await staff.stands(keeper, names["operator"], now + timedelta(days=31))
    for nobody in (names["support"], "staff:ann", f"command:{names['operator'][6:]}", f"staff:{UUID(int=1)}"):
        assert not await staff.stands(keeper, nobody, now)
