"""Who opens data and who administers is on a record; whoever changes the record is found out."""

from __future__ import annotations

import json
import secrets
from unittest.mock import ANY
from uuid import UUID

import pytest

from tests.platform import Platform, wait_until

PLATFORM = UUID(int=1)


def verdict(platform: Platform) -> tuple[str, str]:
    """What `avow verify` says of the record, once its newest lines are linked."""
    unlinked = "SELECT count(*) AS n FROM audit LEFT JOIN audit_link ON row_id = audit.id WHERE link IS NULL"
    wait_until(lambda: not platform.sql(unlinked)[0]["n"])
    [row] = [json.loads(line) for line in platform.cli("verify", "--json", "record", check=False).stdout.splitlines()]
    return row["verdict"], row["figure"]


@pytest.mark.promise("INF-5.6")
@pytest.mark.promise("MESH-5.4")
def test_what_the_operator_does_is_on_the_record_and_a_changed_record_is_found(platform: Platform) -> None:
    why = f"why{secrets.token_hex(8)}"
    with platform.http() as http:
        me = platform.sign_up(http)
        platform.cli("subject", "export", me["id"], "--reason", why)
        lines = [each for each in http.get("/api/me/openings").json()["openings"] if each["who"] == "staff"]
        assert {line["reason"] for line in lines} == {why}
        assert ("operator", "export") in [(line["role"], line["act"]) for line in lines]
        assert "account" in {line["category"] for line in lines if line["outcome"] == "opened"}, "by staff, not by her"
    platform.cli("upstream", "add", f"u-{secrets.token_hex(4)}", "http://127.0.0.1:9/v1", "--reason", why)
    mine = "SELECT id, actor FROM audit WHERE subject_id = $1 AND act = $2 ORDER BY id DESC LIMIT 1"
    [act] = platform.sql(mine, PLATFORM, "set upstream")
    assert act["actor"] == "staff:command"
    assert platform.scan([why]) == {}, "the reason is sealed"

    assert verdict(platform) == ("proved", ANY)
    platform.sql("UPDATE audit SET actor = 'staff:somebody else' WHERE id = $1", act["id"])
    said, figure = verdict(platform)
    assert said == "failed" and "was changed" in figure
    platform.sql("UPDATE audit SET actor = $2 WHERE id = $1", act["id"], act["actor"])
    assert verdict(platform) == ("proved", ANY)
