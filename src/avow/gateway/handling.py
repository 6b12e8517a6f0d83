"""What an upstream does with what it is sent, against what the policy promises of it.

An upstream without a processor stays in this house. Any other is an outside party: the policy must name it, and what is
declared of the upstream must be no worse than what the policy says in public. A declaration holds as long as its evidence:
what is not declared, or whose evidence has run out, counts as the worst there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from avow.policy import NEVER, Never, Policy
from avow.registers import broker
from avow.registers.entries import REFUSALS

CONTENT = "api_content"


@dataclass(frozen=True, slots=True)
class Handling:
    """What is declared: the country of its servers, whether it trains on what it gets, the hours for which it keeps it, the
    contract, and until when the evidence of all this is valid. None: not known."""

    processor: str | None
    region: str | None = None
    trains: bool | None = None
    retention_h: int | None = None
    contract: str | None = None
    evidence_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """Until when an upstream may see content (None: no end, NEVER: not at all), and why not after."""

    until: datetime | Never | None
    reason: str = ""

    def holds(self, at: datetime) -> bool:
        return self.until is None or (not isinstance(self.until, Never) and at < self.until)


def admit(policy: Policy, declared: Handling, documents: frozenset[str], host: str, now: datetime) -> Admission:
    """Whether the policy and the register let an upstream at `host` see content; `documents` are those that are valid."""
    admission = judge(policy, declared)
    if not admission.holds(now):
        return admission
    refusal = broker.upstream_refusal(
        *(policy, documents, now, CONTENT),
        processor=declared.processor,
        host=host,
        region=declared.region,
        contract=_contract(policy, declared),
    )
    if refusal is None:
        return admission
    return Admission(NEVER, f"{declared.processor or host}: {REFUSALS[refusal][0]}")


def _contract(policy: Policy, declared: Handling) -> str | None:
    """The contract by which it is bound: one whose handling the policy leaves open is bound by the policy's own."""
    part = policy.parts.get(f"processor.{declared.processor}")
    return declared.contract or (None if part is None else str(part.values["contract"]))


def judge(policy: Policy, declared: Handling) -> Admission:
    """Whether what is declared of an upstream is no worse than what the policy says of it."""
    name = declared.processor
    if name is None:
        return Admission(None)
    part = policy.parts.get(f"processor.{name}")
    if part is None:
        return Admission(NEVER, f"the policy names no processor {name}")
    if CONTENT not in part.values["categories"]:
        return Admission(NEVER, f"the policy gives {name} no {CONTENT}")
    unknown = _shortfall(part.values, Handling(name))
    if not unknown:
        return Admission(None)
    known = _shortfall(part.values, declared)
    if known:
        return Admission(NEVER, f"{name} {known}")
    if declared.evidence_until is None:
        return Admission(NEVER, f"there is no valid evidence of how {name} handles data")
    return Admission(declared.evidence_until, f"the evidence of how {name} handles data has run out")


def _shortfall(promised: Mapping[str, Any], declared: Handling) -> str:
    """In what an upstream falls short of what the policy promises of its processor."""
    if declared.region != promised["region"]:
        return f"is not known to work in {promised['region']}"
    if declared.trains is not False and not promised["trains"]:
        return "may train models with what it gets"
    longest_h = promised["keep"].hours_max
    if longest_h is not None and (declared.retention_h is None or declared.retention_h > longest_h):
        return "may keep what it gets for longer than the policy says"
    if declared.contract != promised["contract"]:
        return f"is not bound by {promised['contract']}"
    return ""


def is_here(url: str) -> bool:
    """Whether a URL names this machine, by its address or as localhost."""
    return broker.is_here(urlsplit(url).hostname or "")
