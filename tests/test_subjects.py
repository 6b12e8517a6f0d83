"""One person's data at the terminal: what an erasure would end and why the rest stays, and the receipt with its proof."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime
from uuid import UUID

from avow.billing.tables import charge, wallet_hold
from avow.privacy import levels
from avow.privacy.stores import TableStore
from avow.proof import receipts
from tests.platform import MODEL, Platform, new_platform

CLAIMS = "SELECT 1 FROM claim WHERE subject_id = $1"


def test_an_idempotency_key_goes_with_the_person_and_their_receipt_stands_in_the_log(platform: Platform) -> None:
    with platform.http() as http:
        me = platform.sign_up(http)
        headers = {"authorization": f"Bearer {platform.key(http)['secret']}", "idempotency-key": secrets.token_hex(8)}
        body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 3}
        assert http.post("/v1/chat/completions", json=body, headers=headers).status_code == 200
        public = receipts.parse_key(http.get("/.well-known/avow-receipt-key").json()["key"])
    id = UUID(me["id"])
    assert len(platform.sql(CLAIMS, id)) == 1
    rows = json.loads(platform.cli("subject", "plan-erase", me["id"], "--json").stdout)["rows"]
    plan = {row["store"]: row for row in rows}
    assert (plan["claim"]["ending"], plan["claim"]["facts"]) == ("delete", 1) and "law" not in plan["claim"]["why"]
    assert plan["charge"]["ending"] == "hold" and "law" in plan["charge"]["why"] and plan["charge"]["until"]
    printed = platform.cli("subject", "erase", me["id"])
    document = printed.stdout.rstrip("\n").encode()
    signed = receipts.verify(document, public)
    assert receipts.in_log(document, public) is not None and printed.stderr == "", printed.stderr
    said = {store["store"]: store for store in signed["stores"]}
    assert (said["claim"]["ending"], said["claim"]["facts"]) == ("delete", 1) and "law" not in said["claim"]["why"]
    assert platform.sql(CLAIMS, id) == [] and said["charge"]["kept_until"]
    again = platform.cli("receipt", "fetch", signed["request"]).stdout.rstrip("\n").encode()
    assert receipts.verify(again, public) == signed and receipts.in_log(again, public) is not None
    unknown = platform.cli("receipt", "fetch", str(id), check=False)
    assert unknown.returncode == 1 and "There is no receipt" in unknown.stderr


def test_an_erasure_while_avow_is_stopped_says_how_the_proof_is_had() -> None:
    with new_platform(engine="0") as one:
        one.start()
        with one.http() as http:
            me = one.sign_up(http)
        one.stop()
        printed = one.cli("subject", "erase", me["id"])
        request = json.loads(printed.stdout)["request"]
        assert "log" not in json.loads(printed.stdout) and f"avow receipt fetch {request}" in printed.stderr
        one.start()
        assert "log" in json.loads(one.cli("receipt", "fetch", request).stdout)


def test_money_of_a_running_request_is_not_said_to_be_kept_by_law() -> None:
    until = datetime(2033, 1, 1, tzinfo=UTC)
    why, ends = levels.why_kept(TableStore(wallet_hold), until)
    assert "law" not in why and "request" in why and ends is None, "it has no date, for it goes with the request"
    assert levels.why_kept(TableStore(charge), until) == (levels.HELD, until)
