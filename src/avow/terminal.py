"""What the commands have in common: how they reach the parts, and tell what went wrong. How they show what they found stands in
`avow.printing`.

The program is imported by what a command does and not by what is said of it, for `--help` and a shell that completes a word
wait for the latter.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from uuid import UUID

import click

from avow import commands, printing, settings
from avow.base import money
from avow.base.errors import AvowError, BadInput, NotFound
from avow.policy import PolicyError

if TYPE_CHECKING:
    from avow import app
    from avow.desk import Desk

T = TypeVar("T")
EXIT_FAILED, EXIT_USAGE = 1, 2
PAGE_MAX = 1000
"""Rows that a list shows at once."""


class NeverStarted(AvowError):
    """This home has never been started, so there is nothing in it yet."""

    status = 409
    code = "never_started"
    hint = "Start it once, with the same AVOW_HOME: avow up, or avow serve."


class KeyUnknown(NeverStarted):
    """This home has never been started, so it has no public key to check this with."""

    hint = "Give the service's public key: --key; its page /.well-known/avow-receipt-key has it."


class CallersPath(click.Path):
    """A path as the caller means it: `tools/avow` goes into the home before it runs this, and says where it was called."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(Path(os.environ.get("CALLED_FROM", "")) / value, param, ctx)


class PolicyName(click.ParamType[str]):
    """The name of a profile, or a policy file as the caller means it: one that lies there comes before the profile."""

    name = "policy"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        path = Path(os.environ.get("CALLED_FROM", "")) / value
        meant = os.path.isfile(path) or os.sep in value or path.suffix == ".toml"  # noqa: PTH113  it may be closed to us
        return str(path) if meant else value


class Commands(click.Group):
    """Shows an error of ours as its sentence and what to do next, and ends with 1; a wrong command line ends with 2."""

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **more: Any
    ) -> NoReturn:
        words = list(sys.argv[1:] if args is None else args)
        in_json = printing.OPTION in words[: words.index("--") if "--" in words else None]
        try:
            code = super().main(words, prog_name, **{**more, "standalone_mode": False})
            sys.stdout.flush()
            sys.exit(code if isinstance(code, int) else 0)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(EXIT_USAGE)
        except click.UsageError as error:
            printing.wrong(*_usage(error), "usage", in_json=in_json)
            sys.exit(EXIT_USAGE)
        except click.ClickException as error:
            printing.wrong(error.format_message(), "", "unreadable", in_json=in_json)
            sys.exit(error.exit_code)
        except click.Abort:
            printing.wrong("It was stopped.", "", "stopped", in_json=in_json)
        except PolicyError as error:
            problems = [problem.plain() for problem in error.problems]
            printing.wrong(str(error), error.hint, error.code, in_json=in_json, problems=problems)
        except AvowError as error:
            printing.wrong(str(error), _hint(error), error.code, in_json=in_json)
        except BrokenPipeError:
            # Whoever read has had enough; what is still in the buffer has nowhere to go.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except Exception as error:
            if not isinstance(error, (OSError, *_database_errors())):
                raise
            asks = "Does the database of this home answer? log/postgres-*.log in AVOW_HOME says more."
            printing.wrong(type(error).__name__, asks, "no_answer", in_json=in_json)
        sys.exit(EXIT_FAILED)


def _hint(error: AvowError) -> str:
    """What to do next at a terminal, where no request is sent and no id of one is shown."""
    told = {
        BadInput.hint: "Correct what is named and type the command again; with --help it says what it takes.",
        AvowError.hint: "Try again; if it persists, the newest lines in log/ of AVOW_HOME say more.",
    }
    return told.get(error.hint, error.hint)


def _usage(error: click.UsageError) -> tuple[str, str]:
    """What is wrong with a command line, and what to type instead."""
    near = getattr(error, "possibilities", None)
    path = error.ctx.command_path if error.ctx else "avow"
    if near:
        return error.message, f"Did you mean {' or '.join(sorted(near))}?"
    return error.format_message(), f"{path} --help says what it takes."


def _database_errors() -> tuple[type[Exception], ...]:
    import asyncpg
    from sqlalchemy.exc import DBAPIError

    return DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError


def parts_of(context: click.Context, *, demo: bool = False, **given: Any) -> app.Parts:
    if os.geteuid() == 0:
        raise AvowError("Avow does not run as root.", hint="Run it as the system user: tools/avow, or runuser -u avow.")
    from avow import app

    os.umask(0o077)
    return app.build(settings.read(os.environ, **given), demo=demo, **context.obj)


def public_key(context: click.Context, key: str | None) -> bytes:
    """The public key that is given, or that of this home, which is not made for it. Raises KeyUnknown, ReceiptBroken."""
    from avow.proof import receipts

    if key:
        return receipts.parse_key(key)
    if not is_begun():
        raise KeyUnknown
    return receipts.Receipts(parts_of(context).ring).public_key


def is_begun() -> bool:
    """Whether anything was ever made in this home."""
    return os.path.isdir(settings.read(os.environ).home_path / "keyring")  # noqa: PTH112  it may be closed to us


@asynccontextmanager
async def at_desk(context: click.Context, *, follow: bool = True) -> AsyncIterator[Desk]:
    """A desk over the database of this home; an embedded one that does not run is started for the time being.

    A command that is an act is put on the record first. Raises NeverStarted; not where nothing is there to `follow`.
    """
    from avow import desk
    from avow.base import log

    parts = parts_of(context)
    log.set_up(parts.home / "log", "command")
    cluster = parts.cluster
    if follow and cluster is not None and not cluster.is_made:
        raise NeverStarted
    asleep = cluster is not None and cluster.pid() is None
    if cluster and asleep:
        await asyncio.to_thread(cluster.start)
    try:
        async with desk.opened(parts, follow=follow) as made:
            await commands.record(made, context)
            yield made
    finally:
        if cluster and asleep:
            await asyncio.to_thread(cluster.stop)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


async def tenant_of(at: Desk, subject_id: UUID) -> UUID:
    from sqlalchemy import select

    from avow.accounts.tables import person, tenant

    async with at.keeper.begin() as c:
        found: UUID | None = await c.scalar(select(person.c.tenant_id).where(person.c.id == subject_id))
        # What belongs to an organisation itself has the tenant's own id as its subject.
        found = found or await c.scalar(select(tenant.c.tenant_id).where(tenant.c.tenant_id == subject_id))
    if found is None:
        raise NotFound("There is no such person.")
    return found


def credentials(email: str) -> tuple[str, str]:
    """The password and the code with which somebody shows who they are."""
    if sys.stdin.isatty():
        password = click.prompt(f"Password of {email}", hide_input=True)
        return str(password), str(
            click.prompt("Code of the second factor, if there is one", default="", show_default=False)
        )
    password, code = (sys.stdin.readline().rstrip("\n") for _ in range(2))
    return password, code


def nano_of(amount: str) -> int:
    """An amount of money in nano-units. Raises BadParameter for what is none, or less than nothing."""
    try:
        found = money.parse(amount)
    except ValueError as wrong:
        raise click.BadParameter(str(wrong)) from None
    if found < 0:
        raise click.BadParameter(f"{amount} is negative; an amount of money is zero or more.")
    return found
