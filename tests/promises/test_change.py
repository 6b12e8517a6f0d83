"""A change of policy on a running platform: planned, announced, waited for, in force, and accepted."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from typing import Any

import httpx
import pyotp
import pytest

from tests.platform import ROOT, Platform, complete, dated, new_platform, wait_until

DAY_S = 24 * 3600
NOTICE_DAYS = 10
REST = """
[notice.policy]
channels = ["page"]
"""


def policy(version: int, *changes: tuple[str, str], more: str = "") -> str:
    """The profile after Infiner's policy under a number of its own, with texts replaced that must be there."""
    text = (ROOT / "profiles" / "infiner.toml").read_text()
    for old, new in (("version = 1", f"version = {version}"), *changes):
        assert old in text, f"the profile has no {old!r}"
        text = text.replace(old, new, 1)
    return dated(text, version) + more


@pytest.fixture(scope="module")
def changing() -> Iterator[Platform]:
    """A platform under the first version, whose changes the tests of this file make one after the other."""
    with new_platform(policy(1)) as platform:
        yield platform.start()


@pytest.fixture(scope="module")
def ada(changing: Platform) -> Iterator[dict[str, Any]]:
    """Somebody who was there before the first change; `http` is their browser, `key` their API key."""
    with changing.http() as http:
        me = changing.sign_up(http, name="Ada", company="Ada Works", country="US", of_age=True)
        yield {**me, "http": http, "key": changing.key(http)["secret"]}


def plan(platform: Platform, text: str, *arguments: str) -> dict[str, Any]:
    """A plan of a policy text, as the operator's command shows it."""
    file = platform.folder / f"new-{secrets.token_hex(4)}.toml"
    file.write_text(text)
    found: dict[str, Any] = json.loads(platform.cli("policy", "plan", str(file), "--json", *arguments).stdout)
    return found


def in_days(platform: Platform, days: int) -> str:
    moved = float((platform.folder / "clock").read_text() or 0)
    return f"{datetime.now(UTC) + timedelta(seconds=moved, days=days):%Y-%m-%dT%H:%M}"


def letters(platform: Platform, address: str, word: str) -> list[str]:
    """The texts of the mails to somebody about something."""
    found = []
    for path in (platform.home / "mail").glob("*.eml"):
        letter = message_from_bytes(path.read_bytes(), policy=default)
        if letter["To"] == address and word in str(letter["Subject"]):
            found.append(letter.get_content())
    return found


def customers(platform: Platform) -> int:
    """How many people there are, the platform's own canaries and staff not counted."""
    query = "SELECT id FROM person WHERE tenant_id NOT IN (SELECT tenant_id FROM tenant_kind WHERE kind = 'internal')"
    return len(platform.sql(query))


def served(platform: Platform) -> dict[str, Any]:
    with platform.http() as http:
        answer: dict[str, Any] = http.get("/.well-known/avow-policy.json").json()
    return answer


def page(platform: Platform) -> str:
    with platform.http() as http:
        return http.get("/privacy", params={"locale": "en"}).text


def acceptances(platform: Platform, who: dict[str, Any]) -> list[tuple[int, str]]:
    rows = platform.sql("SELECT * FROM acceptance WHERE subject_id::text = $1 ORDER BY accepted_version", who["id"])
    return [(row["accepted_version"], row["accepted_how"]) for row in rows]


def ask(platform: Platform, who: dict[str, Any]) -> httpx.Response:
    return complete(who["http"], who["key"], "Hello")


