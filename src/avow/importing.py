"""`avow import …`: bring over what another gateway has. Shows what it would do; does it with --apply."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from avow import commands
from avow.imports import carrying, foreign, litellm, new_api
from avow.imports.foreign import ImportUnreadable
from avow.imports.plan import Plan
from avow.terminal import CallersPath, at_desk, run

FILE = CallersPath(path_type=Path, exists=True, dir_okay=False)
WORDS = {"make": "would make", "there": "is there", "left": "left out"}
DONE = {**WORDS, "make": "made"}


@click.group("import")
def bring() -> None:
    """Bring over upstreams, models and keys of another gateway."""


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="One JSON object for each line."),
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
    as_json: bool,
) -> None:
    """Bring over CONFIG, the config.yaml of a LiteLLM proxy."""
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
    _bring(context, lambda now: litellm.read(files, now, owner), applies, as_json)


@bring.command("new-api")
@click.argument("file", type=FILE)
@_options
@click.pass_context
def import_new_api(context: click.Context, file: Path, owner: str | None, applies: bool, as_json: bool) -> None:
    """Bring over FILE, the SQLite database of new-api or one-api, or a JSON object of its tables."""
    if foreign.is_database(file):
        tables: dict[str, Any] = foreign.tables_of(file, new_api.TABLES)
    else:
        found = foreign.json_of(file)
        if not isinstance(found, dict):
            raise ImportUnreadable(f"{file.name} is no object with the tables {', '.join(new_api.TABLES)}.")
        tables = {name: foreign.rows_in(found[name], name) for name in new_api.TABLES if name in found}
    if "channels" not in tables:
        raise ImportUnreadable(f"{file.name} has no table channels.")
    _bring(context, lambda now: new_api.read(tables, now, owner), applies, as_json)


def _bring(context: click.Context, read: Callable[[Any], Plan], applies: bool, as_json: bool) -> None:
    counted = run(_work(context, read, applies, as_json))
    if not as_json:
        click.echo(
            f"{counted['make']} {'made' if applies else 'to make'}, {counted['there']} there, {counted['left']} left out."
        )
        if not applies:
            click.echo("Nothing was changed. The same command with --apply makes it; what is there stays as it is.")


async def _work(context: click.Context, read: Callable[[Any], Plan], applies: bool, as_json: bool) -> Counter[str]:
    counted: Counter[str] = Counter()
    async with at_desk(context) as at:
        plan = read(at.parts.clock.now())
        if applies:
            lines = carrying.carry_out(at.accounts, at.keeper, plan, commands.why(context))
        else:
            lines = carrying.look(at.accounts, at.keeper, plan)
        async for line in lines:
            counted[line.step] += 1
            _say(line, applies, as_json)
    return counted


def _say(line: carrying.Line, applies: bool, as_json: bool) -> None:
    if as_json:
        row = {"step": line.step, "what": line.what, "detail": line.detail}
        click.echo(json.dumps({**row, "secret": line.secret} if line.secret else row, ensure_ascii=False))
        return
    click.echo(f"{(DONE if applies else WORDS)[line.step]:10}  {line.what:34}  {line.detail}".rstrip())
    if line.secret:
        click.echo(f"{'':12}{line.secret}")
