"""Money that comes in: two entries that sum to zero, once per idempotency key."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Literal
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base import money
from avow.base.errors import AvowError
from avow.base.ids import uuid7
from avow.billing import tables

Kind = Literal["promotion", "payment", "correction"]

_BEGIN = text("SELECT wallet_begin(:wallet, :tenant, :subject, :currency, :credit, :at, :ends, :version)")
_BEGIN_OWN = text("SELECT wallet_begin_own(:wallet, :subject, :currency, :at, :ends, :version)")
_GIVE = text("SELECT ledger_grant(:staff, :txn, :wallet, :subject, :amount, :kind, :key, :at, :ends, :version)")
_CREDIT = text("SELECT ledger_credit(:txn, :wallet, :subject, :amount, :kind, :key, :at, :ends, :version)")


class CreditDiffers(AvowError):
    """This idempotency key was used for another wallet or amount."""

    status: ClassVar[int] = 422
    code: ClassVar[str] = "idempotency_mismatch"
    hint = "Nothing was credited. Use a new key for a new credit."


async def begin(
    connection: AsyncConnection,
    tenant_id: UUID,
    subject_id: UUID,
    wallet_id: UUID,
    at: datetime,
    *,
    amount: int = 0,
    policy_version: int,
    ends_at: datetime | None = None,
    currency: str = money.CURRENCY,
) -> None:
    """Make a tenant's wallet as the keeper, with a first credit of `amount` nano-units; one that has a wallet keeps it.

    `ends_at` is when the record of that credit ends, as that of a payment does.
    """
    await connection.execute(
        _BEGIN,
        {
            "wallet": wallet_id,
            "tenant": tenant_id,
            "subject": subject_id,
            "currency": currency,
            "credit": amount,
            "at": at,
            "ends": ends_at,
            "version": policy_version,
        },
    )


async def begin_own(
    connection: AsyncConnection,
    subject_id: UUID,
    wallet_id: UUID,
    at: datetime,
    *,
    policy_version: int,
    ends_at: datetime | None = None,
    currency: str = money.CURRENCY,
) -> None:
    """As `begin`, for the tenant of the caller's transaction, so that both appear together; the credit is the operator's."""
    given = {"wallet": wallet_id, "subject": subject_id, "currency": currency}
    await connection.execute(_BEGIN_OWN, {**given, "at": at, "ends": ends_at, "version": policy_version})


async def set_first(connection: AsyncConnection, amount: int) -> None:
    """Say, as the keeper, what every new tenant starts with, in nano-units."""
    made = insert(tables.first_credit).values(id=1, amount=amount)
    await connection.execute(made.on_conflict_do_update(index_elements=["id"], set_={"amount": amount}))


async def grant(
    connection: AsyncConnection,
    *,
    wallet_id: UUID,
    subject_id: UUID,
    amount: int,
    kind: Kind,
    key: str,
    at: datetime,
    policy_version: int,
    ends_at: datetime | None = None,
    staff_id: UUID | None = None,
) -> bool:
    """Credit a wallet as the keeper, or, with `staff_id`, at the desk by a member of staff, to a wallet of the tenant of the
    caller's transaction; False when `key` had credited it before. Raises `CreditDiffers`."""
    given: dict[str, Any] = {"txn": uuid7(), "wallet": wallet_id, "subject": subject_id, "amount": amount}
    given |= {"kind": kind, "key": key, "at": at, "ends": ends_at, "version": policy_version}
    query = _CREDIT if staff_id is None else _GIVE
    try:
        new: bool = await connection.scalar(query, given if staff_id is None else {**given, "staff": staff_id})
    except IntegrityError as wrong:
        if getattr(wrong.orig, "sqlstate", "") == "23505":
            raise CreditDiffers from None
        raise
    return new


async def balance(connection: AsyncConnection, wallet_id: UUID) -> tuple[int, int]:
    """(posted, held) in nano-units; available is posted - held + the credit limit."""
    wallet = tables.wallet.c
    row = (await connection.execute(select(wallet.posted, wallet.held).where(wallet.id == wallet_id))).one()
    return row.posted, row.held
