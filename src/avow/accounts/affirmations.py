"""What a newcomer affirms beside the fields of the policy: their country, that they are old enough there, and that they
agree. Which of them is asked follows from the policy; what it does not ask for is refused like any other field.

No date of birth is asked for or kept, only that the age of one's country was affirmed. Agreeing to the policy is no
consent to anything (GDPR Art. 7(4)): consents stay as they are, off until given.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from avow.accounts import countries, transfers
from avow.accounts.fields import FieldRefused, read_text
from avow.base.errors import AvowError
from avow.policy import Policy, parts
from avow.policy.words import AGE_FIELDS
from avow.privacy.versions import Coming

OF_AGE: Final = "yes"
"""How the passed question of age is written down."""


class TooYoung(AvowError):
    """This service is for older people."""

    status = 403
    code = "too_young"
    hint = "Nothing was stored. Come back when you are old enough."


class NotAgreed(AvowError):
    """Nobody can sign up here without agreeing to the policy."""

    status = 403
    code = "not_agreed"
    hint = "Nothing was stored. GET /api/auth/signup says which versions to agree to; read them at /privacy."


class AgreedToAnother(AvowError):
    """What was agreed to is not the version in force."""

    status = 409
    code = "agreed_to_another"
    hint = "Nothing was stored. Read /privacy again and agree to the versions that GET /api/auth/signup names."


class Affirmed(NamedTuple):
    """What a newcomer affirmed. `country` (ISO 3166): old enough there; None: the policy does not ask.

    `agreed`: the versions of the policy and, where they belong to it, of the terms; empty: the policy is accepted by use.
    """

    country: str | None = None
    agreed: tuple[int, ...] = ()
    transfer_shown: int | None = None
    """The version with which they were shown that their data goes abroad; None: it does not."""

    @property
    def kept(self) -> dict[str, str]:
        """What of it stands in the person's box."""
        return {} if self.country is None else {"country": self.country, "of_age": OF_AGE}


def names(policy: Policy, *, tells: bool = False) -> tuple[str, ...]:
    """The names of the fields in which a newcomer affirms what the policy asks for; `tells` as in `transfers`."""
    shown = (transfers.FIELD,) if transfers.asked(policy, tells=tells) else ()
    return (*(AGE_FIELDS if "age" in policy.parts else ()), *(("agreed",) if versions(policy) else ()), *shown)


def versions(policy: Policy) -> tuple[int, ...]:
    """What has to be agreed to by name: the version of the policy, and of the terms that stand with it; or nothing."""
    part = policy.parts.get("acceptance")
    if part is None or part.values["how"] != "explicit":
        return ()
    return (policy.version,) * (2 if part.values.get("terms") else 1)


def asked(policy: Policy, coming: Sequence[Coming] = (), *, tells: bool = False) -> dict[str, Any]:
    """What a sign-up form has to ask, as JSON: fields, ages by country, and the versions to agree to; and what a newcomer
    has to know beside them: the versions of the policy that are announced."""
    age = policy.parts.get("age")
    return {
        "fields": policy.account.fields,
        "required": policy.account.required,
        "age": age and {"minimum": age.values["minimum"], "by_country": dict(age.values.get("by_country", {}))},
        "agree_to": versions(policy) or None,
        "coming": list(coming),
        "transfer": transfers.asked(policy, tells=tells),
    }


def read(policy: Policy, given: Mapping[str, object], *, tells: bool = False) -> Affirmed:
    """Check what a newcomer affirms; other fields are not looked at.

    Raises FieldRefused, TooYoung, NotAgreed, AgreedToAnother or TransferNotShown.
    """
    country = read_country(policy, given) if "age" in policy.parts else None
    agreed = _read_agreed(versions(policy), given)
    return Affirmed(country, agreed, transfers.read(policy, given, country, tells=tells))


def read_country(policy: Policy, given: Mapping[str, object]) -> str:
    """The country of somebody who affirms to be old enough there. Raises FieldRefused or TooYoung."""
    country = read_text("country", _required(given, "country"))
    if country not in countries.CODES:
        raise FieldRefused("The country is written with two capital letters (ISO 3166), such as DE.", param="country")
    of_age = _required(given, "of_age")
    if not isinstance(of_age, bool):
        raise FieldRefused("The field 'of_age' must be true or false.", param="of_age")
    if not of_age:
        raise TooYoung(f"This service is for people of {parts.age(policy, country)} years or older in {country}.")
    return country


def _read_agreed(expected: tuple[int, ...], given: Mapping[str, object]) -> tuple[int, ...]:
    if not expected:
        return ()
    agreed = given.get("agreed")
    if agreed is None or agreed is False or agreed == []:
        raise NotAgreed(param="agreed")
    if not isinstance(agreed, list) or any(isinstance(each, bool) or not isinstance(each, int) for each in agreed):
        raise FieldRefused("The field 'agreed' is a list of version numbers.", param="agreed")
    if tuple(agreed) != expected:
        raise AgreedToAnother(f"The versions in force are {list(expected)}.", param="agreed")
    return expected


def _required(given: Mapping[str, object], name: str) -> object:
    value = given.get(name)
    if value is None:
        raise FieldRefused(f"The field {name!r} is missing.", param=name)
    return value
