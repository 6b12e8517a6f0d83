"""Chats and a market of models: the running platform against its source."""

from collections.abc import Mapping
from typing import Any

import pytest

from avow.policy import Policy
from tests.platform import Platform
from tests.promises.profile import ProfileChecks, text_of

BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0"


class TestDeepailab(ProfileChecks):
    profile, prefix = "deepailab", "LAB"

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
