"""What is checked of a platform that runs under a profile, from outside: its sign-up, a call, its pages, its figures.

A test file of a profile inherits `ProfileChecks` and says its name and what is its own.
"""

from __future__ import annotations

import csv
import html
import json
import re
import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from avow import app
from avow.accounts.fields import FieldRefused
from avow.policy import Policy, cookies, parse, terms
from avow.policy.words import ACCOUNT_FIELDS, TECHNICAL_FIELDS
from avow.proof import receipts
from tests.platform import ROOT, Platform, complete
from tests.promises import choices
from tests.promises.collected import check_collected
from tests.promises.registers import check_consent, check_grounds, check_legal, check_records, check_silent, operators
from tests.upstream import Upstream, scripted_platform

VALUES = {
    "email": "",
    "username": "kim",
    "name": "Kim Doe",
    "company": "Doe Ltd",
    "address": "1 Example Street",
    "phone": "+49 30 1234567",
}
PAGES = ("/privacy", "/privacy/1", "/privacy/changes", "/privacy/data", "/privacy/processors", "/terms")
UNITS_ZH = {"day": "天", "month": "个月", "year": "年"}
MONTHS = {"March": 3, "April": 4}
SLOW = frozenset({"part_erasure", "erased"})
BROWSER = {
    "user-agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "accept-language": "de-CH",
    "referer": "https://example.org/q",
}
_PERIOD = re.compile(r"(\d+)[- ](day|month|year)s?")
_DATE = re.compile(r"(?:(\d+) )?(March|April) (\d{4})")
_NAMED = re.compile(r"TLS \d\.\d|AES-\d+|Level \d|SOC \d")
_AGE = re.compile(r"\d+")


def figures(says: str) -> Iterator[tuple[str, str]]:
    """The figures of a row (they stand in bold), as they read in English and in Chinese."""
    for bold in re.findall(r"\*\*([^*]+)\*\*", says):
        if found := _PERIOD.search(bold):
            plural = "" if found[1] == "1" else "s"
            yield f"{found[1]} {found[2]}{plural}", f"{found[1]} {UNITS_ZH[found[2]]}"
        elif found := _DATE.search(bold):
            day, day_zh = (f"{found[1]} ", f" {found[1]} 日") if found[1] else ("", "")
            yield f"{day}{found[2]} {found[3]}", f"{found[3]} 年 {MONTHS[found[2]]} 月{day_zh}"
        elif found := _NAMED.search(bold):
            yield found[0], found[0]
        elif found := _AGE.fullmatch(bold):
            yield found[0], f"{found[0]} 岁"


def rows(prefix: str) -> list[dict[str, str]]:
    """The rows of one source."""
    with (ROOT / "tests" / "promises" / "rows.tsv").open() as table:
        found = csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [row for row in found if row["id"].startswith(f"{prefix}-")]


def text_of(page: httpx.Response) -> str:
    """A page as people read it."""
    assert page.status_code == 200, page.text
    return html.unescape(re.sub(r"<[^>]+>", "", page.text))


@pytest.fixture(scope="class")
def scripted(request: pytest.FixtureRequest) -> Iterator[tuple[Platform, Upstream]]:
    """A platform under the profile of the class, and its upstream."""
    with scripted_platform(app.policy_text(request.cls.profile), region=request.cls.region) as made:
        yield made


@pytest.fixture(scope="class")
def running(scripted: tuple[Platform, Upstream]) -> Platform:
    """A platform under the profile of the class."""
    return scripted[0]


@pytest.fixture(scope="class")
def policy(request: pytest.FixtureRequest) -> Policy:
    """The profile of the class."""
    return parse(app.policy_text(request.cls.profile), request.cls.profile)


@pytest.fixture(scope="class")
def published(running: Platform) -> dict[str, dict[str, Any]]:
    """The clauses that the platform publishes for programs, by id."""
    with running.http() as http:
        return {each["id"]: each for each in http.get("/.well-known/avow-policy.json").json()["clauses"]}


