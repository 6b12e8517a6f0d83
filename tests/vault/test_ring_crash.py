"""The ring survives kill -9 at any moment, and processes share one ring."""

import itertools
import multiprocessing
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from uuid import UUID

import pytest

from avow.vault.ring import Buried, Ring

FORK = multiprocessing.get_context("fork")
Said = tuple[str, UUID, bytes]


def start(work: Callable[..., None], *arguments: object) -> multiprocessing.process.BaseProcess:
    child = FORK.Process(target=work, args=arguments)
    child.start()
    return child


def create_and_destroy(path: Path, noon: datetime, first: int, told: Connection) -> None:
    """Make three people's halves and destroy the middle one's, for ever; tell of each after it is durable."""
    ring = Ring(path)
    raw = sqlite3.connect(path)
    for number in itertools.count(first):
        person = UUID(int=number)
        key = ring.fact_key(person, "usage", None, create=True)
        (sealed,) = raw.execute("SELECT secret FROM holder WHERE subject = ?", (person.bytes,)).fetchone()
        told.send(("made", person, key))
        told.send(("sealed", person, sealed))
        if number % 3 == 1:
            ring.destroy_holders(person, None, noon)
            told.send(("destroyed", person, sealed))


def everything_said(told: Connection) -> Iterator[Said]:
    """What the child had said before it died."""
    try:
        while told.poll(0):
            yield told.recv()
    except EOFError:
        return


def test_what_was_acknowledged_survives_kill_9(folder: Path, noon: datetime) -> None:
    Ring(folder / "ring.db").close()
    said: list[Said] = []
    for attempt in range(25):
        told, teller = FORK.Pipe(duplex=False)
        child = start(create_and_destroy, folder / "ring.db", noon, 1000 * attempt, teller)
        teller.close()
        said += [told.recv() for _ in range(5 + 3 * attempt)]
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        said += everything_said(told)
        check_ring(folder, said)


def check_ring(folder: Path, said: list[Said]) -> None:
    ring = Ring(folder / "ring.db")
    kept = {person: secret for what, person, secret in said if what == "made"}
    sealed = {person: secret for what, person, secret in said if what == "sealed"}
    gone = {person for what, person, _ in said if what == "destroyed"}
    disk = b"".join(path.read_bytes() for path in folder.glob("ring.db*"))
    assert gone
    for person, key in kept.items():
        found = ring.fact_key(person, "usage", None)
        if person in gone:
            assert found is None
        elif person.int % 3 == 1 and found is None:
            gone.add(person)  # killed between the destruction and its acknowledgement
        else:
            assert found == key
    for person in gone & sealed.keys():
        assert sealed[person] not in disk
        with pytest.raises(Buried):
            ring.holder(person, "usage", create=True)
    assert any(sealed[person] in disk for person in sealed.keys() - gone)
    ring.close()


def open_until(path: Path, event: int) -> None:
    """Open a ring and die by SIGKILL at the given audited act (open, link, mkdir, remove, SQLite connect …)."""
    seen = itertools.count(1)

    def die(name: str, _: object) -> None:
        if name.partition(".")[0] in ("open", "os", "sqlite3", "fcntl", "tempfile") and next(seen) == event:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(die)
    Ring(path).holder(UUID(int=1), "usage", create=True)
    os._exit(0)


def test_first_start_can_be_killed_at_every_step(tmp_path: Path) -> None:
    for event in itertools.count(1):
        path = tmp_path / str(event) / "ring.db"
        child = start(open_until, path, event)
        child.join()
        ring = Ring(path)
        key = ring.fact_key(UUID(int=1), "usage", None, create=True)
        ring.close()
        again = Ring(path)
        assert again.fact_key(UUID(int=1), "usage", None) == key
        again.close()
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
    assert event > 8


def open_and_tell(path: Path, ready: Connection, told: Connection) -> None:
    ready.recv()
    ring = Ring(path)
    told.send([ring.fact_key(UUID(int=number), "usage", None, create=True) for number in range(20)])


def test_processes_that_start_at_once_share_one_ring(folder: Path) -> None:
    pipes = [(FORK.Pipe(), FORK.Pipe()) for _ in range(4)]
    children = [start(open_and_tell, folder / "ring.db", go[1], told[1]) for go, told in pipes]
    for go, told in pipes:
        told[1].close()
        go[0].send("now")
    keys = [told[0].recv() for _, told in pipes]
    for child in children:
        child.join()
    assert keys[0] == keys[1] == keys[2] == keys[3]
    assert len(set(keys[0])) == 20


def use_inherited(ring: Ring, noon: datetime, told: Connection) -> None:
    came_through = ring._local.held[1]
    told.send(ring._db() is came_through)
    told.send(ring.fact_key(UUID(int=1), "usage", None))
    told.send(ring.fact_key(UUID(int=2), "usage", None, create=True))
    ring.destroy_holders(UUID(int=1), None, noon)
    told.send("destroyed")


def test_a_ring_that_came_through_fork_works_on_both_sides(ring: Ring, noon: datetime) -> None:
    mine = ring.fact_key(UUID(int=1), "usage", None, create=True)
    told, teller = FORK.Pipe(duplex=False)
    child = start(use_inherited, ring, noon, teller)
    teller.close()
    assert told.recv() is False  # SQLite forbids to use a connection that came through fork
    assert told.recv() == mine
    made_there = told.recv()
    assert told.recv() == "destroyed"
    child.join()
    assert ring.fact_key(UUID(int=2), "usage", None) == made_there
    ring.clear()
    assert ring.fact_key(UUID(int=1), "usage", None) is None
