"""The gateway answers in a model's name, for money that is reserved first, and keeps of it what the policy allows.

A completion is admitted (who asks, what the plan lets be stored and seen, what it can cost at most), its highest price is
held, and only then an upstream is called. What the upstream says passes on unchanged; what it used is measured; the charge,
which is never more than the hold, becomes durable together with the sealed trace, if one is kept, before the cost is told.
A request that fails before its first token costs nothing. Where the policy has filters, a request and its answer are searched on
their way (`filters`); where content is kept, an answer may be given again to who got it (`cache`). Nothing of a prompt or an
answer is written anywhere else: not to logs, not into errors; an upstream's own words about a failure are dropped.

    Gateway, V1     what completions need and those that run; the ASGI application for `/v1/*` over it
    RuleBook, load  policy, models and prices in force, renewed when the ledger names a newer epoch
    Client          the HTTP client of upstreams; one per process, made after the fork
    FUNCTIONS       the SQL functions that the ledger's batcher calls to write the trace with the charge
    Filing, Runs    (in `filing`, `batch_runs`) the routes of files and batches, and what goes on with batches in each worker
    tables          upstream, model, route, trace, cached_answer, filter_decision, upload, batch
    api             the routes under `/api/requests` and `/api/filter`
    scripted        an upstream that follows a script, for tests
"""

from avow.billing.events import Functions
from avow.gateway.asgi import V1
from avow.gateway.client import Client
from avow.gateway.completion import Gateway
from avow.gateway.connection import Limits, Timeouts
from avow.gateway.rules import RuleBook, Rules, load

FUNCTIONS = Functions(batch="completion_batch", settle="completion_settle", extra=7, extra_type="told_trace")

__all__ = ["FUNCTIONS", "V1", "Client", "Gateway", "Limits", "RuleBook", "Rules", "Timeouts", "load"]
