"""Commands and the record: what each command of the operator puts there, or why nothing, and why they say they do it.

What is said of a command is read whenever a shell completes a word, so nothing here imports the program.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import click

from avow.base.recorded import READS, Command, Silent

if TYPE_CHECKING:
    from avow.desk import Desk

REASON = "avow.reason"

COMMANDS: Final[Mapping[str, Command | Silent]] = {
    "up": Silent("the policy that a start brings into force stands in policy_version, with its text and time"),
    "serve": Silent("the policy that a start brings into force stands in policy_version, with its text and time"),
    "policy check": READS,
    "policy render": READS,
    "policy show": READS,
    "policy export": READS,
    "policy plan": Silent("a plan is its own record, with the text of the policy and the time"),
    "policy apply": Silent(
        "the version that it publishes stands in policy_version: text, time, who applied and approved it"
    ),
    "policy verify": READS,
    "policy explain": READS,
    "verify": Silent("what the probes found is evidence; canaries are erased as people are"),
    "receipt verify": READS,
    "receipt fetch": Silent("a receipt names nobody, and nothing is opened"),
    "subject plan-erase": Silent("it shows counts and periods, and no content"),
    "subject export": Command("export", "person"),
    # Not on the person's record, which ends with them.
    "subject erase": Command("erase"),
    "subject restrict": Command("restrict", "itself"),
    "subject release": Command("lift restriction", "itself"),
    "subject find": Command("find by address", "itself"),
    "subject show": Silent("it shows counts and periods, and no content"),
    "sweep": Command("sweep"),
    "backup": Command("make a backup"),
    "restore": Command("restore a backup", "itself"),
    "log key": READS,
    "log export": Silent("it copies what everybody may read anyway"),
    "log verify": READS,
    "log begin": Command("begin another log", "itself", asks_why=True),
    "record anchor": Command("begin the chain anew", "itself", asks_why=True),
    "key create": Command("create key", "itself"),
    "key revoke": Command("revoke key", "itself"),
    "user create": Command("appoint staff", "itself"),
    "user remove": Command("dismiss staff", "itself"),
    "key list": Silent("it shows ids, states and times, and opens nothing"),
    "upstream list": Silent("what it shows is about nobody"),
    "model list": Silent("what it shows is about nobody"),
    "upstream add": Command("set upstream"),
    "upstream change": Command("change upstream"),
    "upstream drain": Command("drain upstream"),
    "upstream remove": Command("remove upstream"),
    "model add": Command("set model"),
    "model change": Command("change route"),
    "limit": Command("set limit"),
    "limits": Silent("it shows ids, names of models and sums"),
    "report": Silent(
        "sums over many organisations are about nobody; a purpose that is refused is recorded by `billing.sums`"
    ),
    "import litellm": Command("import", "itself"),
    "import new-api": Command("import", "itself"),
    "model leave": Command("take a route from a model"),
    "register add": Command("make register entry", "itself"),
    "register approve": Command("approve register entry", "itself"),
    "register end": Command("end register entry", "itself"),
    "register list": READS,
    "register disclose": Command("disclose", "itself"),
    "register ropa": READS,
    "evidence add": Command("add a document"),
    "evidence list": Silent("what it shows is about the organisation, and about nobody"),
    "evidence withdraw": Command("withdraw a document"),
    "completion": READS,
}
"""Every command of `avow`; its act is on the record before it does anything, with a digest of what it was given."""


async def record(at: Desk, context: click.Context) -> None:
    """Put a command on the record before it does anything; one that records itself, or is no act, is left alone."""
    act = COMMANDS[_path(context)]
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
        act = COMMANDS.get(path + name)
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
