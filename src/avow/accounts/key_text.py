"""The text of an API key: `sk-avow-<public id>-<secret>-<checksum>`.

    public id   12 characters of base 62; stored in clear, shown in lists, finds the row
    secret      43 characters of base 62; 256 random bits, shown once, stored only inside an HMAC
    checksum     6 characters of base 62; CRC-32 of all that stands before it

The fixed lengths give secret scanners an exact pattern (`PATTERN`), and the checksum lets a typing error or a made-up
key be refused before anything is looked up (GitHub's token format of 2021 does the same). A CRC is no protection
against somebody who computes it; the HMAC is.
"""

import re
import secrets
import zlib
from typing import Final, NamedTuple

from avow.accounts import tokens

PREFIX: Final = "sk-avow-"
PUBLIC_LENGTH: Final = 12
CHECKSUM_LENGTH: Final = 6
PATTERN: Final = re.compile(
    rf"{PREFIX}([0-9A-Za-z]{{{PUBLIC_LENGTH}}})-([0-9A-Za-z]{{{tokens.TOKEN_LENGTH}}})-([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})",
    re.ASCII,
)


class KeyText(NamedTuple):
    """A key as its owner sees it once: `text` is the whole secret, `public_id` what may be shown again."""

    text: str
    public_id: str

    @property
    def prefix(self) -> str:
        """The part by which its owner recognises the key in a list."""
        return PREFIX + self.public_id


def make() -> KeyText:
    """Make a new key from 256 random bits and a random public id."""
    public_id = "".join(secrets.choice(tokens.ALPHABET) for _ in range(PUBLIC_LENGTH))
    head = f"{PREFIX}{public_id}-{tokens.make()}-"
    return KeyText(head + checksum(head), public_id)


def read_public_id(text: str) -> str | None:
    """Find the public id in a key, or None where the form or the checksum is wrong."""
    match = PATTERN.fullmatch(text)
    if match is None or checksum(text[:-CHECKSUM_LENGTH]) != match[3]:
        return None
    return match[1]


def checksum(head: str) -> str:
    """Compute the six last characters of a key from all that stands before them."""
    return tokens.base62(zlib.crc32(head.encode()), CHECKSUM_LENGTH)
