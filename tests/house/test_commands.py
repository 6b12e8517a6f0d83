"""The `avow` command as a stranger's shell runs it: what it reads before it does anything, and what it says and where."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from avow import completing, printing, settings
from avow.base import log, progress
from avow.cli import main
from avow.policy.words import PROBES
from avow.proof import probes
from tests.platform import ROOT

HEAVY = ("sqlalchemy", "litestar", "cryptography", "asyncpg", "httpx", "xllamacpp", "rich", "structlog", "avow.app")

STEERING = ("\x1b]0;", "\x07", "\u202e", "\x9b", "\x1b[2J")

Told = Callable[..., tuple[int, str, str]]


def avow(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "avow.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """Runs a command in this process: its exit status, and what it wrote on standard output and error output."""

    def tell(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments), "avow")
        assert isinstance(ended.value.code, int)
        return ended.value.code, *capsys.readouterr()

    return tell


class Terminal(io.TextIOWrapper):
    """A terminal that keeps what is written on it."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), "utf-8", write_through=True)

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        return self.buffer.getvalue().decode()  # type: ignore[attr-defined,no-any-return]


def at_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A wide terminal with colours, which is standard output and error output."""
    made = Terminal()
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (("TERM", "xterm"), ("COLUMNS", "120"), ("LINES", "40")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", made)
    monkeypatch.setattr(sys, "stderr", made)
    return made


def leaves(group: click.Group) -> Iterator[click.Command]:
    for command in group.commands.values():
        yield from leaves(command) if isinstance(command, click.Group) else [command]


def completed(*words: str) -> list[str]:
    *before, last = words
    return [item.value for item in ShellComplete(main, {}, "avow", "_AVOW_COMPLETE").get_completions(before, last)]


def test_a_command_says_what_it_does_and_what_was_wrong() -> None:
    shown = avow("--help")
    assert shown.returncode == 0
    for name in ("up", "serve", "policy", "verify", "subject", "sweep", "backup", "restore", "receipt", "key", "user"):
        assert f"\n  {name} " in shown.stdout
    wrong = avow("policy", "check", "no-such-profile")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "There is no policy 'no-such-profile'" in wrong.stderr and "Traceback" not in wrong.stderr


def test_help_and_completion_read_nothing_of_the_program() -> None:
    asks = "complete.get_completions(['policy', 'plan'], 'def'), complete.get_completions(['verify'], 'part_')"
    code = f"""
import sys
from click.shell_completion import ShellComplete
from avow.cli import main
complete = ShellComplete(main, {{}}, "avow", "_AVOW_COMPLETE")
main.get_help(main.make_context("avow", [], resilient_parsing=True))
print(*(item.value for found in ({asks}) for item in found))
print(*(name for name in {HEAVY} if name in sys.modules), "read")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    names, read = done.stdout.splitlines()
    assert names.startswith("default part_") and read == "read"


def test_a_shell_completes_commands_options_profiles_probes_and_choices(told: Told) -> None:
    assert {"policy", "verify", "completion"} <= {*completed("")}
    assert {"--json", "--effective"} <= {*completed("policy", "plan", "--")}
    assert {*completed("policy", "check", "")} == {*settings.profiles()}
    assert {*completed("verify", "erased", "")} == {*probes.ALL} - {"erased"}
    assert {*PROBES} < completing.probe_names() == {*probes.ALL}
    assert {"finish", "weight"} <= {*completed("model", "add", "--routing", "")}
    for shell in completing.SHELLS:
        assert "_AVOW_COMPLETE" in told("completion", shell)[1]


def test_every_command_takes_json_and_each_in_the_same_way() -> None:
    for command in leaves(main):
        [option] = [each for each in command.params if printing.OPTION in each.opts]
        assert not option.expose_value, f"{command.name} decides itself how it prints"


def test_an_error_is_a_sentence_and_a_hint_or_one_object(told: Told) -> None:
    code, out, err = told("policy", "check", "no-such-profile")
    assert (code, out) == (1, "") and err.startswith("avow: There is no policy 'no-such-profile'.\nhint: Give a file")
    code, out, err = told("policy", "check", "no-such-profile", "--json")
    assert (code, out, json.loads(err)["error"]["code"]) == (1, "", "policy_missing")
    assert told("polcy") == (2, "", "avow: No such command 'polcy'.\nhint: Did you mean policy?\n")
    assert "hint: Did you mean --json?" in told("policy", "check", "default", "--jsn")[2]
    missing = json.loads(told("policy", "check", "--json")[2])["error"]
    assert missing["code"] == "usage" and missing["hint"] == "avow policy check --help says what it takes."


