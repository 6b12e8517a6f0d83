"""The ring gives out halves, destroys them without trace and never makes a destroyed one again."""

import os
import sqlite3
import stat
import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from avow.vault import mirror, provider
from avow.vault.ring import Buried, ClockJump, Ring, RingBroken, derive, hour_of, slot_of

ALICE = UUID(int=1)
BOB = UUID(int=2)
HOUR = timedelta(hours=1)


class Wound:
    """A monotonic clock that the test winds."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class OutOfReach:
    """A mirror whose disk is not there until the test plugs it in."""

    name = "usb disk"

    def __init__(self, path: Path) -> None:
        self._file = mirror.FileMirror(path)
        self.plugged = False

    def last(self) -> int:
        if not self.plugged:
            raise OSError
        return self._file.last()

    def append(self, graves: Iterable[mirror.Grave]) -> None:
        self._file.append(graves)


def on_disk(folder: Path) -> bytes:
    """All bytes of the ring's file and of its log."""
    return b"".join(path.read_bytes() for path in sorted(folder.glob("ring.db*")))


def sealed(folder: Path, query: str, *values: object) -> bytes:
    """A secret as it lies in the file."""
    db = sqlite3.connect(folder / "ring.db")
    found = db.execute(query, values).fetchone()[0]
    db.close()
    assert isinstance(found, bytes)
    return found


def test_derivation_is_the_published_formula() -> None:
    holder, slot = bytes(range(32)), bytes(range(100, 132))
    dated = derive(holder, "api_content", slot)
    assert dated.hex() == "8749b8ca64338cedc2397c05bc7d5e8c58aaa4bf2203ea60b5ed2bdddf2c8628"
    endless = derive(holder, "account", None)
    assert endless.hex() == "0024ef69b3670fa90072738e1fe00b4cd4925fbca301b648e86760d9793dee02"


def test_slot_is_the_utc_hour_that_contains_the_end() -> None:
    assert slot_of(None) == 0
    assert slot_of(datetime(1970, 1, 2, 1, 59, 59, 999_999, tzinfo=UTC)) == 25
    assert hour_of(datetime(1970, 1, 2, 1, 59, 59, 999_999, tzinfo=UTC)) == 25
    assert hour_of(datetime(1970, 1, 2, 2, 0, tzinfo=UTC)) == 26
    assert hour_of(datetime(1970, 1, 2, 7, 45, tzinfo=timezone(timedelta(hours=5, minutes=45)))) == 26
    with pytest.raises(ValueError):
        hour_of(datetime(2026, 1, 1))


def test_halves_differ_and_last(ring: Ring, folder: Path, noon: datetime) -> None:
    keys = {
        ring.fact_key(subject, category, ends_at, create=True)
        for subject in (ALICE, BOB)
        for category in ("usage", "api_content")
        for ends_at in (None, noon, noon + HOUR)
    }
    assert len(keys) == 12
    again = Ring(folder / "ring.db")
    assert again.fact_key(ALICE, "usage", noon + HOUR / 2) == ring.fact_key(ALICE, "usage", noon)
    again.close()


def test_nothing_is_made_by_asking(ring: Ring, noon: datetime) -> None:
    assert ring.fact_key(ALICE, "usage", noon) is None
    assert ring.holder(ALICE, "usage") is None
    assert ring.slot(5) is None
    assert ring.secret("pepper") is None


def test_secrets_are_sealed_and_each_is_bound_to_its_name(ring: Ring, folder: Path) -> None:
    pepper = ring.secret("pepper", create=True)
    assert pepper is not None
    assert ring.secret("pepper", create=True) == pepper != ring.secret("signing", create=True)
    assert pepper not in on_disk(folder)
    db = sqlite3.connect(folder / "ring.db")
    db.execute("UPDATE named SET secret = (SELECT secret FROM named WHERE name = 'signing') WHERE name = 'pepper'")
    db.commit()
    db.close()
    with pytest.raises(RingBroken):
        ring.secret("pepper")


def test_erased_person_is_gone_and_the_others_are_not(ring: Ring, noon: datetime) -> None:
    hers = ring.fact_key(ALICE, "usage", noon, create=True)
    his = ring.fact_key(BOB, "usage", noon, create=True)
    assert ring.destroy_holders(ALICE, None, noon) == (1, ())
    assert hers is not None
    assert ring.fact_key(ALICE, "usage", noon) is None
    assert ring.fact_key(BOB, "usage", noon) == his


