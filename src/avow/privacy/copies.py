"""A copy of somebody's data, made by the keeper piece by piece and sealed until they fetch it.

Each piece holds facts of one store and is put down in one transaction together with how far it came, so a copy that is
killed anywhere goes on there. Nothing of it lies in the clear, it ends with its person, after some days in any case,
and at once when it was fetched.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, func, insert, select
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.actor import Actor
from avow.base.db import Database
from avow.base.errors import AvowError, NotFound
from avow.privacy import export, letters, requests
from avow.privacy.needs import Needs, Tell
from avow.privacy.stores import Key, Store
from avow.privacy.tables import copy_part, rights_request
from avow.privacy.turns import alone
from avow.vault import Buried, Gone, Ref, Vault, fact

KINDS: Final = ("access", "port")


class CopyGone(AvowError):
    """There is no copy to fetch: it was fetched already, has ended, or is not made yet."""

    status = 404
    code = "copy_gone"
    hint = "GET /api/privacy/requests/{id} says how far it is; ask for another copy whenever you like."


@dataclass(frozen=True, slots=True)
class Maker:
    """What copies are made with, by the keeper."""

    needs: Needs
    vault: Vault
    tell: Tell


async def run(by: Maker, request_id: UUID) -> None:
    """Make the copy of a verified request; the handler of COPY_JOB. What stops it is named on the request."""
    needs = by.needs
    async with alone(needs.database, request_id):
        request = await _request(needs.database, request_id)
        if request.state not in requests.OPEN:
            return
        try:
            await _make(by, request)
        except Buried:
            await _move(needs, request_id, "refused", requests.ERASED)
        except AvowError as error:
            await _move(needs, request_id, "running", error.code)
            raise


async def _make(by: Maker, request: Row[Any]) -> None:
    needs = by.needs
    wanted = export.categories(needs.policy, request.kind)
    stores = export.within(needs.stores, wanted)
    if request.state == "verified":
        await _plan(needs, request, stores)
    begun = await _begun(needs, request.id)
    for store, after in _left(stores, begun):
        await _copy(by, request, store, wanted, after)
    async with needs.database.begin() as c:
        now = needs.clock.now()
        await requests.move(c, request.id, "succeeded", now, reason=None)
        ends_at = await c.scalar(select(func.min(copy_part.c.ends_at)).where(copy_part.c.request_id == request.id))
        if ends_at is not None:
            await by.tell(c, request.tenant_id, request.subject_id, request.id, letters.ready(request.id, ends_at))


def _left(stores: list[Store], begun: tuple[str, Any] | None) -> Iterator[tuple[Store, Key | None]]:
    """What is still to be copied: stores, and the key after which to go on in the first."""
    names = [store.name for store in stores]
    if begun is None or begun[0] not in names:
        yield from ((store, None) for store in stores)
        return
    start = names.index(begun[0])
    if begun[1] is not None:
        yield stores[start], _read_key(begun[1])
    yield from ((store, None) for store in stores[start + 1 :])


async def _plan(needs: Needs, request: Row[Any], stores: list[Store]) -> None:
    """How many facts each store holds; empty ones are left out."""
    async with needs.database.begin() as c:
        found = [(store, (await store.find(c, request.subject_id)).facts) for store in stores]
        steps = [
            {"store": store.name, "categories": list(store.categories), "facts": facts}
            for store, facts in found
            if facts
        ]
        now = needs.clock.now()
        await requests.move(c, request.id, "planned", now, plan=steps)
        await requests.move(c, request.id, "running", now)


async def _copy(by: Maker, request: Row[Any], store: Store, wanted: frozenset[str], after: Key | None) -> None:
    tenant_id, subject_id = request.tenant_id, request.subject_id
    who, more = Actor("subject", str(subject_id), "subject", tenant_id, subject_id), True
    while more:
        async with by.needs.database.begin() as c:
            facts, last = await export.page(c, by.vault, store, who, wanted, after)
            if facts or last is not None:
                await _put(c, by, request, store.name, facts, last)
        after, more = last, last is not None


async def _put(
    c: AsyncConnection, by: Maker, request: Row[Any], store: str, facts: export.Facts, last: Key | None
) -> None:
    """Seal a piece. All of a copy count from its first one, so that they end together."""
    query = select(func.min(copy_part.c.since), func.max(copy_part.c.number)).where(
        copy_part.c.request_id == request.id
    )
    since, number = (await c.execute(query)).one()
    policy = by.needs.policy
    row = fact.begin(policy, export.COPY, request.tenant_id, request.subject_id, since or by.needs.clock.now())
    row |= {"request_id": request.id, "number": 1 + (number or 0), "store": store, "facts": len(facts)}
    await by.vault.prepare(request.subject_id, export.COPY, row["ends_at"])
    row |= {"last": None if last is None else _written_key(last)}
    row |= {"box": by.vault.seal(_ref(row), {"content": facts}, row["ends_at"])}
    await c.execute(insert(copy_part).values(row))


# --- fetching


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where copies lie, as role `avow_app`."""

    database: Database
    vault: Vault


