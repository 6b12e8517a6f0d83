"""What `avow policy check` and `avow policy render` say of a sound policy (`privacy.remarks`): what is not published here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from avow.policy import Clause, Policy, placeholders, render, unpublishable, words

WHY = {
    "regions": "nobody said in which country this machine stands: AVOW_REGION",
    "tls": "no certificate is set: AVOW_TLS_CERT and AVOW_TLS_KEY",
}


@dataclass(frozen=True, slots=True)
class Unconfigured:
    """A part that a policy names and this version of Avow lacks, why, and the sentences that wait for it."""

    part: str
    why: str
    clauses: tuple[str, ...]


class Counts(NamedTuple):
    """How many sentences a policy has, how many are published here without a document, and how many as long as a document of
    `evidence` stands behind each; the rest waits for parts."""

    sentences: int
    published: int
    evidence: int


def counts(policy: Policy, installed: frozenset[str]) -> Counts:
    """What a policy would publish where the parts `installed` are, whatever documents a home has."""
    there = [clause for clause in policy.clauses if clause.feature is None or clause.feature in installed]
    documented = sum(clause.evidence is not None for clause in there)
    return Counts(len(policy.clauses), len(there) - documented, documented)


def documents(policy: Policy, installed: frozenset[str]) -> dict[str, list[str]]:
    """The sentences that need a document and wait for no part, by the document's name."""
    found: dict[str, list[str]] = {}
    for clause in policy.clauses:
        if clause.evidence is not None and (clause.feature is None or clause.feature in installed):
            found.setdefault(clause.evidence, []).append(clause.id)
    return found


def unconfigured(policy: Policy, installed: frozenset[str]) -> list[Unconfigured]:
    """The parts of a policy that are not there, in the order of their names."""
    return [
        Unconfigured(
            part,
            WHY.get(part, f"this version has not: {words.PARTS.get(part, part)}"),
            tuple(clause.id for clause in policy.clauses if clause.feature == part),
        )
        for part in sorted(policy.features - installed)
    ]


def lines(policy: Policy, here: frozenset[str]) -> Iterator[str]:
    """Everything that is to be said of a sound policy: what is not published here, what is an example, what is stale."""
    waiting = unconfigured(policy, here)
    count = counts(policy, here)
    yield f"{policy.source}: sound; version {policy.version}, hash {policy.hash}"
    yield f"{count.published} of {count.sentences} sentences are published here."
    if count.evidence:
        yield f"\n{count.evidence} more while a valid document stands behind each (avow evidence add):"
    yield from (f"  {name}: {', '.join(ids)}" for name, ids in documents(policy, here).items())
    if waiting:
        yield "\nNot configured, so not published:"
    for each in waiting:
        yield f"  {each.part:14} {each.why}"
        yield from ([f"  {'':14} {', '.join(each.clauses)}"] if each.clauses else [])
    examples = placeholders(policy)
    if examples:
        yield "\nExamples, which `avow serve` refuses to publish as yours:"
        yield f"  {', '.join(each.path for each in examples)}"
    known = {each.path for each in examples}
    rest = [each for each in unpublishable(policy) if each.path not in known]
    if rest:
        yield "\nBefore it is published:"
    yield from (f"  {each.path}: {each.sentence} {each.hint}" for each in rest)


def rendered(policy: Policy, locale: str, installed: frozenset[str]) -> Iterator[str]:
    """The page in one language where every part exists; a sentence that is not published here says what it waits for."""
    named = frozenset(str(clause.evidence) for clause in policy.clauses if clause.evidence)
    page = render(policy, locale, policy.features, named)
    waits = {clause.id: _waits(clause, installed) for clause in policy.clauses}
    yield from (line for line in (page.date, page.note) if line)
    yield from (f"{sentence.text}{waits[sentence.clause]}" for sentence in page.sentences)


def _waits(clause: Clause, installed: frozenset[str]) -> str:
    if clause.feature is not None and clause.feature not in installed:
        return f"  [not published here: {clause.feature}]"
    return f"  [published with the document {clause.evidence}]" if clause.evidence else ""
