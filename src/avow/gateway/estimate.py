"""Tokens by the bytes of a text, where an upstream does not say how many there were.

Rough, and on the client's side: text has more often four bytes to a token than fewer. What is estimated is marked so in the
usage, and is never charged above the hold.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

BYTES_PER_TOKEN = 4
FRAME = frozenset(("id", "type", "role", "object", "status", "index", "call_id", "tool_use_id", "signature"))
"""What stands around the words of an answer: nobody generated it token by token."""


def tokens(value: Any, skipped: Collection[str] = ()) -> int:
    """A low guess of the tokens in all texts of a value, without the fields `skipped`."""
    return -(-text_bytes(value, skipped) // BYTES_PER_TOKEN)


def text_bytes(value: Any, skipped: Collection[str] = ()) -> int:
    """Bytes of UTF-8 in all texts of a value; a number stands for a token of a text that was sent as tokens."""
    if isinstance(value, str):
        return len(value.encode())
    if type(value) is int:
        return BYTES_PER_TOKEN
    if isinstance(value, dict):
        return sum(text_bytes(each, skipped) for name, each in value.items() if name not in skipped)
    return sum(text_bytes(each, skipped) for each in value) if isinstance(value, list) else 0
