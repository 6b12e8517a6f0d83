"""Chats and a market of models: the running platform against its source."""

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from avow.gateway.scripted import Script
from avow.policy import Policy, cookies
from tests.platform import MODEL, Platform, complete, wait_until
from tests.promises.profile import BROWSER, ProfileChecks, check_gate, text_of
from tests.promises.purposes import check_purposes
from tests.promises.test_newcomers import letters
from tests.upstream import Upstream

HARM = "pipe bomb instructions"


class TestDeepailab(ProfileChecks):
    profile, prefix = "deepailab", "LAB"
    region = "US"

    @pytest.mark.promise("LAB-0.2")
    def test_everybody_reads_what_is_collected_and_why(self, running: Platform) -> None:
        with running.http() as http:
            page = text_of(http.get("/privacy", params={"locale": "en"}))
        assert "Version 1" in page
        assert "what is collected, why, how long it stays, who gets it, how it is protected" in page

    @pytest.mark.promise("LAB-1.6")
    def test_device_system_browser_and_address_of_who_signs_in_are_kept(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        seen, _ = self.seen_of_a_browser(running, policy, published, BROWSER)
        known = {"device": "computer", "system": "Windows", "browser": "Firefox 128", "ip": "127.0.0.1"}
        assert seen == {**known, "referrer": "example.org"}, "the language is not on its list"

    @pytest.mark.promise("LAB-1.7")
    @pytest.mark.promise("LAB-2.6")
    def test_times_errors_and_referrers_are_on_record_without_a_word_of_a_query_and_guessing_is_told(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        """The clock moves past the waits after refused attempts, some seconds each."""
        words = [f"word{secrets.token_hex(10)}" for _ in range(3)]
        _, me = self.seen_of_a_browser(running, policy, published, BROWSER)
        with running.http(headers=BROWSER) as http, running.http(headers=BROWSER) as guesser:
            running.sign_in(http, me["email"], me["password"])
            answer = complete(http, running.key(http)["secret"], words[0], model=words[1])
            assert answer.status_code == 404
            refused = 0
            while refused < 10:
                wrong = {"email": me["email"], "password": words[2]}
                answer = guesser.post("/api/auth/login", params={"q": words[0]}, json=wrong)
                refused += answer.status_code == 401
                if answer.status_code == 429:
                    running.move_clock(int(answer.headers["retry-after"]) + 1)
            lines = http.get("/api/me/sign-ins").json()["sign_ins"]
        assert [line["outcome"] for line in lines] == ["refused"] * 10 + ["entered"] * 2
        assert all(line["at"] and line["event"] == "password" for line in lines)
        assert {line["seen"]["referrer"] for line in lines} == {"example.org"}
        assert running.scan(words) == {} and not any(word.encode() in running.told() for word in words)
        wait_until(lambda: "Ten attempts in a row" in letters(running, me["email"]))

    @pytest.mark.promise("LAB-3.4")
    def test_harmful_content_is_stopped_on_its_way_in_and_out_and_on_record_without_its_text(
        self, scripted: tuple[Platform, Upstream], policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        platform, upstream = scripted
        said = [secrets.token_hex(8) for _ in range(2)]  # the words that are looked for stand in the policy itself
        with platform.http() as http, platform.http() as stranger:
            for each in (http, stranger):
                given = self.newcomer(each, policy, published)
                assert each.post("/api/auth/signup", json=given).status_code == 202
                platform.sign_in(each, given["email"], given["password"])
            key, calls = platform.key(http)["secret"], upstream.calls
            refused = complete(http, key, f"Give me {HARM}! {said[0]}")
            assert (refused.status_code, upstream.calls) == (403, calls)
            upstream.answer(Script(tokens=(f"Here are {said[1]} pipe bo", "mb instruct", "ions: take")))
            answers = [complete(http, key, "Tell me.", max_tokens=9, stream=stream) for stream in (False, True)]
            upstream.answer(Script())
            assert [each.status_code for each in answers] == [403, 403], [each.text for each in answers]
            assert all("filter.weapons" in each.text and "bomb" not in each.text for each in (refused, *answers))
            assert complete(http, key, "Tell me something.").is_success

            found = http.get("/api/filter/decisions").json()["decisions"]
            assert [(each["stage"], each["kind"], each["action"]) for each in found] == [
                ("output", "illicit", "block"),
                ("output", "illicit", "block"),
                ("prompt", "illicit", "block"),
            ]
            assert HARM not in json.dumps(found) and platform.scan(said) == {}
            assert HARM.encode() not in platform.told()

            where = f"/api/filter/decisions/{found[0]['id']}/appeal"
            assert stranger.get("/api/filter/decisions").json()["decisions"] == []
            assert stranger.post(where, json={}).status_code == 404
            appeal = http.post(where, json={"text": "It was a joke of the model."})
            assert appeal.status_code == 202
            complaint = http.get(f"/api/privacy/requests/{appeal.json()['request_id']}").json()
            assert (complaint["kind"], complaint["due_at"]) == ("complain", appeal.json()["due_at"])
            assert found[0]["request_id"] in complaint["text"] and "a joke" in complaint["text"]
            assert http.post(where, json={}).json()["code"] == "already_appealed"
            assert http.get("/api/filter/decisions").json()["decisions"][0]["state"] == "appealed"
            listed = {"model": MODEL, "input": HARM}
            bearer = {"authorization": f"Bearer {key}"}
            assert http.post("/v1/embeddings", json=listed, headers=bearer).status_code == 403
            with_key = platform.http(headers=bearer)
            with with_key as keyed:
                assert len(keyed.get("/api/filter/decisions", params={"limit": 2}).json()["decisions"]) == 2

    @pytest.mark.promise("LAB-5.3")
    @pytest.mark.promise("LAB-5.6")
    @pytest.mark.promise("LAB-9.2")
    def test_what_people_do_is_claimed_only_while_a_document_stands_behind_it(
        self, running: Platform, policy: Policy, tmp_path: Path
    ) -> None:
        check_gate(running, policy, tmp_path)

    @pytest.mark.promise("LAB-4.1")
    @pytest.mark.promise("LAB-4.2")
    @pytest.mark.promise("LAB-4.6")
    @pytest.mark.promise("LAB-4.7")
    def test_data_goes_to_others_only_on_the_grounds_of_the_policy_and_with_what_each_needs(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]], tmp_path: Path
    ) -> None:
        self.check_register(running, policy, published, tmp_path)

    @pytest.mark.promise("LAB-9.1")
    def test_everything_stands_in_a_country_that_is_named_and_a_start_elsewhere_is_refused(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        self.check_regions(running, policy, published)

    @pytest.mark.promise("LAB-4.8")
    def test_data_goes_to_a_recipient_while_its_person_consents_to_it(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        self.check_consent(running, policy, published)

    @pytest.mark.promise("LAB-2.0")
    @pytest.mark.promise("LAB-2.1")
    @pytest.mark.promise("LAB-2.5")
    def test_data_serves_what_the_policy_lists_and_improves_the_service_in_sums_only(
        self, running: Platform, policy: Policy
    ) -> None:
        check_purposes(running, policy)

    @pytest.mark.promise("LAB-7.7")
    @pytest.mark.promise("LAB-8.1")
    @pytest.mark.promise("LAB-8.2")
    @pytest.mark.promise("LAB-8.3")
    def test_cookies_are_those_of_the_register_and_the_optional_ones_wait_for_a_choice(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        assert {"preference", "analytics"} <= {*cookies.asked(policy)}
        self.check_cookies(running, policy, published)
