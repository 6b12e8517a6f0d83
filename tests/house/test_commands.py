"""The `avow` command as a stranger's shell runs it: a program that is read anew."""

from __future__ import annotations

import subprocess
import sys

from tests.platform import ROOT


def avow(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "avow.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_command_says_what_it_does_and_what_was_wrong() -> None:
    shown = avow("--help")
    assert shown.returncode == 0
    for name in ("up", "serve", "policy", "verify", "subject", "sweep", "backup", "restore", "receipt", "key", "user"):
        assert f"\n  {name} " in shown.stdout
    wrong = avow("policy", "check", "no-such-profile")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "There is no policy 'no-such-profile'" in wrong.stderr and "Traceback" not in wrong.stderr
