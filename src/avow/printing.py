"""How a command says what it found. Commands hand over values; whoever runs them decides what becomes of these:

- with `--json` one JSON object on standard output, or one for each line of a stream;
- at a terminal tables and colours, as wide as it is, and without colours where NO_COLOR or TERM=dumb asks for it;
- else plain aligned text, which a pipe or a file can hold.

What comes from outside is shown without the characters that steer a terminal or turn the direction of a line.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, TextIO

import click

if TYPE_CHECKING:
    from rich.console import Console

    from avow.base.progress import Told

JSON: Final = "avow.json"
OPTION: Final = "--json"
COLOURS: Final = {
    **dict.fromkeys(("proved", "make"), "green"),
    **dict.fromkeys(("attested", "there"), "blue"),
    **dict.fromkeys(("unproved", "left"), "yellow"),
    "failed": "red",
}
LABEL: Final = 30
"""The columns that say what is at work."""
GAP: Final = 3
"""The columns of a terminal that a table takes beside each of its own."""
STEERS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What moves the cursor, sets colours, or makes text read otherwise than it is written."""

Row = Mapping[str, Any]


def offer_json(group: click.Group) -> None:
    """Let every command take `--json`, behind its own words or any before them."""

    def keep(context: click.Context, _: click.Parameter, value: bool) -> None:
        # The words of one command line share what is kept here, wherever among them it was said.
        context.meta[JSON] = value or as_json_in(context)

    said = "Print JSON: one object, or one for each line of a stream."
    for command in (group, *group.commands.values()):
        if isinstance(command, click.Group) and command is not group:
            offer_json(command)
        else:
            option = click.Option([OPTION], is_flag=True, is_eager=True, help=said, expose_value=False, callback=keep)
            command.params.append(option)


def as_json() -> bool:
    """Whether the command that runs was asked for JSON."""
    context = click.get_current_context(silent=True)
    return context is not None and as_json_in(context)


def as_json_in(context: click.Context) -> bool:
    """The same, of a command line that is being read."""
    return bool(context.meta.get(JSON))


def say(text: str, **facts: Any) -> None:
    """Say one sentence; as JSON the facts that it tells."""
    if as_json():
        _object(facts)
    else:
        _write(clean(text))


def tell(lines: Iterable[str], facts: Mapping[str, Any]) -> None:
    """Say several lines; as JSON the facts that they tell."""
    say("\n".join(lines), **facts)


def note(text: str) -> None:
    """Say on standard error what a person should know beside the answer; JSON carries it as a value, so not there."""
    if not as_json():
        _write(clean(text), err=True)


def verdict(word: str, text: str, facts: Row, *, says: str | None = None) -> None:
    """One line of a stream, which begins with the word of its verdict (`says`: how it reads)."""
    if as_json():
        _write(_escaped(json.dumps(dict(facts), ensure_ascii=False, default=str)))
    else:
        shown = f"{says or word:10}"
        _write(f"{_paint(shown, COLOURS.get(word), sys.stdout)}{clean(text)}".rstrip())


def show(facts: Row) -> None:
    """Show one thing: a line for each of its values."""
    if as_json():
        _object(facts)
        return
    lines = list(_flat(facts))
    if is_rich(sys.stdout):
        _cards([dict(lines)])
        return
    width = max((len(name) for name, _ in lines), default=0)
    for name, value in lines:
        _write(f"{name:{width}}  {value}".rstrip())


def rows(found: Sequence[Row], after: str | None = None) -> None:
    """Show things of one kind below headings; `after`: what `--after` takes for those that come behind them."""
    if as_json():
        _object({"rows": [dict(row) for row in found], "after": after})
        return
    headings = [name for name in dict.fromkeys(name for row in found for name in row) if _is_said(found, name)]
    cells = [[value_text(row.get(name)) for name in headings] for row in found]
    numbers = [all(type(row.get(name)) in (int, NoneType) for row in found) for name in headings]
    if not found:
        _write("There are none.")
    elif is_rich(sys.stdout):
        _table(headings, cells, numbers)
    else:
        _columns(headings, cells, numbers)
    if after is not None:
        note(f"There may be more: --after {after}")


def document(value: bytes | Mapping[str, Any] | Sequence[Any], end: bytes = b"\n") -> None:
    """Write a document as it is, whoever reads it: bytes that are signed or a file's, with `end` behind them, or an export,
    which is JSON already; at a terminal with what steers it escaped."""
    if isinstance(value, bytes) and sys.stdout.isatty():
        _write(_escaped(value.decode(errors="replace")))
    elif isinstance(value, bytes):
        sys.stdout.flush()
        sys.stdout.buffer.write(value + end)
    else:
        _write(_text(value))


