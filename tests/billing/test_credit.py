from __future__ import annotations

import asyncio

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.ids import uuid7
from avow.billing import credit, invariants
from avow.billing.credit import CreditDiffers
from tests.billing.conftest import NOW, Bank, Payer


async def grant(connection: AsyncConnection, payer: Payer, amount: int, key: str) -> bool:
    return await credit.grant(
        connection,
        wallet_id=payer.wallet_id,
        subject_id=payer.subject_id,
        amount=amount,
        kind="payment",
        key=key,
        at=NOW,
        policy_version=1,
    )


async def test_a_credit_counts_once_however_often_and_concurrently_it_is_told(bank: Bank) -> None:
    payer = await bank.payer(0)

    async def once() -> bool:
        async with bank.databases.keeper.begin() as c:
            return await grant(c, payer, 500, "topup:1")

    assert sorted(await asyncio.gather(*(once() for _ in range(6)))) == [False] * 5 + [True]
    assert await bank.wallet(payer) == (500, 0)
    entries = await bank.admin.fetch("SELECT account, amount FROM ledger_entry ORDER BY account")
    assert [tuple(e) for e in entries] == [("payment", -500), ("wallet", 500)]


async def test_the_same_key_for_another_amount_or_wallet_is_refused(bank: Bank) -> None:
    payer, other = await bank.payer(0), await bank.payer(0)
    async with bank.databases.keeper.begin() as c:
        await grant(c, payer, 500, "topup:1")
    for who, amount in ((payer, 501), (other, 500)):
        with pytest.raises(CreditDiffers):
            async with bank.databases.keeper.begin() as c:
                await grant(c, who, amount, "topup:1")
    assert (await bank.wallet(payer), await bank.wallet(other)) == ((500, 0), (0, 0))


async def test_a_tenant_gets_one_wallet_and_one_first_credit(bank: Bank) -> None:
    payer = await bank.payer(700)
    async with bank.databases.app.tenant(payer.tenant_id) as c:
        await credit.begin_own(c, payer.subject_id, uuid7(), NOW, policy_version=1)
        assert await credit.balance(c, payer.wallet_id) == (700, 0)
    assert await bank.admin.fetchval("SELECT count(*) FROM wallet") == 1


async def test_a_first_credit_is_what_the_operator_says_and_nobody_elses_to_choose(bank: Bank) -> None:
    async def first(amount: int | None) -> tuple[int, int]:
        tenant, wallet = uuid7(), uuid7()
        if amount is not None:
            async with bank.databases.keeper.begin() as c:
                await credit.set_first(c, amount)
        async with bank.databases.app.tenant(tenant) as c:
            await credit.begin_own(c, uuid7(), wallet, NOW, policy_version=1)
            return await credit.balance(c, wallet)

    assert [await first(None), await first(900), await first(0)] == [(0, 0), (900, 0), (0, 0)]
    async with bank.databases.keeper.begin() as c:
        assert not await invariants.violations(c, NOW)
    for choosing in (
        "SELECT wallet_begin($1, $1, $1, 'USD', 5, now(), NULL, 1)",
        "INSERT INTO first_credit SELECT 1, 5 WHERE $1::uuid IS NOT NULL",
    ):
        for database in (bank.databases.app, bank.databases.writer):
            raw = await database.raw()
            try:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await raw.execute(choosing, uuid7())
            finally:
                await raw.close()


async def test_no_role_of_the_request_path_can_mint_money_or_write_a_balance(bank: Bank) -> None:
    payer = await bank.payer(100)
    minting = "SELECT ledger_credit($1, $2, $1, 5, 'payment', 'k', now(), NULL, 1)"
    for database in (bank.databases.app, bank.databases.writer):
        raw = await database.raw()
        try:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await raw.execute(minting, uuid7(), payer.wallet_id)
            for change in (
                "UPDATE wallet SET posted = 9",
                "DELETE FROM charge",
                "INSERT INTO ledger_entry DEFAULT VALUES",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await raw.execute(change)
        finally:
            await raw.close()


async def test_a_ledger_entry_is_never_changed_by_anybody(bank: Bank) -> None:
    await bank.payer(100)
    raw = await bank.databases.keeper.raw()
    try:
        for change in ("UPDATE ledger_entry SET amount = amount + 1", "DELETE FROM ledger_entry"):
            with pytest.raises(asyncpg.CheckViolationError):
                await raw.execute(change)
    finally:
        await raw.close()
    async with bank.databases.keeper.begin() as c:
        assert await invariants.violations(c, NOW) == []
