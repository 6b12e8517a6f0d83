"""Commands and the record: what each command of the operator puts there, and why they say they do it."""

from __future__ import annotations

import click

from avow.accounts import acts
from avow.accounts.acts import Command
from avow.desk import Desk

REASON = "avow.reason"


async def record(at: Desk, context: click.Context) -> None:
    """Put a command on the record before it does anything; one that records itself, or is no act, is left alone."""
    act = acts.COMMANDS[_path(context)]
    if isinstance(act, Command) and act.record != "itself":
        await at.record_command(act, context.params, why(context))


def why(context: click.Context) -> str | None:
    """The reason that was given with `--reason`."""
    given: str | None = context.meta.get(REASON)
    return given


def ask_why(group: click.Group, path: str = "") -> None:
    """Let every command that is an act take `--reason`."""

    def keep(context: click.Context, _: click.Parameter, value: str | None) -> None:
        context.meta[REASON] = value

    for name, command in group.commands.items():
        act = acts.COMMANDS.get(path + name)
        if isinstance(command, click.Group):
            ask_why(command, f"{path}{name} ")
        elif isinstance(act, Command) and not any(each.name == "reason" for each in command.params):
            said = "Why; it goes on the record."
            option = click.Option(["--reason"], help=said, required=act.asks_why, expose_value=False, callback=keep)
            command.params.append(option)


def _path(context: click.Context) -> str:
    """The words of a command behind `avow`."""
    words = []
    while context.parent is not None:
        words.append(str(context.info_name))
        context = context.parent
    return " ".join(reversed(words))
