"""Canaries: people of an internal tenant who use the running platform as customers do, so that probes can look at facts.

They have money of their own, get no mail, and are erased as people are erased.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import httpx
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from avow import app
from avow.accounts import keys, people, sign_up
from avow.accounts.key_terms import Setting
from avow.accounts.needs import Needs as Accounts
from avow.accounts.tables import person, tenant, tenant_kind
from avow.base import money
from avow.base.db import Database
from avow.base.errors import AvowError
from avow.base.ids import uuid7
from avow.billing import credit
from avow.billing.tables import usage
from avow.gateway.tables import cached_answer, model, trace
from avow.policy import Policy
from avow.privacy import erase, requests, retention
from avow.privacy.needs import Needs as Privacy
from avow.privacy.tables import rights_request
from avow.proof.probes import Canary, Customer
from avow.vault import Ref, blind_index, fact, standing
from avow.vault.tables import outbox

KEPT_H = 1
STRAY, STRAYS_MAX = timedelta(hours=1), 100
CREDIT = money.NANO // 100
ANSWER_S_MAX = 60.0


class CanaryFailed(AvowError):
    """A canary could not do what a customer does."""

    code = "canary_failed"


class Crowd:
    """Ten organisations that called a model of their own once each, in a transaction that is rolled back."""

    def __init__(self, c: AsyncConnection, policy: Policy, now: datetime, purpose: str) -> None:
        self._c, self._policy, self._now, self._purpose = c, policy, now, purpose
        self._model, self._tenants = f"canary/{secrets.token_hex(8)}", [uuid7() for _ in range(10)]

    async def tried(self) -> dict[str, int]:
        """How many organisations a sum is over, by what was done before."""
        await self._come()
        found = {"ten": await self._seen()}
        said: tuple[tuple[standing.Kind, str], ...] = (("objection", self._purpose), ("restriction", ""))
        for kind, word in said:
            await self._say(kind, word, value=True)
            found[kind] = await self._seen()
            await self._say(kind, word, value=False)
        found["taken back"] = await self._seen()
        one = usage.c.tenant_id == self._tenants[0]
        await self._c.execute(update(usage).where(one).values(ends_at=self._now))
        found["one row ended"] = await self._seen()
        await self._c.execute(update(usage).where(one).values(ends_at=self._now + STRAY))
        internal = update(tenant_kind).where(tenant_kind.c.tenant_id == self._tenants[0]).values(kind="internal")
        await self._c.execute(internal)
        return found | {"one internal": await self._seen()}

    async def _come(self) -> None:
        kinds = [{"tenant_id": each, "kind": "customer"} for each in self._tenants]
        await self._c.execute(tenant_kind.insert(), kinds)
        row = {"model": self._model, "latency_ms": 1, "status": 200, "why": "done"}
        row |= dict.fromkeys(("input_tokens", "cached_tokens", "output_tokens"), 1)
        rows = [fact.begin(self._policy, "usage", each, each, self._now) | row for each in self._tenants]
        await self._c.execute(usage.insert(), [each | {"key_id": each["id"]} for each in rows])
        await self._c.execute(text("SELECT set_config('app.at', :at, true)"), {"at": self._now.isoformat()})

    async def _say(self, kind: standing.Kind, word: str, *, value: bool) -> None:
        who = self._tenants[0]
        await standing.record(self._c, self._policy, who, who, kind, value=value, at=self._now, purpose=word)

    async def _seen(self) -> int:
        query = f"SELECT organisations FROM for_{self._purpose}.usage_by_day WHERE model = :model"  # noqa: S608  our own words
        return await self._c.scalar(text(query), {"model": self._model}) or 0


@dataclass
class People:
    """The canaries of one round of probes; the one whose data is kept serves several probes until it is erased."""

    accounts: Accounts
    privacy: Privacy
    keeper: Database
    base_url: str
    copy: Callable[[Path], Awaitable[None]]
    """Copies the tables with facts as a backup does."""
    _kept: Canary | None = field(default=None, init=False)
    _customer: Customer | None = field(default=None, init=False)
    _made: list[tuple[UUID, UUID]] = field(default_factory=list, init=False)

    @property
    def _keeps_unasked(self) -> bool:
        return self._stores_content and not self.accounts.policy.categories["api_content"].ask

    @property
    def _stores_content(self) -> bool:
        category = self.accounts.policy.categories.get("api_content")
        return category is not None and category.keep.kind != "never"

    async def kept(self) -> Canary:
        """See proof.probes.Canaries: a request where the policy lets one be kept, else the account itself."""
        if self._kept is None:
            who = await self.newcomer(KEPT_H if self._stores_content else None)
            marker = await self._ask(who)
            self._kept = await (self._request(who, marker) if self._stores_content else self._account(who))
        return self._kept

    async def _request(self, who: Customer, marker: str) -> Canary:
        async with self.keeper.begin() as c:
            row = (await c.execute(select(trace).where(trace.c.tenant_id == who.tenant_id))).one()
        ref = Ref(who.tenant_id, trace.name, "api_content", row.id, row.subject_id)
        return Canary(who.tenant_id, who.subject_id, marker, ref, row.box, row.ends_at)

    async def _account(self, who: Customer) -> Canary:
        async with self.keeper.begin() as c:
            row = (await c.execute(select(person).where(person.c.id == who.subject_id))).one()
        ref = people.reference(who.tenant_id, who.subject_id)
        return Canary(who.tenant_id, who.subject_id, who.email.partition("@")[0], ref, row.box, row.ends_at)

    async def not_kept(self) -> tuple[Canary, int]:
        """See proof.probes.Canaries: somebody who refuses to have content kept where the policy keeps it unasked."""
        who = await self.newcomer(0 if self._keeps_unasked else None)
        marker = await self._ask(who)
        async with self.keeper.begin() as c:
            count = 0
            for table in (trace, cached_answer):
                mine = table.c.tenant_id == who.tenant_id
                count += await c.scalar(select(func.count()).select_from(table).where(mine)) or 0
        ref = Ref(who.tenant_id, trace.name, "api_content", uuid7(), who.subject_id)
        return Canary(who.tenant_id, who.subject_id, marker, ref, b""), count

    async def erase(self, canary: Canary) -> None:
        """See proof.probes.Canaries."""
        # What belongs to the organisation of one ends with it, in a request of its own.
        for subject_id in dict.fromkeys((canary.subject_id, canary.ref.subject_id)):
            await erase.run(self.privacy, await self._request_erasure(canary.tenant_id, subject_id))
        if self._kept == canary:
            self._kept = None

    async def customer(self) -> Customer:
        """See proof.probes.Canaries."""
        if self._customer is None:
            self._customer = await self.newcomer(KEPT_H if self._stores_content else None)
        return self._customer

    async def close(self) -> None:
        """End what is left of this round."""
        for tenant_id, subject_id in self._made:
            await self._request_erasure(tenant_id, subject_id)
        self._made.clear()
        self._kept = self._customer = None

    async def newcomer(self, keep_h: int | None = None) -> Customer:
        """See proof.probes.Canaries; `keep_h` is what their tenant wishes."""
        email, password = f"canary-{secrets.token_hex(8)}@canary.invalid", secrets.token_urlsafe(24)
        password_hash = await self.accounts.passwords.hash(password)
        policy = self.accounts.policy
        tells = self.accounts.tells_abroad
        asked = sign_up.read(policy, sign_up.example(policy, email, password, tells=tells), tells=tells)
        made = await sign_up.open_account(self.accounts, asked, password_hash, "internal", confirmed=True)
        self._made.append(made)
        await self._grant(*made, keep_h)
        key = await keys.create(self.accounts, people.actor(*made), Setting(name="canary"))
        return Customer(*made, email, password, key.secret, await self._model())

    def form(self, email: str, password: str) -> dict[str, object]:
        """See proof.probes.Canaries."""
        return sign_up.example(self.accounts.policy, email, password, tells=self.accounts.tells_abroad)

    async def adopt(self, email: str, password: str) -> Customer:
        """See proof.probes.Canaries."""
        name = blind_index(self.accounts.ring, "email", email)
        async with self.keeper.begin() as c:
            found = (await c.execute(select(person.c.tenant_id, person.c.id).where(person.c.email_index == name))).one()
            mine = tenant_kind.c.tenant_id == found.tenant_id
            await c.execute(update(tenant_kind).where(mine).values(kind="internal"))
            confirmed = {"confirmed_at": self.accounts.clock.now()}
            await c.execute(update(person).where(person.c.id == found.id).values(confirmed))
            # The message that asks for it; nobody reads it.
            await c.execute(delete(outbox).where(outbox.c.subject_id == found.id))
        made = found.tenant_id, found.id
        self._made.append(made)
        await self._grant(*made, KEPT_H if self._stores_content else None)
        return Customer(*made, email, password, "", await self._model())

    async def remove_strays(self) -> None:
        """See proof.probes.Canaries."""
        internal = select(tenant_kind.c.tenant_id).where(tenant_kind.c.kind == "internal")
        old = person.c.since < self.accounts.clock.now() - STRAY
        async with self.keeper.begin() as c:
            query = select(person.c.tenant_id, person.c.id).where(person.c.tenant_id.in_(internal), old)
            strays = (await c.execute(query.limit(STRAYS_MAX))).all()
        for tenant_id, subject_id in strays:
            await self._request_erasure(tenant_id, subject_id)

    async def settle(self, canary: Customer) -> None:
        """See proof.probes.Canaries."""
        for subject_id in (canary.subject_id, canary.tenant_id):
            await erase.run(self.privacy, await self._request_erasure(canary.tenant_id, subject_id))

    async def sweep(self) -> None:
        """See proof.probes.Canaries."""
        await retention.sweep(self.privacy, self.accounts.clock.now())

    async def dump(self, folder: Path) -> None:
        """See proof.probes.Canaries."""
        await self.copy(folder)

    async def crowd(self, purpose: str) -> dict[str, int]:
        """See proof.probes.Canaries. Nothing of it is committed, so nobody else ever sees these organisations."""
        async with self.keeper.engine.connect() as c:
            try:
                return await Crowd(c, self.accounts.policy, self.accounts.clock.now(), purpose).tried()
            finally:
                await c.rollback()

    async def _model(self) -> str:
        """The embedded model where it is offered, else the first of the list."""
        async with self.keeper.begin() as c:
            offered = list((await c.execute(select(model.c.id).order_by(model.c.id))).scalars())
        if not offered:
            raise CanaryFailed("No model is offered, so no canary can ask one.")
        return app.MODEL if app.MODEL in offered else str(offered[0])

    async def _ask(self, who: Customer) -> str:
        """Send one request with a marker, which is returned."""
        marker = f"canary {secrets.token_hex(16)}"
        body = {
            "model": who.model,
            "messages": [{"role": "user", "content": marker}],
            "max_tokens": 1,
            "temperature": 0,
        }
        headers = {"authorization": f"Bearer {who.key}"}
        # Our own listener, whatever name its certificate carries.
        async with httpx.AsyncClient(base_url=self.base_url, timeout=ANSWER_S_MAX, verify=False) as http:  # noqa: S501
            answer = await http.post("/v1/chat/completions", json=body, headers=headers)
        if answer.status_code != 200:
            raise CanaryFailed(f"A canary's request was answered with {answer.status_code}.")
        return marker

    async def _grant(self, tenant_id: UUID, subject_id: UUID, keep_h: int | None) -> None:
        now, version = self.accounts.clock.now(), self.accounts.policy.version
        async with self.keeper.begin() as c:
            wallet_id = await c.scalar(select(tenant.c.wallet_id).where(tenant.c.tenant_id == tenant_id))
            assert wallet_id is not None
            await c.execute(update(tenant).where(tenant.c.tenant_id == tenant_id).values(keep_h=keep_h))
            await credit.grant(
                c,
                wallet_id=wallet_id,
                subject_id=subject_id,
                amount=CREDIT,
                kind="correction",
                key=f"canary:{subject_id}",
                at=now,
                policy_version=version,
                ends_at=self.accounts.policy.categories["payment"].keep.end(now),
            )

    async def _request_erasure(self, tenant_id: UUID, subject_id: UUID) -> UUID:
        now = self.accounts.clock.now()
        async with self.keeper.begin() as c:
            known: UUID | None = await c.scalar(
                select(rights_request.c.id).where(
                    rights_request.c.subject_id == subject_id, rights_request.c.kind == "erase"
                )
            )
            if known is not None:
                return known
            taken = await requests.take(c, self.accounts.vault, tenant_id, subject_id, "erase", now)
        return taken.id
