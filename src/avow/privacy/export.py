"""What is stored about a person, store by store, opened for them (GDPR Art. 15 and 20).

A loop over the catalog: a table that is declared is in the copy. Secrets and their digests are left out, and what a copy
that is being made has collected already.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.actor import COMMAND, Actor
from avow.base.progress import Told, each, nobody
from avow.policy import Policy
from avow.privacy import silence
from avow.privacy.needs import Needs
from avow.privacy.stores import Fact, Key, Store
from avow.vault import Gone, Ref, Vault

COPY = "copy"
FROM_THE_PERSON = frozenset({"user", "automatic"})
"""Sources of what somebody takes along: what they gave, and what their use of the service left (Art. 20; WP 242 rev.01)."""
GIVEN = frozenset(
    {"account", "api_content", "usage", "consent", "conversation", "generation", "profile", "model", "dataset"}
)
"""The same where a policy does not name the source of a category."""

SILENT = "silent until "
"""How whoever opens under a legal process that forbids to tell the person is named, before the day (UTC) from which they may
know."""

Extent = Literal["access", "port"]
Facts = list[dict[str, Any]]


def categories(policy: Policy, extent: Extent) -> frozenset[str]:
    """What the copy holds: everything, or what the person takes along."""
    rules = {name: rule for name, rule in policy.categories.items() if name != COPY}
    if extent == "access":
        return frozenset(rules)
    return frozenset(
        name for name, rule in rules.items() if (rule.source in FROM_THE_PERSON if rule.source else name in GIVEN)
    )


def within(stores: Iterable[Store], wanted: frozenset[str]) -> list[Store]:
    """The stores in which something of the wanted categories may lie."""
    return [store for store in stores if wanted & {*store.categories}]


async def collect(
    needs: Needs, vault: Vault, tenant_id: UUID, subject_id: UUID, reason: str, told: Told = nobody
) -> dict[str, Any]:
    """Return all facts of a person as plain JSON values, store by store, for whoever is at the terminal.

    The opening is on the person's record with its `reason`, as one of staff in their place and not as their own. A box whose
    key was destroyed is listed as `"gone": true`.
    """
    in_their_place = Actor(COMMAND.kind, COMMAND.id, "subject", tenant_id, subject_id)
    wanted = categories(needs.policy, "access")
    found: dict[str, Facts] = {}
    for store in each(within(needs.stores, wanted), told, attrgetter("name")):
        after, more = None, True
        while more:
            async with needs.database.begin() as c:
                facts, after = await page(c, vault, store, in_their_place, wanted, after, reason)
            found.setdefault(store.name, []).extend(facts)
            more = after is not None
    held = {name: facts for name, facts in found.items() if facts}
    return {"subject": str(subject_id), "made_at": plain(needs.clock.now()), "stores": held}


async def page(
    c: AsyncConnection,
    vault: Vault,
    store: Store,
    who: Actor,
    wanted: frozenset[str],
    after: Key | None,
    reason: str | None = None,
) -> tuple[Facts, Key | None]:
    """Some facts of a person in a store, opened for `who` (they themselves, or somebody in their place), and the key after
    which more come."""
    assert who.subject_id is not None
    found = await store.export(c, who.subject_id, after)
    now = vault.clock.now()
    facts = [fact for fact in found.facts if fact.category in wanted and not is_silent(fact.clear, now)]
    boxes = [(_ref(fact), fact.box) for fact in facts if fact.box and fact.row_id]
    contents = iter(await vault.open_many(c, boxes, "access", who, reason) if boxes else [])
    return [_plain(fact, next(contents) if fact.box and fact.row_id else {}) for fact in facts], found.last


def is_silent(clear: Mapping[str, Any], now: datetime) -> bool:
    """Whether a legal process forbids to show this to its person at `now`."""
    until = clear.get("silent_until")
    if isinstance(until, datetime):
        return until > now and silence.is_lawful(until, str(clear["basis"]), _process_until(clear["terms"]))
    _, found, day = str(clear.get("actor", "")).partition(f":{SILENT}")
    return bool(found) and datetime.fromisoformat(day).replace(tzinfo=UTC) > now


def _process_until(terms: Mapping[str, Any]) -> datetime | None:
    process = terms.get("process")
    return None if process is None else datetime.fromisoformat(process["valid_until"])


def _ref(fact: Fact) -> Ref:
    assert fact.row_id is not None
    return Ref(fact.tenant_id, fact.store, fact.category, fact.row_id, fact.subject_id)


def _plain(fact: Fact, content: Any) -> dict[str, Any]:
    known: dict[str, Any] = {"category": fact.category, "id": fact.row_id, "since": fact.since, "ends_at": fact.ends_at}
    opened = {"gone": True} if content is Gone else content
    shown = {name: value for name, value in {**fact.clear, **opened}.items() if name not in fact.secret}
    return {name: plain(value) for name, value in {**known, **shown}.items()}


def plain(value: Any) -> Any:
    """A database value as JSON: ids and times as text, bytes as the text that they are or in hexadecimal."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return _document(value)
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [plain(each) for each in value]
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)


def _document(value: bytes) -> Any:
    """A signed receipt is JSON, and shown as that."""
    try:
        return json.loads(value)
    except ValueError:
        return value.hex()