@pytest.mark.promise("INF-11.2")
@pytest.mark.promise("INF-11.3")
@pytest.mark.promise("INF-11.4")
@pytest.mark.promise("MESH-10.2")
def test_a_material_change_is_announced_three_ways_and_comes_on_its_day(
    changing: Platform, ada: dict[str, Any]
) -> None:
    """Mail and banner come once, before the day; kill -9 between loses neither them nor the day."""
    longer = policy(2, ('keep = "at most 30 days"', 'keep = "at most 40 days"'))
    refused = changing.cli("policy", "plan", str(written(changing, longer)), check=False)
    assert refused.returncode == 1 and "--effective" in refused.stderr
    found = plan(changing, longer, "--effective", in_days(changing, NOTICE_DAYS))
    assert found["notice"]["channels"] == ["page", "email", "banner"]
    people = customers(changing)
    assert found["notice"]["people"] == people >= 2
    said = changing.cli("policy", "apply", found["plan"]).stdout
    assert "Version 2 is published and takes effect on" in said
    changing.kill()
    changing.start(expect="is ready")
    wait_until(lambda: changing.sql("SELECT told_at FROM policy_plan")[0]["told_at"] is not None)
    wait_until(lambda: letters(changing, ada["email"], "policy changes"))
    [letter] = letters(changing, ada["email"], "policy changes")
    assert "40 days" in letter and "40 天" in letter and "takes effect on" in letter
    assert changing.sql("SELECT count(*) AS n FROM notice")[0]["n"] == people
    [shown] = ada["http"].get("/api/me/notices").json()
    assert (shown["kind"], shown["version"], shown["in_force"]) == ("policy_material", 2, False)
    assert (served(changing)["version"], "40 days" in page(changing)) == (1, False)
    with changing.http() as http:
        coming = http.get("/api/auth/signup").json()["coming"]
        assert [(each["version"], each["page"]) for each in coming] == [(2, "/privacy/2")]
        late = changing.sign_up(http, name="Eve", company="Eve Works", country="US", of_age=True)
    changing.move_clock(NOTICE_DAYS * DAY_S + 60)
    wait_until(lambda: served(changing)["version"] == 2)
    assert "40 days" in page(changing)
    wait_until(lambda: letters(changing, late["email"], "policy changes"))
    changing.sign_in(ada["http"], ada["email"], ada["password"])  # ten days end a session
    assert ada["http"].get("/api/me/notices").json()[0]["in_force"]
    assert ada["http"].post(f"/api/me/notices/{shown['id']}/dismiss").status_code == 204
    assert ada["http"].get("/api/me/notices").json() == []


@pytest.mark.promise("INF-11.5")
def test_the_first_use_after_the_day_is_the_acceptance_and_no_consent(changing: Platform, ada: dict[str, Any]) -> None:
    with changing.http() as http:
        changing.sign_in(http, ada["email"], ada["password"])
    assert acceptances(changing, ada) == [(1, "use"), (2, "use")]
    assert ask(changing, ada).status_code == 200
    assert acceptances(changing, ada) == [(1, "use"), (2, "use")]
    assert changing.sql("SELECT * FROM standing WHERE subject_id::text = $1", ada["id"]) == []


def test_an_explicit_policy_closes_the_api_until_it_is_accepted(changing: Platform, ada: dict[str, Any]) -> None:
    """One's own account, copy and erasure stay open; what opens the rest is named."""
    text = policy(3, ('keep = "at most 30 days"', 'keep = "at most 40 days"'), ('how = "use"', 'how = "explicit"'))
    found = plan(changing, text)
    assert not found["destructive"]
    changing.cli("policy", "apply", found["plan"])
    wait_until(lambda: served(changing)["version"] == 3)
    wait_until(lambda: ask(changing, ada).status_code == 403)
    refused = ask(changing, ada).json()["error"]
    assert refused["code"] == "policy_not_accepted" and "/api/me/acceptance" in refused["message"]
    assert ada["http"].get("/api/keys").json()["code"] == "policy_not_accepted"
    assert ada["http"].get("/api/me").status_code == 200
    assert ada["http"].get("/api/privacy/requests").status_code == 200
    asked = ada["http"].get("/api/me/acceptance").json()
    assert (asked["accepted"], asked["asked"], asked["how"]) == (2, 3, "explicit")
    assert ada["http"].post("/api/me/acceptance", json={"version": 2}).json()["code"] == "version_not_in_force"
    assert ada["http"].post("/api/me/acceptance", json={"version": 3}).status_code == 201
    assert acceptances(changing, ada) == [(1, "use"), (2, "use"), (3, "explicit")]
    told = ada["http"].get("/api/me/acceptances").json()
    assert [(each["version"], each["how"], each["page"]) for each in told] == [
        (3, "explicit", "/privacy/3"),
        (2, "use", "/privacy/2"),
        (1, "use", "/privacy/1"),
    ]
    wait_until(lambda: ask(changing, ada).status_code == 200)


