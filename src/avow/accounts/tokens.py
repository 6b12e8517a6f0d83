"""Opaque tokens: random text handed out once, of which only a keyed digest is kept.

A token carries nothing; all that it means stands in the row that its digest finds. The digest is HMAC-SHA256 under
the ring's pepper, so a copy of the database alone can neither be replayed nor be searched for a known token.
"""

import hashlib
import hmac
import secrets
from typing import Final, Literal

ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
TOKEN_LENGTH: Final = 43
"""Characters of base 62 that hold 256 bits."""

Kind = Literal[
    "api_key", "session", "confirmation", "reset", "recovery_code", "ceremony", "passkey", "identity", "invitation"
]


def base62(number: int, length: int) -> str:
    """Write a number in base 62, most significant digit first, padded with zeros to `length` characters.

    Raises OverflowError when the number needs more than `length` characters.
    """
    digits = []
    for _ in range(length):
        number, rest = divmod(number, 62)
        digits.append(ALPHABET[rest])
    if number:
        raise OverflowError("the number does not fit the length")
    return "".join(reversed(digits))


def make() -> str:
    """Make a token of 256 random bits, written as 43 characters of base 62."""
    return base62(secrets.randbits(256), TOKEN_LENGTH)


def is_formed(text: str) -> bool:
    """Tell whether a text has the form of a token; costs no look-up."""
    return len(text) == TOKEN_LENGTH and text.isascii() and text.isalnum()


def digest(pepper: bytes, kind: Kind, token: str) -> bytes:
    """Digest a token for storage and look-up (32 bytes); a token of one kind never matches another kind's row."""
    return hmac.digest(pepper, b"avow\x00" + kind.encode() + b"\x00" + token.encode(), hashlib.sha256)
