"""How the ledger says no; never is anything charged for it.

402 is money, a balance or a budget; 429 is rate only, and says when to come again.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from avow.accounts.directory import KeyRefused
from avow.base.errors import AvowError, Unavailable
from avow.base.money import text
from avow.billing import rates
from avow.billing.events import Rate


class LedgerUnavailable(Unavailable):
    """The ledger did not confirm in time that the money is reserved, so the model was not called."""

    code: ClassVar[str] = "ledger_unavailable"


class MoneyShort(AvowError):
    """There is less money than this request may cost; `affordable` is what it could cost, in nano-units."""

    status: ClassVar[int] = 402

    def __init__(self, sentence: str, affordable: int) -> None:
        super().__init__(f"{sentence}; {text(affordable)} is available.")
        self.affordable = affordable


class BalanceShort(MoneyShort):
    """The balance does not cover what this request may cost; the code is the one that clients of OpenAI know."""

    code: ClassVar[str] = "insufficient_quota"
    hint = "Nothing was charged. Add credit, or ask for fewer tokens."

    def __init__(self, affordable: int) -> None:
        super().__init__("The balance does not cover what this request may cost", affordable)


class BudgetExceeded(MoneyShort):
    """A budget, of the key or of what it belongs to, does not cover what this request may cost."""

    code: ClassVar[str] = "budget_exceeded"
    hint = (
        "Nothing was charged. Ask for fewer tokens, wait for the next day or month in UTC, or have the budget raised."
    )

    def __init__(self, window: str, affordable: int, whose: str = "key") -> None:
        budget = "total budget" if window == "total" else f"budget for this {window}"
        super().__init__(f"The {whose}'s {budget} does not cover what this request may cost", affordable)


class RateExceeded(AvowError):
    """A rate, of the key or of what it belongs to, is used up for this minute."""

    status: ClassVar[int] = 429
    code: ClassVar[str] = "rate_limit_exceeded"
    hint = "Nothing was charged. Wait as long as Retry-After says and try again."

    def __init__(
        self,
        sentence: str | None = None,
        retry_after_s: int = 5,
        rate: Rate | None = None,
        at: datetime | None = None,
    ) -> None:
        super().__init__(sentence)
        self.retry_after_s, self._rate, self._at = retry_after_s, rate, at

    @property
    def headers(self) -> dict[str, str]:
        told = rates.headers(self._rate, self._at) if self._rate is not None and self._at is not None else []
        return {"retry-after": str(self.retry_after_s)} | {name.decode(): value.decode() for name, value in told}


class TokensShort(AvowError):
    """This request may use more tokens than it could in a whole minute."""

    status: ClassVar[int] = 413
    code: ClassVar[str] = "request_too_large"
    hint = "Nothing was charged. Send a shorter prompt, ask for fewer tokens, or have the tokens per minute raised."

    def __init__(self, whose: str, tokens_per_min: int) -> None:
        super().__init__(f"This request may use more tokens than the {whose} may in a whole minute.")
        self.tokens_per_min = tokens_per_min


class WalletFrozen(AvowError):
    """The wallet is frozen, so no new request can be paid from it."""

    status: ClassVar[int] = 402
    code: ClassVar[str] = "wallet_frozen"
    hint = "Nothing was charged. Ask the operator why the wallet is frozen."


class RequestSettled(AvowError):
    """A request with this id was already charged; an id is used once."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "request_settled"
    hint = "Nothing was charged for this attempt. Send it again as a new request."


def named(reason: str, room: int, rate: Rate | None = None, at: datetime | None = None) -> AvowError:
    """The refusal that the ledger's SQL calls `reason`, after the kind of allowance where it is not the key's own.

    `room` is nano-units for money, seconds to wait for a rate, tokens per minute for a size; `rate` and `at` are told too.
    """
    kind, _, what = reason.rpartition(" ")
    whose = _WHOSE[kind]
    if what == "money":
        return BalanceShort(room)
    if what in ("day", "month", "total"):
        return BudgetExceeded(what, room, whose)
    if what in ("requests", "tokens"):
        return RateExceeded(f"The {whose} has used up its {what} for this minute.", room, rate, at)
    if what == "parallel":
        return RateExceeded(f"Too many requests of the {whose} are running at once.", room, rate, at)
    if what == "size":
        return TokensShort(whose, room)
    return {"key": KeyRefused, "wallet": WalletFrozen, "settled": RequestSettled}[what]()


_WHOSE = {"": "key", "project": "project", "organisation": "organisation", "model": "organisation at this model"}
