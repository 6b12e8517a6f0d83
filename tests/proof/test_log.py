"""The log over a real database: what is committed is published once, in one order, whatever dies meanwhile."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update

from avow.base.db import Database
from avow.proof import log, receipts, verifier
from avow.proof.log import Log
from avow.proof.receipts import ReceiptBroken, Receipts
from avow.proof.tiles import LogBroken
from avow.proof.verifier import Checkpoint, Missing, Wrong
from avow.vault import Ring, tlog
from avow.vault.tables import log_entry
from tests.conftest import PASSWORDS, Databases

SITE = "https://log.example"


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[Ring]:
    (tmp_path / "home").mkdir()
    made = Ring(tmp_path / "home" / "keyring" / "ring.db")
    yield made
    made.close()


@pytest.fixture
def made(tmp_path: Path, ring: Ring) -> Log:
    return Log(tmp_path / "home", ring, SITE)


async def put(keeper: Database, *contents: str) -> list[tlog.Leaf]:
    async with keeper.begin() as c:
        return [await tlog.append(c, "evidence", each.encode()) for each in contents]


async def grown(made: Log, keeper: Database, count: int) -> Checkpoint:
    await put(keeper, *(f"fact {number}" for number in range(count)))
    while await made.extend(keeper):
        pass
    return made.checkpoint()


def audited(made: Log, passing: Checkpoint | None = None) -> Checkpoint:
    """The whole log, checked as a stranger does."""
    return verifier.check_copy(lambda path, most: made.resource(path), made.key, passing, lambda said: None)


async def test_what_is_committed_is_published_in_its_order_and_what_is_not_is_not(
    made: Log, database: Databases
) -> None:
    with pytest.raises(RuntimeError):
        async with database.app.begin() as c:
            await tlog.append(c, "evidence", b"never committed")
            raise RuntimeError
    leaves = await put(database.keeper, "first", "second")
    assert audited(made).size == 0
    assert await made.extend(database.keeper) == 2
    assert await made.extend(database.keeper) == 0
    head = audited(made)
    assert (head.origin, head.size) == ("log.example/log", 2)
    async with database.app.begin() as c:
        rows = await log.places(c, [leaf.id for leaf in leaves], head.size)
        assert [(rows[leaf.id].place, rows[leaf.id].content) for leaf in leaves] == [(0, "first"), (1, "second")]
    for leaf, content in zip(leaves, (b"first", b"second"), strict=True):
        proof = made.proof(leaf.salt, rows[leaf.id].place, head)
        assert verifier.proved_leaf(proof, content, head) == rows[leaf.id].place
        with pytest.raises(Wrong):
            verifier.proved_leaf(proof, b"another", head)


async def test_an_erased_content_leaves_noise_and_every_proof_holds(made: Log, database: Databases) -> None:
    leaves = await put(database.keeper, "about a canary", "another")
    await made.extend(database.keeper)
    head = made.checkpoint()
    async with database.keeper.begin() as c:
        await tlog.forget(c, [leaves[0].id])
        assert await log.at(c, 0) is None
        assert (await log.at(c, 1)).content == "another"  # type: ignore[union-attr]
    await grown(made, database.keeper, 3)
    audited(made, passing=head)
    everything = b"".join(path.read_bytes() for path in made.tiles.folder.iterdir())
    assert b"canary" not in everything and leaves[0].salt not in everything


async def test_a_kill_before_the_files_or_before_the_signature_changes_no_place(
    made: Log, ring: Ring, tmp_path: Path, database: Databases
) -> None:
    """What a kill leaves: places without files, or files without a signature."""
    before = await grown(made, database.keeper, 3)
    await put(database.keeper, "placed", "and killed")
    async with database.keeper.begin() as c:
        await log._place(c, before.size)
    again = Log(tmp_path / "home", ring, SITE)
    assert await again.extend(database.keeper) == 2
    middle = audited(again, passing=before)
    again.tiles.add([bytes(32)] * 300, middle.size)  # written, and killed before it was signed
    assert audited(again).root == middle.root
    await grown(again, database.keeper, 5)
    assert audited(again, passing=middle).size == 10
    async with database.keeper.begin() as c:
        contents = (await c.execute(select(log_entry.c.content).order_by(log_entry.c.place))).scalars().all()
    assert contents[3:5] == ["placed", "and killed"]


PROGRAM = """
import asyncio, sys
from pathlib import Path
from avow.base.db import Database, Dsn
from avow.proof.log import Log
from avow.vault import Ring, tlog

async def work(home, host, port, database, password):
    keeper = Database(Dsn(host, int(port), "avow_keeper", database, password))
    log = Log(Path(home), Ring(Path(home) / "keyring" / "ring.db"), "https://log.example")
    for number in range(10**6):
        async with keeper.begin() as c:
            await tlog.append(c, "evidence", b"%d" % number)
        await log.extend(keeper)
        print(number, flush=True)

