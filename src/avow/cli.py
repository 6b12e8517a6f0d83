"""The `avow` command: the same functions as the routes, for the operator at a terminal."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import click

from avow import commands, completing, listings, printing
from avow.base.errors import AvowError
from avow.importing import bring
from avow.keying import key
from avow.limiting import limit, limits
from avow.offering import model, upstream
from avow.policy import words
from avow.publishing import log
from avow.receipting import receipt
from avow.registering import evidence, register
from avow.ruling import policy
from avow.subjects import subject
from avow.terminal import EXIT_FAILED, CallersPath, Commands, PolicyName, at_desk, parts_of, run

if TYPE_CHECKING:
    from avow import app
    from avow.privacy import backup as backups
    from avow.privacy import retention

EXIT_UNPROVED = 2


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="avow")
@click.pass_context
def main(context: click.Context) -> None:
    """Avow: an AI inference platform whose privacy policy is its configuration."""
    context.obj = context.obj or {}


# --- running


@main.command()
@click.option("--home", help="Folder of the database, keys and logs.")
@click.option("--port", type=int, help="Port to listen on, on 127.0.0.1.")
@click.option("--policy", type=PolicyName(), help="A policy file, or the name of a profile.")
@click.pass_context
def up(context: click.Context, home: str | None, port: int | None, policy: str | None) -> None:
    """Run everything on this machine, with a demo person and a first answer."""
    from avow import start

    _speak()
    sys.exit(start.run(parts_of(context, demo=True, home=home, port=port, policy=policy)))


@main.command()
@click.pass_context
def serve(context: click.Context) -> None:
    """Run in production: settings from AVOW_… and avow.toml, no demo data."""
    from avow import start

    _speak()
    sys.exit(start.run(parts_of(context)))


def _speak() -> None:
    """Let the lines of a start be JSON, if that was asked for."""
    from avow.base import log

    if printing.as_json():
        log.say_in_json()


# --- proof


@main.command()
@click.argument("names", nargs=-1, shell_complete=completing.probes)
@click.pass_context
def verify(context: click.Context, names: tuple[str, ...]) -> None:
    """Run the probes now. Ends with 0: all proved or attested, 1: something failed, 2: something unproved."""
    _check_running(parts_of(context))

    async def look() -> set[str]:
        verdicts: set[str] = set()
        async with at_desk(context) as at:
            async for found in at.look(names, told):
                verdicts.add(found.verdict)
                facts = {"probe": found.probe, "verdict": found.verdict, "figure": found.figure}
                text = f"{found.probe:22} {found.figure}  ({found.ms} ms)"
                printing.verdict(found.verdict, text, {**facts, "at": found.at.isoformat(), "ms": found.ms})
        return verdicts

    with printing.working() as told:
        verdicts = run(look())
    sys.exit(EXIT_FAILED if "failed" in verdicts else EXIT_UNPROVED if "unproved" in verdicts else 0)


def _check_running(parts: app.Parts) -> None:
    """End with 2 where the platform of this home does not answer at its address: there is nothing to look at."""
    from avow import desk
    from avow.proof import receipts

    base_url = parts.settings.base_url
    found = run(desk.answering(base_url))
    if found is not None and found == receipts.Receipts(parts.ring).public_key.hex():
        return
    who = "nothing answers" if found is None else "another Avow than that of this home answers"
    printing.wrong(
        f"{who} at {base_url}, so there is nothing to look at; nothing was recorded.",
        "Start it (avow up, or avow serve) with the same AVOW_HOME and AVOW_PORT, then verify.",
        "not_running",
        in_json=printing.as_json(),
    )
    sys.exit(EXIT_UNPROVED)


@main.command()
@click.option("--confirm-clock", is_flag=True, help="The machine's clock is right, although it jumped.")
@click.pass_context
def sweep(context: click.Context, confirm_clock: bool) -> None:
    """End now what has come to its end."""
    from avow.privacy import retention

    async def work() -> retention.Swept:
        async with at_desk(context) as at:
            return await retention.sweep(at.privacy, at.parts.clock.now(), confirm_clock)

    swept = run(work())
    lines = [f"{count:7} {store}" for store, count in swept.ended.items()]
    lines.append(f"{swept.keys} keys of past hours destroyed, {swept.backups} backups removed")
    printing.tell(lines, asdict(swept))
    if swept.clock_jump:
        raise AvowError(
            "The clock jumped, so no key was destroyed; rows went all the same.",
            hint="If the machine's time is right: avow sweep --confirm-clock",
        )


# --- backup


@main.command()
@click.argument("folder", type=CallersPath(path_type=Path))
@click.pass_context
def backup(context: click.Context, folder: Path) -> None:
    """Write a backup into a new folder outside the home. It holds no keys, is told of every erasure, and ends as the policy
    says."""
    from avow.base import access
    from avow.privacy import backup as backups

    async def work() -> backups.Manifest:
        async with at_desk(context) as at:
            backups.check_folder(folder, at.parts.home)
            reader = at.parts.dsn(access.BACKUP)
            return await backups.make(at.privacy, folder, reader, at.parts.program, told)

    with printing.working() as told:
        made = run(work())
    printing.say(
        f"backup {made.id} in {folder}, {len(made.files)} files, ends {made.ends_at:%Y-%m-%d %H:%M} UTC",
        **{"id": made.id, "folder": folder, "files": len(made.files), "made_at": made.made_at, "ends_at": made.ends_at},
    )


@main.command()
@click.argument("folder", type=CallersPath(path_type=Path))
@click.option("--replace", is_flag=True, help="Drop the database that is there now.")
@click.pass_context
def restore(context: click.Context, folder: Path, replace: bool) -> None:
    """Bring a backup back with the newest keyring; what was tightened or erased since holds again. Avow must not be running."""
    from avow import supervisor
    from avow.base import access
    from avow.privacy import backup as backups

    async def work() -> tuple[backups.Manifest, str | None]:
        async with at_desk(context, follow=False) as at:
            supervisor.claim(at.parts.home)
            passwords = {role: at.parts.password(role) for role in access.LOGIN_ROLES}
            made = await backups.restore(
                *(at.privacy, folder, at.parts.admin, passwords, at.parts.program),
                replace_database=replace,
                told=told,
            )
            return made, await at.finish_restore(commands.why(context))

    with printing.working() as told:
        made, log_state = run(work())
    printing.tell(
        [f"restored backup {made.id} of {made.made_at:%Y-%m-%d %H:%M} UTC", *filter(None, [log_state])],
        {"id": made.id, "made_at": made.made_at, "log": log_state},
    )


@main.group()
def record() -> None:
    """The record of who opened data and who did what. `avow verify record` checks the chain over it."""


@record.command("anchor")
@click.pass_context
def record_anchor(context: click.Context) -> None:
    """Begin the chain anew from the lines that are there, after a break was looked into."""

    async def work() -> None:
        async with at_desk(context) as at:
            await at.anchor("begin the chain anew", commands.why(context))

    run(work())
    printing.say("the chain begins anew", anchored=True)


# --- operator's conveniences


@main.group()
def user() -> None:
    """The operator's staff."""


