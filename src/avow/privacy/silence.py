"""Until when a legal process keeps something from its person. Nothing else may: all else is told at once (GDPR Art. 15)."""

from __future__ import annotations

from datetime import datetime
from typing import Final

SILENCING: Final = "legal"
"""The only ground on which somebody may be kept from knowing."""


def is_lawful(until: datetime, basis: str, process_until: datetime | None) -> bool:
    """Whether an entry of this ground may be kept from its person until `until`: under a legal process, no longer than that
    is valid (None: there is none), and both with their zone."""
    if basis != SILENCING or process_until is None or until.tzinfo is None or process_until.tzinfo is None:
        return False
    return until <= process_until
