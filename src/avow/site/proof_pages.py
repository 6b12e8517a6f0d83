"""Routes of the proof: what stands behind each published sentence, for people and for programs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from litestar import Response, get
from litestar.datastructures import State
from litestar.params import FromPath
from sqlalchemy import Row

from avow import catalog
from avow.base.errors import NotFound
from avow.policy import words
from avow.proof import log
from avow.proof.evidence import Evidence
from avow.proof.verifier import Checkpoint
from avow.site import sentences
from avow.site.layout import Accepted, Locale, Site, locale_of, minute, page
from avow.site.words import translate


class SentenceUnknown(NotFound):
    """There is no such sentence in the policy in force."""

    code = "sentence_unknown"
    hint = "GET /api/proof/sentences lists all that are published, by their id."


@dataclass(frozen=True, slots=True)
class Signed:
    """The head of the log that an answer is proved by, and the rows of its evidence that are in it."""

    note: bytes
    head: Checkpoint
    rows: dict[Any, Row[Any]]


@get("/api/proof/sentences")
async def list_sentences(state: State) -> dict[str, Any]:
    """Every published sentence with its verdict, and the evidence of all of them with its proofs."""
    site: Site = state.site
    found = await sentences.current(site)
    seen = {row.probe: row for each in found for row in each.evidence}
    signed = await _signed(site, seen.values())
    proved = await asyncio.to_thread(lambda: {name: _evidence(site, row, signed) for name, row in seen.items()})
    listed = [{"id": each.id, "verdict": each.verdict, "evidence": [r.probe for r in each.evidence]} for each in found]
    return {
        "policy": site.policy.hash,
        "checkpoint": signed.note.decode(),
        "sentences": listed,
        "evidence": proved,
        "verify": f"curl -O {site.base_url}/proof/verify.py && python3 verify.py {site.base_url}",
    }


@get("/api/proof/sentences/{id:str}")
async def read_sentence(id: FromPath[str], state: State) -> dict[str, Any]:
    """One sentence: its words, what makes it true, what checks it, what was found, and the proof of that in the log."""
    site: Site = state.site
    found = next((each for each in await sentences.current(site) if each.id == id), None)
    if found is None:
        raise SentenceUnknown
    signed = await _signed(site, found.evidence)
    return {
        "id": found.id,
        "policy": site.policy.hash,
        "en": found.clause.en,
        "zh": found.clause.zh,
        "verdict": found.verdict,
        "controls": list(catalog.controls(found.clause)),
        "probes": list(found.clause.probes),
        "checkpoint": signed.note.decode(),
        "evidence": {row.probe: _evidence(site, row, signed) for row in found.evidence},
    }


@get("/proof", include_in_schema=False)
async def proof(state: State, locale: Locale = None, accepted: Accepted = "") -> Response[str]:
    site: Site = state.site
    chosen = locale_of(locale, accepted)
    probes: dict[str, list[dict[str, str]]] = {}
    for row in await site.evidence():
        probe, _, about = row.probe.partition(".")
        title = translate(chosen, f"category_{about}") if about in words.CATEGORIES else about
        shown = {"probe": row.probe, "about": title, "verdict": row.verdict, "figure": row.figure, "at": minute(row.at)}
        probes.setdefault(probe, []).append(shown)
    said = [(translate(chosen, f"probe_{probe}"), rows) for probe, rows in probes.items()]
    return page(site, "proof.html", locale, accepted, evidence=said)


async def _signed(site: Site, evidence: Iterable[Evidence]) -> Signed:
    note = await asyncio.to_thread(site.log.note)
    head = site.log.checkpoint(note)
    async with site.database.begin() as c:
        rows = await log.places(c, [row.leaf for row in evidence if row.leaf], head.size)
    return Signed(note, head, rows)


def _evidence(site: Site, row: Evidence, signed: Signed) -> dict[str, Any]:
    """What a probe found, and where the log has it; `log` is null while it waits to be signed."""
    told = {"verdict": row.verdict, "figure": row.figure, "at": row.at.isoformat(), "ms": row.ms}
    leaf = signed.rows.get(row.leaf)
    if leaf is None:
        return {**told, "content": None, "log": None}
    return {**told, "content": leaf.content, "log": site.log.proof(leaf.salt, leaf.place, signed.head)}


ROUTES = (proof, list_sentences, read_sentence)
