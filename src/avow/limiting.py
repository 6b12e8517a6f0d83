"""`avow limit …` and `avow limits`, and what they have in common with a key's own limits: how they are said and shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from avow import printing
from avow.base import money
from avow.completing import Named
from avow.terminal import PAGE_MAX, at_desk, nano_of, run

if TYPE_CHECKING:
    from avow.accounts.limits import Limits
    from avow.billing import allowances


def limit_options(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take limits; `limits_in` reads them."""
    for option in (
        click.option("--budget-total", help="Money in all, from now on."),
        click.option("--budget-month", help="Money in a month."),
        click.option("--budget-day", help="Money in a day (UTC), for example 20."),
        click.option("--parallel", type=click.IntRange(1), help="Requests that run at once."),
        click.option("--tokens-per-min", type=click.IntRange(1), help="Tokens in a minute, in and out."),
        click.option("--requests-per-min", type=click.IntRange(1), help="Requests in a minute (UTC)."),
    ):
        command = option(command)
    return command


def limits_in(given: Mapping[str, Any]) -> Limits:
    """The limits that were said with `limit_options`. Raises BadParameter for one that nothing can hold."""
    from avow.accounts.limits import NANO_MAX, RATE_MAX, Limits

    told = {name: value for name, value in given.items() if value is not None and value != ""}
    budgets = {f"{name}_nano": nano_of(value) for name, value in told.items() if name.startswith("budget")}
    if any(each > NANO_MAX for each in budgets.values()):
        raise click.BadParameter(f"A budget is at most {NANO_MAX // money.NANO}.")
    rates = {name: value for name, value in told.items() if not name.startswith("budget")}
    if any(value > RATE_MAX for value in rates.values()):
        raise click.BadParameter(f"A rate is at most {RATE_MAX}.")
    return Limits(**rates, **budgets)


def said(limits: Mapping[str, Any]) -> dict[str, int | str]:
    """Those limits that are set, by the names of the options; money as a decimal."""
    return {
        name.removesuffix("_nano"): money.text(value) if name.endswith("_nano") else value
        for name, value in limits.items()
        if value is not None
    }


@click.command("limit")
@click.argument("kind", type=Named("avow.billing.allowances", "Kind"))
@click.argument("id")
@limit_options
@click.pass_context
def limit(context: click.Context, /, kind: allowances.Kind, id: str, **given: Any) -> None:
    """Say what a project or an organisation (by its id), or each organisation at a model (by its name), may use together.

    What is said replaces what was said before; without options the limit is taken away. `avow limits` shows what is set.
    """
    from avow.accounts.limits import Limits
    from avow.billing import allowances

    try:
        allowance_id = allowances.of_model(id) if kind == "model" else UUID(id)
    except ValueError:
        raise click.BadParameter("An id looks like 01a20287-9ca4-7624-811d-a5584abdbf85.") from None
    limits = limits_in(given)

    async def work() -> None:
        async with at_desk(context) as at, at.keeper.begin() as c:
            if limits != Limits():
                await allowances.check_there(c, kind, allowance_id, id)
            await allowances.put(c, kind, allowance_id, limits)

    run(work())
    limited = limits != Limits()
    printing.say(f"{kind} {id}: {'limited' if limited else 'no limit'}", kind=kind, id=id, limited=limited)


@click.command("limits")
@click.option("--after", type=click.UUID, help="Begin behind the limit of this id.")
@click.option(
    "--limit", "count", type=click.IntRange(1, PAGE_MAX), default=100, show_default=True, help="Rows at most."
)
@click.pass_context
def limits(context: click.Context, after: UUID | None, count: int) -> None:
    """Show what projects, organisations and models may use together; a key's own limits stand in key list."""
    import msgspec

    from avow.billing import allowances

    async def work() -> list[allowances.Allowance]:
        async with at_desk(context) as at, at.keeper.begin() as c:
            return await allowances.listed(c, None, after, count)

    found = run(work())
    rows = [
        {"id": each.id, "kind": each.kind, "model": each.model, "limits": said(msgspec.structs.asdict(each.limits))}
        for each in found
    ]
    printing.rows(rows, str(found[-1].id) if len(found) == count else None)
