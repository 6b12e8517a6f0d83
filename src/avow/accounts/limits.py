"""What a key may use at most: a rate and up to three budgets. The ledger judges them in the call that reserves money."""

from typing import Annotated

import msgspec

RATE_MAX = 2**31 - 1
NANO_MAX = 2**53 - 1
"""The largest whole number that every JSON reader keeps exactly: nine million dollars."""

Rate = Annotated[int, msgspec.Meta(ge=1, le=RATE_MAX)]
Nano = Annotated[int, msgspec.Meta(ge=0, le=NANO_MAX)]


class Limits(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Null: no such limit. Minutes, days and months begin as in UTC; budgets are nano-units of the wallet's currency.

    A request counts with the most that it may use and is corrected when it settles. What a key used before its first limit
    does not count.
    """

    requests_per_min: Rate | None = None
    tokens_per_min: Rate | None = None
    budget_day_nano: Nano | None = None
    budget_month_nano: Nano | None = None
    budget_total_nano: Nano | None = None
