"""Every period of every profile: a fact is there a second before its end, goes with the sweep at its end, and its key
goes when the hour is over in which it ended."""

from __future__ import annotations

import re
import tomllib
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import CheckConstraint, Column, DateTime, LargeBinary, Numeric, Table, Text, Uuid, func, insert, select
from sqlalchemy.dialects.postgresql import JSONB

from avow import catalog
from avow.base.ids import uuid7
from avow.policy import Policy, parse
from avow.privacy import retention
from avow.privacy.needs import Needs
from avow.vault import Gone, Ref, box, fact
from avow.vault.ring import slot_of
from tests.privacy.scratch import PROFILE, Person

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
STARTS = {
    "default": "2028-02-29T23:59:59.999999",  # a leap day
    "deepailab": "2027-01-31T00:00:00",  # a month's end, and an hour's begin
    "infiner": "2026-10-25T00:30:00",  # the night in which Europe's clocks go back
    "infer-mesh": "2027-03-28T00:59:59",  # the night in which they go forward
    "imaginprompt": "2027-12-31T23:00:00",  # a year's end
    "imagine-trooper": "2028-02-29T12:34:56.789",
}


def ends(text: str, since: datetime) -> datetime | None:
    """When a period of a profile ends, worked out here once more; None for what has no end or is not stored."""
    found = re.fullmatch(r"(?:at most |at least )?(\d+) (hour|day|month|year)s?", text)
    if found is None:
        return None
    amount, unit = int(found[1]), found[2]
    if unit in ("hour", "day"):
        return since + timedelta(hours=amount * (24 if unit == "day" else 1))
    years, month = divmod(since.month - 1 + amount * (12 if unit == "year" else 1), 12)
    year = since.year + years
    return since.replace(year=year, month=month + 1, day=min(since.day, monthrange(year, month + 1)[1]))


def facts_with_an_end(policy: Policy) -> Iterator[tuple[Table, catalog.Personal]]:
    """The tables of the product whose facts have a period under a policy, parents before children."""
    for table, held in reversed(list(catalog.facts())):
        if not table.name.startswith("scratch_") and policy.categories[held.category].keep.kind == "period":
            yield table, held


def any_value(table: Table, column: Column[Any]) -> Any:
    """Something that a column takes."""
    for rule in table.constraints:
        if isinstance(rule, CheckConstraint) and (known := re.match(rf"{column.name} IN \('(\w+)'", str(rule.sqltext))):
            return known[1]
    kinds = (
        (Uuid, uuid7()),
        (DateTime, datetime(2026, 1, 1, tzinfo=UTC)),
        (LargeBinary, b"x"),
        (JSONB, {}),
        (Text, "x"),
    )
    return next((value for kind, value in kinds if isinstance(column.type, kind)), 0 if not _is_float(column) else 0.0)


def _is_float(column: Column[Any]) -> bool:
    return isinstance(column.type, Numeric)


def new_row(
    on: Needs, ada: Person, table: Table, category: str, since: datetime, ids: dict[str, Any]
) -> dict[str, Any]:
    begun = fact.begin(on.policy, category, ada.tenant_id, ada.id, since)
    row = {name: value for name, value in begun.items() if name in table.c}
    for column in table.c:
        if column.name not in row and not column.nullable and column.identity is None:
            parents = [key.column.table.name for key in column.foreign_keys]
            row[column.name] = ids[parents[0]] if parents else any_value(table, column)
    return row


@pytest.mark.parametrize("profile", STARTS)
async def test_each_period_to_the_second(on: Needs, profile: str) -> None:
    path = PROFILE.parent / f"{profile}.toml"
    on = replace(on, policy=parse(path.read_text()))
    written = {name: rule["keep"] for name, rule in tomllib.loads(path.read_text())["category"].items()}
    ada, since = Person(), datetime.fromisoformat(STARTS[profile]).replace(tzinfo=UTC)
    ends_of: dict[datetime, list[Table]] = {}
    boxes: dict[datetime, list[tuple[Ref, bytes]]] = {}
    ids: dict[str, Any] = {}
    for table, held in facts_with_an_end(on.policy):
        if table.name in ids:
            continue
        row = new_row(on, ada, table, held.category, since, ids)
        assert row["ends_at"] == ends(written[held.category], since), held.category
        ids[table.name] = row.get("id")
        if held.box:
            ref = Ref(ada.tenant_id, table.name, held.category, row["id"], ada.id)
            key = on.ring.fact_key(ada.id, held.category, row["ends_at"], create=True)
            assert key is not None
            row[held.column] = box.seal(AESGCM(key), ref, b'{"a":1}', slot_of(row["ends_at"]))
            boxes.setdefault(row["ends_at"], []).append((ref, row[held.column]))
        async with on.database.begin() as c:
            await c.execute(insert(table).values(row))
        ends_of.setdefault(row["ends_at"], []).append(table)
    assert {"usage", "charge", "audit", "rights_request", "outbox", "copy_part"} <= ids.keys()
    for end, tables in sorted(ends_of.items()):
        await retention.sweep(on, end - SECOND, confirm_clock=True)
        assert await counts(on, ada, tables) == dict.fromkeys((table.name for table in tables), 1), end
        assert all(opened(on, *sealed) is not Gone for sealed in boxes.get(end, ()))
        await retention.sweep(on, end, confirm_clock=True)
        assert await counts(on, ada, tables) == dict.fromkeys((table.name for table in tables), 0), end
        over = end.replace(minute=0, second=0, microsecond=0) + HOUR
        await retention.sweep(on, over, confirm_clock=True)
        assert all(opened(on, *sealed) is Gone for sealed in boxes.get(end, ()))


async def counts(on: Needs, ada: Person, tables: list[Table]) -> dict[str, int]:
    async with on.database.begin() as c:
        queries = {t.name: select(func.count()).select_from(t).where(t.c.subject_id == ada.id) for t in tables}
        return {name: (await c.execute(query)).scalar_one() for name, query in queries.items()}


def opened(on: Needs, ref: Ref, sealed: bytes) -> Any:
    on.ring.clear()
    return box.unseal(on.ring.key(ref.subject_id, ref.category, box.slot(sealed)), ref, sealed)


def test_every_profile_has_a_start() -> None:
    assert {path.stem for path in Path(PROFILE.parent).glob("*.toml")} == set(STARTS)
