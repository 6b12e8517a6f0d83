"""An image API in three countries, with terms of its own: the running platform against its source."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from avow import app
from avow.policy import Policy
from tests.platform import Platform
from tests.promises.choices import check_vendors
from tests.promises.profile import ProfileChecks, check_gate, text_of
from tests.promises.purposes import check_purposes


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

    @pytest.mark.promise("TRO-5.1")
    @pytest.mark.promise("TRO-5.2")
    @pytest.mark.promise("TRO-5.3")
    @pytest.mark.promise("TRO-5.4")
    @pytest.mark.promise("TRO-5.6")
    @pytest.mark.promise("TRO-5.8")
    @pytest.mark.promise("TRO-6.7")
    def test_cookies_are_those_of_the_register_and_the_optional_ones_wait_for_a_choice(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        self.check_cookies(running, policy, published)

    @pytest.mark.promise("TRO-5.7")
    def test_another_vendor_of_advertising_is_asked_about_anew(
        self, running: Platform, policy: Policy, tmp_path: Path
    ) -> None:
        check_vendors(running, policy, app.policy_text(self.profile), tmp_path)
