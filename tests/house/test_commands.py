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

from avow import app, completing, printing, settings
from avow.base import log, progress
from avow.cli import main
from avow.policy import parse
from avow.policy.clauses import published
from avow.policy.words import PROBES
from avow.proof import probes
from avow.proof.receipts import Receipts
from avow.vault import Ring
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
    (tmp_path / "closed").mkdir(mode=0o500)
    for folder, why in (
        ("closed", "closed to the user"),
        ("closed/home", "Permission denied"),
        ("document/home", "Not a"),
    ):
        monkeypatch.setenv("AVOW_HOME", str(tmp_path / folder))
        assert told("policy", "check", "default")[0] == 0
        assert why in told("log", "key")[2]
    (tmp_path / "closed").chmod(0)
    assert told("policy", "check", "default")[0] == 0
    assert "--key" in told("receipt", "verify", str(tmp_path / "document"))[2]


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


def signed(folder: Path, fields: dict[str, object]) -> tuple[str, str]:
    """A signed document in a file, and the key that it verifies with."""
    signer = Receipts(Ring(folder / "ring.db"))
    (folder / "document.json").write_bytes(signer(fields))
    return str(folder / "document.json"), signer.public_key.hex()


def test_a_receipt_is_told_in_short_its_verdict_first(told: Told, tmp_path: Path) -> None:
    times = {"received": "2026-01-02T03:04:05Z", "finished": None}
    policy = {"name": "default", "version": 7, "hash": "ab"}
    fields = {
        "about": "erasure",
        "request": "an-id",
        "person": "beef",
        "policy": policy,
        "times": times,
        "stores": [policy],
    }
    file, key = signed(tmp_path, fields)
    code, out, err = told("receipt", "verify", file, "--key", key)
    assert code == 0 and out.startswith("The receipt is genuine.\n\nabout     an erasure\n") and "--details" in err
    assert (
        "beef" in out and "2026-01-02T03:04:05Z" in out and "default, version 7" in out and "no proof of the log" in out
    )
    assert "stores.1.hash" not in out
    assert "stores.1.hash" in told("receipt", "verify", file, "--key", key, "--details")[1]
    assert json.loads(told("receipt", "verify", file, "--key", key, "--json")[1]) == {"receipt": fields, "in_log": None}
    code, out, err = told("receipt", "verify", file, "--key", "00" * 32)
    assert (code, out) == (1, "") and "not signed with this key" in err


def test_a_signed_policy_is_told_as_a_table_of_its_languages(told: Told, tmp_path: Path) -> None:
    text = {"en": {"date": "2 January", "hash": "aa"}, "zh": {"date": "1 月 2 日", "hash": "bb"}}
    known = {"document": "avow-policy", "name": "default", "version": 7, "hash": "cc", "at": "2026-01-02", "text": text}
    file, key = signed(tmp_path, known)
    code, out, _ = told("policy", "verify", file, "--key", key)
    assert code == 0 and out.startswith("The policy is genuine.\n") and "{" not in out
    assert [line.split() for line in out.splitlines()[-3:]] == [
        ["language", "date", "hash"], ["en", "2", "January", "aa"], ["zh", "1", "月", "2", "日", "bb"]
    ]  # fmt: skip
    assert json.loads(told("policy", "verify", file, "--key", key, "--json")[1])["text"] == text


def test_what_is_wrong_with_a_policy_is_a_list_for_a_program(told: Told, tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text((ROOT / "profiles" / "default.toml").read_text().replace('keep = "12 months"', 'keep = "soon"'))
    code, out, err = told("policy", "check", str(broken))
    assert (code, out) == (1, "") and err.endswith("hint: Correct the lines named, and check it again.\n")
    assert "`avow policy check` lists them all" in told("policy", "render", str(broken))[2]
    error = json.loads(told("policy", "check", str(broken), "--json")[2])["error"]
    assert error["problems"] and all({*each} == {"path", "line", "sentence", "hint"} for each in error["problems"])
    lines = broken.read_text().splitlines()
    assert all('keep = "soon"' in lines[each["line"] - 1] for each in error["problems"])


def test_a_check_counts_apart_what_needs_a_document(told: Told) -> None:
    found = json.loads(told("policy", "check", "infer-mesh", "--json")[1])
    policy = parse(app.policy_text("infer-mesh"), "infer-mesh")
    installed = app.installed(settings.read({}))
    named = frozenset(str(clause.evidence) for clause in policy.clauses if clause.evidence)
    served = [len(published(policy, installed, documents)) for documents in (frozenset[str](), named)]
    assert [found["published"], found["published"] + found["evidence"]] == served and found["evidence"] > 0
    waiting = {clause for part in found["not_configured"] for clause in part["clauses"]}
    assert found["sentences"] == len(policy.clauses) == served[1] + len(waiting)
    out = told("policy", "check", "infer-mesh")[1]
    assert f"{served[0]} of {len(policy.clauses)} sentences are published here.\n" in out
    assert f"{found['evidence']} more while a valid document stands behind each" in out
    assert all(name in out for name in named)
    page = told("policy", "render", "infer-mesh")[1]
    assert page.count("[published with the document ") == found["evidence"]


def test_json_may_be_asked_before_the_command_too(told: Told) -> None:
    asked = told("policy", "explain", "default", "--json")
    assert json.loads(asked[1])["rows"]
    assert told("--json", "policy", "explain", "default") == told("policy", "--json", "explain", "default") == asked


def test_a_plan_is_not_approved_by_whoever_applies_it(told: Told) -> None:
    one = "01a20287-9ca4-7624-811d-a5584abdbf85"
    code, _, err = told("policy", "apply", one, "--as", "ada@example.org", "--approve", "Ada@example.org")
    assert code == 2 and "two different operators" in err
