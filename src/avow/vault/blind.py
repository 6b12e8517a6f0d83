"""Blind indexes: finding a person by e-mail or user name without storing either in readable form.

The index is a keyed hash, so a copy of the database alone cannot be tried against a list of addresses. It tells only
that two rows hold the same value.
"""

import hmac
import unicodedata

from avow.vault.ring import Ring

SECRET = "blind-index"  # noqa: S105 (the name of a secret)


def normalise(value: str) -> str:
    """Return the form in which addresses and user names are compared: without case, width and outer spaces."""
    folded = unicodedata.normalize("NFKC", value).casefold()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", folded).casefold()).strip()


def blind_index(ring: Ring, kind: str, value: str) -> bytes:
    """Return 32 bytes, equal for equal `value`s of one `kind` ("email", "username"), HMAC-SHA256."""
    key = ring.secret(SECRET, create=True)
    assert key is not None
    return hmac.digest(key, kind.encode() + b"\0" + normalise(value).encode("utf-8", "surrogatepass"), "sha256")
