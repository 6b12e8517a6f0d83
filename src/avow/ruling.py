"""`avow policy …`: check, read, compare and change the policy."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

import click

from avow import completing, printing, settings
from avow.policy import Overrides, PolicyError, explain, parse, words
from avow.policy.export import export as export_policy
from avow.terminal import EXIT_FAILED, CallersPath, PolicyName, at_desk, credentials, public_key, run

if TYPE_CHECKING:
    from sqlalchemy import Row

    from avow.privacy.outlook import Outlook
    from avow.privacy.plans import Applied
    from avow.privacy.versions import Version


@click.group()
def policy() -> None:
    """Check a policy and read its sentences."""


@policy.command("check")
@click.argument("name", type=PolicyName(), shell_complete=completing.profiles)
def policy_check(name: str) -> None:
    """Check a policy file or profile against what this version of Avow stores, and list what it would not publish."""
    from avow import app, checking
    from avow.privacy import remarks

    try:
        checked = parse(app.policy_text(name), name)
    except PolicyError as broken:
        broken.hint = "Correct the lines named, and check it again."
        raise
    wrong, installed = remarks.errors(checked), _installed()
    facts = {
        "hash": checked.hash,
        "errors": [str(problem) for problem in wrong],
        "problems": [problem.plain() for problem in wrong],
        **checking.counts(checked, installed)._asdict(),
        "not_configured": [asdict(each) for each in checking.unconfigured(checked, installed)],
    }
    printing.tell(map(str, wrong or checking.lines(checked, installed)), facts)
    if wrong:
        sys.exit(EXIT_FAILED)


def _installed() -> frozenset[str]:
    """The parts that are there with the settings of this home."""
    from avow import app

    return app.installed(settings.read(os.environ))


@policy.command("render")
@click.argument("name", type=PolicyName(), shell_complete=completing.profiles)
@click.option("--locale", type=click.Choice(["en", "zh"]), default="en")
def policy_render(name: str, locale: str) -> None:
    """Print the page of a policy; a sentence of a part that is not installed here says so."""
    from avow import app, checking

    lines = list(checking.rendered(parse(app.policy_text(name), name), locale, _installed()))
    printing.tell(lines, {"locale": locale, "lines": lines})


@policy.command("show")
@click.pass_context
def policy_show(context: click.Context) -> None:
    """Print the policy file in force, as it was applied."""
    from avow.privacy import versions

    async def work() -> tuple[Row[Any], list[Version]]:
        async with at_desk(context) as at, at.keeper.begin() as c:
            return await versions.held(c), await versions.upcoming(c)

    held, coming = run(work())
    dates = [{"version": each.number, "effective_at": each.effective_at} for each in coming]
    if printing.as_json():
        printing.show({"version": held.version, "hash": held.hash, "source": held.source, "coming": dates})
        return
    printing.document(held.source.encode(), end=b"")
    for each in coming:
        printing.note(
            f"Version {each.number} comes on {each.effective_at:%Y-%m-%d %H:%M} UTC; until then the stricter holds."
        )


@policy.command("verify")
@click.argument("file", type=CallersPath(path_type=Path, exists=True, dir_okay=False))
@click.option("--key", help="The service's public key, hexadecimal; by default that of this installation.")
@click.pass_context
def policy_verify(context: click.Context, file: Path, key: str | None) -> None:
    """Check the signature of a saved /.well-known/avow-policy.json; needs no network and, with --key, no installation."""
    from avow.proof import receipts

    found = receipts.verify(file.read_bytes().rstrip(b"\n"), public_key(context, key))
    if found.get("document") != "avow-policy":
        raise receipts.ReceiptBroken("This is signed, but it is no policy.")
    said = {name: found[name] for name in ("name", "version", "hash", "at", "text")}
    if printing.as_json():
        printing.show(said)
        return
    printing.say("The policy is genuine.\n")
    printing.show({name: value for name, value in said.items() if name != "text"})
    printing.say("")
    printing.rows([{"language": locale, **text} for locale, text in found["text"].items()])


@policy.command("explain")
@click.argument("name", type=PolicyName(), shell_complete=completing.profiles)
@click.option("--tenant", multiple=True, help="CATEGORY=HOURS: what the organisation asks for; may be repeated.")
@click.option("--project", multiple=True, help="CATEGORY=HOURS: what the project asks for.")
@click.option("--key", multiple=True, help="CATEGORY=HOURS: what the API key asks for.")
@click.option("--request", "header_h", type=click.IntRange(min=0), help="HOURS: the request's header avow-retention.")
def policy_explain(
    name: str, tenant: tuple[str, ...], project: tuple[str, ...], key: tuple[str, ...], header_h: int | None
) -> None:
    """Print what holds for one request: each value, the level that it comes from, its clause, and what was cut."""
    from avow import app

    checked = parse(app.policy_text(name), name)
    lines = explain(checked, *(_wishes(level) for level in (tenant, project, key)), header_h=header_h)
    printing.rows([{**asdict(line), "clipped": line.clipped or None} for line in lines])


def _wishes(level: tuple[str, ...]) -> Overrides | None:
    hours: dict[str, int] = {}
    for wish in level:
        category, _, amount = wish.partition("=")
        if category not in words.CATEGORIES or not amount.isascii() or not amount.isdigit():
            raise click.BadParameter(f"{wish!r} is not CATEGORY=HOURS, for example api_content=24.")
        hours[category] = int(amount)
    return Overrides(hours) if hours else None


@policy.command("export")
@click.argument("name", type=PolicyName(), shell_complete=completing.profiles)
@click.option("--format", "form", type=click.Choice(["dpv", "fides"]), required=True)
def policy_export(name: str, form: Literal["dpv", "fides"]) -> None:
    """Print a policy in the words of others: W3C DPV (JSON-LD) or fideslang."""
    from avow import app

    printing.document(export_policy(parse(app.policy_text(name), name), form))


@policy.command("plan")
@click.argument("name", type=PolicyName(), shell_complete=completing.profiles)
@click.option("--effective", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]), help="When it takes effect, UTC.")
@click.pass_context
def policy_plan(context: click.Context, name: str, effective: datetime | None) -> None:
    """Show what a policy file would change, on the data that is there, and keep that as a plan; nothing is changed."""
    from avow import app
    from avow.privacy import plans, summary

    date = None if effective is None else effective.replace(tzinfo=UTC)

    async def work() -> tuple[UUID, Outlook]:
        async with at_desk(context) as at:
            readers = at.telling.readers
            return await plans.make(at.privacy, readers, app.policy_text(name), name, date, told=told)

    with printing.working() as told:
        id, found = run(work())
    behind = " --as ADDRESS --approve ADDRESS" if found.destructive else ""
    printing.tell(
        [*summary.lines(found), f"Apply it with: avow policy apply {id}{behind}"], {"plan": id, **found.plain()}
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
    from avow.accounts import staff
    from avow.privacy import plans, summary

    if first and approve and first.strip().casefold() == approve.strip().casefold():
        raise click.UsageError("--as and --approve name the same person; two different operators stand behind a plan.")
    shown = {email: credentials(email) for email in dict.fromkeys((first, approve)) if email}

    async def work() -> tuple[Applied, dict[str, list[int]]]:
        async with at_desk(context) as at:
            who = {email: await staff.vouch(at.accounts, at.keeper, email, *given) for email, given in shown.items()}
            by = who[first] if first else plans.TERMINAL
            made = await plans.apply(at.privacy, at.telling.readers, id, by, who[approve] if approve else None)
            await at.follow()
            return made, await plans.carry_out(at.privacy, id)

    made, done = run(work())
    ended = {store: {"shorter": shorter, "expired": expired} for store, (shorter, expired) in done.items()}
    printing.tell(summary.result_lines(made, done), {**asdict(made), "ended": ended})
