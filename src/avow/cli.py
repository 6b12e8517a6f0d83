"""The `avow` command: the same functions as the routes, for the operator at a terminal."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from uuid import UUID

import click
import msgspec

from avow import app, checking, commands, desk, listings, settings, start, supervisor
from avow.accounts import keys, people, staff
from avow.accounts.key_terms import Setting
from avow.base import access
from avow.base.actor import COMMAND
from avow.base.errors import AvowError
from avow.importing import bring
from avow.offering import limit, model, upstream
from avow.policy import Overrides, explain, parse, words
from avow.policy.export import export as export_policy
from avow.privacy import backup as backups
from avow.privacy import plans, retention, summary
from avow.privacy.outlook import Outlook
from avow.privacy.plans import Applied
from avow.proof import receipts
from avow.publishing import log
from avow.registering import evidence, register
from avow.subjects import subject
from avow.terminal import CallersPath, Commands, at_desk, credentials, parts_of, run, show, tenant_of

EXIT_FAILED, EXIT_UNPROVED = 1, 2


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
@click.option("--policy", help="A policy file, or the name of a profile.")
@click.pass_context
def up(context: click.Context, home: str | None, port: int | None, policy: str | None) -> None:
    """Run everything on this machine, with a demo person and a first answer."""
    sys.exit(start.run(parts_of(context, demo=True, home=home, port=port, policy=policy)))


@main.command()
@click.pass_context
def serve(context: click.Context) -> None:
    """Run in production: settings from AVOW_… and avow.toml, no demo data."""
    sys.exit(start.run(parts_of(context)))


# --- policy


@main.group()
def policy() -> None:
    """Check a policy and read its sentences."""


@policy.command("check")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: errors, and the parts that are not configured.")
def policy_check(name: str, as_json: bool) -> None:
    """Check a policy file or profile against what this version of Avow stores, and list what it would not publish."""
    checked = parse(app.policy_text(name), name)
    wrong = checking.errors(checked)
    if as_json:
        waiting = [asdict(each) for each in checking.unconfigured(checked, _installed())]
        show({"hash": checked.hash, "errors": [str(problem) for problem in wrong], "not_configured": waiting})
    else:
        for line in map(str, wrong or checking.lines(checked, _installed())):
            click.echo(line)
    if wrong:
        sys.exit(1)


def _installed() -> frozenset[str]:
    """The parts that are there with the settings of this home."""
    return app.installed(settings.read(os.environ))


@policy.command("render")
@click.argument("name")
@click.option("--locale", type=click.Choice(["en", "zh"]), default="en")
def policy_render(name: str, locale: str) -> None:
    """Print the page of a policy; a sentence of a part that is not installed here says so."""
    for line in checking.rendered(parse(app.policy_text(name), name), locale, _installed()):
        click.echo(line)


@policy.command("verify")
@click.argument("file", type=CallersPath(path_type=Path, exists=True, dir_okay=False))
@click.option("--key", help="The service's public key, hexadecimal; by default that of this installation.")
@click.pass_context
def policy_verify(context: click.Context, file: Path, key: str | None) -> None:
    """Check the signature of a saved /.well-known/avow-policy.json; needs no network and, with --key, no installation."""
    public = receipts.parse_key(key) if key else receipts.Receipts(parts_of(context).ring).public_key
    found = receipts.verify(file.read_bytes().rstrip(b"\n"), public)
    if found.get("document") != "avow-policy":
        raise receipts.ReceiptBroken("This is signed, but it is no policy.")
    show({name: found[name] for name in ("name", "version", "hash", "at", "text")})
    click.echo("The policy is genuine.", err=True)


@policy.command("explain")
@click.argument("name")
@click.option("--tenant", multiple=True, help="CATEGORY=HOURS: what the organisation asks for; may be repeated.")
@click.option("--project", multiple=True, help="CATEGORY=HOURS: what the project asks for.")
@click.option("--key", multiple=True, help="CATEGORY=HOURS: what the API key asks for.")
@click.option("--request", "header_h", type=click.IntRange(min=0), help="HOURS: the request's header avow-retention.")
@click.option("--json", "as_json", is_flag=True, help="A JSON array of the lines.")
def policy_explain(
    name: str,
    tenant: tuple[str, ...],
    project: tuple[str, ...],
    key: tuple[str, ...],
    header_h: int | None,
    as_json: bool,
) -> None:
    """Print what holds for one request: each value, the level that it comes from, its clause, and what was cut."""
    checked = parse(app.policy_text(name), name)
    lines = explain(checked, *(_wishes(level) for level in (tenant, project, key)), header_h=header_h)
    if as_json:
        show([asdict(line) for line in lines])
        return
    for line in lines:
        cut = f"  (cut: {line.clipped})" if line.clipped else ""
        click.echo(f"{line.name:20} {line.value:22} {line.level:9} {line.clause or '-'}{cut}")


def _wishes(level: tuple[str, ...]) -> Overrides | None:
    hours: dict[str, int] = {}
    for wish in level:
        category, _, amount = wish.partition("=")
        if category not in words.CATEGORIES or not amount.isascii() or not amount.isdigit():
            raise click.BadParameter(f"{wish!r} is not CATEGORY=HOURS, for example api_content=24.")
        hours[category] = int(amount)
    return Overrides(hours) if hours else None


@policy.command("export")
@click.argument("name")
@click.option("--format", "form", type=click.Choice(["dpv", "fides"]), required=True)
def policy_export(name: str, form: Literal["dpv", "fides"]) -> None:
    """Print a policy in the words of others: W3C DPV (JSON-LD) or fideslang."""
    show(export_policy(parse(app.policy_text(name), name), form))


@policy.command("plan")
@click.argument("name")
@click.option("--effective", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]), help="When it takes effect, UTC.")
@click.option("--json", "as_json", is_flag=True, help="The whole plan as one JSON object.")
@click.pass_context
def policy_plan(context: click.Context, name: str, effective: datetime | None, as_json: bool) -> None:
    """Show what a policy file would change, on the data that is there, and keep that as a plan; nothing is changed."""
    date = None if effective is None else effective.replace(tzinfo=UTC)

    async def work() -> tuple[UUID, Outlook]:
        async with at_desk(context) as at:
            return await plans.make(at.privacy, at.telling.readers, app.policy_text(name), name, date)

    id, found = run(work())
    if as_json:
        show({"plan": id, **found.plain()})
    else:
        for line in summary.lines(found):
            click.echo(line)
        click.echo(
            f"Apply it with: avow policy apply {id}{' --as ADDRESS --approve ADDRESS' if found.destructive else ''}"
        )


@policy.command("apply")
@click.argument("id", type=click.UUID)
@click.option("--as", "first", help="The address of the operator who applies it.")
@click.option("--approve", help="The address of another operator, who approves it.")
@click.pass_context
def policy_apply(context: click.Context, id: UUID, first: str | None, approve: str | None) -> None:
    """Publish what a plan says; what it tightens holds at once, what it loosens from its date.

    What takes data away needs both operators. For each, their password and the code of their second factor (an empty line:
    none) are read from standard input.
    """
    shown = {email: credentials(email) for email in dict.fromkeys((first, approve)) if email}

    async def work() -> tuple[Applied, dict[str, list[int]]]:
        async with at_desk(context) as at:
            who = {email: await staff.vouch(at.accounts, at.keeper, email, *given) for email, given in shown.items()}
            by = who[first] if first else plans.TERMINAL
            made = await plans.apply(at.privacy, at.telling.readers, id, by, who[approve] if approve else None)
            await at.follow()
            return made, await plans.carry_out(at.privacy, id)

    made, done = run(work())
    for line in summary.result_lines(made, done):
        click.echo(line)


# --- proof


@main.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each probe.")
@click.argument("names", nargs=-1)
@click.pass_context
def verify(context: click.Context, as_json: bool, names: tuple[str, ...]) -> None:
    """Run the probes now. Ends with 0: all proved or attested, 1: something failed, 2: something unproved."""
    _check_running(parts_of(context))

    async def look() -> set[str]:
        verdicts: set[str] = set()
        async with at_desk(context) as at:
            async for found in at.look(names):
                verdicts.add(found.verdict)
                if as_json:
                    row = {"probe": found.probe, "verdict": found.verdict, "figure": found.figure}
                    click.echo(json.dumps({**row, "at": found.at.isoformat(), "ms": found.ms}))
                else:
                    click.echo(f"{found.verdict:9} {found.probe:22} {found.figure}  ({found.ms} ms)")
        return verdicts

    verdicts = run(look())
    sys.exit(EXIT_FAILED if "failed" in verdicts else EXIT_UNPROVED if "unproved" in verdicts else 0)


def _check_running(parts: app.Parts) -> None:
    """End with 2 where the platform of this home does not answer at its address: there is nothing to look at."""
    base_url = parts.settings.base_url
    found = run(desk.answering(base_url))
    if found is not None and found == receipts.Receipts(parts.ring).public_key.hex():
        return
    who = "nothing answers" if found is None else "another Avow than that of this home answers"
    click.echo(f"avow: {who} at {base_url}, so there is nothing to look at; nothing was recorded.", err=True)
    click.echo("  Start it (avow up, or avow serve) with the same AVOW_HOME and AVOW_PORT, then verify.", err=True)
    sys.exit(EXIT_UNPROVED)


@main.group()
def receipt() -> None:
    """Receipts of erasures."""


@receipt.command("verify")
@click.argument("file", type=CallersPath(path_type=Path, exists=True, dir_okay=False))
@click.option("--key", help="The service's public key, hexadecimal; by default that of this installation.")
@click.pass_context
def receipt_verify(context: click.Context, file: Path, key: str | None) -> None:
    """Check a receipt's signature, and its proof that it stands in the log; needs no network and, with --key, no
    installation."""
    public = receipts.parse_key(key) if key else receipts.Receipts(parts_of(context).ring).public_key
    document = file.read_bytes().rstrip(b"\n")
    show(receipts.verify(document, public))
    click.echo("The receipt is genuine.", err=True)
    place = receipts.in_log(document, public)
    if place is None:
        click.echo("It carries no proof of the log; fetched a few seconds after it was made, it does.", err=True)
    else:
        click.echo(f"It is leaf {place.leaf} of {place.origin}, signed at a size of {place.size} leaves.", err=True)


@main.command()
@click.option("--confirm-clock", is_flag=True, help="The machine's clock is right, although it jumped.")
@click.pass_context
def sweep(context: click.Context, confirm_clock: bool) -> None:
    """End now what has come to its end."""

    async def work() -> retention.Swept:
        async with at_desk(context) as at:
            return await retention.sweep(at.privacy, at.parts.clock.now(), confirm_clock)

    swept = run(work())
    for store, count in swept.ended.items():
        click.echo(f"{count:7} {store}")
    click.echo(f"{swept.keys} keys of past hours destroyed, {swept.backups} backups removed")
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

    async def work() -> backups.Manifest:
        async with at_desk(context) as at:
            backups.check_folder(folder, at.parts.home)
            reader = at.parts.dsn(access.BACKUP)
            return await backups.make(at.privacy, folder, reader, at.parts.program)

    made = run(work())
    click.echo(f"backup {made.id} in {folder}, {len(made.files)} files, ends {made.ends_at:%Y-%m-%d %H:%M} UTC")


@main.command()
@click.argument("folder", type=CallersPath(path_type=Path))
@click.option("--replace", is_flag=True, help="Drop the database that is there now.")
@click.pass_context
def restore(context: click.Context, folder: Path, replace: bool) -> None:
    """Bring a backup back with the newest keyring; what was tightened or erased since holds again. Avow must not be running."""

    async def work() -> tuple[backups.Manifest, str | None]:
        async with at_desk(context, follow=False) as at:
            supervisor.claim(at.parts.home)
            passwords = {role: at.parts.password(role) for role in access.LOGIN_ROLES}
            made = await backups.restore(
                at.privacy, folder, at.parts.admin, passwords, at.parts.program, replace_database=replace
            )
            return made, await at.finish_restore(commands.why(context))

    made, log_state = run(work())
    click.echo(f"restored backup {made.id} of {made.made_at:%Y-%m-%d %H:%M} UTC")
    click.echo(log_state)


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


# --- operator's conveniences


@main.group()
def key() -> None:
    """API keys."""


@key.command("create")
@click.argument("id", type=click.UUID)
@click.option("--name", default="")
@click.pass_context
def key_create(context: click.Context, id: UUID, name: str) -> None:
    """Make an API key for a person; its secret is shown once."""

    async def work() -> keys.MadeKey:
        async with at_desk(context) as at:
            who = people.actor(await tenant_of(at, id), id)
            return await keys.create(at.accounts, who, Setting(name=name), by=COMMAND, reason=commands.why(context))

    show(msgspec.to_builtins(run(work())))


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
    password = _password()
    facts = {"email": email, **({"name": name} if name else {})}

    async def work() -> UUID:
        async with at_desk(context) as at:
            until = trained_until.replace(tzinfo=UTC)
            return await staff.appoint(
                at.accounts, at.keeper, facts, password, role, until, agreement, commands.why(context)
            )

    show({"id": run(work()), "role": role})


@user.command("remove")
@click.option("--email", required=True)
@click.pass_context
def user_remove(context: click.Context, email: str) -> None:
    """Take somebody's staff role and end their sessions."""

    async def work() -> UUID:
        async with at_desk(context) as at:
            return await staff.dismiss(at.accounts, at.keeper, email, commands.why(context))

    show({"id": run(work()), "role": None})


def _password() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\n")


subject.add_command(listings.find_subject)
key.add_command(listings.list_keys)
upstream.add_command(listings.list_upstreams)
model.add_command(listings.list_models)
main.add_command(subject)
main.add_command(evidence)
main.add_command(register)
main.add_command(bring)
main.add_command(log)
main.add_command(upstream)
main.add_command(model)
main.add_command(limit)
commands.ask_why(main)

if __name__ == "__main__":
    main()
