"""An entry of the register: who gets which data, on what ground. And the rules that it must stand, before and at each use.

Values only. An entry that breaks a rule is refused with the rule's name; one that stood and stands no more, because the
policy changed, a consent was taken back or a date came, is refused the next time that it is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import msgspec

from avow.base.errors import AvowError
from avow.policy import Policy, words
from avow.policy.terms import EU
from avow.privacy import silence

OWN: Final = "own"
"""The ground of a machine of the operator's own that stands elsewhere: no outside party sees anything."""
GROUNDS: Final = (OWN, "provider", "legal", "corporate", "protection", "public_safety", "interest", "consent")
"""All that a register entry can rest on. The policy says which of them hold: `[share.NAME]`."""
APPROVERS: Final[Mapping[str, int]] = {"legal": 2, "corporate": 2, "protection": 1, "public_safety": 1, "interest": 1}
"""How many operators stand behind an entry besides whoever made it."""
NEEDS_PERSON: Final = frozenset({"legal", "protection", "public_safety", "interest", "consent"})
"""Grounds on which data of one person goes."""
OVER_RESTRICTION: Final = frozenset({"legal", "consent", "protection", "public_safety"})
"""Grounds that a restriction leaves open (GDPR Art. 18(2))."""
CONTENT: Final = frozenset({"api_content", "cache", "conversation", "generation", "dataset", "support"})
"""Categories that hold what people write: whoever gets them is bound to train nothing with it."""
SHARING: Final = "sharing"
LAPSES: Final = frozenset({"not_approved"})
"""What keeps an entry from being used, and yet does not refuse it for good."""


class EntryRefused(AvowError):
    """The register takes no such entry."""

    status = 422
    code = "entry_refused"
    hint = "The answer names the rule that it broke; docs/reference/registers.md says what each ground needs."

    def __init__(self, why: str, more: str = "") -> None:
        self.why = why
        sentence, hint = REFUSALS[why]
        super().__init__(f"{sentence}{f' ({more})' if more else ''}", hint=hint, param=why)


