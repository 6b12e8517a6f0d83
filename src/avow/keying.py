"""`avow key …`: the keys of a person, made and revoked by the operator as their owner does it in the app."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from avow import commands, listings, printing
from avow.base.actor import COMMAND
from avow.base.errors import NotFound
from avow.limiting import limit_options, limits_in
from avow.terminal import at_desk, run, tenant_of

if TYPE_CHECKING:
    from avow.accounts import keys


@click.group()
def key() -> None:
    """API keys."""


@key.command("create")
@click.argument("id", type=click.UUID)
@click.option("--name", default="", help="For its owner, who sees it in the app.")
@click.option(
    "--expires", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]), help="When it ends (UTC); by default never."
)
@click.option("--model", "models", multiple=True, help="A model that it may call, once for each; by default all.")
@limit_options
@click.pass_context
def key_create(
    context: click.Context, /, id: UUID, name: str, expires: datetime | None, models: tuple[str, ...], **given: Any
) -> None:
    """Make an API key for a person; its secret is shown once."""
    import msgspec

    from avow.accounts import keys, people
    from avow.accounts.key_terms import Setting

    ends_at = None if expires is None else expires.replace(tzinfo=UTC)
    setting = Setting(name=name, expires_at=ends_at, limits=limits_in(given), models=[*models] or None)

    async def work() -> keys.MadeKey:
        async with at_desk(context) as at:
            who = people.actor(await tenant_of(at, id), id)
            return await keys.create(at.accounts, who, setting, by=COMMAND, reason=commands.why(context))

    printing.show(msgspec.to_builtins(run(work())))


@key.command("revoke")
@click.argument("key", type=click.UUID)
@click.pass_context
def key_revoke(context: click.Context, key: UUID) -> None:
    """Revoke a key by its id, which key list shows: at once for whatever costs money, within two seconds elsewhere."""
    from sqlalchemy import select

    from avow.accounts import keys, people
    from avow.accounts.tables import api_key

    async def work() -> None:
        async with at_desk(context) as at:
            async with at.keeper.begin() as c:
                whose = select(api_key.c.tenant_id, api_key.c.subject_id).where(api_key.c.id == key)
                row = (await c.execute(whose)).one_or_none()
            if row is None:
                raise NotFound("There is no such key.", hint="avow key list ID shows the keys of a person.")
            await keys.revoke(at.accounts, people.actor(*row), key, by=COMMAND, reason=commands.why(context))

    run(work())
    printing.say(f"key {key}: revoked", id=key, state="revoked")


key.add_command(listings.list_keys)
