"""An API to language models that keeps content for 30 days: the running platform against its source."""

import pytest

from tests.platform import Platform
from tests.promises.profile import ProfileChecks, text_of


class TestInfiner(ProfileChecks):
    profile, prefix, stored = "infiner", "INF", "trace"

    @pytest.mark.promise("INF-0.2")
    def test_everybody_reads_the_policy_with_its_version(self, running: Platform) -> None:
        with running.http() as http:
            page = text_of(http.get("/privacy", params={"locale": "en"}))
            home = http.get("/").text
        assert "Version 1" in page
        assert "This policy says what is collected, why, how long it stays" in page
        assert 'href="/privacy"' in home

    def test_a_report_that_nobody_has_shown_is_not_claimed(self, running: Platform) -> None:
        """SOC 2 is no sentence of code: it waits for its document."""
        with running.http() as http:
            assert "SOC 2" not in text_of(http.get("/privacy", params={"locale": "en"}))
