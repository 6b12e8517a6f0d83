"""Money is an integer count of nano-units (1e-9) of the wallet's currency; prices are nano-units per million tokens."""

from decimal import Decimal

NANO = 1_000_000_000
CURRENCY = "USD"
"""What wallets are opened in, prices are set in, and budgets are said in."""


def text(nano: int) -> str:
    """`12345` → `"0.000012345"`: a decimal in the wallet's currency with nine places."""
    sign = "-" if nano < 0 else ""
    whole, part = divmod(abs(nano), NANO)
    return f"{sign}{whole}.{part:09d}"


def parse(amount: str) -> int:
    """The inverse of `text`. Raises `ValueError` for anything finer than a nano-unit, or not a number."""
    try:
        nano = Decimal(amount) * NANO
        exact = int(nano)
    except ArithmeticError as wrong:
        raise ValueError(f"{amount!r} is not an amount of money") from wrong
    if exact != nano:
        raise ValueError(f"{amount!r} is finer than 0.000000001")
    return exact
