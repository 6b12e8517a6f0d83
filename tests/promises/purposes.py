"""What data may be used for, on a running platform: sums over many organisations, and refusals that stand on the record."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx

from avow.billing import sums
from avow.policy import Policy
from avow.policy.words import SUMMED
from tests.platform import Platform, complete, wait_until

REFUSED = "SELECT count(*) AS n FROM audit WHERE outcome = 'refused' AND act = 'read sums' AND purpose = $1"
EARLIER = "UPDATE usage SET since = since - $1::interval, ends_at = ends_at - $1::interval WHERE subject_id = ANY($2)"
PUT = "SELECT job_put($1, $2, NULL)"
COLUMNS = {"day", "model", "why", "organisations", "calls", "input_tokens", "output_tokens", "latency_ms"}


def check_purposes(running: Platform, policy: Policy) -> None:
    """The role that makes sums reaches nothing else, and a purpose that the policy does not list is refused, on the record."""
    found = running.cli("verify", "--json", "grants", "part_improvement")
    assert {json.loads(line)["verdict"] for line in found.stdout.splitlines()} == {"proved"}
    listed = set(SUMMED) & set(policy.categories["usage"].purposes)
    for purpose in ("ads", *sorted({*SUMMED} - listed)[:1]):
        before = running.sql(REFUSED, purpose)[0]["n"]
        refused = running.cli("report", purpose, check=False)
        assert refused.returncode == 1 and "not let the record of use serve" in refused.stderr, purpose
        assert running.sql(REFUSED, purpose)[0]["n"] == before + 1, purpose
    for purpose in sorted(listed):
        assert running.cli("report", purpose).returncode == 0


def check_sums(running: Platform, enter: Callable[[httpx.Client], dict[str, Any]]) -> None:
    """Calls of ten organisations make a sum without a word or an id of theirs; one who objects is out of it, and nine are
    none."""
    prompt = f"canary{secrets.token_hex(10)}"
    with ExitStack() as stack:
        clients = [stack.enter_context(running.http()) for _ in range(10)]
        people = [enter(http) for http in clients]
        for http in clients:
            assert complete(http, running.key(http)["secret"], prompt).is_success
        ids = [UUID(each["id"]) for each in people]
        # Whole days are summed: as if it had been yesterday.
        running.sql(EARLIER, timedelta(days=1), ids)
        rows = made(running)
        assert {row["purpose"] for row in rows} == {"improve", "analytics"}
        assert {(row["organisations"], row["calls"], row["why"]) for row in rows} == {(10, 10, "done")}
        told = running.cli("report", "improve", "--json").stdout
        [row] = json.loads(told)["rows"]
        assert set(row) == COLUMNS
        known = [prompt, *(str(each[name]) for each in people for name in ("id", "tenant_id", "email"))]
        assert not [word for word in known if word in told]
        objected = clients[0].post("/api/privacy/requests", json={"kind": "object", "purpose": "improve"})
        assert objected.json()["state"] == "succeeded", objected.text
        assert {row["purpose"] for row in made(running)} == {"analytics"}
        assert json.loads(running.cli("report", "improve", "--json").stdout)["rows"] == []


def made(running: Platform) -> list[dict[str, Any]]:
    """The sums once the keeper has made them anew."""
    running.sql("DELETE FROM jobs.pgqueuer_log WHERE entrypoint = $1", sums.SUMS_JOB)
    running.sql(PUT, sums.SUMS_JOB, UUID(int=1))
    done = "SELECT FROM jobs.pgqueuer_log WHERE entrypoint = $1 AND status = 'successful'"
    wait_until(lambda: bool(running.sql(done, sums.SUMS_JOB)))
    return [dict(row) for row in running.sql("SELECT * FROM usage_sum")]
