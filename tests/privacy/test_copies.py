"""Copies of people's data: complete, without secrets, resumable, sealed until fetched, and gone afterwards."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from sqlalchemy import func, insert, select

from avow import catalog
from avow.accounts.tables import credential
from avow.privacy import copies, erase, export, requests, retention, stores
from avow.privacy.copies import Maker
from avow.privacy.needs import Needs
from avow.privacy.tables import copy_part
from avow.vault import Ref, Vault, fact
from tests.privacy.desks import PASSWORD, Above
from tests.privacy.scratch import Person

SECRETS = ("_hmac", "_hash", "_index", "_secret", "_digests")
PUBLIC = ["standing.notice_hash"]
"""Hashes of what everybody may read: the text that was shown with a consent."""


async def asked(client: AsyncTestClient[Litestar], kind: str = "access") -> UUID:
    answer = await client.post("/api/privacy/requests", json={"kind": kind, "password": PASSWORD})
    assert answer.status_code == 202, answer.text
    return UUID(answer.json()["id"])


async def parts(on: Needs) -> int:
    async with on.database.begin() as c:
        return await c.scalar(select(func.count()).select_from(copy_part)) or 0


def unpacked(content: bytes) -> dict[str, Any]:
    """The facts of each store, and the texts beside them."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        assert file.testzip() is None
        texts = {name: file.read(name).decode() for name in file.namelist()}
    facts = {name[len("data/") : -len(".json")]: json.loads(text) for name, text in texts.items() if "data/" in name}
    return {"facts": facts, **{name: text for name, text in texts.items() if "data/" not in name}}


async def test_a_copy_holds_everything_and_can_be_fetched_once(
    client: AsyncTestClient[Litestar], on: Needs, vault: Vault, ada: Person, above: Above
) -> None:
    await ada.write(on, count=3)
    id = await asked(client)
    await copies.run(Maker(on, vault, above.tell), id)
    shown = (await client.get(f"/api/privacy/requests/{id}")).json()
    assert shown["state"] == "succeeded"
    assert {step["store"]: step["facts"] for step in shown["plan"]}["scratch_note"] == 3
    assert shown["copied"] >= 9
    [(_, message_id, letter)] = above.letters
    assert message_id == id
    assert f"{id}/copy" in letter.text
    assert (await client.get(f"/api/privacy/requests/{id}/copy")).status_code == 403, (
        "who fetches it shows who they are"
    )
    above.proved = True
    answer = await client.get(f"/api/privacy/requests/{id}/copy")
    assert answer.headers["content-type"] == "application/zip"
    found = unpacked(answer.content)
    assert [note["request"] for note in found["facts"]["scratch_note"]] == ["my words"] * 3
    paid = [fact["amount"] for fact in found["facts"]["scratch_bill"] if fact["category"] == "payment"]
    assert paid == [7] * 3
    assert "my words" in found["read-me.html"]
    assert "you called" in found["read-me.html"], "what is done with the data is explained"
    assert json.loads(found["policy.json"])["hash"] == on.policy.hash
    again = await client.get(f"/api/privacy/requests/{id}/copy")
    assert (again.status_code, again.json()["code"]) == (404, "copy_gone")
    assert await parts(on) == 0


async def test_a_copy_holds_no_secret(
    client: AsyncTestClient[Litestar], on: Needs, vault: Vault, ada: Person, above: Above
) -> None:
    row = fact.begin(on.policy, "credential", ada.tenant_id, ada.id, on.clock.now())
    await vault.prepare(ada.id, "credential", row["ends_at"])
    ref = Ref(ada.tenant_id, "credential", "credential", row["id"], ada.id)
    box = vault.seal(ref, {"password_hash": "$argon2id$hidden"}, row["ends_at"])
    async with on.database.begin() as c:
        await c.execute(insert(credential).values(**row, box=box))
    found = await export.collect(on, vault, ada.tenant_id, ada.id, "a copy")
    assert [each["id"] for each in found["stores"]["credential"]] == [str(row["id"])]
    assert "hidden" not in json.dumps(found)


def test_what_is_named_like_a_secret_is_declared_as_one() -> None:
    declared = [(table.name, name, held) for table, held in catalog.facts() for name in held.fields]
    silent = [f"{table}.{name}" for table, name, held in declared if name.endswith(SECRETS) and name not in held.secret]
    assert silent == PUBLIC