def test_erased_person_gets_no_new_keys(ring: Ring, noon: datetime) -> None:
    ring.holder(ALICE, "usage", create=True)
    ring.destroy_holders(ALICE, None, noon)
    for category in ("usage", "never held before"):
        with pytest.raises(Buried):
            ring.fact_key(ALICE, category, noon, create=True)


def test_a_category_is_destroyed_alone(ring: Ring, noon: datetime) -> None:
    ring.holder(ALICE, "usage", create=True)
    kept = ring.holder(ALICE, "payment", create=True)
    assert ring.destroy_holders(ALICE, ["usage", "api_content"], noon).halves == 1
    for category in ("usage", "api_content"):
        with pytest.raises(Buried):
            ring.holder(ALICE, category, create=True)
    assert ring.holder(ALICE, "payment") == kept
    assert ring.holder(ALICE, "mail", create=True) is not None


def test_destroyed_secret_is_in_no_byte_of_the_files(ring: Ring, folder: Path, noon: datetime) -> None:
    people = [uuid4() for _ in range(300)]
    for person in people:
        ring.holder(person, "usage", create=True)
    ring.make_slots(range(100_000, 100_300))
    erased = people[::3]
    lost = [sealed(folder, "SELECT secret FROM holder WHERE subject = ?", person.bytes) for person in erased]
    lost.append(sealed(folder, "SELECT secret FROM slot WHERE hour = 100000"))
    kept = sealed(folder, "SELECT secret FROM holder WHERE subject = ?", people[1].bytes)
    before = on_disk(folder)
    assert all(secret in before for secret in [*lost, kept])
    for person in erased:
        ring.destroy_holders(person, None, noon)
    ring.destroy_slots(datetime.fromtimestamp(100_001 * 3600, UTC))
    after = on_disk(folder)
    assert not any(secret in after or secret[12:28] in after for secret in lost)
    assert kept in after


def test_hours_that_are_over_are_destroyed_and_later_ones_are_not(ring: Ring, noon: datetime) -> None:
    over = ring.fact_key(ALICE, "usage", noon - HOUR, create=True)
    running = ring.fact_key(ALICE, "usage", noon, create=True)
    endless = ring.fact_key(ALICE, "usage", None, create=True)
    assert over is not None
    assert ring.destroy_slots(noon + HOUR / 2).halves == 1
    assert ring.fact_key(ALICE, "usage", noon - HOUR) is None
    assert ring.fact_key(ALICE, "usage", noon) == running
    assert ring.fact_key(ALICE, "usage", None) == endless
    assert ring.destroy_slots(noon + HOUR / 2).halves == 0


def test_an_hour_that_is_over_is_not_made_again(ring: Ring, noon: datetime) -> None:
    ring.slot(hour_of(noon) - 1, create=True)
    ring.destroy_slots(noon)
    for hour in (hour_of(noon) - 1, hour_of(noon) - 30, 0):
        with pytest.raises(Buried):
            ring.slot(hour, create=True)
    assert ring.make_slots(range(hour_of(noon) - 5, hour_of(noon) + 5)) == 5


def test_clock_jump_destroys_nothing_until_confirmed(ring: Ring, noon: datetime) -> None:
    ring.make_slots(range(hour_of(noon), hour_of(noon) + 800))
    ring.destroy_slots(noon + HOUR)
    ring.destroy_slots(noon + 49 * HOUR)
    for wrong in (noon + 98 * HOUR, noon + 48 * HOUR):
        with pytest.raises(ClockJump) as refused:
            ring.destroy_slots(wrong)
        assert "avow sweep --confirm-clock" in refused.value.hint
    assert ring.slot(hour_of(noon + 49 * HOUR)) is not None
    assert ring.destroy_slots(noon + 98 * HOUR, confirmed=True).halves == 49
    assert ring.slot(hour_of(noon + 97 * HOUR)) is None


def test_a_jump_before_the_first_destruction_is_seen_too(ring: Ring, noon: datetime) -> None:
    ring.make_slots([hour_of(noon)])
    with pytest.raises(ClockJump):
        ring.destroy_slots(noon + timedelta(days=30))
    ring.make_slots([hour_of(noon + timedelta(days=60))])
    assert ring.destroy_slots(noon + HOUR).halves == 1


