"""Everything that is stored about a person, opened for them: the answer to a request for access (GDPR Art. 15, 20)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from avow.base.actor import Actor
from avow.privacy.needs import Needs
from avow.privacy.stores import Fact, Store
from avow.vault import Gone, Ref, Vault


async def collect(needs: Needs, vault: Vault, tenant_id: UUID, subject_id: UUID) -> dict[str, Any]:
    """Return all facts of a person as plain JSON values, store by store. The opening is on the person's own record.

    A box whose key was destroyed is listed as `"gone": true`.
    """
    who = Actor("subject", str(subject_id), "subject", tenant_id, subject_id)
    found = {store.name: await _of_store(needs, vault, store, who, subject_id) for store in needs.stores}
    return {
        "subject": str(subject_id),
        "made_at": plain(needs.clock.now()),
        "stores": {k: v for k, v in found.items() if v},
    }


async def _of_store(needs: Needs, vault: Vault, store: Store, who: Actor, subject_id: UUID) -> list[dict[str, Any]]:
    async with needs.database.begin() as c:
        facts = [fact async for fact in store.export(c, subject_id)]
        boxes = [(_ref(fact), fact.box) for fact in facts if fact.box and fact.row_id]
        opened = await vault.open_many(c, boxes, "access", who) if boxes else []
    contents = iter(opened)
    return [_plain(fact, next(contents) if fact.box and fact.row_id else {}) for fact in facts]


def _ref(fact: Fact) -> Ref:
    assert fact.row_id is not None
    return Ref(fact.tenant_id, fact.store, fact.category, fact.row_id, fact.subject_id)


def _plain(fact: Fact, content: Any) -> dict[str, Any]:
    known: dict[str, Any] = {"category": fact.category, "id": fact.row_id, "since": fact.since, "ends_at": fact.ends_at}
    opened = {"gone": True} if content is Gone else content
    return {name: plain(value) for name, value in {**known, **fact.clear, **opened}.items()}


def plain(value: Any) -> Any:
    """A database value as JSON: ids and times as text, bytes in hexadecimal."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [plain(each) for each in value]
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)
