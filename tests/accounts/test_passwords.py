"""Passwords: what is accepted, what is kept, and that nobody is cheaper than anybody else."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator

import pytest
from argon2 import PasswordHasher, extract_parameters

from avow.accounts import passwords
from avow.accounts.passwords import Busy, Passwords, WeakPassword

GOOD = "correct horse battery staple"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
async def cheap() -> AsyncIterator[Passwords]:
    made = Passwords(CHEAP)
    yield made
    made.close()


async def test_the_right_password_and_no_other(cheap: Passwords) -> None:
    kept = await cheap.hash(GOOD)
    assert (await cheap.compare(kept, GOOD)).right
    assert not (await cheap.compare(kept, GOOD + " ")).right
    assert GOOD not in kept


async def test_two_keyboards_give_one_password(cheap: Passwords) -> None:
    kept = await cheap.hash("pässwörter sind länger")
    assert (await cheap.compare(kept, "pa\u0308sswo\u0308rter sind la\u0308nger")).right


@pytest.mark.parametrize("weak", ["", "hunter2", "x" * 14, "ä" * 513, "x" * 1025])
async def test_a_password_outside_the_rule_is_refused_without_being_repeated(cheap: Passwords, weak: str) -> None:
    with pytest.raises(WeakPassword) as refused:
        await cheap.hash(weak)
    assert not weak or weak not in str(refused.value)


@pytest.mark.parametrize("odd", ["x" * 1_000_000, "\x00" * 20, "\ud800" * 20, "🦊" * 15, ""])
async def test_odd_passwords_are_wrong_and_never_an_error(cheap: Passwords, odd: str) -> None:
    assert not (await cheap.compare(await cheap.hash(GOOD), odd)).right


async def test_a_password_with_nul_is_kept_whole(cheap: Passwords) -> None:
    kept = await cheap.hash("fifteen\x00characters one")
    assert not (await cheap.compare(kept, "fifteen\x00characters two")).right


class Counting(PasswordHasher):
    """Argon2id that counts how often it compared, and with what."""

    compared = 0
    against = ""

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override]
        self.compared += 1
        self.against = str(hash)
        return bool(super().verify(hash, password))


async def test_nobody_costs_the_same_work_as_somebody() -> None:
    """Counted, and told by argon2 itself: what nobody is compared with has the parameters of everybody's hash."""
    hasher = Counting(time_cost=1, memory_cost=8, parallelism=1)
    hashing = Passwords(hasher)
    assert not (await hashing.compare(None, GOOD)).right
    assert hasher.compared == 1
    assert extract_parameters(hasher.against) == extract_parameters(await hashing.hash(GOOD))
    await hashing.compare(await hashing.hash(GOOD), GOOD)
    assert hasher.compared == 2
    hashing.close()


async def test_a_weaker_hash_is_replaced_after_a_right_password() -> None:
    weak, strong = Passwords(CHEAP), Passwords(PasswordHasher(time_cost=2, memory_cost=8, parallelism=1))
    kept = await weak.hash(GOOD)
    assert (await strong.compare(kept, "wrong password, long")).upgraded is None
    upgraded = (await strong.compare(kept, GOOD)).upgraded
    assert upgraded is not None and (await strong.compare(upgraded, GOOD)) == (True, None)
    weak.close()
    strong.close()


async def test_a_full_queue_is_told_and_empties_again() -> None:
    gate = threading.Event()

    class Waiting(PasswordHasher):
        def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
            gate.wait()
            return super().hash(password, salt=salt)

    hashing = Passwords(Waiting(time_cost=1, memory_cost=8, parallelism=1))
    waiting = [asyncio.create_task(hashing.hash(GOOD)) for _ in range(passwords.QUEUE_MAX)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await hashing.hash(GOOD)
    gate.set()
    await asyncio.gather(*waiting)
    assert await hashing.hash(GOOD)
    hashing.close()


async def test_the_default_parameters_are_argon2id_of_64_mib() -> None:
    hashing = Passwords()
    assert (await hashing.hash(GOOD)).startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    hashing.close()


async def test_hashing_steps_back_behind_everything_else() -> None:
    """Each thread of the pool has a lower priority than the loop's, or signing in would make the gateway wait."""
    seen: set[int] = set()

    class Watching(PasswordHasher):
        def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
            seen.add(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
            return super().hash(password, salt=salt)

    made = Passwords(Watching(time_cost=1, memory_cost=8, parallelism=1))
    try:
        await asyncio.gather(*(made.hash(f"{GOOD} {number}") for number in range(4)))
    finally:
        made.close()
    assert min(seen) > os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
