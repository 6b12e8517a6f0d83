"""Canaries: people of an internal tenant who use the running platform as customers do, so that probes can look at facts.

They have money of their own, get no mail, and are erased as people are erased.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from uuid import UUID

import httpx
from sqlalchemy import func, select, update

from avow import app
from avow.accounts import keys, people, sign_up
from avow.accounts.key_terms import Setting
from avow.accounts.needs import Needs as Accounts
from avow.accounts.tables import tenant
from avow.base import money
from avow.base.db import Database
from avow.base.errors import AvowError
from avow.base.ids import uuid7
from avow.billing import credit
from avow.gateway.tables import trace
from avow.privacy import erase, requests
from avow.privacy.needs import Needs as Privacy
from avow.privacy.tables import rights_request
from avow.proof.probes import Canary
from avow.vault import Ref

KEPT_H = 1
CREDIT = money.NANO // 100
ANSWER_S_MAX = 60.0


class CanaryFailed(AvowError):
    """A canary could not do what a customer does."""

    code = "canary_failed"


@dataclass
class People:
    """The canaries of one round of probes; the one whose content is kept serves several probes until it is erased."""

    accounts: Accounts
    privacy: Privacy
    keeper: Database
    base_url: str
    _kept: Canary | None = field(default=None, init=False)

    async def kept(self) -> Canary:
        """See proof.probes.Canaries."""
        if self._kept is None:
            tenant_id, subject_id, marker = await self._ask(KEPT_H)
            async with self.keeper.begin() as c:
                row = (await c.execute(select(trace).where(trace.c.subject_id == subject_id))).one()
            ref = Ref(tenant_id, trace.name, "api_content", row.id, subject_id)
            self._kept = Canary(tenant_id, subject_id, marker, ref, row.box, row.ends_at)
        return self._kept

    async def not_kept(self) -> tuple[Canary, int]:
        """See proof.probes.Canaries. The canary is erased afterwards."""
        tenant_id, subject_id, marker = await self._ask(None)
        async with self.keeper.begin() as c:
            count = await c.scalar(select(func.count()).select_from(trace).where(trace.c.subject_id == subject_id)) or 0
        canary = Canary(
            tenant_id, subject_id, marker, Ref(tenant_id, trace.name, "api_content", uuid7(), subject_id), b""
        )
        await self._request_erasure(canary)
        return canary, count

    async def erase(self, canary: Canary) -> None:
        """See proof.probes.Canaries."""
        request_id = await self._request_erasure(canary)
        await erase.run(self.privacy, request_id)
        if self._kept == canary:
            self._kept = None

    async def close(self) -> None:
        """End what is left of this round."""
        if self._kept is not None:
            await self._request_erasure(self._kept)
            self._kept = None

    async def _ask(self, keep_h: int | None) -> tuple[UUID, UUID, str]:
        """A new canary sends one request with a marker; returns who, and the marker."""
        email = f"canary-{secrets.token_hex(8)}@canary.invalid"
        password, policy = secrets.token_urlsafe(24), self.accounts.policy
        password_hash = await self.accounts.passwords.hash(password)
        asked = sign_up.read(policy, sign_up.example(policy, email, password))
        await sign_up.open_account(self.accounts, asked, password_hash, "internal", confirmed=True)
        found = await people.find(self.accounts, email)
        if found is None:
            raise CanaryFailed
        who = people.actor(found.tenant_id, found.subject_id)
        await self._grant(found.tenant_id, found.subject_id, keep_h)
        key = await keys.create(self.accounts, who, Setting(name="canary"))
        marker = f"canary {secrets.token_hex(16)}"
        body = {"model": app.MODEL, "messages": [{"role": "user", "content": marker}], "max_tokens": 1}
        headers = {"authorization": f"Bearer {key.secret}"}
        # Our own listener, whatever name its certificate carries.
        async with httpx.AsyncClient(base_url=self.base_url, timeout=ANSWER_S_MAX, verify=False) as http:  # noqa: S501
            answer = await http.post("/v1/chat/completions", json=body, headers=headers)
        if answer.status_code != 200:
            raise CanaryFailed(f"A canary's request was answered with {answer.status_code}.")
        return found.tenant_id, found.subject_id, marker

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

    async def _request_erasure(self, canary: Canary) -> UUID:
        now = self.accounts.clock.now()
        async with self.keeper.begin() as c:
            known: UUID | None = await c.scalar(
                select(rights_request.c.id).where(
                    rights_request.c.subject_id == canary.subject_id, rights_request.c.kind == "erase"
                )
            )
            if known is not None:
                return known
            taken = await requests.take(c, self.accounts.vault, canary.tenant_id, canary.subject_id, "erase", now)
        return taken.id
