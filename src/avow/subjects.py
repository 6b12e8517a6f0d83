"""`avow subject …`: one person's data and rights, by the id that their account shows. Loops over the catalog, as the routes."""

from __future__ import annotations

import sys
from typing import Any
from uuid import UUID

import click

from avow import app, commands
from avow.accounts import members
from avow.base.actor import COMMAND
from avow.privacy import answers, erase, export, requests, standings
from avow.privacy.standings import Whose
from avow.terminal import at_desk, run, show, tenant_of
from avow.vault import Act


@click.group()
def subject() -> None:
    """One person's data, by the id that their account shows."""


@subject.command("plan-erase")
@click.argument("id", type=click.UUID)
@click.pass_context
def subject_plan(context: click.Context, id: UUID) -> None:
    """Show what an erasure would end, and what stays by law and until when."""

    async def plan() -> list[erase.Step]:
        async with at_desk(context) as at:
            return await erase.plan(at.privacy, id)

    for step in run(plan()):
        until = f" until {step.until:%Y-%m-%d}" if step.until else ""
        click.echo(f"{step.ending:7} {step.facts:7} {step.store}{until}  {step.why}")


@subject.command("export")
@click.argument("id", type=click.UUID)
@click.pass_context
def subject_export(context: click.Context, id: UUID) -> None:
    """Print everything that is stored about a person. That the operator opened it is on the person's record, and why."""
    reason = commands.why(context) or "a copy made at the terminal"

    async def collect() -> dict[str, Any]:
        async with at_desk(context) as at:
            return await export.collect(at.privacy, at.vault, await tenant_of(at, id), id, reason)

    show(run(collect()))


@subject.command("erase")
@click.argument("id", type=click.UUID)
@click.pass_context
def subject_erase(context: click.Context, id: UUID) -> None:
    """Erase a person now, as if they had asked, and print the signed receipt."""

    async def carry_out() -> bytes:
        async with at_desk(context) as at:
            now = at.parts.clock.now()
            tenant_id = await tenant_of(at, id)
            async with at.keeper.begin() as c:
                await members.check_erasure(c, tenant_id, id)
                taken = await requests.take(c, at.vault, tenant_id, id, "erase", now)
            await erase.run(at.privacy, taken.id)
            async with at.app.begin() as c:
                return await requests.receipt(c, taken.id, taken.token)

    sys.stdout.buffer.write(run(carry_out()) + b"\n")


@subject.command("restrict")
@click.argument("id", type=click.UUID)
@click.pass_context
def subject_restrict(context: click.Context, id: UUID) -> None:
    """From now on a person's data is stored and not used, as if they had asked."""

    async def carry_out() -> None:
        async with at_desk(context) as at:
            whose = Whose(await tenant_of(at, id), id)
            async with at.keeper.begin() as c:
                await standings.restrict(c, at.vault, whose, at.parts.clock.now())
                await at.vault.record_act(
                    c, Act(COMMAND, "restrict", *whose, "consent", "legal", commands.why(context))
                )

    run(carry_out())
    click.echo(f"{id}: restricted")


@subject.command("release")
@click.argument("id", type=click.UUID)
@click.option("--reason", required=True, help="Why the restriction ends; the person is told.")
@click.pass_context
def subject_release(context: click.Context, id: UUID, reason: str) -> None:
    """Lift a person's restriction; they are told why by mail."""

    async def carry_out() -> None:
        async with at_desk(context) as at:
            whose, now = Whose(await tenant_of(at, id), id), at.parts.clock.now()
            async with at.keeper.begin() as c:
                await answers.release(c, at.vault, app.tell(at.accounts), COMMAND, whose, reason, now)

    run(carry_out())
    click.echo(f"{id}: released")


@subject.command("show")
@click.argument("id", type=click.UUID)
@click.pass_context
def subject_show(context: click.Context, id: UUID) -> None:
    """Show what is stored about a person in numbers, what they said about its use, and their requests; nothing is opened."""

    async def collect() -> dict[str, Any]:
        async with at_desk(context) as at:
            whose = Whose(await tenant_of(at, id), id)
            async with at.keeper.begin() as c:
                counts = {store.name: (await store.find(c, id)).facts for store in at.privacy.stores}
                held = await standings.held(c, whose, at.parts.clock.now())
                asked = await requests.of(c, id)
            return {
                "id": id,
                "tenant_id": whose.tenant_id,
                "facts": {name: count for name, count in counts.items() if count},
                "restricted": held.restricted,
                "objected": sorted(held.objected),
                "consented": sorted(held.consented),
                "requests": [
                    {"id": row.id, "kind": row.kind, "state": row.state, "due_at": row.due_at, "reason": row.reason}
                    for row in asked
                ],
            }

    show(run(collect()))