@pytest.mark.promise("LAB-11.2")
def test_a_change_that_is_not_material_is_posted_and_nobody_gets_mail(changing: Platform, ada: dict[str, Any]) -> None:
    edits = (('keep = "at most 30 days"', 'keep = "at most 40 days"'), ('how = "use"', 'how = "explicit"'))
    before = 2  # of the second version and the third
    wait_until(lambda: len(letters(changing, ada["email"], "policy changes")) == before)
    promised = policy(4, *edits, more=REST)
    changing.cli("policy", "apply", plan(changing, promised)["plan"])
    wait_until(lambda: served(changing)["version"] == 4)
    wait_until(lambda: len(letters(changing, ada["email"], "policy changes")) == before + 1)
    found = plan(changing, policy(5, *edits, more=REST))
    assert (found["notice"]["kind"], found["notice"]["people"]) == ("policy", 0)
    changing.cli("policy", "apply", found["plan"])
    wait_until(lambda: served(changing)["version"] == 5)
    assert "1 January 2035" in page(changing), "only the dates are others"
    assert changing.sql("SELECT count(*) AS n FROM notice WHERE notice_version = 5")[0]["n"] == 0
    wait_until(lambda: not changing.sql("SELECT id FROM outbox WHERE subject_id::text = $1", ada["id"]))
    assert len(letters(changing, ada["email"], "policy changes")) == before + 1


def test_what_ends_data_needs_a_second_operator(changing: Platform, ada: dict[str, Any]) -> None:
    """Facts older than the new period end at once, once somebody else has vouched for it."""
    assert changing.sql("SELECT count(*) AS n FROM usage WHERE subject_id::text = $1", ada["id"])[0]["n"] > 0
    changing.move_clock(2 * DAY_S)
    for name, number in (("first", "one"), ("second", "two")):
        changing.hire("operator", f"{name}@example.org", f"a long word for {number}", "--name", name)
    found = plan(changing, shorter_usage(6, "24 hours"))
    assert found["destructive"]
    cut = {each["store"]: each for each in found["cuts"]}["usage"]
    apply = ("policy", "apply", found["plan"])
    both = ("--as", "first@example.org", "--approve", "second@example.org")
    own = "a long word for one\n\n"
    for options, typed, status, said in (
        ((), "", 1, "--approve"),
        (both[2:], "a long word for two\n\n", 1, "two operators"),
        (("--as", both[1], "--approve", both[1]), own, 2, "the same person"),
        (both, own + "no\n\n", 1, "role operator"),
    ):
        refused = changing.cli(*apply, *options, stdin=typed, check=False)
        assert refused.returncode == status and said in refused.stderr
    done = changing.cli(*apply, *both, stdin=own + "a long word for two\n\n")
    ended = re.search(r"(\d+) facts in usage end sooner, (\d+) of them now", done.stdout)
    assert ended, done.stdout
    # The platform's own canaries call while the operators type.
    assert int(ended[1]) >= cut["shortened"] > 0 and int(ended[2]) >= cut["expired"] > 0
    assert str(changing.sql("SELECT approved_by FROM policy_version WHERE version = 6")[0]["approved_by"]).startswith(
        "staff:"
    )
    # A canary that is called just then ends sooner with the second look.
    late = "SELECT count(*) AS n FROM usage WHERE subject_id::text = $1 AND ends_at > since + interval '24 hours'"
    assert changing.sql(late, ada["id"])[0]["n"] == 0
    changing.cli("sweep", "--confirm-clock")
    assert changing.sql("SELECT count(*) AS n FROM usage WHERE subject_id::text = $1", ada["id"])[0]["n"] == 0


