"""How the ledger says no; never is anything charged for it.

402 is money, a balance or a budget; 429 is rate only, and says when to come again.
"""

from __future__ import annotations

from typing import ClassVar

from avow.accounts.directory import KeyRefused
from avow.base.errors import AvowError, Unavailable
from avow.base.money import text


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
    """The balance does not cover what this request may cost."""

    code: ClassVar[str] = "insufficient_balance"
    hint = "Nothing was charged. Add credit, or ask for fewer tokens."

    def __init__(self, affordable: int) -> None:
        super().__init__("The balance does not cover what this request may cost", affordable)


class BudgetExceeded(MoneyShort):
    """The key's budget does not cover what this request may cost."""

    code: ClassVar[str] = "budget_exceeded"
    hint = (
        "Nothing was charged. Ask for fewer tokens, wait for the next day or month in UTC, or raise the key's budget."
    )

    def __init__(self, window: str, affordable: int) -> None:
        whose = "total budget" if window == "total" else f"budget for this {window}"
        super().__init__(f"The key's {whose} does not cover what this request may cost", affordable)


class RateExceeded(AvowError):
    """The key has used up its rate for this minute."""

    status: ClassVar[int] = 429
    code: ClassVar[str] = "rate_limit_exceeded"
    hint = "Nothing was charged. Wait as long as Retry-After says and try again."

    def __init__(self, sentence: str | None = None, retry_after_s: int = 5) -> None:
        super().__init__(sentence)
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        return {"retry-after": str(self.retry_after_s)}


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


def named(reason: str, room: int) -> AvowError:
    """The refusal that the ledger's SQL calls `reason`; `room` is nano-units for money, seconds to wait for a rate."""
    if reason == "money":
        return BalanceShort(room)
    if reason in ("day", "month", "total"):
        return BudgetExceeded(reason, room)
    if reason in ("requests", "tokens"):
        return RateExceeded(f"The key has used up its {reason} for this minute.", room)
    return {"key": KeyRefused, "wallet": WalletFrozen, "settled": RequestSettled}[reason]()
