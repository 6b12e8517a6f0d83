"""What is left of a rate, told in headers: those of the IETF's draft and those that clients of OpenAI read.

draft-ietf-httpapi-ratelimit-headers-11: `RateLimit-Policy` names each quota (`q`) and its window in seconds (`w`), `RateLimit`
what is left of it (`r`) and in how many seconds it is whole again (`t`). Windows begin with the UTC minute.
"""

from __future__ import annotations

from datetime import datetime

from avow.billing.events import Rate

WINDOW_S = 60


def headers(rate: Rate, at: datetime) -> list[tuple[bytes, bytes]]:
    """The headers of an answer to a request that the ledger took or refused at `at`; none where no rate is set."""
    reset_s = WINDOW_S - at.second
    quotas = (("requests", rate.requests, rate.requests_left), ("tokens", rate.tokens, rate.tokens_left))
    told = [(name, quota, left or 0) for name, quota, left in quotas if quota is not None]
    if not told:
        return []
    made = [
        (b"ratelimit-policy", ", ".join(f'"{name}";q={quota};w={WINDOW_S}' for name, quota, _ in told).encode()),
        (b"ratelimit", ", ".join(f'"{name}";r={left};t={reset_s}' for name, _, left in told).encode()),
    ]
    for name, quota, left in told:
        made += [
            (b"x-ratelimit-limit-%b" % name.encode(), b"%d" % quota),
            (b"x-ratelimit-remaining-%b" % name.encode(), b"%d" % left),
            (b"x-ratelimit-reset-%b" % name.encode(), b"%ds" % reset_s),
        ]
    return made
