"""The desk's routes about an organisation's account: what stands with it, and a credit. A look is on the person's record."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import post
from litestar.params import JSONBody
from sqlalchemy import Row, func, select

from avow.accounts import staff as staff_of
from avow.accounts.callers import Accounts
from avow.accounts.tables import api_key, person
from avow.base import money
from avow.base.errors import BadInput, NotFound
from avow.billing import credit
from avow.billing.tables import wallet
from avow.privacy import standings
from avow.privacy.desk import Reason, Staff, check_reason
from avow.privacy.standings import Whose
from avow.vault import Act

CREDIT_MAX = 1_000_000 * money.NANO


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """Whose account is to be seen, and why."""

    subject: UUID
    reason: Reason = ""


class Balance(msgspec.Struct):
    """The organisation's money, as decimals of `currency`."""

    id: UUID
    currency: str
    balance: str
    held: str
    state: str


class Account(msgspec.Struct):
    """What stands with a person and their organisation: no content, no name. `objected`, `consented`: purposes of the policy;
    `people`, `keys`: how many there are, keys that work only."""

    subject: UUID
    tenant: UUID
    role: str
    since: datetime
    confirmed: bool
    restricted: bool
    objected: list[str]
    consented: list[str]
    people: int
    keys: int
    wallets: list[Balance]


class Credit(msgspec.Struct, forbid_unknown_fields=True):
    """A credit to the organisation of a person: `amount` as a decimal of the wallet's currency, why, and a key of the caller's
    choice under which the same credit is given once."""

    subject: UUID
    amount: Annotated[str, msgspec.Meta(max_length=40)]
    kind: Literal["promotion", "correction"]
    key: UUID
    reason: Reason = ""


class Credited(msgspec.Struct):
    """Whether the credit was given with this call (false: it was given before under the same key), and the wallet as it is
    now."""

    new: bool
    wallet: Balance


@post("/api/desk/account", status_code=200)
async def read_account(data: JSONBody[Wanted], staff: Staff, accounts: Accounts) -> Account:
    """See what stands with an account; the person can read that somebody looked, and why."""
    check_reason(data.reason)
    tenant_id, now = await staff_of.tenant_of(accounts, data.subject), accounts.clock.now()
    async with accounts.database.tenant(tenant_id) as c:
        row = (await c.execute(select(person).where(person.c.id == data.subject))).one_or_none()
        if row is None:
            raise NotFound("There is no such person.")
        held = await standings.held(c, Whose(tenant_id, data.subject), now)
        people = await c.scalar(select(func.count()).select_from(person))
        keys = await c.scalar(select(func.count()).select_from(api_key).where(api_key.c.state == "active"))
        money_of = [_balance(each) for each in await c.execute(select(wallet).order_by(wallet.c.currency))]
        act = Act(staff, "look at account", tenant_id, data.subject, reason=data.reason)
        await accounts.vault.record_act(c, act)
    said = held.restricted, sorted(held.objected), sorted(held.consented)
    known = row.role, row.since, row.confirmed_at is not None
    return Account(data.subject, tenant_id, *known, *said, people or 0, keys or 0, money_of)


@post("/api/desk/credit", status_code=200)
async def give_credit(data: JSONBody[Credit], staff: Staff, accounts: Accounts) -> Credited:
    """Credit the organisation of a person; they can read that somebody did, and why."""
    check_reason(data.reason)
    amount, now = _amount(data.amount), accounts.clock.now()
    tenant_id = await staff_of.tenant_of(accounts, data.subject)
    async with accounts.database.tenant(tenant_id) as c:
        wallet_id = await c.scalar(select(wallet.c.id).order_by(wallet.c.currency).limit(1))
        if wallet_id is None:
            raise NotFound("This organisation has no wallet.")
        policy = accounts.policy
        new = await credit.grant(
            c,
            staff_id=UUID(str(staff.id)),
            wallet_id=wallet_id,
            subject_id=data.subject,
            amount=amount,
            kind=data.kind,
            key=f"desk:{data.key}",
            at=now,
            policy_version=policy.version,
            ends_at=policy.categories["payment"].keep.end(now),
        )
        whose, after = (tenant_id, data.subject), {"amount": data.amount, "kind": data.kind}
        # Again under the same key nothing is given, and the wallet is looked at.
        act = (
            Act(staff, "grant credit", *whose, "payment", "billing", data.reason, after=after)
            if new
            else Act(staff, "look at account", *whose, reason=data.reason)
        )
        await accounts.vault.record_act(c, act)
        now_is = (await c.execute(select(wallet).where(wallet.c.id == wallet_id))).one()
    return Credited(new, _balance(now_is))


def _amount(given: str) -> int:
    try:
        amount = money.parse(given)
    except ValueError:
        raise BadInput("An amount is a decimal with nine places at most, for example 5.00.", param="amount") from None
    if not 0 < amount <= CREDIT_MAX:
        raise BadInput("A credit is more than nothing, and 1,000,000 at most.", param="amount")
    return amount


def _balance(row: Row[Any]) -> Balance:
    posted, held = money.text(row.posted), money.text(row.held)
    return Balance(row.id, row.currency, posted, held, row.state)


ROUTES = (read_account, give_credit)
