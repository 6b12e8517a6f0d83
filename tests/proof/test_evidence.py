"""Evidence stands for a day, under the policy under which it was found, and the newest counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from avow.proof import evidence, probes
from avow.proof.evidence import FRESH_FOR, Evidence
from avow.proof.probes import ProbeUnknown
from avow.site import proof_pages
from tests.conftest import Databases

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
IN_FORCE, OLDER = "1" * 64, "0" * 64


async def test_what_is_older_than_a_day_is_unproved_and_says_that_it_is_stale(database: Databases) -> None:
    async with database.keeper.begin() as c:
        for probe, age in (("slots", FRESH_FOR), ("sums", FRESH_FOR - timedelta(seconds=1))):
            await evidence.record(c, Evidence(probe, "proved", "found", NOW - age, 1), IN_FORCE)
        found = {each.probe: (each.verdict, each.figure) for each in await evidence.latest(c, IN_FORCE, NOW)}
    assert found == {"slots": ("unproved", "stale"), "sums": ("proved", "found")}


async def test_what_was_found_under_another_policy_says_nothing_of_this_one(database: Databases) -> None:
    async with database.keeper.begin() as c:
        await evidence.record(c, Evidence("slots", "proved", "found", NOW, 1), OLDER)
        assert await evidence.latest(c, IN_FORCE, NOW) == []


async def test_the_newest_look_counts(database: Databases) -> None:
    async with database.keeper.begin() as c:
        for verdict, age in (("failed", timedelta(0)), ("proved", timedelta(hours=1))):
            await evidence.record(c, Evidence("slots", verdict, "found", NOW - age, 1), IN_FORCE)
        assert [each.verdict for each in await evidence.latest(c, IN_FORCE, NOW)] == ["failed"]


async def test_a_look_is_forgotten_after_90_days(database: Databases) -> None:
    async with database.keeper.begin() as c:
        for days in (200, 92, 1):
            await evidence.record(c, Evidence("slots", "proved", "found", NOW - timedelta(days=days), 1), IN_FORCE)
        left = [each.at for each in await evidence.latest(c, IN_FORCE, NOW - timedelta(days=1))]
        rows = (await c.exec_driver_sql("SELECT count(*) FROM evidence")).scalar_one()
    assert left == [NOW - timedelta(days=1)] and rows == 1


def test_only_what_is_a_probe_looks_and_a_slip_is_told_the_nearest() -> None:
    probes.check(["slots", "sums"])
    with pytest.raises(ProbeUnknown, match="slot"):
        probes.check(["slots", "slot"])
    assert _hint("slot") == "Did you mean slots?" and "row_security" in _hint("zzzzzzzz")


def _hint(name: str) -> str:
    with pytest.raises(ProbeUnknown) as refused:
        probes.check([name])
    return refused.value.hint


def test_evidence_of_a_probe_that_there_is_no_more_breaks_no_page() -> None:
    rows = [Evidence(probe, "failed", "found", NOW, 1) for probe in ("zzz", "zzz.account", "slots")]
    assert set(proof_pages._by_probe(rows, "en")) == {"slots"}
