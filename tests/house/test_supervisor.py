"""The process tree, with real processes and real signals."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from avow import supervisor
from tests.house.conftest import Tree, lives

Grow = Callable[[str], Tree]


def test_greets_once_when_all_children_are_ready(tree: Grow) -> None:
    steady = tree("steady")
    steady.until_told("greeting")
    assert [len(steady.lines(name)) for name in "abc"] == [1, 1, 1]
    os.kill(steady.pid("a"), signal.SIGKILL)
    steady.until_told("a", 2)
    assert steady.end() == 0
    assert len(steady.lines("greeting")) == 1


def test_a_killed_child_is_started_again_alone_and_the_parent_learns_its_pid(tree: Grow) -> None:
    steady = tree("steady")
    steady.until_told("greeting")
    first, b, c = (steady.pid(name) for name in "abc")
    os.kill(first, signal.SIGKILL)
    steady.until_told("a", 2)
    assert steady.pid("a") != first
    assert lives(b) and lives(c) and steady.pid("b") == b and steady.pid("c") == c
    steady.until(lambda: f"a {first}" in steady.lines("reaped"))
    assert f"a (pid {first}) ended: killed by SIGKILL; it starts again in 0.1 s." in steady.errors()


def test_what_a_child_had_started_ends_with_it(tree: Grow) -> None:
    grown = tree("grandchild")
    grown.until_told("greeting")
    before = grown.pid("grandchild")
    os.kill(grown.pid("a"), signal.SIGKILL)
    grown.until(lambda: not lives(before))


def test_children_end_with_a_parent_that_is_killed(tree: Grow) -> None:
    steady = tree("steady")
    steady.until_told("greeting")
    pids = [steady.pid(name) for name in "abc"]
    steady.end(signal.SIGKILL)
    steady.until(lambda: not any(map(lives, pids)))
    assert steady.lines("ended") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_parent_ends_all_in_order(tree: Grow, number: int) -> None:
    steady = tree("steady")
    steady.until_told("greeting")
    assert steady.end(number) == 0
    assert sorted(steady.lines("ended")[:2]) == ["a", "b"]
    assert steady.lines("ended")[2] == "c"
    assert not any(lives(steady.pid(name)) for name in "abc")
    assert "starts again" not in steady.errors()


def test_ctrl_c_of_a_terminal_reaches_the_parent_only(tree: Grow) -> None:
    steady = tree("steady")
    steady.until_told("greeting")
    groups = {os.getpgid(steady.pid(name)) for name in "abc"}
    assert os.getpgid(steady.process.pid) not in groups


def test_a_vital_child_that_never_starts_ends_the_start_with_a_clear_word(tree: Grow) -> None:
    hopeless = tree("hopeless")
    assert hopeless.process.wait(60) == 1
    assert "b could not start in 5 tries (last: exit code 1); its messages are above. Stopping." in hopeless.errors()
    assert "b: ValueError (" in hopeless.errors()
    assert "what somebody wrote" not in hopeless.errors()
    assert hopeless.lines("ended") == ["a"]
    assert hopeless.lines("greeting") == []


def test_a_child_that_is_not_vital_may_fail_and_is_tried_on(tree: Grow) -> None:
    lame = tree("lame")
    lame.until_told("greeting")
    lame.until_told("b", 6)
    assert lives(lame.pid("a"))
    assert lame.end() == 0


def test_pauses_grow_in_a_crash_loop(tree: Grow) -> None:
    crashing = tree("crashing")
    crashing.until_told("b", 5)
    assert crashing.end() == 0
    pauses = [float(pause) for pause in re.findall(r"starts again in ([0-9.]+) s", crashing.errors())]
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.8]
    assert "4 times in a row" in crashing.errors()


def test_a_slow_greeting_keeps_nobody_waiting(tree: Grow) -> None:
    slow = tree("slow")
    slow.until_told("greeting")
    os.kill(slow.pid("a"), signal.SIGKILL)
    slow.until_told("a", 2)
    greeting = slow.pid("greeting")
    assert slow.end(signal.SIGINT) == 0
    assert not lives(greeting)


def test_a_child_that_does_not_stop_is_killed_at_the_limit(tree: Grow) -> None:
    late = tree("late")
    late.until_told("greeting")
    assert late.end() == 1
    assert "did not stop within 0.2 s: killed" in late.errors()
    assert not lives(late.pid("stubborn"))


def test_asking_twice_kills_at_once(tree: Grow) -> None:
    patient = tree("patient")
    patient.until_told("greeting")
    patient.process.send_signal(signal.SIGINT)
    patient.until(lambda: "stopping" in patient.errors())
    assert patient.end(signal.SIGINT) == 1
    assert not lives(patient.pid("stubborn"))


def test_another_child_reads_who_was_reaped(tree: Grow) -> None:
    told = tree("told")
    told.until_told("greeting")
    first = told.pid("a")
    os.kill(first, signal.SIGKILL)
    told.until(lambda: f"{first} a" in told.lines("keeper"))


def test_a_pipe_gives_back_what_it_was_told_and_never_waits() -> None:
    reaped = supervisor.Reaped()
    assert reaped.take() == []
    reaped.tell("worker-1", 41)
    reaped.tell("local engine", 42)
    assert reaped.take() == [("worker-1", 41), ("local engine", 42)]
    for pid in range(100_000):
        reaped.tell("worker-1", pid)
    assert reaped.take()[:2] == [("worker-1", 0), ("worker-1", 1)]


def test_a_folder_has_one_holder_until_its_last_process_has_ended(tree: Grow, tmp_path: Path) -> None:
    holder = tree("claimed")
    holder.until_told("greeting")
    second = tree("claimed")
    assert second.process.wait(60) != 0
    assert "HomeInUse" in second.errors()
    holder.end(signal.SIGKILL)
    third = tree("claimed")
    third.until_told("greeting", 2)
    assert third.end() == 0


def test_a_parent_with_threads_does_not_fork() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="somebody")
    thread.start()
    try:
        with pytest.raises(RuntimeError, match="somebody"):
            supervisor.run([])
    finally:
        stop.set()
        thread.join()
