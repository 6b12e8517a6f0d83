"""What stands behind each published sentence: the evidence of its probes, and the one verdict that they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from avow.policy import Clause, Policy, published
from avow.privacy import versions
from avow.proof.evidence import Evidence
from avow.site.layout import Site

FIRST_ROUND = timedelta(minutes=15)
"""How long after a start, or a change of the policy, a sentence without evidence is one whose first check is under way."""

HELD: Final = ("proved", "attested")
"""The verdicts under which nothing of a sentence is open."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A published sentence. `verdict`: one of evidence, `awaited` or `example`."""

    clause: Clause
    verdict: str
    evidence: tuple[Evidence, ...]

    @property
    def id(self) -> str:
        return self.clause.id

    @property
    def at(self) -> datetime | None:
        """When the oldest of its evidence was found."""
        return min((row.at for row in self.evidence), default=None)

    def text(self, locale: str) -> str:
        return self.clause.zh if locale == "zh" else self.clause.en


async def current(site: Site, policy: Policy) -> list[Sentence]:
    """Every published sentence of `policy`, which is in force, with what the last looks found."""
    async with site.database.begin() as c:
        now = await versions.one(c, policy.version)
    return await assessed(site, policy, now.in_force_at)


async def assessed(site: Site, policy: Policy, in_force_at: datetime | None) -> list[Sentence]:
    """The same, for who knows when the policy came into force: `in_force_at`."""
    seen = {row.probe: row for row in await site.evidence(policy.hash)}
    is_first = site.clock.now() - max(site.started_at, in_force_at or site.started_at) < FIRST_ROUND
    held = await site.documents()
    return [assess(clause, seen, is_first=is_first) for clause in published(policy, site.installed, held)]


def assess(clause: Clause, seen: Mapping[str, Evidence], *, is_first: bool) -> Sentence:
    """A sentence under the evidence `seen`, by the name of its probe."""
    looked, missing = list[Evidence](), 0
    for probe in clause.probes:
        found = _evidence(seen, probe, clause.id.partition(".")[2])
        looked += found
        missing += not found
    verdict = worst([row.verdict for row in looked] + ["unproved"] * missing)
    if missing and is_first and worst([row.verdict for row in looked] or ["proved"]) == "proved":
        verdict = "awaited"
    return Sentence(clause, "example" if clause.placeholder else verdict, tuple(looked))


def worst(verdicts: Sequence[str]) -> str:
    """One verdict for a sentence with several probes: failed before unproved before attested before proved."""
    for verdict in ("failed", "unproved", "attested"):
        if verdict in verdicts:
            return verdict
    return "proved" if verdicts else "unproved"


def _evidence(seen: Mapping[str, Evidence], probe: str, subject: str) -> list[Evidence]:
    """What a probe found about a sentence: about its category where it looks at each apart, else about all of them."""
    for name in (f"{probe}.{subject}", probe):
        if name in seen:
            return [seen[name]]
    return [row for name, row in seen.items() if name.startswith(f"{probe}.")]