class Process(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The legal process behind an entry: a document by its digest (SHA-256, hexadecimal), who issued it, and its dates."""

    sha256: str
    authority: str
    valid_from: datetime
    valid_until: datetime


class Scope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The time of the facts that may go: from `since` until before `until`."""

    since: datetime
    until: datetime


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One entry. `to` names the recipient in short (a processor as the policy calls it), `fields` what may go, by category.

    `host` is where it is sent (empty: it is handed over by hand). `instrument` names the `[transfer.NAME]` on which a
    transfer abroad rests, `notice` the version of the policy with which everybody was told. `silent_until`: the process
    forbids to tell the person until then, no longer than it is valid itself.
    """

    name: str
    to: str
    recipient: str
    basis: str
    purpose: str
    fields: dict[str, tuple[str, ...]]
    region: str
    host: str = ""
    contract: str = ""
    contract_on: date | None = None
    instrument: str = ""
    notice: int | None = None
    process: Process | None = None
    scope: Scope | None = None
    silent_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What an entry is judged by besides the policy. `reasoned`: a reason or a balancing note is given; `person`: it is about
    one; `consented`: to what they consent now; `documents`: those that are valid; `approvers`: who stands behind it;
    `told`: the versions of which everybody was told; `attached`: the file of the process that it names is there."""

    now: datetime
    reasoned: bool = False
    person: bool = False
    restricted: bool = False
    objected: frozenset[str] = frozenset()
    consented: frozenset[str] = frozenset()
    documents: frozenset[str] = frozenset()
    approvers: frozenset[str] = frozenset()
    told: frozenset[int] = frozenset()
    attached: bool = True


def judge(policy: Policy, entry: Entry, known: Known) -> str | None:
    """The name of the first rule that an entry breaks; None: it may be used."""
    return next(_broken(policy, entry, known), None)


def refuse_new(policy: Policy, entry: Entry, known: Known) -> str | None:
    """The same for one that is made now, whose approvers come later."""
    return next((why for why in _broken(policy, entry, known) if why not in LAPSES), None)


def consent_to(entry: Entry) -> str:
    """The consent on which an entry rests."""
    return f"{SHARING}:{entry.to}"


def silent_until(entry: Entry) -> datetime | None:
    """Until when an entry is kept from its person; None: they may know it, whatever it says of itself."""
    until, process = entry.silent_until, entry.process
    if until is None or not silence.is_lawful(until, entry.basis, None if process is None else process.valid_until):
        return None
    return until


def is_abroad(policy: Policy, region: str) -> bool:
    """Whether data that goes there leaves the countries of the policy; without any, the operator's, or the Union."""
    regions, operator = policy.parts.get("regions"), policy.parts.get("operator")
    if regions is not None:
        return region not in regions.values["countries"]
    home = None if operator is None else operator.values["country"]
    return home is not None and region != home and not {region, home} <= EU


def _broken(policy: Policy, entry: Entry, known: Known) -> Iterator[str]:
    if entry.basis not in GROUNDS or (entry.basis != OWN and f"share.{entry.basis}" not in policy.parts):
        yield "basis"
    yield from _data(policy, entry)
    yield from _place(policy, entry, known)
    if entry.contract_on is not None and entry.contract_on > known.now.date():
        yield "contract_in_future"
    if known.person != (entry.basis in NEEDS_PERSON):
        yield "person"
    if entry.silent_until is not None and silent_until(entry) is None:
        yield "silence"
    if entry.basis == "provider":
        yield from _provider(policy, entry, known)
    else:
        yield from _case(policy, entry, known)
    if len(known.approvers) < APPROVERS.get(entry.basis, 0):
        yield "not_approved"


def _data(policy: Policy, entry: Entry) -> Iterator[str]:
    if not entry.fields and entry.basis != OWN:
        yield "nothing"
    for name, fields in entry.fields.items():
        category = policy.categories.get(name)
        if category is None or name not in words.CATEGORIES:
            yield "category"
        elif not fields or not {*fields} <= {*category.fields}:
            yield "field"
    if entry.purpose not in words.PURPOSES:
        yield "purpose"


def _place(policy: Policy, entry: Entry, known: Known) -> Iterator[str]:
    regions = policy.parts.get("regions")
    if not is_abroad(policy, entry.region):
        return
    if regions is not None and regions.values["mode"] != "listed":
        yield "region"
    transfer = policy.parts.get(f"transfer.{entry.instrument}")
    if entry.basis != OWN and (transfer is None or transfer.values["evidence"] not in known.documents):
        yield "no_instrument"


def _provider(policy: Policy, entry: Entry, known: Known) -> Iterator[str]:
    part = policy.parts.get(f"processor.{entry.to}")
    if part is None:
        yield "processor"
        return
    promised: Mapping[str, Any] = part.values
    if not entry.contract or entry.contract != promised["contract"]:
        yield "no_contract"
    vetted = str(promised.get("vetted", ""))
    if not vetted or vetted > known.now.date().isoformat():
        yield "not_vetted"
    if promised["trains"] and CONTENT & {*entry.fields}:
        yield "may_train"
    if not {*entry.fields} <= {*promised["categories"]}:
        yield "more_than_promised"
    listed = {*promised.get("fields", ())}
    if listed and not {name for fields in entry.fields.values() for name in fields} <= listed:
        yield "more_than_promised"
    if entry.region != promised["region"]:
        yield "region"


def _case(policy: Policy, entry: Entry, known: Known) -> Iterator[str]:
    if entry.basis == "legal":
        yield from _legal(entry, known)
    if entry.basis in ("protection", "public_safety") and not known.reasoned:
        yield "no_reason"
    if entry.basis == "interest":
        if not known.reasoned:
            yield "no_balancing"
        if known.restricted or entry.purpose in known.objected:
            yield "person_objects"
    if entry.basis == "consent" and consent_to(entry) not in known.consented:
        yield "no_consent"
    if entry.basis == "corporate" and entry.notice not in known.told:
        yield "no_notice"
    if known.restricted and entry.basis in NEEDS_PERSON - OVER_RESTRICTION:
        yield "person_objects"


def _legal(entry: Entry, known: Known) -> Iterator[str]:
    process, scope = entry.process, entry.scope
    dated = process is not None and _is_zoned(process.valid_from, process.valid_until)
    if process is None or not dated or not process.valid_from <= known.now < process.valid_until or not known.attached:
        yield "no_process"
    if scope is None or not _is_zoned(scope.since, scope.until) or not scope.since < scope.until:
        yield "no_scope"
    if not known.reasoned:
        yield "no_reason"


def _is_zoned(*times: datetime) -> bool:
    return all(each.tzinfo is not None for each in times)


_POLICY = "The policy in force says what may be shared; docs/reference/registers.md says what each ground needs."
REFUSALS: Final[Mapping[str, tuple[str, str]]] = {
    "basis": ("The policy in force shares no data on this ground.", _POLICY),
    "category": ("The policy in force knows no such kind of data.", "avow policy check names the categories."),
    "field": ("The category has no such field, or none was named.", "Name the fields that the policy lists."),
    "nothing": ("Nothing is named that may go.", "Name categories and their fields: --data account=email,name"),
    "text": ("A text is missing or too long.", "Give a name; words up to 253 characters, a reason up to 4,000."),
    "purpose": ("There is no such purpose.", "docs/reference/policy.md lists the purposes."),
    "region": ("Data may not go to this country.", "Take a recipient in one of the policy's countries."),
    "no_instrument": (
        "A transfer to this country rests on nothing.",
        "Name --instrument: a [transfer.NAME] of the policy whose document is valid (avow evidence add).",
    ),
    "person": ("This ground is about one person, or about none.", "Give --subject where the ground needs it, only."),
    "processor": ("The policy names no such processor.", "Add [processor.NAME] to the policy, and apply it."),
    "no_contract": ("There is no contract as the policy names it.", "Give --contract with the policy's id of it."),
    "contract_in_future": ("The contract is dated in the future.", "Wait for its day, or correct the date."),
    "not_vetted": ("The processor has not been vetted.", "Examine it, and write the day as `vetted` in the policy."),
    "may_train": ("The processor may train on what people write.", "Agree that it does not: trains = false."),
    "more_than_promised": ("The policy promises that this processor gets less.", "Name fewer categories or fields."),
    "no_process": ("There is no legal process that is valid now.", "Attach it: --process FILE with its dates."),
    "silence": (
        "Only a legal process keeps this from the person, and no longer than it is valid.",
        "Leave --silent-until away, or give --process, and a day with its zone that is not behind --process-to.",
    ),
    "no_scope": ("The time of what may go is not named.", "Give --since and --until."),
    "too_much": ("More would go than goes at once.", "Make an entry for a shorter time: --since and --until."),
    "no_reason": ("Nobody said why.", "Give --reason."),
    "no_balancing": ("Interests were not weighed in writing.", "Write the balancing note: --reason."),
    "person_objects": ("The person objected, or had the use restricted.", "Without another ground it does not go."),
    "no_consent": ("The person has not consented to this recipient.", "They consent at /api/privacy/consents."),
    "no_notice": ("People were not told of it before.", "Publish it: --notice names the version they were told of."),
    "not_approved": ("It is not approved yet.", "Operators approve it: avow register approve."),
    "name_taken": ("There is an entry of this name, or there was one.", "Choose another name; names stay on record."),
    "ended": ("This entry has ended.", "Make a new one."),
    "refused": (
        "This entry was refused when it was made, so nothing goes under it and it needs no end.",
        "avow register list shows the rule that it broke; it can be added again under the same name.",
    ),
    "unknown": ("The register has no such entry.", "avow register list shows the entries."),
}
"""Each rule by the name under which a refusal is recorded: what is wrong, and what to do."""
