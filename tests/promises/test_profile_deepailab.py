"""Chats and a market of models: the running platform against its source."""

import pytest

from tests.platform import Platform
from tests.promises.profile import ProfileChecks, text_of


class TestDeepailab(ProfileChecks):
    profile, prefix = "deepailab", "LAB"

    @pytest.mark.promise("LAB-0.2")
    def test_everybody_reads_what_is_collected_and_why(self, running: Platform) -> None:
        with running.http() as http:
            page = text_of(http.get("/privacy", params={"locale": "en"}))
        assert "Version 1" in page
        assert "what is collected, why, how long it stays, who gets it, how it is protected" in page
