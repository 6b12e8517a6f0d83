"""Restriction, objection and consent hold at once at the vault's door, and are history and no erasure."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from sqlalchemy import select

from avow.base.actor import KEEPER, Actor
from avow.policy import ANSWER
from avow.policy.asking import notices
from avow.privacy.needs import Needs
from avow.vault import OpenRefused, Ref, Vault, fact
from avow.vault.tables import standing
from tests.privacy.scratch import Person


async def opens(on: Needs, vault: Vault, ada: Person, category: str, purpose: str, who: Actor = KEEPER) -> bool:
    """Whether something of a category may be opened for a purpose."""
    row = fact.begin(on.policy, category, ada.tenant_id, ada.id, on.clock.now())
    ref = Ref(ada.tenant_id, "person", category, row["id"], ada.id)
    await vault.prepare(ada.id, category, row["ends_at"])
    sealed = vault.seal(ref, {"email": "ada@example.org"}, row["ends_at"])
    try:
        async with on.database.begin() as c:
            await vault.open(c, ref, sealed, purpose, who)
    except OpenRefused:
        return False
    return True


async def ask(client: AsyncTestClient[Litestar], **what: Any) -> dict[str, Any]:
    answer = await client.post("/api/privacy/requests", json=what)
    assert answer.status_code == 202, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def test_a_restriction_leaves_storage_and_lifting_restores(
    client: AsyncTestClient[Litestar], on: Needs, vault: Vault, ada: Person
) -> None:
    assert await opens(on, vault, ada, "account", "service")
    assert (await ask(client, kind="restrict", text="Two of my names are wrong."))["state"] == "succeeded"
    owner = Actor("subject", str(ada.id), "subject", ada.tenant_id, ada.id)
    assert not await opens(on, vault, ada, "account", "service")
    assert not await opens(on, vault, ada, "mail", "notices")
    assert await opens(on, vault, ada, "account", "access", owner), "one's own data is never out of one's reach"
    assert await opens(on, vault, ada, "account", ANSWER), "what somebody asked for reaches them"
    assert not await opens(on, vault, ada, "api_content", ANSWER)
    assert (await client.get("/api/privacy/standing")).json()["restricted"]
    assert (await client.delete("/api/privacy/standing/restriction")).status_code == 204
    assert await opens(on, vault, ada, "account", "service")


async def test_an_objection_ends_one_purpose(
    client: AsyncTestClient[Litestar], on: Needs, vault: Vault, ada: Person
) -> None:
    on = _with(on, vault, "account", ("service", "personalise"))
    assert await opens(on, vault, ada, "account", "personalise")
    assert (await ask(client, kind="object", purpose="personalise"))["state"] == "succeeded"
    assert not await opens(on, vault, ada, "account", "personalise")
    assert await opens(on, vault, ada, "account", "service")
    assert (await client.get("/api/privacy/standing")).json()["objected"] == ["personalise"]
    assert (await client.delete("/api/privacy/standing/objections/personalise")).status_code == 204
    assert await opens(on, vault, ada, "account", "personalise")


@pytest.mark.parametrize(
    ("purpose", "reason"),
    [("service", "needed_for_contract"), ("legal", "needed_by_law"), ("security", "needed_for_safety")],
)
async def test_an_objection_to_what_is_needed_is_refused_with_its_reason(
    client: AsyncTestClient[Litestar], on: Needs, vault: Vault, ada: Person, purpose: str, reason: str
) -> None:
    taken = await ask(client, kind="object", purpose=purpose)
    assert (taken["state"], taken["reason"]) == ("refused", reason)
    shown = (await client.get(f"/api/privacy/requests/{taken['id']}")).json()
    assert (shown["state"], shown["reason"], shown["purpose"]) == ("refused", reason, purpose)
    assert await opens(on, vault, ada, "account", "service")


async def test_an_objection_to_what_nobody_does_is_no_request(client: AsyncTestClient[Litestar]) -> None:
    answer = await client.post("/api/privacy/requests", json={"kind": "object", "purpose": "ads"})
    assert (answer.status_code, answer.json()["code"]) == (404, "purpose_unknown")
    assert (await client.get("/api/privacy/requests")).json() == []


async def test_a_consent_is_given_and_taken_back_and_both_stay_on_record(
    client: AsyncTestClient[Litestar], on: Needs, vault: Vault, ada: Person
) -> None:
    on = _with(on, vault, "account", ("marketing",), basis="consent")
    shown = {"notice": notices(on.policy, "marketing")["en"].hash}
    assert not await opens(on, vault, ada, "account", "marketing")
    assert (await client.put("/api/privacy/consents/marketing", params=shown)).status_code == 204
    assert await opens(on, vault, ada, "account", "marketing")
    assert (await ask(client, kind="withdraw", purpose="marketing"))["state"] == "succeeded"
    assert not await opens(on, vault, ada, "account", "marketing")
    assert (await client.put("/api/privacy/consents/marketing", params=shown)).status_code == 204
    assert (await client.delete("/api/privacy/consents/marketing")).status_code == 204
    assert not await opens(on, vault, ada, "account", "marketing")
    async with on.database.begin() as c:
        rows = (await c.execute(select(standing).order_by(standing.c.id))).all()
    assert [row.value for row in rows] == [True, False, True, False]
    assert len({row.since for row in rows}) == 4


async def test_a_consent_that_nobody_asks_for_is_not_taken(client: AsyncTestClient[Litestar]) -> None:
    answer = await client.put("/api/privacy/consents/marketing")
    assert (answer.status_code, answer.json()["code"]) == (404, "purpose_unknown")


def _with(on: Needs, vault: Vault, category: str, purposes: tuple[str, ...], **rule: Any) -> Needs:
    """The same under a policy whose category has other purposes."""
    changed = replace(on.policy.categories[category], purposes=purposes, **rule)
    policy = replace(on.policy, categories=MappingProxyType({**on.policy.categories, category: changed}))
    vault.policy = policy
    return replace(on, policy=policy)
