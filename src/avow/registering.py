"""`avow evidence …`: the documents that stand behind what people do and code cannot show. `avow register …`: who outside gets
which data, on what ground, and what went."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import click

from avow import commands, printing
from avow.base.actor import COMMAND
from avow.terminal import CallersPath, at_desk, credentials, run, tenant_of

if TYPE_CHECKING:
    from avow.policy import Policy
    from avow.registers.entries import Entry

DAYS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M"]
TIMES = ("process_from", "process_to", "since", "until", "silent_until")
TERMINAL: Final = "terminal"
"""Who works at the machine itself stands behind nothing by that."""


@click.group()
def evidence() -> None:
    """Documents that stand behind claims of the policy."""


@evidence.command("add")
@click.argument("file", type=CallersPath(path_type=Path, exists=True, dir_okay=False))
@click.option("--name", "names", multiple=True, required=True, help="What the policy calls it; may be repeated.")
@click.option("--issuer", required=True, help="Who issued it.")
@click.option("--from", "begin", type=click.DateTime(DAYS), required=True, help="From when it holds (UTC).")
@click.option("--to", "end", type=click.DateTime(DAYS), required=True, help="Until when it holds (UTC).")
@click.pass_context
def evidence_add(
    context: click.Context, file: Path, names: tuple[str, ...], issuer: str, begin: datetime, end: datetime
) -> None:
    """Keep a document; the sentences that name it stand in the policy while it is unchanged and its dates hold."""
    from avow.registers import documents

    if file.stat().st_size > documents.SIZE_MAX:
        raise documents.DocumentRefused("The file is larger than 20 MB.")
    content, dates = file.read_bytes(), (begin.replace(tzinfo=UTC), end.replace(tzinfo=UTC))

    async def work() -> tuple[str, Policy]:
        async with at_desk(context) as at:
            shelf = at.parts.shelf(at.keeper)
            return await documents.add(shelf, names, content, issuer, *dates), at.vault.policy

    sha256, policy = run(work())
    behind = {name: [clause.id for clause in policy.clauses if clause.evidence == name] for name in names}
    lines = [
        f"{name}: stands behind {', '.join(ids) or 'nothing that the policy in force says'}"
        for name, ids in behind.items()
    ]
    printing.tell([f"sha256 {sha256}", *lines], {"sha256": sha256, "behind": behind})


@evidence.command("list")
@click.pass_context
def evidence_list(context: click.Context) -> None:
    """List the documents, with what each is worth now: valid, early, lapsed, missing, changed or withdrawn."""
    from avow.registers import documents

    async def work() -> list[dict[str, object]]:
        async with at_desk(context) as at, at.keeper.begin() as c:
            return await documents.listed(c, at.parts.clock.now())

    printing.rows(run(work()))


@evidence.command("withdraw")
@click.argument("name")
@click.pass_context
def evidence_withdraw(context: click.Context, name: str) -> None:
    """Take the documents of a name away: what rests on them leaves the page at once."""
    from avow.registers import documents

    async def work() -> int:
        async with at_desk(context) as at:
            return await documents.withdraw(at.parts.shelf(at.keeper), name)

    count = run(work())
    printing.say(f"{name}: {count} withdrawn", name=name, withdrawn=count)


@click.group()
def register() -> None:
    """Who outside gets which data, and on what ground."""


@register.command("add")
@click.argument("name")
@click.option(
    "--basis",
    required=True,
    help="The ground, for example provider; docs/reference/registers.md lists them.",
)
@click.option("--to", help="The recipient in short: a processor as the policy calls it; by default NAME.")
@click.option("--recipient", default="", help="Its full name.")
@click.option("--data", multiple=True, help="CATEGORY=FIELD,FIELD: what may go; may be repeated.")
@click.option("--purpose", default="service", show_default=True, help="Why.")
@click.option("--region", required=True, help="The country where it goes.")
@click.option("--host", default="", help="The host that is spoken with; none: it is handed over by hand.")
@click.option("--contract", default="", help="The id of the contract, as in the policy.")
@click.option("--contract-on", type=click.DateTime(DAYS[:1]), help="The day of the contract.")
@click.option("--instrument", default="", help="The [transfer.NAME] on which a transfer abroad rests.")
@click.option("--subject", type=click.UUID, help="The person whose data goes.")
@click.option(
    "--process", type=CallersPath(path_type=Path, exists=True, dir_okay=False), help="A legal process: a file."
)
@click.option("--authority", default="", help="Who issued the process.")
@click.option("--process-from", type=click.DateTime(DAYS), help="From when the process is valid (UTC).")
@click.option("--process-to", type=click.DateTime(DAYS), help="Until when the process is valid (UTC).")
@click.option("--since", type=click.DateTime(DAYS), help="Facts from then on (UTC).")
@click.option("--until", type=click.DateTime(DAYS), help="Facts until then (UTC).")
@click.option("--silent-until", type=click.DateTime(DAYS), help="The process forbids to tell the person until then.")
@click.option("--notice", type=int, help="The version of the policy with which everybody was told.")
@click.pass_context
def register_add(
    context: click.Context, /, name: str, to: str | None, subject: UUID | None, process: Path | None, **given: Any
) -> None:
    """Enter a recipient. --reason says why; it is the balancing note of an `interest`, and needed where a person is concerned.

    An entry that breaks a rule is refused, and the refusal stays on record.
    """
    from avow.registers import book, entries
    from avow.registers.book import Whose
    from avow.registers.entries import EntryRefused

    content = b"" if process is None else process.read_bytes()
    entry = entry_of(name, to or name, content, given)
    reason = commands.why(context) or ""

    async def work() -> str | None:
        async with at_desk(context) as at:
            whose = Whose() if subject is None else Whose(await tenant_of(at, subject), subject)
            async with at.keeper.begin() as c:
                return await book.propose(c, at.vault, COMMAND, TERMINAL, entry, whose, reason, content)

    refusal = run(work())
    if refusal is not None:
        raise EntryRefused(refusal, name)
    asked = entries.APPROVERS.get(entry.basis, 0)
    approving = f"; {asked} operators approve it: avow register approve" if asked else ""
    printing.say(f"{name}: entered{approving}", name=name, approvers=asked)


@register.command("approve")
@click.argument("name")
@click.option("--as", "email", required=True, help="The address of the operator who approves it.")
@click.pass_context
def register_approve(context: click.Context, name: str, email: str) -> None:
    """Stand behind an entry. The operator's password, and the code of their second factor or an empty line, are read from
    standard input."""
    from avow.accounts import staff
    from avow.registers import book

    shown = credentials(email)

    async def work() -> int:
        async with at_desk(context) as at:
            by = await staff.vouch(at.accounts, at.keeper, email, *shown)
            async with at.keeper.begin() as c:
                return len((await book.approve(c, at.vault, COMMAND, by, name)).approved)

    count = run(work())
    printing.say(f"{name}: approved by {count}", name=name, approved=count)


@register.command("end")
@click.argument("name")
@click.pass_context
def register_end(context: click.Context, name: str) -> None:
    """End an entry: nothing goes under it any more."""
    from avow.registers import book

    async def work() -> None:
        async with at_desk(context) as at, at.keeper.begin() as c:
            await book.end(c, at.vault, COMMAND, TERMINAL, name)

    run(work())
    printing.say(f"{name}: ended", name=name, ended=True)


@register.command("list")
@click.pass_context
def register_list(context: click.Context) -> None:
    """List the entries, newest first, with what keeps each from being used; those that were refused too."""
    from avow.registers import book

    async def work() -> list[dict[str, Any]]:
        async with at_desk(context) as at, at.keeper.begin() as c:
            return [await book.shown(c, at.vault, kept) for kept in await book.listed(c)]

    printing.rows(run(work()))


@register.command("disclose")
@click.argument("name")
@click.option("--url", help="Send it there by POST; by default it is printed.")
@click.pass_context
def register_disclose(context: click.Context, name: str, url: str | None) -> None:
    """Disclose what an entry lets go about its person, and nothing beside it; that it went is on record first."""
    from avow.registers import broker, disclosures
    from avow.registers.disclosures import Office

    async def work() -> None:
        async with at_desk(context) as at:
            office = Office(at.privacy, at.vault)
            if url is None:
                printing.document(await disclosures.export(office, name, TERMINAL))
            else:
                facts = await broker.send(office, broker.Broker(at.keeper, at.vault), name, url, TERMINAL)
                printing.say(f"{name}: {facts} facts sent", name=name, facts=facts)

    run(work())


@register.command("ropa")
@click.pass_context
def register_ropa(context: click.Context) -> None:
    """Print the records of processing (GDPR Art. 30) as JSON, with what was observed to go out."""
    from avow.registers import ropa

    async def work() -> dict[str, Any]:
        async with at_desk(context) as at, at.keeper.begin() as c:
            return await ropa.records(c, at.vault)

    printing.document(run(work()))


def entry_of(name: str, to: str, process: bytes, given: Mapping[str, Any]) -> Entry:
    """An entry as the options say it."""
    from avow.registers.entries import Entry, Process, Scope

    times = {key: None if value is None else value.replace(tzinfo=UTC) for key, value in given.items() if key in TIMES}
    held, scope = None, None
    if process:
        dates = (
            times["process_from"] or datetime.max.replace(tzinfo=UTC),
            times["process_to"] or datetime.min.replace(tzinfo=UTC),
        )
        held = Process(hashlib.sha256(process).hexdigest(), given["authority"], *dates)
    if times["since"] and times["until"]:
        scope = Scope(times["since"], times["until"])
    fields = {}
    for each in given["data"]:
        category, _, names = each.partition("=")
        fields[category] = tuple(filter(None, names.split(",")))
    plain = {key: given[key] for key in ("basis", "purpose", "region", "host", "contract", "instrument", "notice")}
    on = given["contract_on"]
    return Entry(
        name=name,
        to=to,
        recipient=given["recipient"] or to,
        fields=fields,
        contract_on=None if on is None else on.date(),
        process=held,
        scope=scope,
        silent_until=times["silent_until"],
        **plain,
    )
