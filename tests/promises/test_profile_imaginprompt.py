"""An image studio whose English text counts: the running platform against its source."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from avow import app
from avow.policy import Policy
from tests.platform import Platform
from tests.promises.choices import check_vendors
from tests.promises.profile import BROWSER, ProfileChecks, text_of
from tests.promises.purposes import check_purposes
from tests.upstream import Upstream

EARLIER = "UPDATE visit SET since = since - $1::interval, ends_at = ends_at - $1::interval WHERE subject_id = $2"


class TestImaginprompt(ProfileChecks):
    profile, prefix = "imaginprompt", "IMG"

    @pytest.mark.promise("IMG-0.2")
    def test_the_english_text_counts_and_nothing_is_said_in_chinese_only(
        self, running: Platform, tmp_path: Path
    ) -> None:
        with running.http() as http:
            zh = http.get("/privacy", params={"locale": "zh"})
            en = text_of(http.get("/privacy", params={"locale": "en"}))
        assert 'class="note">如各语言文本存在差异，以英文文本为准。' in zh.text
        assert 'href="?locale=en"' in zh.text
        assert en.count("the one in English counts") == 1
        one_sided = tmp_path / "one-sided.toml"
        one_sided.write_text(app.policy_text(self.profile) + '\n[terms.zh]\ntext = "使用条款。"\n')
        checked = running.cli("policy", "check", str(one_sided), check=False)
        assert checked.returncode == 1 and "terms.en" in checked.stdout

    def test_no_encryption_of_transport_is_claimed_that_the_source_does_not_claim(self, running: Platform) -> None:
        with running.http() as http:
            assert "TLS" not in text_of(http.get("/privacy", params={"locale": "en"}))

    def test_the_page_leads_back_home(self, running: Platform) -> None:
        with running.http() as http:
            page = http.get("/privacy", params={"locale": "zh"})
            assert 'href="/?locale=zh">主页</a>' in page.text
            assert http.get("/", params={"locale": "zh"}).status_code == 200

    @pytest.mark.promise("IMG-3.1")
    @pytest.mark.promise("IMG-3.2")
    def test_data_goes_to_others_only_on_the_grounds_of_the_policy_and_with_what_each_needs(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]], tmp_path: Path
    ) -> None:
        self.check_register(running, policy, published, tmp_path)

    @pytest.mark.promise("IMG-1.5")
    def test_address_browser_and_device_are_kept_by_itself_until_their_end(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        seen, old = self.seen_of_a_browser(running, policy, published, BROWSER)
        assert seen == {"ip": "127.0.0.1", "browser": "Firefox 128", "device": "computer"}
        _, new = self.seen_of_a_browser(running, policy, published, BROWSER)
        assert published["keep.technical"]["says"]["keep"] == {"amount": 30, "unit": "days"}
        running.sql(EARLIER, timedelta(days=30), UUID(old["id"]))
        running.sql(EARLIER, timedelta(days=30) - timedelta(minutes=5), UUID(new["id"]))
        running.cli("sweep")
        left = running.sql(
            "SELECT subject_id FROM visit WHERE subject_id = ANY($1)", [UUID(old["id"]), UUID(new["id"])]
        )
        assert [row["subject_id"] for row in left] == [UUID(new["id"])]

    @pytest.mark.promise("IMG-1.1")
    def test_a_visit_and_a_call_leave_only_what_is_listed(
        self, scripted: tuple[Platform, Upstream], policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        super().test_a_visit_and_a_call_leave_only_what_is_listed(scripted, policy, published)

    @pytest.mark.promise("IMG-1.1")
    @pytest.mark.promise("IMG-2.1")
    @pytest.mark.promise("IMG-2.5")
    def test_data_serves_what_the_policy_lists_and_improves_the_service_in_sums_only(
        self, running: Platform, policy: Policy
    ) -> None:
        check_purposes(running, policy)

    @pytest.mark.promise("IMG-4.6")
    def test_cookies_are_those_of_the_register_and_the_optional_ones_wait_for_a_choice(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        self.check_cookies(running, policy, published)

    @pytest.mark.promise("IMG-4.4")
    @pytest.mark.promise("IMG-4.5")
    def test_a_vendor_of_advertising_is_asked_only_after_an_opt_in_and_not_about_the_person(
        self, running: Platform, policy: Policy, tmp_path: Path
    ) -> None:
        check_vendors(running, policy, app.policy_text(self.profile), tmp_path)