def wrong(sentence: str, hint: str, code: str, *, in_json: bool, **more: Any) -> None:
    """Say on standard error what went wrong and what to do next; `more` is for JSON, and the sentence says it too."""
    if in_json:
        _write(_text({"error": {"code": code, "message": sentence, "hint": hint, **more}}), err=True)
        return
    _write(f"{_paint('avow:', 'red', sys.stderr)} {clean(sentence)}", err=True)
    if hint:
        _write(f"{_paint('hint:', 'cyan', sys.stderr)} {clean(hint)}", err=True)


@contextmanager
def working() -> Iterator[Told]:
    """A bar on standard error while long work goes on, for a person who waits at a terminal; else nothing."""
    from avow.base.progress import nobody

    if as_json() or not is_rich(sys.stderr):
        yield nobody
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[steps]}"), TimeElapsedColumn())
    # What is printed meanwhile goes through the bar where both are on one terminal, and never out of a pipe into it.
    shares = sys.stdout.isatty()
    with Progress(*columns, console=_console(sys.stderr), transient=True, redirect_stdout=shares) as bar:
        task = bar.add_task("", total=None, steps="")

        def told(what: str, done: int, total: int) -> None:
            steps = f"{done}/{total}" if total else str(done)
            bar.update(task, description=clean(what)[:LABEL], completed=done, total=total or None, steps=steps)

        yield told


def is_rich(stream: TextIO) -> bool:
    """Whether a person looks at a terminal that can draw."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def clean(text: str) -> str:
    """A text without what steers a terminal."""
    return STEERS.sub("\ufffd", text)


def value_text(value: Any) -> str:
    """A value as people read it, on one line."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}" + (" UTC" if value.utcoffset() is not None else "")
        case date():
            return value.isoformat()
        case Mapping():
            return ", ".join(f"{name} {value_text(each)}" for name, each in value.items()) or "-"
        case list() | tuple() | set() | frozenset():
            return ", ".join(map(value_text, value)) or "-"
    return clean(str(value)).replace("\n", " ")


def _flat(facts: Row, path: str = "") -> Iterator[tuple[str, str]]:
    """The values of a thing, and those of the things in it, each with the way to it."""
    for name, value in facts.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{path}{name}.")
        elif isinstance(value, list | tuple) and any(isinstance(each, Mapping) for each in value):
            for number, each in enumerate(value, 1):
                yield from _flat({str(number): each}, f"{path}{name}.")
        else:
            yield f"{path}{clean(str(name))}", value_text(value)


def _is_said(found: Sequence[Row], name: str) -> bool:
    return any(row.get(name) not in (None, "") for row in found)


def _write(text: str, *, err: bool = False) -> None:
    """Write a text; what the encoding of the terminal lacks becomes a question mark."""
    encoding = (sys.stderr if err else sys.stdout).encoding or "utf-8"
    click.echo(text.encode(encoding, "replace").decode(encoding), err=err)


def _object(value: Any) -> None:
    _write(_text(value))


def _text(value: Any) -> str:
    return _escaped(json.dumps(value, indent=1, ensure_ascii=False, default=str))


def _escaped(text: str) -> str:
    """JSON of the same meaning without what steers a terminal; of the controls it may hold line feeds beside its values."""
    return STEERS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _paint(text: str, colour: str | None, stream: TextIO) -> str:
    plain = colour is None or not is_rich(stream) or os.environ.get("NO_COLOR")
    return text if plain else click.style(text, fg=colour, bold=True)


def _columns(headings: Sequence[str], cells: Sequence[Sequence[str]], numbers: Sequence[bool]) -> None:
    from rich.cells import cell_len, set_cell_size

    widths = [max(map(cell_len, column)) for column in zip(headings, *cells, strict=True)]
    for row in (headings, *cells):
        placed = zip(row, widths, numbers, strict=True)
        _write("  ".join(f"{cell:>{w}}" if number else set_cell_size(cell, w) for cell, w, number in placed).rstrip())


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    return Console(file=stream, highlight=False, markup=False, emoji=False)


def _table(headings: Sequence[str], cells: Sequence[Sequence[str]], numbers: Sequence[bool]) -> None:
    """A table; where it would be wider than the terminal, a card for each row, for a cut id is worth nothing."""
    from rich import box
    from rich.cells import cell_len
    from rich.table import Column, Table

    console = _console(sys.stdout)
    widths = [max(map(cell_len, column)) for column in zip(headings, *cells, strict=True)]
    if sum(widths) + GAP * len(widths) > console.width:
        _cards([dict(zip(headings, row, strict=True)) for row in cells])
        return
    columns = [
        Column(name, justify="right" if number else "left") for name, number in zip(headings, numbers, strict=True)
    ]
    table = Table(*columns, box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for row in cells:
        table.add_row(*map(_cell, row))
    console.print(table)


def _cards(found: Sequence[Mapping[str, str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    console = _console(sys.stdout)
    for number, card in enumerate(found):
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for name, text in card.items():
            grid.add_row(Text(name, style="bold"), _cell(text))
        if number:
            console.print()
        console.print(grid)


def _cell(text: str) -> Any:
    from rich.text import Text

    return Text(text, style=COLOURS.get(text, ""), overflow="fold")
