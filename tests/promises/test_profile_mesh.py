"""A prepaid API mesh whose two texts bear two dates: the running platform against its source."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from avow.policy import Policy
from tests.platform import Platform
from tests.promises.profile import ProfileChecks, check_gate, text_of
from tests.promises.purposes import check_purposes
from tests.upstream import Upstream


class TestInferMesh(ProfileChecks):
    profile, prefix = "infer-mesh", "MESH"
    region = "SG"

    @pytest.mark.promise("MESH-0.1")
    def test_each_text_has_its_own_date_and_the_older_is_reported(self, running: Platform) -> None:
        with running.http() as http:
            en = text_of(http.get("/privacy", params={"locale": "en"}))
            zh = text_of(http.get("/privacy", params={"locale": "zh"}))
        assert "Text last changed: 2 April 2026." in en and "is older than this one: Chinese" in en
        assert "文本最后更新：2026 年 3 月 17 日。" in zh and "早于其他语言的文本" in zh
        assert "我们重视您的隐私和您的每一条数据。" in zh
        checked = running.cli("policy", "check", self.profile).stdout
        assert "locale.zh.date: The text is older than the one in another language." in checked

    def test_what_people_do_is_claimed_only_while_a_document_stands_behind_it(
        self, running: Platform, policy: Policy, tmp_path: Path
    ) -> None:
        check_gate(running, policy, tmp_path)

    @pytest.mark.promise("MESH-3.4")
    @pytest.mark.promise("MESH-4.1")
    @pytest.mark.promise("MESH-4.2")
    @pytest.mark.promise("MESH-4.4")
    @pytest.mark.promise("MESH-4.5")
    @pytest.mark.promise("MESH-4.3")
    def test_data_goes_to_others_only_on_the_grounds_of_the_policy_and_with_what_each_needs(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]], tmp_path: Path
    ) -> None:
        self.check_register(running, policy, published, tmp_path)

    @pytest.mark.promise("MESH-5.1")
    def test_everything_stands_in_a_country_that_is_named_and_a_start_elsewhere_is_refused(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        self.check_regions(running, policy, published)

    @pytest.mark.promise("MESH-2.7")
    def test_a_visit_and_a_call_leave_only_what_is_listed(
        self, scripted: tuple[Platform, Upstream], policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        super().test_a_visit_and_a_call_leave_only_what_is_listed(scripted, policy, published)

    @pytest.mark.promise("MESH-2.7")
    @pytest.mark.promise("MESH-3.1")
    def test_data_serves_what_the_policy_lists_and_improves_the_service_in_sums_only(
        self, running: Platform, policy: Policy
    ) -> None:
        check_purposes(running, policy)

    @pytest.mark.promise("MESH-8.1")
    @pytest.mark.promise("MESH-8.2")
    def test_cookies_are_those_of_the_register_and_the_optional_ones_wait_for_a_choice(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        self.check_cookies(running, policy, published)
