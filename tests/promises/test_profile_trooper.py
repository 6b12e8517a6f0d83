"""An image API in three countries, with terms of its own: the running platform against its source."""

import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from avow import app, catalog
from avow.policy import Policy, cookies
from tests.platform import Platform, complete, wait_until
from tests.promises.choices import check_vendors
from tests.promises.profile import BROWSER, ProfileChecks, check_gate, text_of
from tests.promises.purposes import check_purposes
from tests.promises.test_staff import appoint, set_up_factor

OF_PEOPLE = """SELECT table_name, column_name FROM information_schema.columns
    WHERE table_schema = 'public' AND column_name ~ '(^|_)(age|birth|born|gender|sex|income|marital|religion|race|ethnic)'"""


def held(running: Platform, me: Mapping[str, Any]) -> set[str]:
    """The tables in which something of somebody's organisation stands."""
    found = set()
    there = {row["name"] for row in running.sql("SELECT tablename::text AS name FROM pg_tables")}
    for name in {table.name for table, _ in catalog.facts()} & there:  # other tests declare tables of their own
        if running.sql(f'SELECT FROM "{name}" WHERE tenant_id = $1 LIMIT 1', UUID(me["tenant_id"])):
            found.add(name)
    return found


class TestTrooper(ProfileChecks):
    profile, prefix, stored = "imagine-trooper", "TRO", "trace"
    region = "DE"

    @pytest.mark.promise("TRO-1.3")
    @pytest.mark.promise("TRO-5.9")
    def test_everybody_reads_the_policy_and_whom_to_write_to(self, running: Platform) -> None:
        with running.http() as http:
            page = text_of(http.get("/privacy", params={"locale": "en"}))
        assert "Version 1" in page
        assert re.search(r"\([^)]*cookies[^)]*\) write to info@example\.org", page)

    @pytest.mark.parametrize(("locale", "text"), [("en", "You use the service lawfully"), ("zh", "您应合法使用本服务")])
    def test_the_terms_stand_beside_the_policy(self, running: Platform, locale: str, text: str) -> None:
        with running.http() as http:
            assert text in text_of(http.get("/terms", params={"locale": locale}))

    @pytest.mark.promise("TRO-1.2")
    @pytest.mark.promise("TRO-4.3")
    @pytest.mark.promise("TRO-4.11")
    def test_what_people_do_is_claimed_only_while_a_document_stands_behind_it(
        self, running: Platform, policy: Policy, tmp_path: Path
    ) -> None:
        check_gate(running, policy, tmp_path)

    @pytest.mark.promise("TRO-4.5")
    @pytest.mark.promise("TRO-4.8")
    @pytest.mark.promise("TRO-3.8")
    def test_data_goes_to_others_only_on_the_grounds_of_the_policy_and_with_what_each_needs(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]], tmp_path: Path
    ) -> None:
        self.check_register(running, policy, published, tmp_path)

    @pytest.mark.promise("TRO-4.1")
    def test_everything_stands_in_a_country_that_is_named_and_a_start_elsewhere_is_refused(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        self.check_regions(running, policy, published)

    @pytest.mark.promise("TRO-3.1")
    def test_data_serves_what_the_policy_lists_and_improves_the_service_in_sums_only(
        self, running: Platform, policy: Policy
    ) -> None:
        check_purposes(running, policy)

    @pytest.mark.promise("TRO-2.7")
    def test_of_a_browser_is_kept_what_stands_on_its_list_with_date_and_time(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        """No id of a device is ever made, so none is kept."""
        seen, me = self.seen_of_a_browser(running, policy, published, BROWSER)
        known = {"browser": "Firefox 128", "ip": "127.0.0.1", "language": "de-CH", "system": "Windows"}
        assert seen == {**known, "referrer": "example.org"}
        with running.http() as http:
            running.sign_in(http, me["email"], me["password"])
            lines = http.get("/api/me/sign-ins").json()["sign_ins"]
        times = [datetime.fromisoformat(line["at"]) for line in lines]
        assert len(times) == 2 and times[0] > times[1]
        assert [line["seen"]["browser"] for line in lines] == ["other", "Firefox 128"]

    @pytest.mark.promise("TRO-6.3")
    def test_who_asks_is_erased_everywhere_and_a_refusal_says_why_and_where_to_complain(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        """Avow asks for no ground: each erasure is carried out. What the desk refuses carries its reason."""
        with running.http() as http, running.http() as desk:
            given = self.newcomer(http, policy, published) | {"name": f"word{secrets.token_hex(10)}"}
            assert http.post("/api/auth/signup", json=given).status_code == 202
            me = running.sign_in(http, given["email"], given["password"])
            assert complete(http, running.key(http)["secret"], given["name"]).headers["avow-stored"] == "trace"
            entry = appoint(running, **{"--role": "privacy"})
            running.sign_in(desk, entry["email"], entry["password"])
            set_up_factor(desk, entry["password"])
            wanted = {"kind": "rectify", "text": "My age.", "password": given["password"]}
            id = http.post("/api/privacy/requests", json=wanted).json()["id"]
            answer = {"id": id, "state": "refused", "answer": "We hold no age of yours."}
            assert desk.post("/api/desk/requests/answer", json=answer).status_code == 204
            shown = http.get(f"/api/privacy/requests/{id}").json()
            assert (shown["reason"], shown["answer"]) == ("see_answer", answer["answer"]) and shown["complain_to"]
            assert {"person", "credential", "api_key", "trace", "usage", "sign_in", "visit"} <= held(running, me)
            running.erase(http, given["password"])
            again = {"email": given["email"], "password": given["password"]}
            assert http.post("/api/auth/login", json=again).status_code == 401
        rules = policy.categories
        kept = {table.name for table, holding in catalog.facts() if rules[holding.category].on_erasure != "delete"}
        wait_until(lambda: held(running, me) <= kept)
        assert running.scan([given["name"], given["email"]]) == {}

    @pytest.mark.promise("TRO-2.8")
    @pytest.mark.promise("TRO-5.1")
    @pytest.mark.promise("TRO-5.2")
    @pytest.mark.promise("TRO-5.3")
    @pytest.mark.promise("TRO-5.4")
    @pytest.mark.promise("TRO-5.5")
    @pytest.mark.promise("TRO-5.6")
    @pytest.mark.promise("TRO-5.8")
    @pytest.mark.promise("TRO-6.7")
    def test_cookies_are_those_of_the_register_and_the_optional_ones_wait_for_a_choice(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        assert {"analytics", "advertising"} <= {*cookies.asked(policy)}
        self.check_cookies(running, policy, published)
        with running.http() as http:
            register = text_of(http.get("/cookies", params={"locale": "en"}))
        for purpose in ("says who is signed in", "remembers the language", "says that this visit was counted"):
            assert purpose in register
        assert running.sql(OF_PEOPLE) == [], "of who its users are no column says anything"

    @pytest.mark.promise("TRO-5.7")
    def test_another_vendor_of_advertising_is_asked_about_anew(
        self, running: Platform, policy: Policy, tmp_path: Path
    ) -> None:
        check_vendors(running, policy, app.policy_text(self.profile), tmp_path)
