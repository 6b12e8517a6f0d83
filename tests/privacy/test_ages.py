"""The end that stands on a row is held against the rule: a row with a forged end, or without one, is found."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from avow.privacy.needs import Needs
from avow.proof import ages
from tests.privacy import scratch
from tests.privacy.scratch import Person


@pytest.mark.parametrize(
    ("forgery", "count"),
    [
        ("since", 0),
        ("since + interval '30 days'", 0),
        ("since + interval '30 days 2 seconds'", 1),
        ("since + interval '7 years'", 1),
        ("NULL", 1),
    ],
)
async def test_a_forged_end_is_found(on: Needs, forgery: str, count: int) -> None:
    ada = Person()
    await ada.write(on, count=1)
    async with on.database.begin() as c:
        assert await ages.beyond(c, scratch.note, on.policy) == 0
        await c.execute(text(f"UPDATE scratch_note SET ends_at = {forgery}"))
        assert await ages.beyond(c, scratch.note, on.policy) == count


async def test_a_later_start_does_not_hide_it(on: Needs) -> None:
    ada = Person()
    await ada.write(on, count=1, since=on.clock.now() - timedelta(days=29))
    async with on.database.begin() as c:
        await c.execute(text("UPDATE scratch_note SET ends_at = ends_at + interval '1 day'"))
        assert await ages.beyond(c, scratch.note, on.policy) == 1


async def test_what_lives_as_long_as_the_account_needs_no_end(on: Needs) -> None:
    ada = Person()
    await ada.write(on, count=1)
    async with on.database.begin() as c:
        await c.execute(text("UPDATE scratch_bill SET ends_at = NULL"))
        assert await ages.beyond(c, scratch.bill, on.policy) == 0
