"""What `avow policy check` and `avow policy render` say of a sound policy (`privacy.remarks`): what is not published here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from avow.policy import Policy, placeholders, render, unpublishable, words

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
    count = sum(len(each.clauses) for each in waiting)
    yield f"{policy.source}: sound; version {policy.version}, hash {policy.hash}"
    yield f"{len(policy.clauses) - count} of {len(policy.clauses)} sentences are published here."
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
    here = {sentence.clause for sentence in render(policy, locale, installed).sentences}
    documents = frozenset(str(clause.evidence) for clause in policy.clauses if clause.evidence)
    page = render(policy, locale, policy.features, documents)
    features = {clause.id: clause.feature for clause in policy.clauses}
    yield from (line for line in (page.date, page.note) if line)
    for sentence in page.sentences:
        waits = "" if sentence.clause in here else f"  [not published here: {features[sentence.clause]}]"
        yield f"{sentence.text}{waits}"