async def test_what_is_taken_along_is_what_came_from_the_person(on: Needs) -> None:
    taken = export.categories(on.policy, "port")
    assert {"account", "api_content", "usage"} <= taken
    assert not {"audit", "payment", "rights", "mail", "copy"} & taken
    assert export.categories(on.policy, "access") == on.policy.categories.keys() - {"copy"}


async def test_a_copy_that_is_broken_off_goes_on_where_it_was(
    client: AsyncTestClient[Litestar],
    on: Needs,
    vault: Vault,
    ada: Person,
    above: Above,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stores, "PAGE_ROWS", 2)
    await ada.write(on, count=5)
    id = await asked(client)
    seal, left = vault.seal, 3

    def dies(ref: Ref, *more: Any) -> bytes:
        nonlocal left
        left -= ref.table == copy_part.name
        if left < 0:
            raise ConnectionError
        return seal(ref, *more)

    monkeypatch.setattr(vault, "seal", dies)
    for _ in range(20):
        left = 3
        try:
            await copies.run(Maker(on, vault, above.tell), id)
            break
        except ConnectionError:
            assert await parts(on) > 0
    above.proved = True
    found = unpacked((await client.get(f"/api/privacy/requests/{id}/copy")).content)
    assert len(found["facts"]["scratch_call"]) == 5
    # A bill is about a payment and an account.
    for name, count in (("scratch_note", 5), ("scratch_bill", 10)):
        ids = [(each["category"], each["id"]) for each in found["facts"][name]]
        assert len(ids) == len(set(ids)) == count, name
    assert len(above.letters) == 1


async def test_two_keepers_make_one_copy(
    client: AsyncTestClient[Litestar], on: Needs, vault: Vault, ada: Person, above: Above
) -> None:
    await ada.write(on, count=2)
    id = await asked(client)
    by = Maker(on, vault, above.tell)
    await asyncio.gather(copies.run(by, id), copies.run(by, id))
    assert len(above.letters) == 1


async def test_a_large_box_ends_its_page(on: Needs, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    await ada.write(on, count=3)
    monkeypatch.setattr(stores, "PAGE_BYTES", 1)
    store = next(each for each in on.stores if each.name == "scratch_note")
    after, sizes = None, []
    for _ in range(3):
        async with on.database.begin() as c:
            page = await store.export(c, ada.id, after)
        sizes.append(len(page.facts))
        after = page.last
    assert (sizes, after) == ([1, 1, 1], None)


async def test_a_copy_ends_after_some_days_and_with_its_person(
    client: AsyncTestClient[Litestar], on: Needs, vault: Vault, ada: Person, above: Above
) -> None:
    await ada.write(on, count=1)
    id = await asked(client)
    await copies.run(Maker(on, vault, above.tell), id)
    end = on.policy.categories["copy"].keep.end(on.clock.now())
    assert end is not None
    assert await parts(on) > 0
    await retention.sweep(on, end, confirm_clock=True)
    assert await parts(on) == 0
    other = await asked(client)
    await copies.run(Maker(on, vault, above.tell), other)
    gone = await asked(client, "erase")
    await erase.run(on, gone)
    assert await parts(on) == 0


async def test_an_erasure_refuses_the_copy_under_way(
    client: AsyncTestClient[Litestar], on: Needs, vault: Vault, ada: Person, above: Above
) -> None:
    id = await asked(client)
    on.ring.destroy_holders(ada.id, ["copy"], on.clock.now())
    await ada.write(on, count=1)
    await copies.run(Maker(on, vault, above.tell), id)
    shown = (await client.get(f"/api/privacy/requests/{id}")).json()
    assert (shown["state"], shown["reason"]) == ("refused", "erased")


async def test_the_copy_of_somebody_else_is_not_there(
    client: AsyncTestClient[Litestar], on: Needs, vault: Vault, ada: Person, above: Above
) -> None:
    """Neither a stranger's nor a colleague's."""
    above.proved = True
    stranger, colleague = Person(), Person()
    colleague.tenant_id = ada.tenant_id
    for other in (stranger, colleague):
        await other.write(on, count=1)
        async with on.database.begin() as c:
            taken = await requests.take(c, vault, other.tenant_id, other.id, "access", on.clock.now())
        await copies.run(Maker(on, vault, above.tell), taken.id)
        async with on.database.begin() as c:
            assert (await copies.ends_at(c, taken.id, on.clock.now()))[1] is not None
        assert (await client.get(f"/api/privacy/requests/{taken.id}/copy")).status_code == 404
