"""The records of processing (GDPR Art. 30): what is done with which data, why, who gets it, how long it stays.

Made from the catalog (what is stored), the policy (why and how long) and the register (who gets what); beside them stands
what was observed to go out. What was observed and stands in no entry that holds is drift.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from avow import catalog
from avow.policy import Category, Policy, periods, words
from avow.policy.model import Part
from avow.registers import book, broker, entries
from avow.registers.book import Kept
from avow.vault import Vault


async def records(c: AsyncConnection, vault: Vault) -> dict[str, Any]:
    """The records as plain JSON values; `c` as the keeper, or the platform's own tenant."""
    policy, now = vault.policy, vault.clock.now()
    held = [
        kept for kept in await book.listed(c) if await book.refusal_of(c, vault, kept, now) is None and not kept.refusal
    ]
    flows = await broker.flows(c)
    return {
        "made_at": now.isoformat(),
        "policy": {"name": policy.name, "version": policy.version, "hash": policy.hash},
        "controller": _values(policy.parts.get("operator")),
        "contacts": {part.name: part.values["email"] for part in policy.named("contact")},
        "activities": [_activity(policy, category, held) for category in policy.categories.values()],
        "recipients": [_processor(part) for part in policy.named("processor")] + [_entry(kept) for kept in held],
        "transfers": [{"instrument": part.name, **_values(part)} for part in policy.named("transfer")],
        "security": [clause.en for clause in policy.clauses if clause.id.startswith(("security.", "claim."))],
        "observed": [{name: str(value) for name, value in flow.items()} for flow in flows],
        "drift": drift(policy, held, flows),
    }


def drift(policy: Policy, held: Sequence[Kept], flows: Sequence[dict[str, Any]]) -> list[str]:
    """The hosts that were spoken with under an entry that does not hold now."""
    known = {kept.entry.name for kept in held} | {part.name for part in policy.named("processor")} | {entries.OWN}
    return sorted(f"{flow['part']}: {flow['host']}" for flow in flows if flow["entry"] not in known)


def _activity(policy: Policy, category: Category, held: Sequence[Kept]) -> dict[str, Any]:
    """One kind of data as one activity (Art. 30(1)(b)–(f))."""
    getting = [part.name for part in policy.named("processor") if category.name in part.values["categories"]]
    getting += [kept.entry.name for kept in held if category.name in kept.entry.fields]
    keep = category.keep
    return {
        "category": category.name,
        "what": words.CATEGORIES[category.name].en.rstrip(","),
        "subjects": "people who use the service",
        "fields": [name for name in category.fields if name not in category.without],
        "purposes": [words.PURPOSES[name].en for name in category.purposes],
        "basis": words.BASES[category.basis].en,
        "recipients": getting,
        "kept": periods.en(keep)
        if keep.kind == "period"
        else {"life": "as long as the account"}.get(keep.kind, "not at all"),
        "stores": sorted({each.store for each in catalog.holdings() if each.category == category.name}),
    }


def _processor(part: Part) -> dict[str, Any]:
    return {"name": part.name, "basis": "provider", **_values(part)}


def _entry(kept: Kept) -> dict[str, Any]:
    """An entry without anything about a person: what it is about stays with them."""
    entry = kept.entry
    said = {"name": entry.name, "recipient": entry.recipient, "basis": entry.basis, "purpose": entry.purpose}
    fields = {name: list(fields) for name, fields in entry.fields.items()}
    return {**said, "categories": fields, "region": entry.region, "host": entry.host, "instrument": entry.instrument}


def _values(part: Part | None) -> dict[str, Any]:
    if part is None:
        return {}
    return {name: value if isinstance(value, str | bool | int) else _said(value) for name, value in part.values.items()}


def _said(value: Any) -> Any:
    if isinstance(value, tuple):
        return [str(each) for each in value]
    return periods.en(value) if value.kind == "period" else value.kind