async def ends_at(c: AsyncConnection, request_id: UUID, now: datetime) -> tuple[int, datetime | None]:
    """How many facts a copy holds so far, and until when it can be fetched; None: there is nothing to fetch."""
    lives = (copy_part.c.request_id == request_id, copy_part.c.ends_at > now)
    found = (await c.execute(select(func.sum(copy_part.c.facts), func.min(copy_part.c.ends_at)).where(*lives))).one()
    return found[0] or 0, found[1]


async def stores_of(on: Shelf, tenant_id: UUID, request_id: UUID, now: datetime) -> list[str]:
    """The stores of a finished copy, in its order. Raises CopyGone."""
    query = (
        select(copy_part.c.store, func.min(copy_part.c.number))
        .join(rights_request, rights_request.c.id == copy_part.c.request_id)
        .where(copy_part.c.request_id == request_id, copy_part.c.ends_at > now, rights_request.c.state == "succeeded")
        .group_by(copy_part.c.store)
        .order_by(func.min(copy_part.c.number))
    )
    async with on.database.tenant(tenant_id) as c:
        found = [row[0] for row in await c.execute(query)]
    if not found:
        raise CopyGone
    return found


async def pieces(on: Shelf, who: Actor, request_id: UUID, store: str) -> AsyncIterator[export.Facts]:
    """The facts of one store of a copy, piece by piece, opened for the person."""
    assert who.tenant_id is not None
    after: int | None = 0
    while after is not None:
        query = (
            select(copy_part)
            .where(copy_part.c.request_id == request_id, copy_part.c.store == store, copy_part.c.number > after)
            .order_by(copy_part.c.number)
            .limit(1)
        )
        async with on.database.tenant(who.tenant_id) as c:
            row = (await c.execute(query)).one_or_none()
            opened = None if row is None else await on.vault.open(c, _ref(row._asdict()), row.box, "access", who)
        if opened is not None and opened is not Gone:
            yield opened["content"]
        after = None if row is None else row.number


async def end(on: Shelf, tenant_id: UUID, request_id: UUID) -> None:
    """Delete a copy that was fetched."""
    async with on.database.tenant(tenant_id) as c:
        await c.execute(delete(copy_part).where(copy_part.c.request_id == request_id))


# --- rows and keys


async def _request(database: Database, request_id: UUID) -> Row[Any]:
    async with database.begin() as c:
        query = select(rights_request).where(rights_request.c.id == request_id, rights_request.c.kind.in_(KINDS))
        request = (await c.execute(query)).one_or_none()
    if request is None:
        raise NotFound
    return request


async def _begun(needs: Needs, request_id: UUID) -> tuple[str, Any] | None:
    """The store of the newest piece and its last key as written, if the copy was begun."""
    query = select(copy_part.c.store, copy_part.c.last).where(copy_part.c.request_id == request_id)
    async with needs.database.begin() as c:
        row = (await c.execute(query.order_by(copy_part.c.number.desc()).limit(1))).one_or_none()
    return None if row is None else (row.store, row.last)


async def _move(needs: Needs, request_id: UUID, state: requests.State, reason: str) -> None:
    async with needs.database.begin() as c:
        await requests.move(c, request_id, state, needs.clock.now(), reason=reason)


def _ref(row: Mapping[str, Any]) -> Ref:
    return Ref(row["tenant_id"], copy_part.name, export.COPY, row["id"], row["subject_id"])


_READ: Final[dict[str, Callable[[str], Any]]] = {
    "UUID": UUID,
    "int": int,
    "str": str,
    "datetime": datetime.fromisoformat,
}


def _written_key(key: Key) -> list[list[str]]:
    """A key as JSON: the type and the text of each part."""
    return [[type(part).__name__, part.isoformat() if isinstance(part, datetime) else str(part)] for part in key]


def _read_key(written: list[list[str]]) -> Key:
    return tuple(_READ[kind](text) for kind, text in written)
