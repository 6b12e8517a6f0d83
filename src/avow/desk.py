"""What the operator's commands and the keeper work with: the opened parts, and the probes' ground."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import delete, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from avow import app, canary
from avow.accounts import members, people, staff
from avow.accounts.everybody import Everybody, at_address
from avow.accounts.needs import Needs as Accounts
from avow.accounts.tables import person, tenant
from avow.app import Parts
from avow.base import access
from avow.base.actor import COMMAND, PLATFORM, Actor
from avow.base.db import Database
from avow.base.errors import NotFound
from avow.base.progress import Told, each, nobody
from avow.base.recorded import Command
from avow.billing import allowances, invariants
from avow.catalog import facts
from avow.gateway.tables import route, upstream
from avow.policy import published
from avow.privacy import backup, requests, stores
from avow.privacy.caches import NotifyAndWait
from avow.privacy.copies import Maker
from avow.privacy.needs import Held
from avow.privacy.needs import Needs as Privacy
from avow.privacy.notices import Telling
from avow.privacy.outside import OutsideFiles
from avow.privacy.outsiders import Answering
from avow.privacy.tables import restoration
from avow.privacy.versions import Current
from avow.privacy.wishes import Desk as Wishes
from avow.proof import evidence, probes
from avow.proof.evidence import Evidence
from avow.proof.receipts import Receipts
from avow.registers import documents
from avow.vault import Act, Gone, Vault
from avow.vault.tables import audit

ANSWER_S_MAX = 5.0


@dataclass(frozen=True)
class Desk:
    """Open connections as the keeper and as the application, and the slices over them."""

    parts: Parts
    keeper: Database
    app: Database
    vault: Vault
    accounts: Accounts
    opened: Privacy
    current: Current

    @property
    def privacy(self) -> Privacy:
        """What the slice of privacy needs; each piece of work goes on under the policy under which it began."""
        return replace(self.opened, policy=self.vault.policy)

    async def follow(self) -> None:
        """Take over a policy that has come into force."""
        async with self.keeper.begin() as c:
            await self.current.follow(c)

    @property
    def telling(self) -> Telling:
        """What telling people of a change needs."""
        where = self.parts.settings.base_url
        return Telling(self.vault, Everybody(self.vault), where, self.parts.installed)

    @property
    def copies(self) -> Maker:
        """What copies of people's data are made with."""
        return Maker(self.privacy, self.vault, app.tell(self.accounts))

    @property
    def wishes(self) -> Wishes:
        """What the keeper does the wishes of staff about the policy with."""
        return Wishes(self.privacy, self.telling.readers, self.follow, self._stands)

    @property
    def answering(self) -> Answering:
        """What the requests of people without an account are answered with."""
        return Answering(self.privacy, self.vault, self._holders, app.tell(self.accounts))

    async def _stands(self, name: str) -> bool:
        return await staff.stands(self.keeper, name, self.parts.clock.now())

    async def _holders(self, c: AsyncConnection, email: str) -> Held:
        return await at_address(c, self.parts.ring, email)

    async def look(self, names: Sequence[str] = (), told: Told = nobody) -> AsyncIterator[Evidence]:
        """Run probes against the running platform and keep what they find: `names`, or all of `looks()`. Raises ProbeUnknown
        before any has looked."""
        probes.check(names)
        policy = self.vault.policy
        reached = (self.keeper, self.parts.settings.base_url, self._copy)
        people_of = canary.People(self.accounts, self.privacy, *reached)
        ground = probes.Ground(
            home=self.parts.home,
            base_url=self.parts.settings.base_url,
            policy=policy,
            clock=self.parts.clock,
            ring=self.parts.ring,
            vault=self.vault,
            keeper=self.keeper,
            app=self.app,
            tls=self.parts.settings.tls,
            canaries=people_of,
            sums_wrong=self._sums_wrong,
            strangers=self._strangers,
            listens=(self.parts.settings.host, self.parts.settings.port),
            record=partial(self.parts.chain.verify, self.keeper),
            log=partial(self.parts.log.verify, self.keeper),
            shelf=self.parts.shelf(self.keeper),
            places=self.parts.places(policy),
        )
        try:
            for name in each(names or await self.looks(), told):
                for found in await probes.look(ground, name):
                    async with self.keeper.begin() as c:
                        await evidence.record(c, found, policy.hash)
                    yield found
        finally:
            await people_of.close()

    async def record_command(self, act: Command, given: Mapping[str, Any], reason: str | None) -> None:
        """Put a command on the record before it runs: on that of the person whose `id` it was given, or the platform's.

        Raises NotFound for a person who is not there.
        """
        async with self.keeper.begin() as c:
            tenant_id: UUID | None = PLATFORM
            subject_id = given["id"] if act.record == "person" else PLATFORM
            if subject_id != PLATFORM:
                tenant_id = await c.scalar(select(person.c.tenant_id).where(person.c.id == subject_id))
            if tenant_id is None:
                # Content can belong to an organisation: then its id is the one that was given.
                tenant_id = await c.scalar(select(tenant.c.tenant_id).where(tenant.c.tenant_id == subject_id))
            if tenant_id is None:
                raise NotFound("There is no such person.")
            await self.vault.record_act(c, Act(COMMAND, act.word, tenant_id, subject_id, reason=reason, after=given))

    async def anchor(self, word: str, reason: str | None = None, **states: Any) -> None:
        """As `anchor`, by whoever runs the command."""
        await anchor(self.parts, self.keeper, self.vault, COMMAND, word, reason=reason, **states)

    async def finish_restore(self, reason: str | None = None) -> str | None:
        """After a restore: begin the chain anew, for the backup's record is shorter than its head remembers, and let the log go
        on behind what is signed, or begin another where its files did not come along. Gives what became of the log; None where
        nothing was restored. A restore that was killed before this is finished by the next start."""
        async with self.keeper.begin() as c:
            row = (await c.execute(select(restoration))).one_or_none()
        if row is None:
            return None
        await self.anchor("restore a backup", reason, after={"backup": row.backup, "made_at": row.made_at})
        head = (await self.parts.log.verify(self.keeper)).head
        if not head.origin:
            head = await self.parts.log.begin(self.keeper, "a restore without the files of the log")
            said = f"the files of the log are not those that were signed, so another begins: {head.origin}"
        else:
            said = f"the log {head.origin} goes on behind its {head.size} leaves"
        async with self.keeper.begin() as c:
            await c.execute(delete(restoration))
        return said

    async def looks(self) -> list[str]:
        """The probes of all that is published, and those that stand behind all of it."""
        async with self.keeper.begin() as c:
            held = await documents.valid(c, self.parts.clock.now())
        shown = published(self.vault.policy, self.parts.installed, held)
        named = {probe for clause in shown for probe in clause.probes}
        return [name for name in probes.ALL if name in named | probes.STANDING]

    async def _copy(self, folder: Path) -> None:
        reader = self.parts.dsn(access.BACKUP)
        await backup.copy_tables(reader, folder, self.parts.program, dict.fromkeys(t.name for t, _ in facts()))

    async def _strangers(self) -> list[str]:
        """Upstreams of outside parties that the policy does not name, and at which a model is offered."""
        named = {party.name for party in self.vault.policy.named("processor")}
        offered = exists().where(route.c.upstream_id == upstream.c.id)
        async with self.keeper.begin() as c:
            rows = (await c.execute(select(upstream).where(upstream.c.kind != "engine", offered))).all()
        return [row.name for row in rows if row.processor is not None and row.processor not in named]

    async def _sums_wrong(self, c: AsyncConnection) -> list[str]:
        found = await invariants.violations(c, self.parts.clock.now())
        return [f"{v.invariant}: {v.found} instead of {v.wanted}" for v in found]


