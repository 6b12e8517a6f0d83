"""What can be objected to, and what consent can be given and taken back (GDPR Art. 21 and 7(3)).

An objection ends a use that somebody does not need for what they asked for. Where the contract or the law needs the use,
the right does not reach (Art. 21(1) speaks of interests and public tasks only); and what protects all people against
abuse of the service outweighs it. Whoever objects to one of these gets that reason as the answer.
"""

from collections.abc import Mapping
from typing import Final, Literal

from avow.policy.model import Policy
from avow.policy.parts import asked

Reason = Literal["needed_for_contract", "needed_by_law", "needed_for_safety"]

NEEDED: Final[Mapping[str, Reason]] = {
    "service": "needed_for_contract",
    "history": "needed_for_contract",
    "billing": "needed_for_contract",
    "notices": "needed_for_contract",
    "support": "needed_for_contract",
    "market": "needed_for_contract",
    "legal": "needed_by_law",
    "proof": "needed_by_law",
    "security": "needed_for_safety",
    "abuse": "needed_for_safety",
    "enforce": "needed_for_safety",
}
"""Purposes that an objection does not end, and why; every other one it does."""


def purposes(policy: Policy) -> frozenset[str]:
    """Every purpose for which some category is used."""
    return frozenset(purpose for category in policy.categories.values() for purpose in category.purposes)


def consents(policy: Policy) -> frozenset[str]:
    """What people are asked to consent to: by name, or as the basis of a category."""
    based = (each.purposes for each in policy.categories.values() if each.basis == "consent")
    return frozenset(asked(policy)).union(*based)
