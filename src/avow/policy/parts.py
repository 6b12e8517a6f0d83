"""Look-ups in the wider language: what the code that keeps a promise asks the policy."""

from avow.policy.model import Keep, Policy
from avow.policy.strict import age_in, deadline_in


def age(policy: Policy, country: str) -> int | None:
    """The age in years from which somebody in `country` (ISO 3166, two letters) may sign up; None: the policy is silent."""
    part = policy.parts.get("age")
    return None if part is None else age_in(part.values, country)


def deadline(policy: Policy, place: str) -> Keep | None:
    """The time to answer a request about rights in `place` (`DE`, `US-CA`); `.end(received)` is the due date.

    None: the policy names none; then the law's own month counts (GDPR Art. 12(3)).
    """
    part = policy.parts.get("rights")
    return None if part is None else deadline_in(part.values["deadline"], place)


def channels(policy: Policy, kind: str) -> tuple[tuple[str, ...], bool]:
    """The ways in which people are told of `kind`, and whether one of them is enough; none if the policy names none."""
    part = policy.parts.get(f"notice.{kind}")
    return ((), False) if part is None else (part.values["channels"], bool(part.values.get("any")))


def asked(policy: Policy) -> tuple[str, ...]:
    """The consents that people are asked for, each apart and off until given."""
    part = policy.parts.get("consent")
    return () if part is None else part.values.get("asked", ())
