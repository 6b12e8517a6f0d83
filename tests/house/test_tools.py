"""The tools behind make, as an ordinary user runs them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.house.conftest import ROOT

pytestmark = pytest.mark.skipif(os.geteuid() == 0, reason="as root the tools use the system's folder and user")


NEEDLESS = (
    "policy check x",
    "--json policy check x",
    "policy render x",
    "policy explain x",
    "policy export x --format dpv",
    "policy verify x --key y",
    "receipt verify x",
    "log verify x",
    "completion bash",
    "backup --help",
    "--version",
    "",
)
"""What only reads what it is given, or says something of a command."""


def tool(name: str, *arguments: str, home: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], **settings}
    command = [ROOT / "tools" / name, *arguments]
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)


def installed(home: Path) -> None:
    """An environment whose `avow` says how it was called."""
    program = home / ".avow" / "env" / "bin" / "avow"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$AVOW_HOME|$AVOW_POLICY|$PYTHONPATH|$PWD|$*"\n')
    program.chmod(0o755)


def test_avow_gets_a_home_of_its_own_that_only_it_can_read(tmp_path: Path) -> None:
    installed(tmp_path)
    done = tool("avow", "up", home=tmp_path, PYTHONPATH="/elsewhere")
    home = tmp_path / ".avow" / "home"
    assert done.stdout.strip() == f"{home}|||{home}|up"
    assert home.stat().st_mode & 0o777 == 0o700


def test_relative_paths_are_those_of_the_caller(tmp_path: Path) -> None:
    installed(tmp_path)
    (tmp_path / "mine.toml").touch()
    done = tool("avow", "up", home=tmp_path, AVOW_HOME="data/here", AVOW_POLICY="mine.toml")
    home = tmp_path / "data" / "here"
    assert done.stdout.strip() == f"{home}|{tmp_path}/mine.toml||{home}|up"


def test_the_name_of_a_profile_is_passed_on(tmp_path: Path) -> None:
    installed(tmp_path)
    assert "|default|" in tool("avow", "up", home=tmp_path, AVOW_POLICY="default").stdout


def test_what_needs_no_home_makes_none_and_runs_where_none_can_be_made(tmp_path: Path) -> None:
    installed(tmp_path)
    home = tmp_path / ".avow" / "home"
    (tmp_path / "file").touch()
    for words in NEEDLESS:
        done = tool("avow", *words.split(), home=tmp_path)
        assert done.stdout.strip() == f"{home}|||/|{words}" and not home.exists()
        done = tool("avow", *words.split(), home=tmp_path, AVOW_HOME=str(tmp_path / "file" / "home"))
        assert done.returncode == 0 and not done.stderr
    done = tool("avow", "policy", "plan", home=tmp_path, _AVOW_COMPLETE="bash_complete")
    assert done.returncode == 0 and not home.exists()
    for words in ("policy plan x", "log key", "backup -- --help", "--json up"):
        done = tool("avow", *words.split(), home=tmp_path, AVOW_HOME=str(tmp_path / words))
        assert done.stdout.startswith(f"{tmp_path / words}|||{tmp_path / words}|")


def test_a_home_that_the_runner_cannot_write_is_refused_and_left_alone(tmp_path: Path) -> None:
    installed(tmp_path)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    done = tool("avow", "up", home=tmp_path, AVOW_HOME=str(closed))
    assert done.returncode == 1 and not done.stdout
    assert str(closed) in done.stderr and "choose another folder" in done.stderr
    assert closed.stat().st_mode & 0o777 == 0o500


def test_tests_run_in_the_tree_without_the_settings_of_their_caller(tmp_path: Path) -> None:
    done = tool("in-tree", "sh", "-c", "pwd; env", home=tmp_path, AVOW_PORT="1", AVOW_HOME="/elsewhere")
    assert done.stdout.splitlines()[0] == str(ROOT)
    assert "AVOW_" not in done.stdout
    assert f"PATH={tmp_path}/.avow/env-test/bin:" in done.stdout


def test_a_failing_command_fails_the_make(tmp_path: Path) -> None:
    assert tool("in-tree", "sh", "-c", "exit 7", home=tmp_path).returncode == 7