async def anchor(parts: Parts, keeper: Database, vault: Vault, who: Actor, word: str, **more: Any) -> None:
    """Begin the chain of the record anew, and put on the record that this was done; `more` as in `Act`."""
    async with keeper.begin() as c:
        await vault.record_act(c, Act.of_platform(who, word, **more))
    await parts.chain.anchor(keeper)


@asynccontextmanager
async def opened(parts: Parts, *, follow: bool = True) -> AsyncIterator[Desk]:
    """A desk over the parts, under the policy in force (`follow` false: under that of the settings, for there may be no
    database yet); closes what it opened."""
    keeper, product = parts.database(access.KEEPER), parts.database(access.APP)
    vault = Vault(parts.ring, parts.policy, parts.clock)
    current = Current(vault)
    accounts = app.accounts(parts, product, current)
    made = Desk(parts, keeper, product, vault, accounts, privacy_needs(parts, keeper, vault), current)
    try:
        if follow:
            await made.follow()
        yield made
    finally:
        accounts.passwords.close()
        vault.close()
        await keeper.close()
        await product.close()


def privacy_needs(parts: Parts, keeper: Database, vault: Vault) -> Privacy:
    """What the slice of privacy needs, over `keeper`: the stores in the order in which they end, outside files first."""

    async def addresses(c: AsyncConnection, subject_id: UUID) -> list[str]:
        row = (await c.execute(select(person).where(person.c.id == subject_id))).one_or_none()
        if row is None:
            return []
        who = people.actor(row.tenant_id, subject_id)
        found = await vault.open(c, people.reference(row.tenant_id, subject_id), row.box, "access", who)
        return [] if found is Gone else [str(found["email"])]

    async def organisation(c: AsyncConnection, tenant_id: UUID) -> None:
        if await members.is_left(c, tenant_id):
            return
        await allowances.end(c, tenant_id)
        if any([(await each.find(c, tenant_id)).facts for each in stores.tables()]):
            await requests.take(c, vault, tenant_id, tenant_id, "erase", parts.clock.now())

    return Privacy(
        policy=vault.policy,
        clock=parts.clock,
        database=keeper,
        ring=parts.ring,
        stores=[
            OutsideFiles(parts.home, addresses),
            *stores.tables({audit.name: parts.chain.release}, {audit.name: parts.chain.moving}),
        ],
        tombstones=parts.tombstones,
        newest=parts.newest,
        signer=Receipts(parts.ring),
        forget=NotifyAndWait(keeper),
        organisation=organisation,
    )


async def answering(base_url: str) -> str | None:
    """The key (hexadecimal) with which the platform at an address signs; None: no platform answers there."""
    # Our own listener, whatever name its certificate carries.
    async with httpx.AsyncClient(base_url=base_url, timeout=ANSWER_S_MAX, verify=False) as http:  # noqa: S501
        try:
            answer = await http.get("/.well-known/avow-receipt-key")
            return str(answer.json()["key"]) if answer.is_success else None
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return None