@user.command("create")
@click.option("--role", type=click.Choice(list(words.STAFF)), required=True)
@click.option("--email", required=True)
@click.option("--name", default="", help="Where the policy asks for it.")
@click.option(
    "--trained-until", type=click.DateTime(["%Y-%m-%d"]), required=True, help="The role rests from this day on."
)
@click.option("--agreement", required=True, help="The confidentiality agreement that they signed: its number or place.")
@click.pass_context
def user_create(
    context: click.Context, role: str, email: str, name: str, trained_until: datetime, agreement: str
) -> None:
    """Make somebody staff, or change their role; their password is read from standard input."""
    from avow.accounts import staff

    password = _password()
    facts = {"email": email, **({"name": name} if name else {})}

    async def work() -> UUID:
        async with at_desk(context) as at:
            until = trained_until.replace(tzinfo=UTC)
            return await staff.appoint(
                at.accounts, at.keeper, facts, password, role, until, agreement, commands.why(context)
            )

    printing.show({"id": run(work()), "role": role})


@user.command("remove")
@click.option("--email", required=True)
@click.pass_context
def user_remove(context: click.Context, email: str) -> None:
    """Take somebody's staff role and end their sessions."""
    from avow.accounts import staff

    async def work() -> UUID:
        async with at_desk(context) as at:
            return await staff.dismiss(at.accounts, at.keeper, email, commands.why(context))

    printing.show({"id": run(work()), "role": None})


def _password() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\n")


subject.add_command(listings.find_subject)
upstream.add_command(listings.list_upstreams)
model.add_command(listings.list_models)
main.add_command(policy)
main.add_command(receipt)
main.add_command(subject)
main.add_command(evidence)
main.add_command(register)
main.add_command(bring)
main.add_command(log)
main.add_command(upstream)
main.add_command(model)
main.add_command(limit)
main.add_command(limits)
main.add_command(key)
main.add_command(listings.report)
main.add_command(completing.completion)
commands.ask_why(main)
printing.offer_json(main)

if __name__ == "__main__":
    main()
