"""Money is reserved before it is spent.

A *hold* is money promised, not spent: it is durable before a model is called, it bounds what the request can cost, and it
ends by settling, never by time alone. A *charge* is at most its hold; what a provider bills beyond it is ours to bear. So a
balance is never below zero, and a request that was told its cost has been charged exactly that, even when the machine dies in
between. A charge is two facts with two ends: the money (`charge`) and what was called (`usage`). Charges that end fold into
one entry per wallet and month, so that the sums stay exact. Money that comes in is double entry, once per idempotency key.

Others may use: `events` (`Open`, `Settle` …), `ledger.Batcher`, `refusals`, `prices`, `credit`,
`holds.Recovery` (for the keeper), `invariants`, `api.ROUTES`; and in SQL `ledger_batch` and `ledger_settle`, to wrap them.
Amounts are nano-units (1e-9) of the wallet's currency, prices nano-units per million tokens.
"""
