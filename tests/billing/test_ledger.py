"""What a request may hold and what it is charged, on the real ledger."""

from __future__ import annotations

import asyncio

from tests.billing.conftest import Bank, settle


async def test_an_open_holds_and_a_settle_charges_and_frees_the_rest(bank: Bank) -> None:
    payer = await bank.payer(1_000)
    async with bank.batcher() as ledger:
        opened = payer.open(300)
        assert (await ledger.open(opened)).policy_epoch == 7
        assert await bank.wallet(payer) == (1_000, 300)
        assert (await ledger.settle(settle(opened, 90))).charged == 90
    assert await bank.wallet(payer) == (910, 0)
    charge = await bank.admin.fetchrow("SELECT * FROM charge")
    usage = await bank.admin.fetchrow("SELECT * FROM usage")
    assert (charge["id"], charge["amount"], charge["held"], charge["absorbed"]) == (opened.request_id, 90, 300, 0)
    assert (usage["key_id"], usage["model"], usage["output_tokens"], usage["why"]) == (payer.key_id, "smol", 30, "done")
    assert (charge["subject_id"], usage["tenant_id"]) == (payer.subject_id, payer.tenant_id)
    assert (charge["ends_at"], usage["ends_at"]) == (opened.money_ends_at, opened.usage_ends_at)


async def test_a_charge_never_exceeds_its_hold_and_the_excess_is_counted(bank: Bank) -> None:
    payer = await bank.payer(1_000)
    async with bank.batcher() as ledger:
        opened = payer.open(300)
        await ledger.open(opened)
        assert (await ledger.settle(settle(opened, 450))).charged == 300
    assert await bank.wallet(payer) == (700, 0)
    assert await bank.admin.fetchval("SELECT absorbed FROM charge") == 150


async def test_many_events_at_once_go_through_the_batch_and_all_are_kept(bank: Bank) -> None:
    payers = [await bank.payer(10_000) for _ in range(5)]
    async with bank.batcher() as ledger:
        opens = [p.open(100) for p in payers for _ in range(20)]
        assert [o.policy_epoch for o in await asyncio.gather(*map(ledger.open, opens))] == [7] * 100
        for payer in payers:
            assert await bank.wallet(payer) == (10_000, 2_000)
        settled = await asyncio.gather(*(ledger.settle(settle(o, 30)) for o in opens))
        assert [s.charged for s in settled] == [30] * 100
    for payer in payers:
        assert await bank.wallet(payer) == (9_400, 0)
