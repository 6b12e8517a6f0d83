"""`avow subject …`: one person's data and rights, by the id that their account shows. Loops over the catalog, as the routes."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from avow import commands, printing
from avow.base.actor import COMMAND
from avow.receipting import with_proof
from avow.terminal import at_desk, run, tenant_of

if TYPE_CHECKING:
    from avow.privacy import erase


@click.group()
def subject() -> None:
    """One person's data, by the id that their account shows."""


@subject.command("plan-erase")
@click.argument("id", type=click.UUID)
@click.pass_context
def subject_plan(context: click.Context, id: UUID) -> None:
    """Show what an erasure would end, and what stays by law and until when."""
    from avow.privacy import erase

    async def plan() -> list[erase.Step]:
        async with at_desk(context) as at:
            return await erase.plan(at.privacy, id)

    printing.rows([asdict(step) for step in run(plan())])


@subject.command("export")
@click.argument("id", type=click.UUID)
@click.pass_context
def subject_export(context: click.Context, id: UUID) -> None:
    """Print everything that is stored about a person. That the operator opened it is on the person's record, and why."""
    from avow.privacy import export

    reason = commands.why(context) or "a copy made at the terminal"

    async def collect() -> dict[str, Any]:
        async with at_desk(context) as at:
            return await export.collect(at.privacy, at.vault, await tenant_of(at, id), id, reason, told)

    with printing.working() as told:
        found = run(collect())
    printing.document(found)


@subject.command("erase")
@click.argument("id", type=click.UUID)
@click.pass_context
def subject_erase(context: click.Context, id: UUID) -> None:
    """Erase a person now, as if they had asked, and print the signed receipt.

    While Avow runs it waits for the log, so that the receipt carries its proof.
    """
    from avow.accounts import members
    from avow.privacy import erase, requests

    async def carry_out() -> tuple[UUID, bytes, bool]:
        async with at_desk(context) as at:
            now = at.parts.clock.now()
            tenant_id = await tenant_of(at, id)
            async with at.keeper.begin() as c:
                await members.check_erasure(c, tenant_id, id)
                taken = await requests.take(c, at.vault, tenant_id, id, "erase", now)
            await erase.run(at.privacy, taken.id, told)
            async with at.app.begin() as c:
                signed = await requests.receipt(c, taken.id, taken.token)
            return taken.id, *await with_proof(at, signed)

    with printing.working() as told:
        request_id, receipt, is_proved = run(carry_out())
    printing.document(receipt)
    if not is_proved:
        printing.note(f"It carries no proof of the log yet. While Avow runs: avow receipt fetch {request_id}")


@subject.command("restrict")
@click.argument("id", type=click.UUID)
@click.pass_context
def subject_restrict(context: click.Context, id: UUID) -> None:
    """From now on a person's data is stored and not used, as if they had asked."""
    from avow.privacy import standings
    from avow.privacy.standings import Whose
    from avow.vault import Act

    async def carry_out() -> None:
        async with at_desk(context) as at:
            whose = Whose(await tenant_of(at, id), id)
            async with at.keeper.begin() as c:
                await standings.restrict(c, at.vault, whose, at.parts.clock.now())
                await at.vault.record_act(
                    c, Act(COMMAND, "restrict", *whose, "consent", "legal", commands.why(context))
                )

    run(carry_out())
    printing.say(f"{id}: restricted", id=id, restricted=True)


@subject.command("release")
@click.argument("id", type=click.UUID)
@click.option("--reason", required=True, help="Why the restriction ends; the person is told.")
@click.pass_context
def subject_release(context: click.Context, id: UUID, reason: str) -> None:
    """Lift a person's restriction; they are told why by mail."""
    from avow import app
    from avow.privacy import answers
    from avow.privacy.standings import Whose

    async def carry_out() -> None:
        async with at_desk(context) as at:
            whose, now = Whose(await tenant_of(at, id), id), at.parts.clock.now()
            async with at.keeper.begin() as c:
                await answers.release(c, at.vault, app.tell(at.accounts), COMMAND, whose, reason, now)

    run(carry_out())
    printing.say(f"{id}: released", id=id, restricted=False)


@subject.command("show")
@click.argument("id", type=click.UUID)
@click.pass_context
def subject_show(context: click.Context, id: UUID) -> None:
    """Show what is stored about a person in numbers, what they said about its use, and their requests; nothing is opened."""
    from avow.privacy import requests, standings
    from avow.privacy.standings import Whose

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

    printing.show(run(collect()))
