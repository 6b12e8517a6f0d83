"""The invariants hold on a used ledger, survive expiry and erasure, and see each kind of damage."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from avow.billing import invariants
from avow.billing.invariants import Absorbed
from tests.billing.conftest import NOW, PRICE, Bank, Payer, settle


async def broken(bank: Bank, at: datetime = NOW) -> set[str]:
    """The short names of the invariants that do not hold."""
    async with bank.databases.keeper.begin() as c:
        return {v.invariant.split()[0] for v in await invariants.violations(c, at)}


async def used(bank: Bank) -> Payer:
    """A payer with charges of two months, and a running request."""
    payer = await bank.payer(100_000)
    async with bank.batcher() as ledger:
        months = [NOW, NOW + timedelta(days=31)]
        opens = [payer.open(900, at=months[n % 2]) for n in range(10)]
        await asyncio.gather(*map(ledger.open, opens))
        await asyncio.gather(*(ledger.settle(settle(o, 300)) for o in opens[:9]))
    return payer


_CLAIM = (
    "INSERT INTO claim (id, digest, request_id, status, charged, tenant_id, subject_id, since, ends_at, policy_version)"
)
_REFUND = "INSERT INTO ledger_entry (txn_id, account, tenant_id, wallet_id, kind, currency, amount, at)"
_ENTRY = (
    "SELECT md5('x')::uuid, account, tenant_id, id, 'refund', 'USD', amount, now() FROM wallet, (VALUES ('wallet', -5)"
)
_TWICE = "FROM wallet, generate_series(1, 2)"
_ONE = "(SELECT id FROM charge LIMIT 1)"


@pytest.mark.parametrize(
    ("damage", "seen"),
    [
        ("UPDATE wallet SET posted = posted + 1", "I1"),
        (f"UPDATE charge SET wallet_id = id WHERE id = {_ONE}", "I1"),
        ("UPDATE wallet SET held = held + 1", "I2"),
        ("UPDATE wallet_hold SET amount = amount - 1", "I2"),
        ("ALTER TABLE wallet DROP CONSTRAINT ck_wallet_covered; UPDATE wallet SET posted = held - 1", "I3"),
        ("INSERT INTO charge SELECT id, wallet_id, price_id, 9, 0, 0, tenant_id, subject_id, since FROM wallet_hold", "I4"),
        ("ALTER TABLE charge DROP CONSTRAINT ck_charge_amount; UPDATE charge SET held = amount - 1", "I6"),
        (f"UPDATE charge SET amount = amount - 1 WHERE id = {_ONE}", "I7"),
        (f"UPDATE usage SET output_tokens = output_tokens + 1 WHERE id = {_ONE}", "I7"),
        (f"UPDATE charge SET amount = 0 WHERE id = {_ONE}", "I7"),
        ("DELETE FROM price", "I7"),
        ("ALTER TABLE ledger_entry DISABLE TRIGGER ALL; UPDATE ledger_entry SET amount = 5 WHERE account = 'promotion'", "I8"),
        ("INSERT INTO ledger_txn SELECT gen_random_uuid(), kind, 'another', tenant_id, subject_id, since FROM ledger_txn", "I10"),
        (f"{_REFUND} {_ENTRY}, ('revenue', 5)) AS e(account, amount)", "I11"),
        (f"{_CLAIM} SELECT gen_random_uuid(), '', id, 200, amount + 1, tenant_id, subject_id, since FROM charge LIMIT 1", "I14"),
        (f"{_CLAIM} SELECT gen_random_uuid(), '', {_ONE}, NULL, NULL, id, id, now(), NULL, 1 {_TWICE}", "I14"),
    ],
)  # fmt: skip
async def test_damage_is_seen(bank: Bank, damage: str, seen: str) -> None:
    await used(bank)
    assert await broken(bank) == set()
    await bank.admin.execute(damage.replace("since FROM", "since, NULL, 1 FROM"))
    assert seen in await broken(bank)


async def test_a_hold_that_outlives_its_request_is_seen(bank: Bank) -> None:
    await used(bank)
    ends = NOW + timedelta(minutes=10)
    assert await broken(bank, ends + timedelta(seconds=60)) == set()
    assert await broken(bank, ends + timedelta(seconds=61)) == {"I12"}


async def test_a_told_charge_that_is_missing_or_differs_is_seen(bank: Bank) -> None:
    await used(bank)
    told = {r["id"]: r["amount"] for r in await bank.admin.fetch("SELECT id, amount FROM charge")}
    lost, changed, *_ = told
    async with bank.databases.keeper.begin() as c:
        assert await invariants.missing(c, told) == []
    await bank.admin.execute("DELETE FROM charge WHERE id = $1", lost)
    await bank.admin.execute("UPDATE charge SET amount = 299 WHERE id = $1", changed)
    async with bank.databases.keeper.begin() as c:
        assert {v.id for v in await invariants.missing(c, told)} == {lost, changed}


async def test_p10_charges_that_end_fold_into_one_entry_per_wallet_and_month(bank: Bank) -> None:
    payer = await used(bank)
    keeper = await bank.databases.keeper.raw()
    try:
        while await keeper.fetchval("DELETE FROM charge WHERE id = (SELECT id FROM charge LIMIT 1) RETURNING id"):
            assert await broken(bank) == set()
    finally:
        await keeper.close()
    entries = await bank.admin.fetch(
        "SELECT amount, at FROM ledger_entry WHERE kind = 'fold' AND account = 'wallet' ORDER BY at"
    )
    months = [datetime(2026, 11, 1, tzinfo=NOW.tzinfo), datetime(2026, 12, 1, tzinfo=NOW.tzinfo)]
    assert [(e["amount"], e["at"]) for e in entries] == [(-1_500, months[0]), (-1_200, months[1])]
    assert await bank.wallet(payer) == (97_300, 900)


async def test_p20_erasing_a_person_frees_the_money_of_what_still_runs(bank: Bank) -> None:
    payer = await bank.payer(1_000)
    async with bank.batcher() as ledger:
        running = payer.open(400)
        await ledger.open(running)
        keeper = await bank.databases.keeper.raw()
        await keeper.execute("DELETE FROM wallet_hold WHERE subject_id = $1", payer.subject_id)
        await keeper.close()
        assert await bank.wallet(payer) == (1_000, 0)
        assert (await ledger.settle(settle(running, 300))).charged == 0
    assert await bank.wallet(payer) == (1_000, 0)
    assert await broken(bank) == set()


async def test_what_upstreams_charge_beyond_the_holds_is_told_by_model(bank: Bank) -> None:
    payer = await bank.payer(10_000)
    async with bank.batcher() as ledger:
        opens = [payer.open(300), payer.open(300), payer.open(300, at=NOW - timedelta(days=2))]
        await asyncio.gather(*map(ledger.open, opens))
        await asyncio.gather(*(ledger.settle(settle(o, asked)) for o, asked in zip(opens, (450, 90, 900), strict=True)))
    async with bank.databases.keeper.begin() as c:
        assert await invariants.absorbed(c, NOW) == [Absorbed(PRICE.model, 150, 390)]
        assert await invariants.absorbed(c, NOW + timedelta(days=2)) == []


def test_what_is_absorbed_is_told_when_it_begins_and_when_it_changes_and_once_a_day() -> None:
    news = invariants.AbsorbedNews()

    def told(nano: int, minutes: int, other: int = 0) -> list[str]:
        found = [Absorbed("one", nano, 10_000), Absorbed("other", other, 10_000)]
        return [each.model for each in news.of(found, NOW + timedelta(minutes=minutes))]

    assert told(20, 0) == []  # a thousandth of all
    assert told(100, 1) == ["one"]
    assert told(100, 2) == told(199, 3) == []
    assert told(199, 4, other=30) == ["other"]
    assert told(200, 5, other=30) == ["one"]
    assert told(20, 6) == told(200, 7) == []  # less, and again as much
    assert told(200, 5 + 24 * 60) == ["one"]
