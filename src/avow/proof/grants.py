"""Probes of what improves the service: what the role that makes sums may do, and whom a sum leaves out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sqlalchemy import text

from avow.base.access import ANALYST, allowed
from avow.catalog import facts, metadata
from avow.catalog.words import declaration
from avow.policy import words
from avow.privacy import purpose_rules
from avow.proof.evidence import Finding

if TYPE_CHECKING:
    from avow.proof.probes import Ground

SUMS = "usage_by_day"
LEFT_OUT = ("objection", "restriction", "one row ended", "one internal")
PLAIN = frozenset({"date", "text", "integer", "bigint"})
"""Types of columns of sums; an id and what is sealed have others."""

_GRANTS = text("""
WITH place AS (
  SELECT oid, nspname FROM pg_namespace WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND nspname NOT LIKE 'pg\\_%'
)
SELECT p.nspname || '.' || c.relname AS what, may AS how FROM pg_class c JOIN place p ON p.oid = c.relnamespace
CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS may
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND (has_table_privilege(:role, c.oid, may)
  OR (may IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') AND has_any_column_privilege(:role, c.oid, may)))
UNION ALL SELECT p.nspname || '.' || c.relname, may FROM pg_class c JOIN place p ON p.oid = c.relnamespace
CROSS JOIN unnest(ARRAY['USAGE', 'SELECT', 'UPDATE']) AS may WHERE c.relkind = 'S' AND has_sequence_privilege(:role, c.oid, may)
UNION ALL SELECT f.oid::regprocedure::text, 'EXECUTE' FROM pg_proc f JOIN place p ON p.oid = f.pronamespace
WHERE has_function_privilege(:role, f.oid, 'EXECUTE') AND has_schema_privilege(:role, p.oid, 'USAGE')
UNION ALL SELECT 'schema ' || nspname, 'CREATE' FROM place WHERE has_schema_privilege(:role, oid, 'CREATE')
UNION ALL SELECT 'database', may FROM unnest(ARRAY['CREATE', 'TEMPORARY']) AS may
WHERE has_database_privilege(:role, current_database(), may)
UNION ALL SELECT 'role ' || roleid::regrole::text, 'MEMBER' FROM pg_auth_members WHERE member = CAST(:role AS regrole)
UNION ALL SELECT 'cluster', may FROM pg_roles r, LATERAL (VALUES ('SUPERUSER', rolsuper), ('BYPASSRLS', rolbypassrls),
  ('CREATEROLE', rolcreaterole), ('CREATEDB', rolcreatedb), ('REPLICATION', rolreplication)) AS has(may, yes)
WHERE r.rolname = :role AND yes
""")
_COLUMNS = text("""
SELECT table_schema || '.' || table_name || '.' || column_name FROM information_schema.columns
WHERE (table_schema || '.' || table_name) = ANY(:places) AND data_type <> ALL(:plain)
""")


async def grants(on: Ground) -> Finding:
    """What the role may do is what was declared, by name, and no more: no table about people, no function, no other role."""
    wanted = _wanted()
    async with on.keeper.begin() as c:
        found = {(row.what, row.how) for row in await c.execute(_GRANTS, {"role": ANALYST})}
        odd = list((await c.execute(_COLUMNS, {"places": _places(wanted), "plain": sorted(PLAIN)})).scalars())
    if more := found - wanted:
        return Finding("failed", f"it may do more: {_said(more)}")
    if odd:
        return Finding("failed", f"what it reads is not a sum: {', '.join(sorted(odd)[:3])}")
    if less := wanted - found:
        return Finding("failed", f"it may not do its work: {_said(less)}")
    return Finding("proved", f"{len(found)} grants on sums, none on the {len(_about_people())} tables about people")


async def part_improvement(on: Ground) -> Finding:
    """The rules in the database are the policy's; sums for a purpose that it does not list are empty; and a group of which one
    objected, had the use restricted or whose row has ended is left out, so that nine are no sum."""
    async with on.keeper.begin() as c:
        if await purpose_rules.held(c) != purpose_rules.of(on.policy):
            return Finding("failed", "the database does not know the purposes of the policy in force")
    usage = on.policy.categories.get("usage")
    listed = [] if usage is None or usage.keep.kind == "never" else [p for p in words.SUMMED if p in usage.purposes]
    for purpose in words.SUMMED:
        seen = await on.canaries.crowd(purpose)
        whole = 10 if purpose in listed else 0
        expected = {"ten": whole, "taken back": whole, **dict.fromkeys(LEFT_OUT, 0)}
        if seen != expected:
            wrong = sorted(name for name in expected if seen.get(name) != expected[name])
            return Finding("failed", f"{purpose}: sums over the wrong people, after: {', '.join(wrong)}")
    granted = await grants(on)
    if granted.verdict != "proved":
        return granted
    serves = ", ".join(listed) or "none of these purposes"
    return Finding("proved", f"the record of use serves {serves}; {granted.figure}")


def _wanted() -> set[tuple[str, str]]:
    """What the role needs: its declared tables, and the views of sums."""
    tables = {
        (f"public.{table.name}", how) for table in metadata.sorted_tables for how in allowed(declaration(table).analyst)
    }
    return tables | {(f"for_{purpose}.{SUMS}", "SELECT") for purpose in words.SUMMED}


def _places(wanted: Iterable[tuple[str, str]]) -> list[str]:
    return sorted({what for what, _ in wanted})


def _about_people() -> list[str]:
    return sorted({table.name for table, _ in facts()})


def _said(found: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{how} on {what}" for what, how in sorted(found)[:3])
