"""Versions of the policy: the first, a later one with a date, what holds between, and what every process sees."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from avow.policy import Policy, interim, parse
from avow.privacy import floors, versions
from avow.privacy.versions import Agreed, Current, VersionUnknown
from avow.vault import Ring, Vault
from tests.conftest import Databases
from tests.platform import policy_text

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MONTH = timedelta(days=30)
FIRST = policy_text()
LONGER = policy_text(
    ("version = 1", "version = 2"),
    ('purposes = ["service", "history"]\nbasis = "contract"\nkeep = "at most 30 days"',
     'purposes = ["service"]\nbasis = "contract"\nkeep = "at most 60 days"'),
)  # fmt: skip


async def begin(database: Databases, text: str = FIRST) -> Policy:
    async with database.keeper.begin() as c:
        return (await versions.begin(c, parse(text), text, NOW)).policy


async def publish(database: Databases, text: str, effective_at: datetime, *, material: bool = True) -> Policy:
    """What holds once a version is published."""
    policy = parse(text)
    async with database.keeper.begin() as c:
        await versions.publish(c, policy, text, NOW, effective_at, "system:test", material=material)
        return await versions.enforce(c, policy.version if effective_at <= NOW else None, NOW)


async def test_before_the_first_start_nothing_is_in_force(database: Databases) -> None:
    async with database.keeper.begin() as c:
        with pytest.raises(VersionUnknown, match="No policy is in force"):
            await versions.in_force(c)


async def test_the_first_start_publishes_its_policy_and_later_ones_change_nothing(database: Databases) -> None:
    assert (await begin(database)).hash == parse(FIRST).hash
    assert (await begin(database, LONGER)).hash == parse(FIRST).hash
    async with database.app.begin() as c:
        (only,) = await versions.listed(c)
        assert await versions.loaded_hash(c) == parse(FIRST).hash
        assert await versions.upcoming(c) == []
    assert (only.number, only.in_force_at) == (1, NOW)
    assert [(each.clause, each.text) for each in only.sentences("zh")] == [
        (clause.id, clause.zh) for clause in parse(FIRST).clauses if clause.feature is None
    ]


async def test_until_its_date_a_change_only_tightens(database: Databases) -> None:
    old = await begin(database)
    held = await publish(database, LONGER, NOW + MONTH)
    assert held == interim(old, parse(LONGER))
    assert (held.version, held.categories["api_content"].purposes) == (1, ("service",))
    assert held.categories["api_content"].keep.hours == 30 * 24
    async with database.app.begin() as c:
        assert [each.number for each in await versions.upcoming(c)] == [2]
        assert (await versions.current(c)).number == 1
        assert (await versions.one(c, 2)).in_force_at is None
        with pytest.raises(VersionUnknown):
            await versions.one(c, 3)


async def test_a_change_is_readable_sentence_by_sentence_in_both_languages(database: Databases) -> None:
    await begin(database)
    await publish(database, LONGER, NOW + MONTH)
    async with database.app.begin() as c:
        new = await versions.one(c, 2)
        old = await versions.before(c, 2)
        assert await versions.before(c, 1) is None
    changed = versions.rewordings(old, new, "en")
    assert {each.clause for each in changed} == {"keep.api_content", "use.api_content"}
    keep = next(each for each in changed if each.clause == "keep.api_content")
    assert "30 days" in str(keep.old) and "60 days" in str(keep.new)
    assert "60 天" in str({each.clause: each.new for each in versions.rewordings(old, new, "zh")}["keep.api_content"])
    assert all(each.old is None for each in versions.rewordings(None, new, "en"))


async def test_every_process_follows_what_comes_into_force(database: Databases, ring: Ring, clock: object) -> None:
    old = await begin(database)
    vault = Vault(ring, old, clock)  # type: ignore[arg-type]
    current = Current(vault)
    async with database.app.begin() as c:
        await current.follow(c)
    assert vault.policy.hash == old.hash
    held = await publish(database, LONGER, NOW + MONTH)
    async with database.app.begin() as c:
        await current.follow(c)
    assert vault.policy == held
    async with database.keeper.begin() as c:
        await versions.enforce(c, 2, NOW + MONTH)
        await current.follow(c)
    assert vault.policy == parse(LONGER)
    vault.close()


async def test_the_floors_remember_every_period_that_was_in_force(database: Databases) -> None:
    await begin(database)
    shorter = LONGER.replace("at most 60 days", "at most 7 days")
    await publish(database, shorter, NOW)
    back = FIRST.replace("version = 1", "version = 3")
    await publish(database, back, NOW)
    async with database.keeper.begin() as c:
        ratchet = await floors.load(c)
    assert ratchet.end("api_content", 1, NOW) == NOW + timedelta(days=7)
    assert ratchet.end("api_content", 2, NOW) == NOW + timedelta(days=7)
    assert ratchet.end("api_content", 3, NOW) == NOW + timedelta(days=30)


@pytest.mark.parametrize(
    ("how", "material", "agreed"),
    [("use", True, Agreed(2, "use")), ("explicit", True, Agreed(2, "explicit")), ("explicit", False, None)],
)
async def test_a_material_change_asks_to_be_accepted_as_the_policy_says(
    database: Databases, how: str, material: bool, agreed: Agreed | None
) -> None:
    first, second = (
        text.replace('features = ["tls"', 'features = ["acceptance"') + f'\n[acceptance]\nhow = "{how}"\n'
        for text in (FIRST, LONGER)
    )
    await begin(database, first)
    async with database.app.begin() as c:
        assert (await versions.in_force(c)).agreed is None
    await publish(database, second, NOW, material=material)
    async with database.app.begin() as c:
        assert (await versions.in_force(c)).agreed == agreed
