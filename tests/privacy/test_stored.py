"""What somebody can see of what is stored about them: counted as it is, with the rule that ends it, and nobody else's."""

from __future__ import annotations

from typing import Any

import httpx

from tests.platform import Platform, complete


def stored(client: httpx.Client) -> dict[str, dict[str, Any]]:
    found = client.get("/api/privacy/data")
    assert found.status_code == 200, found.text
    return {each["category"]: each for each in found.json()}


def test_what_is_counted_is_there_and_belongs_to_who_asks(platform: Platform) -> None:
    with platform.http() as one, platform.http() as other:
        me = platform.sign_up(one)
        platform.sign_up(other)
        before, of_other = stored(one), stored(other)
        assert before["account"]["facts"] == 1 and before["account"]["sealed"] == 1
        assert before["account"]["endless"] == 1 and before["account"]["keep"] == "life"
        assert before["usage"] == before["usage"] | {"facts": 0, "next_end": None, "on_erasure": "delete"}
        key = platform.key(one)
        assert complete(one, key["secret"], "Say yes.").is_success
        after = stored(one)
        assert after["usage"]["facts"] == 1 and after["usage"]["next_end"] is not None
        assert after["credential"]["facts"] > before["credential"]["facts"]
        assert after["payment"]["on_erasure"] == "hold"
        assert stored(other)["usage"]["facts"] == of_other["usage"]["facts"] == 0
        kept = platform.sql("SELECT count(*) FROM usage WHERE subject_id = $1", me["id"])
        assert kept[0][0] == after["usage"]["facts"]
