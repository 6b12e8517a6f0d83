"""The routes of limits that several keys share. A project's are its organisation's to set; those of an organisation and of a
model are the operator's, and whom an organisation's binds can read it."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter

from avow.accounts import projects
from avow.accounts.callers import Accounts, Fresh, Person
from avow.accounts.limits import Limits
from avow.accounts.people import own
from avow.base import money
from avow.base.actor import PLATFORM
from avow.base.errors import BadInput
from avow.billing import allowances
from avow.billing.allowances import Allowance
from avow.privacy.desk import Staff
from avow.vault import Act

PAGE_MAX = 100
MODEL_CHARS_MAX = 200

After = Annotated[UUID | None, QueryParameter()]
Count = Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)]


class LimitPage(msgspec.Struct):
    """Limits, by id, with budgets of `currency`; `after` asks for the next page, null: there is none."""

    limits: list[Allowance]
    currency: str
    after: UUID | None


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """What is to be limited: an organisation by its `id`, or a model by its name (`model`); `limits` without any end it. A
    project's are its organisation's to set and to take away, so the operator's would hold nothing."""

    kind: Literal["organisation", "model"]
    id: UUID | None = None
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=MODEL_CHARS_MAX)] | None = None
    limits: Limits = Limits()


@get("/api/limits")
async def list_limits(person: Person, accounts: Accounts, after: After = None, limit: Count = PAGE_MAX) -> LimitPage:
    """What one's organisation and its projects may use together."""
    tenant_id, _ = own(person)
    async with accounts.database.tenant(tenant_id) as c:
        return _page(await allowances.listed(c, tenant_id, after, limit), limit)


@put("/api/projects/{project_id:uuid}/limits", status_code=200)
async def limit_project(
    project_id: FromPath[UUID], data: JSONBody[Limits], fresh: Fresh, accounts: Accounts
) -> Allowance:
    """Say what a project's keys may use together, in place of what was said before; nothing at all ends it. Needs a step-up."""
    tenant_id, _ = own(fresh)
    async with accounts.database.tenant(tenant_id) as c:
        await projects.check_there(c, project_id)
        after = {"project": str(project_id), "limits": msgspec.to_builtins(data)}
        await accounts.vault.record_act(c, Act(fresh, "limit project", tenant_id, tenant_id, after=after))
        # Last, for it keeps the organisation's wallets until the commit.
        await allowances.put(c, "project", project_id, data)
    return Allowance(project_id, "project", None, data)


@get("/api/desk/limits")
async def list_all_limits(accounts: Accounts, after: After = None, limit: Count = PAGE_MAX) -> LimitPage:
    """Every limit that keys share; who is limited stands there by id alone."""
    async with accounts.database.tenant(PLATFORM) as c:
        return _page(await allowances.listed(c, None, after, limit), limit)


@post("/api/desk/limits", status_code=200)
async def set_limit(data: JSONBody[Wanted], staff: Staff, accounts: Accounts) -> Allowance:
    """Say what an organisation, or each organisation at a model, may use together."""
    made = Allowance(_id(data), data.kind, data.model, data.limits)
    async with accounts.database.tenant(PLATFORM) as c:
        if made.limits != Limits():
            await allowances.check_there(c, made.kind, made.id)
        told: dict[str, Any] = msgspec.to_builtins(data)
        await accounts.vault.record_act(c, Act.of_platform(staff, "set limit", after=told))
        await allowances.put(c, made.kind, made.id, made.limits)
    return made


def _id(wanted: Wanted) -> UUID:
    """Raises BadInput where it is not said, or said in two ways."""
    named = wanted.model if wanted.kind == "model" else wanted.id
    if named is None or (wanted.id is None) == (wanted.model is None):
        raise BadInput("A model has a name (`model`), all else an `id`.")
    return allowances.of_model(named) if isinstance(named, str) else named


def _page(found: list[Allowance], limit: int) -> LimitPage:
    return LimitPage(found, money.CURRENCY, found[-1].id if len(found) == limit else None)


ROUTES = (list_limits, limit_project, list_all_limits, set_limit)
