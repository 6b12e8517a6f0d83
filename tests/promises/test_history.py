"""Periods, erasure and backups, on one platform over seven years."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest

from avow.vault import Gone
from tests.platform import complete
from tests.promises.history import HELD, History, lived
from tests.promises.test_accounts import check_fields

CACHED = "SELECT * FROM cached_answer WHERE subject_id = $1"


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    with lived(tmp_path_factory.mktemp("history")) as seen:
        yield seen


@pytest.mark.promise("INF-1.1")
def test_an_account_of_name_address_company_and_password(history: History) -> None:
    check_fields(history.platform, "email", "name", "company")


@pytest.mark.promise("INF-3.4")
def test_content_is_kept_thirty_days_at_most_and_only_for_abuse_and_debugging(history: History) -> None:
    seen, stays = history.seen, history.stays
    assert stays.expires_at - stays.row["since"] <= timedelta(days=30)
    assert seen["clauses"]["use.api_content"]["says"]["purposes"] == ["abuse", "debugging"]
    assert stays.words[3] in seen["day 0 shown"]
    assert stays.words[3] in seen["before day 30 shown"]
    assert seen["day 30 shown"] == 404
    assert "trace" not in seen["day 30 rows"]
    assert seen["day 30 scan"] == {}
    assert (seen["restored: content"], seen["restored: opened"]) == (404, Gone)


@pytest.mark.promise("INF-3.4")
def test_content_is_not_opened_for_another_purpose(history: History) -> None:
    found = history.platform.cli("verify", "purposes", check=False).stdout
    [line] = [line for line in found.splitlines() if "purposes.api_content" in line]
    assert line.startswith("proved")


@pytest.mark.promise("INF-5.2")
def test_at_rest_everything_people_write_is_sealed_with_aes_256(history: History) -> None:
    seen = history.seen
    assert history.stays.words[3] in str(seen["day 0 opened"]), "the control: it can be opened with its key"
    assert len(seen["day 0 key"]) * 8 == 256
    assert history.stays.row["box"][0] == 1
    assert seen["day 0 scan"] == {}
    for word in (*history.stays.words, *history.leaves.words):
        assert word.encode() not in seen["backup"]
    assert history.stays.row["box"].hex().encode() in seen["backup"], "the control: the backup was unpacked"


@pytest.mark.promise("MESH-6.2")
def test_the_access_log_rolls_by_itself(history: History) -> None:
    """The record of calls is the access log; its window is published, and nobody has to ask for the clearing."""
    seen = history.seen
    assert seen["clauses"]["keep.usage"]["says"]["keep"] == {"amount": 30, "unit": "days"}
    assert seen["before day 30 rows"]["usage"] == 1
    assert "usage" not in seen["day 30 rows"]
    newest = history.stays.expires_at - timedelta(days=30)
    assert seen["oldest usage"] is None or seen["oldest usage"] > newest


@pytest.mark.promise("MESH-5.6")
def test_a_person_sees_when_a_key_was_last_used(history: History) -> None:
    [key] = history.seen["keys"]
    assert key["last_used_at"]
    assert history.stays.key not in str(key)


@pytest.mark.promise("INF-6.5")
@pytest.mark.promise("INF-7.3")
def test_an_erasure_leaves_only_what_the_law_holds_and_lists_it_with_its_reason(history: History) -> None:
    seen = history.seen
    assert {"person", "credential", "api_key", "trace", "usage", "audit"} <= seen["before erasure"].keys()
    assert seen["after erasure"].keys() <= HELD
    assert seen["after erasure opened"] is Gone
    assert seen["after erasure scan"] == {}
    entries = {entry["store"]: entry for entry in history.receipt["stores"]}
    assert set(seen["before erasure"]) <= set(entries)
    for name, entry in entries.items():
        if entry["ending"] == "hold":
            assert entry["why"]
            assert (name in seen["after erasure"]) == bool(entry["kept_until"])
        else:
            assert entry["levels"]["logical"]


@pytest.mark.promise("INF-6.5")
def test_the_receipt_can_be_checked_off_line(history: History, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    text = json.dumps(history.receipt, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    file.write_text(text)
    assert history.platform.cli("receipt", "verify", str(file)).returncode == 0
    file.write_text(text.replace('"facts":1', '"facts":2', 1))
    assert history.platform.cli("receipt", "verify", str(file), check=False).returncode == 1


@pytest.mark.promise("LAB-6.1")
def test_account_data_goes_with_the_account_and_well_within_thirty_days(history: History) -> None:
    seen = history.seen
    assert (seen["erased: account"], seen["erased: sign-in"], seen["erased: wallet"]) == (401, 401, 401)
    assert not {"person", "credential", "session", "api_key", "usage"} & seen["after erasure"].keys()
    assert seen["day 30 scan"] == {}


@pytest.mark.promise("TRO-4.10")
def test_what_has_ended_cannot_be_brought_back_from_a_backup(history: History) -> None:
    seen = history.seen
    assert seen["restored: stayer's account"], "the control: the others are back"
    assert seen["restored: leaver"].keys() <= HELD
    assert seen["restored: opened"] is Gone
    assert seen["day 30 opened"] is Gone


@pytest.mark.promise("LAB-6.5")
def test_a_backup_of_twenty_nine_days_brings_nobody_back_and_is_gone_after_thirty(history: History) -> None:
    seen = history.seen
    assert seen["restored: stayer's account"]
    assert seen["restored: leaver"].keys() <= HELD
    assert seen["restored: key"] == 401
    assert not seen["day 36 backup"]


@pytest.mark.promise("INF-6.3")
@pytest.mark.promise("LAB-6.2")
def test_payment_records_outlive_an_erasure_and_end_after_seven_years(history: History) -> None:
    seen = history.seen
    assert seen["after erasure"]["charge"] == seen["before erasure"]["charge"] == 1
    assert seen["erased: wallet"] == 401
    assert seen["7 years less 2 days"] == 4
    assert seen["7 years"] == 0


@pytest.mark.promise("MESH-6.3")
def test_when_bookkeeping_ends_no_person_is_in_it_and_the_sums_stay(history: History) -> None:
    seen = history.seen
    assert seen["clauses"]["keep.payment"]["says"]["on_expiry"] == "delete"
    assert seen["7 years"] == 0
    assert seen["balance after"] == seen["balance before"]
    assert seen["sums"].returncode == 0, seen["sums"].stdout
    left = history.rows(history.leaves)
    assert left == {}, "somebody's id is still there seven years later"


@pytest.mark.promise("INF-3.5")
def test_who_wants_nothing_kept_has_nothing_kept_and_what_was_kept_goes_when_asked(history: History) -> None:
    """By request, by key and for the whole account; one, a span of time, and all at once."""
    platform, word = history.platform, "kept on purpose"
    with platform.http() as http:
        platform.sign_up(http, name="Somebody", company="Some company")
        key, quiet = platform.key(http)["secret"], platform.key(http, keep_h=0)["secret"]
        assert complete(http, key, word, headers={"avow-retention": "0"}).headers["avow-stored"] == "none"
        assert complete(http, quiet, word).headers["avow-stored"] == "none"
        kept = [complete(http, key, word) for _ in range(4)]
        assert {each.headers["avow-stored"] for each in kept} == {"trace"}
        where = [f"/api/requests/{each.headers['avow-request-id']}" for each in kept]
        times = [http.get(each).json()["at"] for each in where]
        assert http.delete(where[0]).status_code == 204
        assert [http.get(each).json()["stored"] for each in where] == [False, True, True, True]
        assert http.delete("/api/requests", params={"since": times[1], "until": times[2]}).json() == {"ended": 1}
        assert [http.get(each).json()["stored"] for each in where] == [False, False, True, True]
        assert http.delete("/api/requests").json() == {"ended": 2}
        assert [http.get(each).json()["stored"] for each in where] == [False] * 4
        assert http.patch("/api/tenant", json={"keep_h": 0}).is_success
        assert complete(http, key, word).headers["avow-stored"] == "none"
        ids = [UUID(each.headers["avow-request-id"]) for each in kept]
    assert platform.sql("SELECT FROM trace WHERE id = ANY($1)", ids) == []
    assert history.seen["day 0 opted out"] is None
    assert platform.scan([word]) == {}


@pytest.mark.promise("INF-3.5")
def test_nobody_deletes_what_is_somebody_elses(history: History) -> None:
    platform = history.platform
    with platform.http() as http, platform.http() as stranger:
        platform.sign_up(http, name="Somebody", company="Some company")
        platform.sign_up(stranger, name="Stranger", company="Another")
        answer = complete(http, platform.key(http)["secret"], "mine")
        where = f"/api/requests/{answer.headers['avow-request-id']}"
        assert stranger.delete(where).status_code == 404
        assert stranger.delete("/api/requests").json() == {"ended": 0}
        assert http.get(where).json()["stored"]


@pytest.mark.promise("INF-3.3")
def test_an_answer_is_given_again_to_who_got_it_only_and_for_an_hour_at_most(history: History) -> None:
    platform, word = history.platform, f"again{uuid4().hex}"
    with platform.http() as http, platform.http() as other:
        me, them = (platform.sign_up(each, name="Somebody", company="Some company") for each in (http, other))
        key, theirs = platform.key(http)["secret"], platform.key(other)["secret"]

        def asked(http: httpx.Client, key: str, **headers: str) -> httpx.Response:
            return complete(http, key, word, temperature=0, headers=headers)

        silent = {"avow-retention": "0"}
        answers = [asked(http, key), asked(http, key), asked(other, theirs), asked(http, key, **silent)]
        assert [each.headers["avow-cache"] for each in answers] == ["miss", "hit", "miss", "off"]
        assert answers[0].content == answers[1].content
        assert answers[1].headers["avow-cost"] == "0.000000000"
        [row] = platform.sql(CACHED, UUID(me["id"]))
        assert row["ends_at"] - row["since"] == timedelta(hours=1)
        assert platform.scan([word]) == {}

        # It goes with the request that it was the answer to,
        assert http.delete(f"/api/requests/{answers[0].headers['avow-request-id']}").status_code == 204
        assert asked(http, key).headers["avow-cache"] == "miss"
        # is not given after its end although no sweep has come,
        platform.move_clock(3601)
        assert platform.sql(CACHED, UUID(them["id"]))
        assert asked(http, key).headers["avow-cache"] == "miss"
        platform.cli("sweep", "--confirm-clock")
        assert not platform.sql(CACHED, UUID(them["id"])) and len(platform.sql(CACHED, UUID(me["id"]))) == 1
        # and goes with its owner.
        platform.erase(http, me["password"])
        assert platform.sql(CACHED, UUID(me["id"])) == []
        assert other.patch("/api/tenant", json={"keep_h": 0}).is_success
        assert asked(other, theirs).headers["avow-cache"] == "off"
