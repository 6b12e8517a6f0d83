"""Policies that follow a source row by row: their dates stand on the page, and a policy without one is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.platform import ROOT, new_platform


def page_of(profile: str, locale: str) -> str:
    """The policy page of a platform that runs under a profile of the package."""
    with new_platform(policy=None, engine="0") as platform:
        platform.settings["policy"] = profile
        platform.start()
        with platform.http() as http:
            return http.get("/privacy", params={"locale": locale}).text


def refused_without_date(profile: str, folder: Path) -> str:
    """What is said of a profile whose dates were taken out, by a start that it keeps from happening."""
    file = folder / "undated.toml"
    text = (ROOT / "profiles" / f"{profile}.toml").read_text()
    file.write_text(re.sub(r'^date = "[^"]*"\n', "", text, flags=re.MULTILINE))
    with new_platform(engine="0") as platform:
        platform.settings["policy"] = str(file)
        done = platform.cli("up", check=False)
        assert done.returncode == 1
        assert not platform.postgres_pid()
    return done.stderr


@pytest.mark.promise("MESH-0.2")
def test_the_day_of_the_english_text_is_on_the_page_and_must_be_given(tmp_path: Path) -> None:
    assert "2 April 2026" in page_of("infer-mesh", "en")
    assert "date is missing" in refused_without_date("infer-mesh", tmp_path)


@pytest.mark.promise("IMG-0.1")
def test_a_month_is_a_date(tmp_path: Path) -> None:
    page = page_of("imaginprompt", "en")
    assert "in March 2026" in page
    assert not re.search(r"\d+ March 2026", page)


@pytest.mark.promise("LAB-0.1")
def test_a_text_without_a_date_is_not_published(tmp_path: Path) -> None:
    assert "date is missing" in refused_without_date("deepailab", tmp_path)