asyncio.run(work(*sys.argv[1:]))
"""


async def test_kill_9_at_any_moment_leaves_one_tree_of_each_size(
    made: Log, tmp_path: Path, database: Databases
) -> None:
    dsn, seen = database.dsn("avow_keeper"), {}
    given = [str(tmp_path / "home"), dsn.host, str(dsn.port), dsn.database, PASSWORDS["avow_keeper"]]
    seed = random.randrange(2**32)
    print("seed", seed)  # shown when the test fails
    chance = random.Random(seed)
    for kill in range(3):
        writer = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, *given, stdout=subprocess.PIPE)
        assert writer.stdout
        for _ in range(2 + 5 * kill):
            await writer.stdout.readline()
            head = made.checkpoint()
            assert seen.setdefault(head.size, head.root) == head.root
        # A line is printed at one place of the loop; the kill falls anywhere in the rounds that follow.
        await asyncio.sleep(chance.uniform(0, 0.03))
        writer.send_signal(signal.SIGKILL)
        await writer.wait()
        head = made.checkpoint()
        assert seen.setdefault(head.size, head.root) == head.root
    while await made.extend(database.keeper):
        pass
    for size, root in seen.items():
        assert made.tiles.root(size) == root
    head = audited(made)
    async with database.keeper.begin() as c:
        counts = (await c.execute(select(func.count(), func.max(log_entry.c.place)))).one()
    assert counts == (head.size, head.size - 1)


async def test_an_older_database_goes_on_at_the_end_of_the_files(
    made: Log, ring: Ring, tmp_path: Path, database: Databases
) -> None:
    """A restored backup lacks the last rows, and has one that waits again; another stands where the files have something else."""
    before = await grown(made, database.keeper, 6)
    async with database.keeper.begin() as c:
        await c.execute(delete(log_entry).where(log_entry.c.place > 3))
        await c.execute(update(log_entry).where(log_entry.c.place == 3).values(place=5))
    made = Log(tmp_path / "home", ring, SITE)
    after = await grown(made, database.keeper, 1)
    assert after.size == 8
    audited(made, passing=before)
    async with database.keeper.begin() as c:
        rows = (await c.execute(select(log_entry).order_by(log_entry.c.place))).all()
    assert [row.place for row in rows] == [0, 1, 2, 6, 7]
    assert all(made.tiles.entries(row.place, 1) == row.entry for row in rows)


async def test_a_log_whose_files_are_lost_stops_and_another_says_what_it_was(
    made: Log, ring: Ring, tmp_path: Path, database: Databases
) -> None:
    before, note = await grown(made, database.keeper, 4), made.note()
    shutil.rmtree(made.tiles.folder)
    made = Log(tmp_path / "home", ring, SITE)
    await put(database.keeper, "waits")
    with pytest.raises(LogBroken):
        await made.extend(database.keeper)
    assert made.note() == note
    after = await made.begin(database.keeper, "the disk is gone")
    assert after.origin.startswith("log.example/log/") and after.size == 6
    assert audited(made) == after
    with pytest.raises(Wrong, match="not log"):
        audited(made, passing=before)
    async with database.keeper.begin() as c:
        rows = (await c.execute(select(log_entry).where(log_entry.c.kind == "began"))).all()
    assert json.loads(rows[0].content)["before"].encode() == note


@pytest.mark.parametrize("lost", [("tlog",), ()])
async def test_a_log_whose_signed_head_is_lost_never_begins_anew_under_its_name(
    made: Log, ring: Ring, tmp_path: Path, database: Databases, lost: tuple[str, ...]
) -> None:
    """The head alone, or with the files, as a restore without them finds it: both would sign a second tree."""
    before = await grown(made, database.keeper, 4)
    entries = made.tiles.folder / "entries"
    held = entries.read_bytes()
    (tmp_path / "home" / "keyring" / log.HEAD).unlink()
    for name in lost:
        shutil.rmtree(tmp_path / "home" / name)
    again = Log(tmp_path / "home", ring, SITE)
    await put(database.keeper, "waits")
    with pytest.raises(LogBroken, match="missing") as broken:
        await again.extend(database.keeper)
    assert "avow log begin" in broken.value.hint
    assert "missing" in (await again.verify(database.keeper)).wrong[0]
    if not lost:
        assert entries.read_bytes() == held
        with pytest.raises(LogBroken):
            again.note()
    after = await again.begin(database.keeper, "the head is lost")
    assert after.origin != before.origin and audited(again) == after


async def test_a_kill_before_the_first_signature_loses_no_head(
    made: Log, ring: Ring, tmp_path: Path, database: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(database.keeper, "first")
    with monkeypatch.context() as killed:
        killed.setattr(Log, "_add", lambda self, head, entries: self.tiles.add(entries, head.size))
        await made.extend(database.keeper)
    assert await Log(tmp_path / "home", ring, SITE).extend(database.keeper) == 1
    assert audited(made).size == 1


async def test_a_changed_row_and_changed_files_are_found(made: Log, database: Databases) -> None:
    await grown(made, database.keeper, 3)
    assert not (await made.verify(database.keeper)).wrong
    await put(database.keeper, "waits")
    assert (await made.verify(database.keeper)).waiting_since
    async with database.keeper.begin() as c:
        await c.execute(update(log_entry).where(log_entry.c.place == 1).values(content="another"))
    assert (await made.verify(database.keeper)).wrong == ("leaf 1 was changed",)
    flip(made.tiles.folder / "0")
    assert "not those that were signed" in (await made.verify(database.keeper)).wrong[0]


async def test_two_writers_do_not_write_at_once(made: Log, tmp_path: Path, ring: Ring, database: Databases) -> None:
    await put(database.keeper, "one")
    with made._alone(), pytest.raises(LogBroken, match="Another process"):
        await Log(tmp_path / "home", ring, SITE).extend(database.keeper)


def flip(path: Path) -> None:
    held = bytearray(path.read_bytes())
    held[len(held) // 2] ^= 1
    path.write_bytes(held)


async def test_a_copy_shows_each_change_of_itself(made: Log, tmp_path: Path, ring: Ring, database: Databases) -> None:
    """A flipped byte in each file, a hole, a cut end, another signature."""
    before = await grown(made, database.keeper, 300)
    made.export(tmp_path / "older")
    await grown(made, database.keeper, 300)
    copy = tmp_path / "copy"
    heard: list[tuple[str, int, int]] = []
    assert made.export(copy, lambda *step: heard.append(step)).size == 600
    assert len(heard) > 2 and heard[-1] == ("", len(heard) - 1, len(heard) - 1), "whoever waits sees each file"

    def check(known: Checkpoint | None = None) -> Checkpoint:
        return verifier.check_copy(verifier.folder(copy), made.key, known, lambda said: None)

    assert check(before) == made.checkpoint()
    for path in sorted(path for path in copy.rglob("*") if path.is_file() and path.name != "key"):
        held = path.read_bytes()
        flip(path)
        with pytest.raises((Wrong, Missing)):
            check()
        path.unlink()
        with pytest.raises(Missing):
            check()
        path.write_bytes(held)
    newest = check()
    shutil.rmtree(copy)
    shutil.copytree(tmp_path / "older", copy)
    with pytest.raises(Wrong, match="cut off"):
        check(newest)
    stranger = Log(tmp_path / "other", Ring(tmp_path / "other" / "keyring" / "ring.db"), SITE)
    (copy / "checkpoint").write_bytes(stranger._signed(before))
    with pytest.raises(Wrong, match="has not signed"):
        check()
    with pytest.raises(Wrong, match="not those"):
        verifier.audit(
            verifier.folder(copy), newest._replace(size=300, root=before.root), passing=Checkpoint("", 299, bytes(32))
        )


async def test_a_receipt_carries_its_place_in_the_log_and_no_byte_of_it_can_be_changed(
    made: Log, ring: Ring, database: Databases
) -> None:
    signer, salt = Receipts(ring), tlog.new_salt()
    document = signer({"about": "erasure", "salt": salt.hex()})
    assert receipts.in_log(made.complete(document), signer.public_key) is None
    await grown(made, database.keeper, 2)
    async with database.keeper.begin() as c:
        await tlog.append(c, "receipt", document, salt)
    await made.extend(database.keeper)
    complete = made.complete(document)
    assert receipts.verify(complete, signer.public_key) == receipts.verify(document, signer.public_key)
    assert receipts.in_log(complete, signer.public_key) == ("log.example/log", 2, 3)
    for at in range(len(complete)):
        changed = bytearray(complete)
        changed[at] ^= 1 << at % 8
        with pytest.raises(ReceiptBroken):
            receipts.verify(bytes(changed), signer.public_key)
    async with database.keeper.begin() as c:
        assert await log.at(c, 2) is None  # nobody reads a receipt from the log


LIES: list[Callable[[dict[str, Any]], Any]] = [
    lambda proof: proof | {"index": proof["index"] + 1},
    lambda proof: proof | {"index": str(proof["index"])},
    lambda proof: proof | {"path": []},
    lambda proof: proof | {"path": [*proof["path"], "00" * 32]},
    lambda proof: proof | {"salt": "00" * 32},
    lambda proof: proof | {"more": 1},
    lambda proof: [],
    lambda proof: None,
]


async def test_a_proof_that_lies_breaks_the_receipt(made: Log, ring: Ring, database: Databases) -> None:
    signer, salt = Receipts(ring), tlog.new_salt()
    document = signer({"salt": salt.hex()})
    async with database.keeper.begin() as c:
        await tlog.append(c, "receipt", document, salt)
    await grown(made, database.keeper, 2)
    fields = json.loads(made.complete(document))
    for lie in LIES:
        with pytest.raises(ReceiptBroken):
            receipts.verify(receipts.canonical(fields | {"log": lie(fields["log"])}), signer.public_key)


async def test_the_application_appends_and_changes_nothing(database: Databases) -> None:
    async with database.app.begin() as c:
        await tlog.append(c, "policy", b"{}")
    for change in (delete(log_entry), update(log_entry).values(content="other")):
        with pytest.raises(Exception, match="permission denied"):
            async with database.app.begin() as c:
                await c.execute(change)
    with pytest.raises(tlog.ContentRefused):
        async with database.app.begin() as c:
            await tlog.append(c, "gossip", b"{}")
