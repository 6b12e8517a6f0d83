"""Chats and a market of models: the running platform against its source."""

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from avow.gateway.scripted import Script
from avow.policy import Policy
from tests.platform import MODEL, Platform, complete
from tests.promises.profile import ProfileChecks, check_gate, text_of
from tests.promises.purposes import check_purposes
from tests.upstream import Upstream

HARM = "pipe bomb instructions"
BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0"


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
        with running.http() as http:
            given = self.newcomer(http, policy, published)
            assert http.post("/api/auth/signup", json=given).status_code == 202
            http.headers.update({"user-agent": BROWSER, "accept-language": "de-CH", "referer": "https://example.org/q"})
            running.sign_in(http, given["email"], given["password"])
            [session] = http.get("/api/me/sessions").json()
        known = {"device": "computer", "system": "Windows", "browser": "Firefox 128", "ip": "127.0.0.1"}
        assert session["seen"] == {**known, "referrer": "example.org"}, "the language is not on its list"
        assert set(session["seen"]) <= set(policy.categories["technical"].fields)

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
    @pytest.mark.promise("LAB-8.3")
    def test_cookies_are_those_of_the_register_and_the_optional_ones_wait_for_a_choice(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        self.check_cookies(running, policy, published)
