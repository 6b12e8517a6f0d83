"""`avow import …`: bring over what another gateway has. Shows what it would do; does it with --apply."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avow import commands, printing
from avow.terminal import CallersPath, at_desk, run

if TYPE_CHECKING:
    from avow.base.progress import Told
    from avow.imports import carrying
    from avow.imports.plan import Plan

FILE = CallersPath(path_type=Path, exists=True, dir_okay=False)
WORDS = {"make": "would make", "there": "is there", "left": "left out"}
DONE = {**WORDS, "make": "made"}


@click.group("import")
def bring() -> None:
    """Bring over upstreams, models and keys of another gateway."""


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--apply", "applies", is_flag=True, help="Make what is shown; without it nothing is changed."),
        click.option("--owner", help="The address of an account here that gets the keys whose owner has no address."),
    ):
        command = option(command)
    return command


@bring.command("litellm")
@click.argument("config", type=FILE)
@click.option("--keys", type=FILE, help="The rows of LiteLLM_VerificationToken: CSV, or JSON as /key/list answers.")
@click.option("--users", type=FILE, help="The rows of LiteLLM_UserTable: CSV, or JSON as /user/list answers.")
@click.option("--prices", type=FILE, help="LiteLLM's model_prices_and_context_window.json, for models without a cost.")
@_options
@click.pass_context
def import_litellm(
    context: click.Context,
    config: Path,
    keys: Path | None,
    users: Path | None,
    prices: Path | None,
    owner: str | None,
    applies: bool,
) -> None:
    """Bring over CONFIG, the config.yaml of a LiteLLM proxy."""
    from avow.imports import foreign, litellm
    from avow.imports.foreign import ImportUnreadable

    known = foreign.json_of(prices) if prices else {}
    if not isinstance(known, dict):
        raise ImportUnreadable("The list of prices is no mapping of models.")
    files = litellm.Files(
        foreign.yaml_of(config),
        os.environ,
        foreign.rows_of(keys, "keys", "data") if keys else (),
        foreign.rows_of(users, "users", "data") if users else (),
        known,
    )
    _bring(context, lambda now: litellm.read(files, now, owner), applies)


@bring.command("new-api")
@click.argument("file", type=FILE)
@_options
@click.pass_context
def import_new_api(context: click.Context, file: Path, owner: str | None, applies: bool) -> None:
    """Bring over FILE, the SQLite database of new-api or one-api, or a JSON object of its tables."""
    from avow.imports import foreign, new_api
    from avow.imports.foreign import ImportUnreadable

    if foreign.is_database(file):
        tables: dict[str, Any] = foreign.tables_of(file, new_api.TABLES)
    else:
        found = foreign.json_of(file)
        if not isinstance(found, dict):
            raise ImportUnreadable(f"{file.name} is no object with the tables {', '.join(new_api.TABLES)}.")
        tables = {name: foreign.rows_in(found[name], name) for name in new_api.TABLES if name in found}
    if "channels" not in tables:
        raise ImportUnreadable(f"{file.name} has no table channels.")
    _bring(context, lambda now: new_api.read(tables, now, owner), applies)


def _bring(context: click.Context, read: Callable[[Any], Plan], applies: bool) -> None:
    with printing.working() as told:
        counted = run(_work(context, read, applies, told))
    if printing.as_json():
        return
    made = f"{counted['make']} {'made' if applies else 'to make'}"
    printing.say(f"{made}, {counted['there']} there, {counted['left']} left out.")
    if not applies:
        printing.say("Nothing was changed. The same command with --apply makes it; what is there stays as it is.")


async def _work(context: click.Context, read: Callable[[Any], Plan], applies: bool, told: Told) -> Counter[str]:
    from avow.imports import carrying

    counted: Counter[str] = Counter()
    async with at_desk(context) as at:
        plan = read(at.parts.clock.now())
        if applies:
            lines = carrying.carry_out(at.accounts, at.keeper, plan, commands.why(context))
        else:
            lines = carrying.look(at.accounts, at.keeper, plan)
        async for line in lines:
            counted[line.step] += 1
            told("lines", counted.total(), 0)
            _say(line, applies)
    return counted


def _say(line: carrying.Line, applies: bool) -> None:
    facts = {"step": line.step, "what": line.what, "detail": line.detail}
    secret = {"secret": line.secret} if line.secret else {}
    below = f"\n{'':12}{line.secret}" if line.secret else ""
    says = (DONE if applies else WORDS)[line.step]
    printing.verdict(line.step, f"  {line.what:34}  {line.detail}{below}", {**facts, **secret}, says=says)