@pytest.mark.promise("INF-11.1")
@pytest.mark.promise("MESH-10.1")
@pytest.mark.promise("LAB-11.1")
@pytest.mark.promise("TRO-1.6")
@pytest.mark.promise("TRO-7.1")
def test_every_version_stays_readable_and_the_changes_say_what_changed(changing: Platform, ada: dict[str, Any]) -> None:
    """After the changes above: who reads the pages sees what holds, what held, from when, and the difference."""
    wait_until(lambda: served(changing)["version"] == 6)  # a worker follows within about a second
    with changing.http() as http:
        pages = {n: http.get(f"/privacy/{n}", params={"locale": "en"}) for n in range(1, 8)}
        changes = http.get("/privacy/changes", params={"locale": "en"}).text
    assert [pages[n].status_code for n in range(1, 8)] == [200] * 6 + [404]
    assert "30 days" in pages[1].text and "40 days" not in pages[1].text
    assert "40 days" in pages[2].text
    assert "Version 6" in page(changing)
    for number in range(1, 7):
        assert f'href="/privacy/{number}?locale=en"' in changes
    second = changes[changes.index('id="version-2"') :].split("</section>")[0]
    assert "Came into force on" in second and "<del>30</del><ins>40</ins>" in second


@contextmanager
def at_desk(platform: Platform, name: str, number: str) -> Iterator[httpx.Client]:
    """One of the operators, signed in with a second factor at the platform's own time."""
    now = time.time() + float((platform.folder / "clock").read_text())
    with platform.http() as http:
        platform.sign_in(http, f"{name}@example.org", f"a long word for {number}")
        totp = pyotp.TOTP(http.post("/api/me/second-factor").json()["secret"])
        assert http.post("/api/me/second-factor/confirm", json={"code": totp.at(now)}).is_success
        yield http


def test_operators_change_the_policy_at_the_desk(changing: Platform) -> None:
    """One plans, the other approves; the keeper does it, and both names stand with the version."""
    text = shorter_usage(7, "12 hours")

    def state() -> dict[str, Any]:
        found: dict[str, Any] = first.get(f"/api/desk/policy/plans/{made}").json()
        return found

    with at_desk(changing, "first", "one") as first, at_desk(changing, "second", "two") as second:
        made = first.post("/api/desk/policy/plans", json={"source": text}).json()["plan"]
        wait_until(lambda: state()["state"] == "made")
        assert second.post(f"/api/desk/policy/plans/{made}/approve").status_code == 202
        wait_until(lambda: state()["approved_by"])
        assert first.post(f"/api/desk/policy/plans/{made}/apply").status_code == 202
        wait_until(lambda: served(changing)["version"] == 7)
        wait_until(lambda: {each["state"] for each in state()["wishes"]} == {"done"})
    [row] = changing.sql("SELECT applied_by, approved_by FROM policy_version WHERE version = 7")
    assert row["applied_by"].startswith("staff:") and row["approved_by"].startswith("staff:")
    assert row["applied_by"] != row["approved_by"]


def shorter_usage(version: int, keep: str) -> str:
    """The policy under which the record of a call is kept for so long."""
    text = policy(
        version, ('keep = "at most 30 days"', 'keep = "at most 1 days"'), ('how = "use"', 'how = "explicit"'), more=REST
    )
    begin = text.index("keep = ", text.index("[category.usage]"))
    return text[:begin] + f'keep = "at most {keep}"' + text[text.index("\n", begin) :]


def written(platform: Platform, text: str) -> Any:
    file = platform.folder / "longer.toml"
    file.write_text(text)
    return file
