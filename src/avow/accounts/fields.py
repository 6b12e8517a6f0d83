"""What a person may tell about themselves: exactly the fields that the policy lists, and nothing beside them.

A field that the policy does not list is refused by name and stored nowhere, so that nobody hands over what nobody may
keep. Values are brought to one form (Unicode NFC, no outer spaces) and never repeated in an error.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from avow.base.errors import AvowError
from avow.policy.model import Account

LENGTH_MAX: Final[Mapping[str, int]] = {"email": 254, "username": 64, "phone": 32, "address": 500}
LENGTH_MAX_OTHER: Final = 200
ADDRESS: Final = re.compile(r"[^\s@<>()\[\],;:\\\"]{1,64}@[^\s@<>()\[\],;:\\\"]{1,189}")
NAME_SHOWN_MAX: Final = 64


class FieldRefused(AvowError):
    """A field of this request cannot be taken."""

    status = 400
    code = "field_refused"
    hint = "GET /api/auth/signup lists the fields that are taken; others are stored nowhere."


def read(account: Account, given: Mapping[str, object]) -> dict[str, str]:
    """Check fields against the policy; optional ones that are empty are left out. Raises FieldRefused."""
    for name in given:
        if name not in account.fields:
            raise FieldRefused(f"The field {shown(name)!r} is not asked for and was not stored.", param=shown(name))
    facts = {name: read_fact(name, value) for name, value in given.items() if value is not None}
    return {name: text for name, text in facts.items() if text}


def read_fact(name: str, value: object) -> str:
    """Bring one field to its form. Raises FieldRefused."""
    text = unicodedata.normalize("NFC", read_text(name, value)).strip()
    if len(text) > LENGTH_MAX.get(name, LENGTH_MAX_OTHER):
        raise FieldRefused(f"The field {name!r} is too long.", param=name)
    if any(is_unprintable(character, lines=name == "address") for character in text):
        raise FieldRefused(f"The field {name!r} holds characters that cannot be shown.", param=name)
    if name == "email" and text and not ADDRESS.fullmatch(text):
        raise FieldRefused("This is not an e-mail address.", param=name)
    return text


def read_text(name: str, value: object) -> str:
    """Take a value that must be text. Raises FieldRefused."""
    if not isinstance(value, str):
        raise FieldRefused(f"The field {name!r} must be text.", param=name)
    return value


def require(account: Account, facts: Mapping[str, str]) -> None:
    """Raise FieldRefused where a field is missing that must be there; the e-mail address always must."""
    for name in ("email", *account.required):
        if name not in facts:
            raise FieldRefused(f"The field {name!r} is missing.", param=name)


def is_unprintable(character: str, lines: bool = False) -> bool:
    """Tell whether a character is a control, a lone surrogate or otherwise no text; `lines` allows line ends."""
    return unicodedata.category(character) in ("Cc", "Cs", "Co", "Cn") and not (lines and character == "\n")


def shown(name: str) -> str:
    """Bring the name of a refused field to a form that can be shown: short and printable."""
    return "".join(character if character.isprintable() else "?" for character in name[:NAME_SHOWN_MAX])