def test_after_a_wrong_confirmation_hours_to_come_can_be_used_again(ring: Ring, noon: datetime) -> None:
    hour = hour_of(noon)
    old = ring.slot(hour + 5, create=True)
    ring.destroy_slots(noon)
    ring.destroy_slots(noon + timedelta(days=400), confirmed=True)
    ring.destroy_slots(noon + HOUR, confirmed=True)
    assert ring.slot(hour + 5, create=True) not in (None, old)
    assert ring.is_buried_slot(hour + 5)
    assert not ring.is_buried_slot(hour + 6)


def test_cached_key_dies_by_time_by_forget_and_by_clear(folder: Path, noon: datetime) -> None:
    clock = Wound()
    reader, keeper = Ring(folder / "ring.db", monotonic=clock), Ring(folder / "ring.db")

    def destroyed_elsewhere() -> tuple[UUID, bytes | None]:
        person = uuid4()
        key = reader.fact_key(person, "usage", None, create=True)
        keeper.destroy_holders(person, None, noon)
        assert reader.fact_key(person, "usage", None) == key
        return person, key

    person, _ = destroyed_elsewhere()
    reader.forget(BOB)
    assert reader.fact_key(person, "usage", None) is not None
    reader.forget(person)
    assert reader.fact_key(person, "usage", None) is None
    person, _ = destroyed_elsewhere()
    reader.clear()
    assert reader.fact_key(person, "usage", None) is None
    person, _ = destroyed_elsewhere()
    clock.now_s += 30
    assert reader.fact_key(person, "usage", None) is None
    reader.close()
    keeper.close()


def test_cache_is_bounded(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avow.vault.ring.CACHE_KEYS_MAX", 8)
    ring.holder(ALICE, "usage", create=True)
    ring.make_slots(range(1, 40))
    for hour in range(1, 40):
        ring.key(ALICE, "usage", hour)
    assert len(ring._cache) == 8


def test_graves_hold_no_name_and_reach_every_mirror(folder: Path, tmp_path: Path, noon: datetime) -> None:
    disk = OutOfReach(tmp_path / "disk.jsonl")
    here = tmp_path / "graves.jsonl"
    ring = Ring(folder / "ring.db", mirrors=[mirror.FileMirror(here), disk])
    ring.holder(ALICE, "usage", create=True)
    assert ring.destroy_holders(ALICE, None, noon) == (1, ("usb disk",))
    disk.plugged = True
    assert ring.destroy_holders(BOB, ["usage"], noon) == (0, ())
    assert mirror.read(here) == mirror.read(tmp_path / "disk.jsonl") == ring.graves()
    assert [grave.what for grave in ring.graves()] == ["holder", "holder"]
    assert ring.graves()[0].at_s == noon.timestamp()
    assert ALICE.bytes not in here.read_bytes()
    assert str(ALICE) not in here.read_text()
    ring.close()


def test_mirror_mends_a_torn_line(folder: Path, tmp_path: Path, noon: datetime) -> None:
    copy = tmp_path / "graves.jsonl"
    ring = Ring(folder / "ring.db", mirrors=[mirror.FileMirror(copy)])
    ring.destroy_holders(ALICE, None, noon)
    whole = copy.read_bytes()
    copy.write_bytes(whole + b'[2,"hol')
    ring.destroy_holders(BOB, None, noon)
    assert mirror.read(copy) == ring.graves()
    assert copy.read_bytes().startswith(whole)
    ring.close()


def test_files_are_for_their_owner_only(ring: Ring, folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("opened_up", ["master.key", "ring.db", "."])
def test_a_keyring_that_others_can_read_is_refused(ring: Ring, folder: Path, opened_up: str) -> None:
    (folder / opened_up).chmod(0o750)
    with pytest.raises(provider.KeyringTooOpen):
        Ring(folder / "ring.db")


def test_a_lost_or_foreign_master_is_refused_and_never_replaced(ring: Ring, folder: Path) -> None:
    (folder / "master.key").write_bytes(os.urandom(32))
    with pytest.raises(provider.MasterLost):
        Ring(folder / "ring.db")
    (folder / "master.key").unlink()
    with pytest.raises(provider.MasterLost):
        Ring(folder / "ring.db")
    assert not (folder / "master.key").exists()


def test_threads_of_a_pool_agree(ring: Ring, noon: datetime) -> None:
    start = threading.Barrier(4)
    seen: list[bytes | None] = []

    def make() -> None:
        start.wait()
        seen.extend(ring.fact_key(UUID(int=number), "usage", noon, create=True) for number in range(20))
        ring.close()

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 80
    assert len(set(seen)) == 20
    assert None not in seen