def test_a_policy_is_the_callers_file_or_a_profile(told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`tools/avow` has gone elsewhere before it runs the command, and says from where."""
    monkeypatch.setenv("CALLED_FROM", str(tmp_path))
    monkeypatch.chdir("/")
    text = (ROOT / "profiles" / "default.toml").read_text()
    (tmp_path / "mine.toml").write_text(text)
    assert f"{tmp_path}/mine.toml: sound" in told("policy", "check", "mine.toml")[1]
    assert "default: sound" in told("policy", "check", "default")[1]
    (tmp_path / "default").write_text(text)
    assert f"{tmp_path}/default: sound" in told("policy", "check", "default")[1]
    assert told("policy", "render", "mine.toml")[0] == told("policy", "explain", "./mine.toml")[0] == 0
    assert f"There is no policy '{tmp_path}/other.toml'" in told("policy", "check", "other.toml")[2]
    assert "There is no policy 'nope'" in told("policy", "check", "nope")[2]


def test_a_home_is_not_made_to_check_something(told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVOW_HOME", str(tmp_path / "home"))
    (tmp_path / "document").write_text("{}")
    for words in (("receipt", "verify"), ("policy", "verify")):
        code, out, err = told(*words, str(tmp_path / "document"))
        assert (code, out) == (1, "") and "never been started" in err and "--key" in err
    assert "Name a copy of the log" in told("log", "verify")[2]
    monkeypatch.setenv("AVOW_HOME", str(tmp_path / "document" / "home"))
    assert told("policy", "check", "default")[0] == 0
    assert [*tmp_path.iterdir()] == [tmp_path / "document"]


def test_a_table_is_aligned_in_a_pipe_and_an_object_as_json(told: Told) -> None:
    code, out, err = told("policy", "explain", "default")
    heading, first, *_ = out.splitlines()
    assert (code, err) == (0, "") and heading.split() == ["name", "value", "level", "clause"]
    assert first.index("platform") == heading.index("level") and "\x1b" not in out
    rows = json.loads(told("policy", "explain", "default", "--json")[1])["rows"]
    assert rows[0]["name"] == "keep account" and len(rows) == len(out.splitlines()) - 1


def test_a_terminal_gets_tables_cards_where_it_is_narrow_and_no_colours_where_it_wants_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = at_terminal(monkeypatch)
    row = {"id": "01a20287-9ca4-7624-811d-a5584abdbf85", "name": "[red]中文", "at": datetime(2026, 1, 2, tzinfo=UTC)}
    printing.rows([row, row])
    wide = terminal.text()
    assert "─" in wide and wide.count(row["id"]) == 2 and "[red]中文" in wide and "2026-01-02 00:00 UTC" in wide
    monkeypatch.setenv("COLUMNS", "48")
    printing.rows([row])
    narrow = terminal.text().removeprefix(wide)
    assert "─" not in narrow and row["id"] in narrow
    printing.verdict("failed", "sums", {})
    assert "\x1b[31m" in terminal.text()
    monkeypatch.setenv("NO_COLOR", "1")
    before = terminal.text()
    printing.verdict("failed", "sums", {})
    assert terminal.text().removeprefix(before) == "failed    sums\n"
    monkeypatch.setenv("TERM", "dumb")
    before = terminal.text()
    printing.rows([row])
    assert "\x1b" not in terminal.text().removeprefix(before)


def test_what_comes_from_outside_cannot_steer_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at_terminal(monkeypatch)
    for show in (printing.say, printing.note, lambda text: printing.show({text: text})):
        show("a\x1b]0;title\x07b\u202ec\x9b2J\ud800")
    printing.rows([{"name": "a\x1b[2Jb\nc"}])
    assert terminal.text().count("\ufffd") >= 10 and not [part for part in STEERING if part in terminal.text()]


def test_json_at_a_terminal_steers_nothing_and_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at_terminal(monkeypatch)
    said = {"name": "\x9b2J\u202e中文"}
    printing.document(said)
    assert not printing.STEERS.search(terminal.text().replace("\n", "")) and json.loads(terminal.text()) == said
    before = terminal.text()
    printing.document(json.dumps(said, ensure_ascii=False).encode())
    shown = terminal.text().removeprefix(before)
    assert "\x9b" not in shown and "中文" in shown and json.loads(shown) == said


def test_what_a_start_says_is_a_line_of_json_where_that_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(log, "_spelled", str)
    log.say("ready")
    log.say_in_json()
    log.say('> a "question"\n')
    first, second = capsys.readouterr().out.splitlines()
    assert (first, json.loads(second)) == ("ready", {"said": '> a "question"\n'})


def test_long_work_shows_a_bar_to_a_person_and_nothing_to_a_pipe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = at_terminal(monkeypatch)
    with printing.working() as told:
        assert [*progress.each(["usage", "audit"], told)] == ["usage", "audit"]
        printing.say("in between")
    assert "2/2" in terminal.text() and "in between\n" in terminal.text().replace("\r", "")
    monkeypatch.setenv("TERM", "dumb")
    with printing.working() as told:
        assert told is progress.nobody
