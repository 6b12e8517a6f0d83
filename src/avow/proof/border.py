"""Probes of the registers: the documents that stand behind claims, what goes to others, and where everything stands."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from avow.base.actor import KEEPER, PLATFORM
from avow.base.errors import AvowError
from avow.proof.evidence import Finding
from avow.registers import book, documents, incidents, places, ropa
from avow.registers.book import Whose
from avow.registers.broker import Blocked, Broker
from avow.registers.entries import Entry

if TYPE_CHECKING:
    from avow.proof.probes import Ground


async def part_evidence(on: Ground) -> dict[str, Finding]:
    """Of each sentence that rests on a document: whether one is held, unchanged and valid. A sentence of which there was
    never a document is not published, and nothing is said of it."""
    await documents.look(on.shelf)
    async with on.keeper.begin() as c:
        known = await documents.newest(c, on.clock.now())
    found = {}
    for clause in on.policy.clauses:
        if clause.evidence is not None and clause.evidence in known:
            became, row = known[clause.evidence]
            said = f"{row.issuer}, valid until {row.valid_until:%Y-%m-%d}, SHA-256 {row.sha256[:16]}"
            name = clause.id.partition(".")[2]
            if became == "valid":
                found[name] = Finding("attested", said)
            else:
                broken = became in ("missing", "changed")
                found[name] = Finding("failed" if broken else "unproved", f"{became}: {said}; not published")
    return found


PROBE = "probe"
FORBIDDEN = ("sale", "rent", "trade", "marketing")


async def part_disclosures(on: Ground) -> Finding:
    """A host that nobody entered cannot be connected to; an entry on a ground that the policy lacks is refused and on record;
    nothing else was blocked lately, and nothing went out under an entry that does not hold."""
    host = f"{secrets.token_hex(8)}.invalid"
    async with Broker(on.app, on.vault).client(PROBE) as http:
        try:
            await http.get(f"https://{host}/")
            return Finding("failed", "a host that nobody entered was connected to")
        except Blocked:
            pass
    async with on.app.tenant(PLATFORM) as c:
        noted = await incidents.listed(c, only_open=True, after=None, limit=100)
        tried = await c.begin_nested()
        refused = [
            await book.propose(c, on.vault, KEEPER, PROBE, _forbidden(host, basis), Whose()) for basis in FORBIDDEN
        ]
        await tried.rollback()
    async with on.keeper.begin() as c:
        await incidents.settle(c, "egress", host, on.clock.now())
        drift = (await ropa.records(c, on.vault))["drift"]
    if host not in {each.about for each in noted}:
        return Finding("failed", "the blocked connection was noted nowhere")
    if set(refused) != {"basis"}:
        return Finding("failed", f"entries for {', '.join(FORBIDDEN)} were answered {refused}")
    others = sorted({each.about for each in noted if each.kind == "egress" and each.part != PROBE})
    if drift or others:
        return Finding("failed", f"not in the register: {', '.join([*drift, *others][:5])}")
    return Finding(
        "proved", "an unknown host blocked and noted, forbidden grounds refused, nothing else outside the register"
    )


def _forbidden(host: str, basis: str) -> Entry:
    told: dict[str, tuple[str, ...]] = {"account": ("email",)}
    return Entry(
        name=f"{PROBE}-{host[:8]}-{basis}",
        to=PROBE,
        recipient=PROBE,
        basis=basis,
        purpose="service",
        fields=told,
        region="",
        host=host,
    )


async def part_regions(on: Ground) -> Finding:
    """Every part of the platform, and every outside party that is named, is in a country that the policy allows; people can
    read where."""
    try:
        places.check(on.policy, on.places, must_be_said=True)
    except AvowError as refused:
        return Finding("failed", refused.sentence)
    async with on.keeper.begin() as c:
        flows = (await ropa.records(c, on.vault))["recipients"]
    regions = on.policy.parts["regions"].values
    wrong = [
        each["name"] for each in flows if each["region"] not in regions["countries"] and regions["mode"] != "listed"
    ]
    async with on.http() as http:
        page = await http.get("/privacy/data", params={"locale": "en"})
    if wrong or 'id="places"' not in page.text:
        return Finding("failed", f"elsewhere: {', '.join(wrong[:5]) or 'the page does not say where the parts stand'}")
    return Finding("proved", ", ".join(sorted({place.region for place in on.places})))
