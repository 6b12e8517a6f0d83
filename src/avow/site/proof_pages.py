"""Routes of the proof: what stands behind each published sentence, for people and for programs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, get
from litestar.datastructures import State
from litestar.params import PathParameter
from sqlalchemy import Row

from avow import catalog
from avow.base.errors import NotFound
from avow.policy import words
from avow.policy.periods import minute
from avow.privacy import versions
from avow.proof import journey, log
from avow.proof.evidence import Evidence, Verdict
from avow.proof.journey import Step
from avow.proof.verifier import Checkpoint
from avow.site import policy_pages, sentences
from avow.site.layout import Site, page
from avow.site.reader import Reading
from avow.site.sentences import Sentence
from avow.site.words import WORDS, translate


class SentenceUnknown(NotFound):
    """There is no such sentence in the policy in force."""

    code = "sentence_unknown"
    hint = "GET /api/proof/sentences lists all that are published, by their id."


class Found(msgspec.Struct):
    """What a probe found last, under the policy in force; older than a day, it is `unproved`."""

    probe: str
    verdict: Verdict
    figure: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Signed:
    """The head of the log that an answer is proved by, and the rows of its evidence that are in it."""

    note: bytes
    head: Checkpoint
    rows: dict[Any, Row[Any]]


@dataclass(frozen=True, slots=True)
class Unfolded:
    """A sentence on the page with all that stands behind it; `rows` are those of its probes."""

    id: str
    text: str
    verdict: str
    age: str
    controls: tuple[str, ...]
    rows: list[dict[str, Any]]


@get("/api/evidence")
async def read_evidence(state: State) -> list[Found]:
    """What each probe found last, as `/proof` shows it."""
    site: Site = state.site
    return [Found(each.probe, each.verdict, each.figure, each.at) for each in await site.evidence(site.policy.hash)]


@get("/api/proof/sentences")
async def list_sentences(state: State) -> dict[str, Any]:
    """Every published sentence with its verdict, and the evidence of all of them with its proofs."""
    site: Site = state.site
    policy = site.policy
    found = await sentences.current(site, policy)
    seen = {row.probe: row for each in found for row in each.evidence}
    async with site.database.begin() as c:
        leaf = await versions.leaf(c, policy.hash)
    signed = await _signed(site, [row.leaf for row in seen.values()] + [leaf])
    proved = await asyncio.to_thread(lambda: {name: _evidence(site, row, signed) for name, row in seen.items()})
    listed = [{"id": each.id, "verdict": each.verdict, "evidence": [r.probe for r in each.evidence]} for each in found]
    return {
        "policy": policy.hash,
        "in_force": _proved(site, leaf, signed),
        "checkpoint": signed.note.decode(),
        "sentences": listed,
        "evidence": proved,
        "verify": f"curl -O {site.base_url}/proof/verify.py && python3 verify.py {site.base_url}",
    }


SentenceId = Annotated[str, PathParameter(max_length=100)]


@get("/api/proof/sentences/{id:str}")
async def read_sentence(id: SentenceId, state: State) -> dict[str, Any]:
    """One sentence: its words, what makes it true, what checks it, what was found, and the proof of that in the log."""
    site: Site = state.site
    policy = site.policy
    found = next((each for each in await sentences.current(site, policy) if each.id == id), None)
    if found is None:
        raise SentenceUnknown
    signed = await _signed(site, [row.leaf for row in found.evidence])
    return {
        "id": found.id,
        "policy": policy.hash,
        "en": found.clause.en,
        "zh": found.clause.zh,
        "verdict": found.verdict,
        "controls": list(catalog.controls(found.clause)),
        "probes": list(found.clause.probes),
        "checkpoint": signed.note.decode(),
        "evidence": {row.probe: _evidence(site, row, signed) for row in found.evidence},
    }


@get("/proof", include_in_schema=False)
async def proof(state: State, reader: Reading) -> Response[str]:
    """Everything that stands behind the published sentences, for people; no script is needed to unfold it."""
    site: Site = state.site
    policy, chosen, now = reader.policy, reader.locale, site.clock.now()
    found, evidence = await sentences.current(site, policy), await site.evidence(policy.hash)
    signed = await _signed(site, [row.leaf for row in evidence])
    async with site.database.begin() as c:
        steps = await journey.newest(c)
    rows = _by_probe(evidence, chosen)
    return page(
        *(site, "proof.html", reader),
        evidence=[(translate(chosen, f"probe_{probe}"), each) for probe, each in rows.items()],
        groups=policy_pages.grouped([_unfolded(each, signed, now, chosen) for each in found], chosen),
        proved=sum(each.verdict == "proved" for each in found),
        count=len(found),
        all_held=all(each.verdict in sentences.HELD for each in found),
        oldest=_age(min((each.at for each in found if each.at), default=None), now, chosen),
        unpublished=len(policy.clauses) - len(found),
        head=signed.head,
        journey=[_step(each, chosen) for each in steps],
        journey_state=journey.state(steps, now),
        ages=rows.get("oldest_fact", ()),
        requests=rows.get("deadlines", ()),
    )


def _by_probe(evidence: Iterable[Evidence], locale: str) -> dict[str, list[dict[str, Any]]]:
    """What each probe found, by its name; of one that looks at each category apart, several."""
    probes: dict[str, list[dict[str, Any]]] = {}
    for row in evidence:
        probe, _, about = row.probe.partition(".")
        if f"probe_{probe}" not in WORDS:  # of a probe that there was once
            continue
        title = translate(locale, f"category_{about}") if about in words.CATEGORIES else about
        shown = {
            "probe": row.probe,
            "about": title,
            "verdict": row.verdict,
            "figure": row.figure,
            "at": minute(row.at, locale),
        }
        probes.setdefault(probe, []).append(shown)
    return probes


def _unfolded(one: Sentence, signed: Signed, now: datetime, locale: str) -> Unfolded:
    """A sentence with all that stands behind it, as the page unfolds it."""
    rows = [
        {
            "probe": row.probe,
            "says": translate(locale, f"probe_{row.probe.partition('.')[0]}"),
            "verdict": row.verdict,
            "figure": row.figure,
            "at": minute(row.at, locale),
            "place": signed.rows[row.leaf].place if row.leaf in signed.rows else None,
        }
        for row in one.evidence
    ]
    seen = {row.probe.partition(".")[0] for row in one.evidence}
    rows += [
        {
            "probe": probe,
            "says": translate(locale, f"probe_{probe}"),
            "verdict": "unproved",
            "figure": translate(locale, "proof_never"),
            "at": "",
            "place": None,
        }
        for probe in one.clause.probes
        if probe not in seen
    ]
    age, controls = _age(one.at, now, locale), catalog.controls(one.clause)
    return Unfolded(one.id, one.text(locale), one.verdict, age, controls, rows)


def _step(step: Step, locale: str) -> dict[str, Any]:
    return {
        "says": translate(locale, f"step_{step.name}"),
        "state": step.state,
        "figure": step.figure,
        "at": minute(step.at, locale),
    }


def _age(at: datetime | None, now: datetime, locale: str) -> str:
    """How long ago something was: in days from two on, else in hours or minutes."""
    if at is None:
        return translate(locale, "age_never")
    minutes = int((now - at).total_seconds() // 60)
    for unit, length in (("days", 2880), ("hours", 60), ("minutes", 1)):
        if minutes >= length:
            return translate(locale, f"age_{unit}").format(n=minutes // min(length, 1440))
    return translate(locale, "age_now")


async def _signed(site: Site, leaves: Iterable[UUID | None]) -> Signed:
    note = await asyncio.to_thread(site.log.note)
    head = site.log.checkpoint(note)
    async with site.database.begin() as c:
        rows = await log.places(c, [leaf for leaf in leaves if leaf], head.size)
    return Signed(note, head, rows)


def _evidence(site: Site, row: Evidence, signed: Signed) -> dict[str, Any]:
    """What a probe found, and where the log has it; `log` is null while it waits to be signed."""
    told = {"verdict": row.verdict, "figure": row.figure, "at": row.at.isoformat(), "ms": row.ms}
    return told | (_proved(site, row.leaf, signed) or {"content": None, "log": None})


def _proved(site: Site, leaf: UUID | None, signed: Signed) -> dict[str, Any] | None:
    """What a leaf says and the proof that it is in the log; None while it waits."""
    row = signed.rows.get(leaf)
    return row and {"content": row.content, "log": site.log.proof(row.salt, row.place, signed.head)}


ROUTES = (proof, read_evidence, list_sentences, read_sentence)
