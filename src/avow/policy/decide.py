"""May this data be opened, for this purpose, by this role, given what the person has said? One pure answer.

Three answers: yes, no, and not configured, which is a no that tells the operator what is missing.
"""

from dataclasses import dataclass
from typing import Literal

from avow.policy import words
from avow.policy.model import Category, Policy

OWN_PURPOSES = frozenset({"access", "port"})
"""What the owner may always do with their own data: read it and take it along (GDPR Art. 15 and 20)."""
ENDING_PURPOSES = frozenset({"retention", "erasure"})
"""What the keeper may always do: end facts, on time or on request."""
ANSWER = "answer"
ANSWERED_FROM = frozenset({"account", "mail"})
"""What the platform may always open for `answer`: the address of somebody, and the mail, that brings them what they have
asked for themselves, such as a copy of their data or a new password (GDPR Art. 12, and 18(2): it is their own wish)."""
ANSWERED_BY, ASKED = "privacy", "rights"
"""Who may always open what somebody asked, to answer it: it is their own wish, restriction or not (GDPR Art. 12 and 18(2)).
Nothing else is opened for `answer` by staff; what the answer is about stays under the restriction."""
DISCLOSE = "disclose"
"""What the keeper opens data for that goes to others under an entry of the register (`registers.disclosures`), which has
been judged by then: its ground stands in the policy as `[share.NAME]`, and neither purposes nor standing widen or narrow it."""
SYSTEM_ROLES = frozenset({"gateway", "keeper"})
STAFF_ROLES = frozenset(words.STAFF)
TENANT_ROLES = frozenset({"owner", "admin"})
"""People in their organisation; they see who belongs to it, and nothing of what its members do."""
ROLES = SYSTEM_ROLES | STAFF_ROLES | TENANT_ROLES | {"subject"}


@dataclass(frozen=True, slots=True)
class Standing:
    """What a person has said about their data: restricted (Art. 18), purposes objected to (Art. 21), consents given."""

    restricted: bool = False
    objected: frozenset[str] = frozenset()
    consented: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Question:
    """Who wants to open what for which purpose. `owner`: the asker is the person that the data is about;
    `colleague`: they belong to the same organisation."""

    category: str
    purpose: str
    role: str
    owner: bool = False
    colleague: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer, its reason in words, and the clause that it follows from (None when no clause speaks of it)."""

    answer: Literal["yes", "no", "not_configured"]
    reason: str
    clause: str | None

    def __bool__(self) -> bool:
        return self.answer == "yes"


def decide(policy: Policy, standing: Standing, question: Question) -> Decision:
    """Whether `question` is answered with yes under `policy` and `standing`; never raises.

    In this order: is there a rule; is it the owner's own reading, the answer to what they asked or the keeper's ending,
    which no standing blocks; may the role ask; does the category serve the purpose; and does the person's standing leave it
    open.
    """
    category = policy.categories.get(question.category)
    if category is None:
        return Decision("not_configured", f"the policy has no rule for {question.category}", None)
    use = f"use.{category.name}"
    if question.role == "subject" and question.owner and question.purpose in OWN_PURPOSES:
        return Decision("yes", "people may always read their own data and take it along", use)
    if question.role in SYSTEM_ROLES and question.purpose == ANSWER and question.category in ANSWERED_FROM:
        return Decision("yes", "people get the answer to what they asked", use)
    if (question.role, question.purpose, question.category) == (ANSWERED_BY, ANSWER, ASKED):
        return _answering(category, use)
    if question.role == "keeper" and question.purpose in ENDING_PURPOSES:
        return Decision("yes", "data may always be ended", _ending_clause(category, question.purpose))
    if question.role == "keeper" and question.purpose == DISCLOSE:
        return _disclosing(policy, use)
    refusal = (
        _refused_role(category, question)
        or _refused_purpose(category, question.purpose)
        or _refused_standing(category, standing, question.purpose)
    )
    if refusal is not None:
        return Decision("no", refusal, use)
    return Decision("yes", f"{category.name} serves {question.purpose}", use)


def _answering(category: Category, clause: str) -> Decision:
    if ANSWERED_BY not in category.staff:
        return Decision("no", f"the policy lets no {ANSWERED_BY} staff open {category.name}", clause)
    return Decision("yes", "people get the answer to what they asked", clause)


def _disclosing(policy: Policy, clause: str) -> Decision:
    if policy.named("share"):
        return Decision("yes", "the register of disclosures lets it go", clause)
    return Decision("no", "the policy shares no data with anybody", clause)


def _ending_clause(category: Category, purpose: str) -> str:
    # What is never stored has no clause about its erasure.
    kind = "end" if purpose == "erasure" and category.keep.kind != "never" else "keep"
    return f"{kind}.{category.name}"


def _refused_role(category: Category, question: Question) -> str | None:
    if question.role == "subject":
        return None if question.owner else "people may open their own data only"
    if question.role in TENANT_ROLES and not _is_members_list(question):
        return "owners and admins see the account data of their organisation's members only"
    if question.role in STAFF_ROLES and question.role not in category.staff:
        return f"the policy lets no {question.role} staff open {category.name}"
    if question.role in STAFF_ROLES and question.purpose not in words.STAFF_PURPOSES[question.role]:
        return f"{question.role} staff do not open anything for {question.purpose}"
    return None if question.role in ROLES else "the role is not known"


def _is_members_list(question: Question) -> bool:
    return question.colleague and (question.category, question.purpose) == ("account", "service")


def _refused_purpose(category: Category, purpose: str) -> str | None:
    return None if purpose in category.purposes else f"{category.name} is not used for this purpose"


def _refused_standing(category: Category, standing: Standing, purpose: str) -> str | None:
    if standing.restricted:
        return "the person had the use restricted: the data is stored and not used"
    if purpose in standing.objected:
        return f"the person objected to {purpose}"
    if category.basis == "consent" and purpose not in standing.consented:
        return f"the person has not consented to {purpose}"
    return None