class ProfileChecks:
    """Inherited once for each profile; `profile` is its name, `prefix` that of its rows."""

    profile: ClassVar[str]
    prefix: ClassVar[str]
    stored: ClassVar[str] = "none"
    """What the header of an answer says of a call without wishes."""
    region: ClassVar[str] = ""
    """The country of its platform."""
    besides: ClassVar[tuple[str, ...]] = ()
    """Probes that no sentence names."""

    def newcomer(self, http: httpx.Client, policy: Policy, published: Mapping[str, object]) -> dict[str, Any]:
        """Everything that this profile asks at sign-up; the platform itself says what is to be affirmed."""
        given: dict[str, Any] = {name: VALUES[name] for name in policy.account.fields}
        given |= {"email": f"p-{secrets.token_hex(6)}@example.org", "password": secrets.token_hex(12)}
        form = http.get("/api/auth/signup")
        asked = form.json() if form.is_success else {}
        assert bool(asked.get("age")) == ("age" in published)
        given |= {"country": "DE", "of_age": True} if asked.get("age") else {}
        given |= {"transfer_shown": asked["transfer"]["version"]} if asked.get("transfer") else {}
        return given | ({"agreed": asked["agree_to"]} if asked.get("agree_to") else {})

    def test_sign_up_takes_exactly_its_fields(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        other = sorted(set(ACCOUNT_FIELDS) - set(policy.account.fields))
        with running.http() as http:
            given = self.newcomer(http, policy, published)
            for name in (*policy.account.required, *({"country", "of_age"} & given.keys())):
                without = {key: value for key, value in given.items() if key != name}
                assert http.post("/api/auth/signup", json=without).status_code == 400, name
            for name in (*other, "birth_date"):
                refused = http.post("/api/auth/signup", json={**given, name: VALUES.get(name, "2001-01-01")})
                assert (refused.status_code, refused.json()["code"]) == (400, FieldRefused.code), name
            assert http.post("/api/auth/signup", json=given).status_code == 202
            facts = running.sign_in(http, given["email"], given["password"])["facts"]
            for name in (*other, "birth_date"):
                unlisted = {name: VALUES.get(name, "2001-01-01")}
                amended = http.patch("/api/me", json=unlisted)
                assert (amended.status_code, amended.json()["code"]) == (400, FieldRefused.code), name
                wished = {"kind": "rectify", "fields": unlisted, "password": given["password"]}
                rectified = http.post("/api/privacy/requests", json=wished)
                assert (rectified.status_code, rectified.json()["code"]) == (400, FieldRefused.code), name
            assert http.get("/api/me").json()["facts"] == facts
        assert {name: facts[name] for name in policy.account.fields} == {n: given[n] for n in policy.account.fields}
        assert set(facts) <= {*policy.account.fields, "country", "of_age"}

    def test_a_call_is_answered_and_kept_as_published(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        with running.http() as http:
            given = self.newcomer(http, policy, published)
            assert http.post("/api/auth/signup", json=given).status_code == 202
            running.sign_in(http, given["email"], given["password"])
            answer = complete(http, running.key(http)["secret"], "Say something.")
            [listed] = http.get("/api/requests").json()["requests"]
        assert answer.is_success
        assert answer.headers["avow-stored"] == self.stored
        assert listed["stored"] is (self.stored == "trace")
        keep = published["keep.api_content"]["says"]["keep"]
        if self.stored == "none":
            assert keep == "never"
        else:
            assert keep["unit"] == "days"
            ends_at = datetime.fromisoformat(answer.headers["avow-expires-at"])
            kept = ends_at - datetime.fromisoformat(listed["at"].replace("Z", "+00:00"))
            assert abs(kept - timedelta(days=keep["amount"])) < timedelta(minutes=1)

    def test_a_visit_and_a_call_leave_only_what_is_listed(
        self, scripted: tuple[Platform, Upstream], policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        running, upstream = scripted
        with running.http() as http:
            given = self.newcomer(http, policy, published)
        look = check_collected(running, policy, given, upstream)
        technical = policy.categories["technical"]
        kept = technical.keep.kind != "never"
        assert {name for category, name in look.seen if category == "technical"} == (
            set(technical.fields) & {*TECHNICAL_FIELDS} if kept else set()
        )

    @pytest.mark.parametrize("locale", ["en", "zh"])
    def test_every_figure_of_the_source_is_on_the_page_or_waits_for_its_part(
        self, running: Platform, policy: Policy, locale: str
    ) -> None:
        with running.http() as http:
            page = text_of(http.get("/privacy", params={"locale": locale}))
        checked = json.loads(running.cli("policy", "check", self.profile, "--json").stdout)
        waiting = {clause for part in checked["not_configured"] for clause in part["clauses"]}
        waiting |= {clause.id for clause in policy.clauses if clause.evidence}
        for row in rows(self.prefix):
            answers = [clause for clause in policy.clauses if row["id"] in clause.answers]
            assert answers, row["id"]
            for pair in figures(row["says"]):
                figure = pair[locale == "zh"]
                said = [clause for clause in answers if figure in (clause.zh if locale == "zh" else clause.en)]
                assert said, f"{row['id']}: nothing says {figure}"
                for clause in said:
                    sentence = clause.zh if locale == "zh" else clause.en
                    assert (sentence in page) != (clause.id in waiting), clause.id

    def test_every_sentence_is_published_or_listed_as_not_configured(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        checked = json.loads(running.cli("policy", "check", self.profile, "--json").stdout)
        waiting = {clause for part in checked["not_configured"] for clause in part["clauses"]}
        documents = {clause.id for clause in policy.clauses if clause.evidence}
        assert {clause.id for clause in policy.clauses} == published.keys() | waiting | documents
        assert not published.keys() & (waiting | documents)
        assert all(part["why"] for part in checked["not_configured"])

    @pytest.mark.parametrize("locale", ["en", "zh"])
    def test_its_pages_are_public_whole_without_a_script_and_lead_home(self, running: Platform, locale: str) -> None:
        with running.http() as http:
            for path in PAGES:
                page = http.get(path, params={"locale": locale})
                assert page.status_code == 200, path
                assert f'<html lang="{locale}">' in page.text
                assert "<script" not in page.text and "set-cookie" not in page.headers
                assert page.text.count("<h1>") == page.text.count("<main") == 1
                for link in ("/", "/privacy", "/privacy/changes", "/privacy/data", "/privacy/processors", "/terms"):
                    assert f'href="{link}?locale={locale}"' in page.text, (path, link)

    def test_the_data_map_names_every_stored_category_and_the_register_every_processor(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        with running.http() as http:
            data, register = http.get("/privacy/data").text, http.get("/privacy/processors?locale=en").text
        assert set(re.findall(r'id="data\.(\w+)"', data)) == {
            clause["says"]["category"] for id, clause in published.items() if id.startswith("keep.")
        }
        named = {part.name for part in policy.named("processor")}
        assert set(re.findall(r'card" id="processor\.([\w-]+)"', register)) == named
        assert register.count("not connected</dd>") == len(named)

    def check_regions(self, running: Platform, policy: Policy, published: Mapping[str, Any]) -> None:
        """Everything stands where the policy says, people read where, and a start elsewhere is refused."""
        assert "regions" in published
        with running.http() as http:
            page = text_of(http.get("/privacy/data", params={"locale": "en"}))
        here = terms.COUNTRIES[self.region].en
        assert f"database\n  {here}" in page and f"backups\n  {here}" in page
        assert running.cli("verify", "part_regions").returncode == 0
        elsewhere = Platform(running.folder, {**running.settings, "region": "JP"}, running.port)
        refused = elsewhere.cli("up", check=False)
        assert refused.returncode == 1 and "database in JP" in refused.stderr and "AVOW_REGION" in refused.stderr

    def seen_of_a_browser(
        self, running: Platform, policy: Policy, published: Mapping[str, Any], browser: Mapping[str, str]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """What is kept of where somebody signs in from, as they read it, and themselves."""
        with running.http() as http:
            given = self.newcomer(http, policy, published)
            assert http.post("/api/auth/signup", json=given).status_code == 202
            http.headers.update(browser)
            me = running.sign_in(http, given["email"], given["password"])
            [session] = http.get("/api/me/sessions").json()
        assert set(session["seen"]) <= set(policy.categories["technical"].fields)
        return session["seen"], me | {"email": given["email"], "password": given["password"]}

    def check_register(
        self, running: Platform, policy: Policy, published: Mapping[str, Any], folder: Path, *, silent: bool = False
    ) -> None:
        """The whole register of disclosures: its grounds and, where law is one, what goes on it."""
        region = policy.named("processor")[0].values["region"]
        with operators(running, 2) as desks, running.http() as http:
            people = []
            for _ in range(2):
                given = self.newcomer(http, policy, published)
                assert http.post("/api/auth/signup", json=given).status_code == 202
                people.append(running.sign_in(http, given["email"], given["password"]))
                people[-1] |= {"email": given["email"]}
            check_grounds(desks[0], policy, people[1], region)
            if "share.legal" in policy.parts:
                check_legal(running, desks, people[1], people[0]["email"], region, folder)
                if silent:
                    check_silent(running, desks, people[1], region, folder)
                [seen] = http.get("/api/privacy/disclosures").json()
                assert (seen["basis"], seen["fields"], seen["times"]) == ("legal", {"account": ["email"]}, 1)
                lines = http.get("/api/me/openings").json()["openings"]
                assert sum(line["purpose"] == "disclose" for line in lines) == 1

            check_records(desks[0], policy)
        assert running.cli("verify", "part_disclosures").returncode == 0

    def check_cookies(self, running: Platform, policy: Policy, published: Mapping[str, Any]) -> None:
        """Cookies are those of the register; the optional ones wait for a choice, and Global Privacy Control is honoured."""
        choices.check_before(running, policy)
        choices.check_choices(running, policy)
        choices.check_signal(running, policy)
        with running.http() as http:
            given = self.newcomer(http, policy, published)
            assert http.post("/api/auth/signup", json=given).status_code == 202
            entered = http.post("/api/auth/login", json={"email": given["email"], "password": given["password"]})
            found = choices.set_by(entered)
            choices.check_ages(policy, found)
            assert {cookies.kind_of(policy, name) for name in found} == {cookies.ESSENTIAL}
            assert http.get("/api/me").status_code == 200
            choices.check_consents(running, http, cookies.consent_of(cookies.asked(policy)[0]))
        choices.check_blocked(running, given)

    def check_consent(self, running: Platform, policy: Policy, published: Mapping[str, Any]) -> None:
        """Data goes to a recipient while its person consents to that recipient, and not a moment longer."""
        with operators(running, 1) as [desk], running.http() as http:
            given = self.newcomer(http, policy, published)
            assert http.post("/api/auth/signup", json=given).status_code == 202
            me = running.sign_in(http, given["email"], given["password"])
            check_consent(running, desk, http, me | {"email": given["email"]}, self.region)

    def test_the_policy_for_programs_is_signed(self, running: Platform) -> None:
        with running.http() as http:
            document = http.get("/.well-known/avow-policy.json").content
            key = receipts.parse_key(http.get("/.well-known/avow-receipt-key").json()["key"])
        found = receipts.verify(document, key)
        assert found["document"] == "avow-policy"
        assert set(found["text"]) == {"en", "zh"}
        with pytest.raises(receipts.ReceiptBroken):
            receipts.verify(document.replace(b"30 days", b"90 days").replace(b"12 months", b"90 months"), key)

    def test_where_to_report_a_weakness_is_published_for_programs(self, running: Platform, policy: Policy) -> None:
        """RFC 9116, where the policy names a mailbox."""
        mailboxes = {part.values["email"] for part in policy.named("contact")}
        with running.http() as http:
            told = http.get("/.well-known/security.txt")
        assert told.status_code == (200 if mailboxes else 404)
        if mailboxes:
            fields = dict(line.split(": ", 1) for line in told.text.splitlines())
            assert fields["Contact"].removeprefix("mailto:") in mailboxes
            assert (
                datetime.now(UTC) < datetime.fromisoformat(fields["Expires"]) < datetime.now(UTC) + timedelta(days=366)
            )

    def test_what_it_says_is_proved(self, running: Platform, published: Mapping[str, dict[str, Any]]) -> None:
        """Every sentence, by all the probes that it names. An erasure takes half a minute and has a test of its own in
        `tests/proof`; what the operator has yet to write is proved as an example."""
        named = {probe for clause in published.values() for probe in clause["probes"]}
        names = [*sorted((named | {"collected", "logs"}) - SLOW), *self.besides]
        assert len(names) > 15
        done = running.cli("verify", "--json", *names, check=False)
        found = {row["probe"]: (row["verdict"], row["figure"]) for row in map(json.loads, done.stdout.splitlines())}
        assert {verdict for verdict, _ in found.values()} == {"proved"}, found
        assert done.returncode == 0, done.stderr
        with running.http() as http:
            told = {each["id"]: each["verdict"] for each in http.get("/api/proof/sentences").json()["sentences"]}
        assert told.keys() == published.keys()
        behind = {id for id, clause in published.items() if not SLOW & {*clause["probes"]}}
        assert {id: told[id] for id in behind if told[id] not in ("proved", "example")} == {}
        assert all(clause["controls"] and clause["probes"] for clause in published.values())


def check_gate(running: Platform, policy: Policy, folder: Path) -> None:
    """No claim that rests on a document stands on the page without one; each stands while it is valid, and leaves at once
    when it runs out or is taken away; the history says so."""
    claims = {clause.id: clause for clause in policy.clauses if clause.evidence}
    names = sorted({str(clause.evidence) for clause in claims.values()})
    report = folder / "report.pdf"
    report.write_bytes(b"A report of somebody who looked.")
    options = [word for name in names for word in ("--name", name)]
    options += ["--issuer", "Example Auditors", "--from", "2026-01-01", "--to", "2099-01-01"]

    def shown() -> set[str]:
        with running.http() as http:
            found = {each["id"] for each in http.get("/.well-known/avow-policy.json").json()["clauses"]}
            page = text_of(http.get("/privacy", params={"locale": "en"}))
        for id, clause in claims.items():
            assert (clause.en in page) == (id in found), id
        return found & set(claims)

    assert claims and shown() == set()
    running.cli("evidence", "add", str(report), *options)
    assert shown() == set(claims)
    attested = json.loads(f"[{running.cli('verify', '--json', 'part_evidence').stdout.strip().replace(chr(10), ',')}]")
    assert {row["verdict"] for row in attested} == {"attested"} and len(attested) == len(claims)
    running.sql("UPDATE document SET valid_until = now()")
    assert shown() == set()
    unproved = running.cli("verify", "part_evidence", check=False)
    assert unproved.returncode == 2 and "lapsed" in unproved.stdout
    with running.http() as http:
        history = text_of(http.get("/privacy/changes", params={"locale": "en"}))
    assert all(clause.en in history for clause in claims.values()) and "its document ran out" in history
    assert {row["about"] for row in running.sql("SELECT about FROM incident WHERE closed_at IS NULL")} >= set(names)
