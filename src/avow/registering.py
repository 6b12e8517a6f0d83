"""`avow evidence …`: the documents that stand behind what people do and code cannot show."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from avow.policy import Policy
from avow.registers import documents
from avow.terminal import CallersPath, at_desk, run, show

DAYS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M"]


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
    if file.stat().st_size > documents.SIZE_MAX:
        raise documents.DocumentRefused("The file is larger than 20 MB.")
    content, dates = file.read_bytes(), (begin.replace(tzinfo=UTC), end.replace(tzinfo=UTC))

    async def work() -> tuple[str, Policy]:
        async with at_desk(context) as at:
            shelf = at.parts.shelf(at.keeper)
            return await documents.add(shelf, names, content, issuer, *dates), at.vault.policy

    sha256, policy = run(work())
    click.echo(f"sha256 {sha256}")
    for name in names:
        behind = [clause.id for clause in policy.clauses if clause.evidence == name]
        click.echo(f"{name}: stands behind {', '.join(behind) or 'nothing that the policy in force says'}")


@evidence.command("list")
@click.pass_context
def evidence_list(context: click.Context) -> None:
    """List the documents as JSON, with what each is worth now: valid, early, lapsed, missing, changed or withdrawn."""

    async def work() -> list[dict[str, object]]:
        async with at_desk(context) as at, at.keeper.begin() as c:
            return await documents.listed(c, at.parts.clock.now())

    show(run(work()))


@evidence.command("withdraw")
@click.argument("name")
@click.pass_context
def evidence_withdraw(context: click.Context, name: str) -> None:
    """Take the documents of a name away: what rests on them leaves the page at once."""

    async def work() -> int:
        async with at_desk(context) as at:
            return await documents.withdraw(at.parts.shelf(at.keeper), name)

    click.echo(f"{name}: {run(work())} withdrawn")
