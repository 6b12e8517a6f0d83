"""A plan in lines of text, for the operator at a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from avow.policy import Keep, periods
from avow.privacy.outlook import Outlook
from avow.privacy.plans import Applied
from avow.privacy.shortening import Cut

KEEPS = {"life": "life of the account", "never": "not stored", "period": ""}
PARTS_OF_A_KEEP = 5
KEY_WITHIN = timedelta(hours=1, minutes=10)
"""The key of an hour is destroyed by the first sweep after it, and sweeps come every ten minutes."""


def lines(found: Outlook) -> Iterator[str]:
    """What a change would do, one thing in each line."""
    when = "as soon as it is applied" if found.effective_at is None else f"on {found.effective_at:%Y-%m-%d %H:%M} UTC"
    yield f"Version {found.number}, hash {found.hash}; it takes effect {when}."
    if found.effective_at is not None:
        yield "Until then only what is stricter in it holds, as soon as it is applied."
    for change in found.change.changes:
        yield f"{change.direction:10} {change.path}: {_said(change.old)} -> {_said(change.new)}"
    for sentence in found.change.sentences:
        yield f"{sentence.locale} {sentence.clause}"
        yield from (f"   {sign} {text}" for sign, text in (("-", sentence.old), ("+", sentence.new)) if text)
    yield from (_cut(cut) for cut in found.cuts)
    for category in found.stricter:
        yield f"What is stored of {category} already keeps the shorter period; only new facts have the longer one."
    for lapse in found.lapses:
        yield f"{lapse.people} consents to {lapse.purpose} lapse."
    for party in found.processors:
        yield f"{party.name} gets no {', '.join(party.loses)} any more; there are {party.facts} such facts now."
    ways = ", ".join(found.notice.channels) or "no way that the policy in force names"
    yield f"Told of a change ({found.notice.kind}) by: {ways}; people told one by one: {found.notice.people}."
    if found.destructive:
        yield "This takes data away that is there, so two operators stand behind it."


def result_lines(made: Applied, done: dict[str, list[int]]) -> Iterator[str]:
    """What became of a plan that was applied and carried out."""
    state = (
        "is in force" if made.in_force else f"is published and takes effect on {made.effective_at:%Y-%m-%d %H:%M} UTC"
    )
    yield f"Version {made.number} {state}."
    for what, (planned, found) in made.drift.items():
        yield f"Since the plan was made, {what}: {planned} -> {found}"
    for store, (shorter, expired) in done.items():
        yield f"{shorter:7} facts in {store} end sooner, {expired} of them now."


def _said(value: object) -> str:
    """A value of a policy as its file says it, more or less."""
    if value is None or value == []:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_said(each)}" for name, each in value.items())
    if not isinstance(value, list):
        return str(value)
    if value[0] in KEEPS and len(value) >= PARTS_OF_A_KEEP:
        return KEEPS[value[0]] or periods.en(Keep(*value[:PARTS_OF_A_KEEP]))
    return ", ".join(map(str, value))


def _cut(cut: Cut) -> str:
    line = f"{cut.shortened:7} facts in {cut.store} ({', '.join(cut.categories)}) end sooner, {cut.expired} of them at once"
    keys = []
    if cut.keys_until is not None:
        keys.append(f"by {cut.keys_until.replace(minute=0, second=0, microsecond=0) + KEY_WITHIN:%Y-%m-%d %H:%M} UTC")
    if cut.keys_of_account:
        keys.append("with their accounts")
    return line + (f"; rows go then, their keys {' or '.join(keys)}." if keys else ".")
