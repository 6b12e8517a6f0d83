"""What a key may use at most: rates, calls at once and up to three budgets. The ledger judges them in the call that reserves
money; so it does what a project, an organisation or a model of it may use together (`billing.allowances`)."""

from typing import Annotated

import msgspec

RATE_MAX = 2**31 - 1
NANO_MAX = 2**53 - 1
"""The largest whole number that every JSON reader keeps exactly: nine million dollars."""

Rate = Annotated[int, msgspec.Meta(ge=1, le=RATE_MAX)]
Nano = Annotated[int, msgspec.Meta(ge=0, le=NANO_MAX)]


class Limits(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Null: no such limit. Minutes, days and months begin as in UTC; budgets are nano-units of the wallet's currency.

    `parallel`: requests that run at once. A request counts with the most that it may use and is corrected when it settles.
    What was used before the first limit does not count.
    """

    requests_per_min: Rate | None = None
    tokens_per_min: Rate | None = None
    parallel: Rate | None = None
    budget_day_nano: Nano | None = None
    budget_month_nano: Nano | None = None
    budget_total_nano: Nano | None = None
