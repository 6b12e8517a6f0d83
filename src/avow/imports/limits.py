"""Limits of keys in other programs' words, as the limits that a key has here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from avow.accounts import key_terms
from avow.accounts.key_terms import Setting
from avow.accounts.limits import Limits
from avow.base.errors import AvowError
from avow.imports.foreign import ValueUnfit, shown

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "mo": 2_592_000}
_DAY_S, _MONTH_S = 86_400, 2_592_000


class Window(NamedTuple):
    """A window of a budget here; `exact`: it is as long as theirs."""

    word: str
    exact: bool

    @classmethod
    def of(cls, duration: str) -> Window:
        """The shortest window here that is no shorter than a duration such as `30d`: the same money for no less time.

        Thirty days and a calendar month count as the same. Raises ValueUnfit.
        """
        match = re.fullmatch(r"(\d{1,6})(s|m|h|d|w|mo)", duration.strip())
        if match is None or not int(match[1]):
            raise ValueUnfit(f"the time of its budget, {shown(duration)!r}, is not known here")
        seconds = int(match[1]) * _SECONDS[match[2]]
        if seconds <= _DAY_S:
            return cls("day", seconds == _DAY_S)
        if seconds <= _MONTH_S:
            return cls("month", seconds == _MONTH_S)
        return cls("total", False)


def key_setting(
    name: str,
    expires_at: datetime | None,
    now: datetime,
    limits: Mapping[str, int],
    models: Sequence[str],
    networks: Sequence[str] = (),
) -> Setting:
    """The setting of a key to be made, checked. An empty list is no restriction. Raises ValueUnfit."""
    if expires_at is not None and expires_at <= now:
        raise ValueUnfit("it has expired")
    wanted: dict[str, Any] = {
        "name": name,
        "expires_at": expires_at,
        "limits": dict(limits),
        "models": list(models) or None,
        "networks": list(networks) or None,
    }
    try:
        # Through the same door as a request: what the API refuses, an import does too.
        return key_terms.check(
            msgspec.convert({**wanted, "limits": msgspec.convert(wanted["limits"], Limits)}, Setting)
        )
    except (AvowError, msgspec.ValidationError) as wrong:
        raise ValueUnfit(f"it cannot be a key here: {shown(wrong)}") from None
