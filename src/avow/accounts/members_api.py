"""The routes of an organisation: its members, their roles, and invitations to it."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import delete, get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter

from avow.accounts import invitations, members, permissions, surface
from avow.accounts.callers import Accounts, Fresh, Person
from avow.accounts.fields import read_text
from avow.accounts.invitations import Invitation
from avow.accounts.members import Member

PAGE_MAX = 100


class Role(msgspec.Struct, forbid_unknown_fields=True):
    """What a member is to be."""

    role: permissions.Role


class Invited(msgspec.Struct, forbid_unknown_fields=True):
    """Whom to invite, and as what."""

    email: str
    role: permissions.Role = "member"


class MemberPage(msgspec.Struct):
    """Members, in the order in which they came; `after` asks for the next page, null: there is none."""

    members: list[Member]
    after: UUID | None


@get("/api/tenant/members", response_headers=surface.NO_STORE)
async def list_members(
    person: Person,
    accounts: Accounts,
    after: Annotated[UUID | None, QueryParameter()] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_MAX,
) -> MemberPage:
    """Who belongs to one's organisation, and who has left it; for owners and admins."""
    found = await members.listed(accounts, person, after, limit)
    return MemberPage(found, found[-1].id if len(found) == limit else None)


@patch("/api/tenant/members/{member_id:uuid}", status_code=204)
async def change_member(member_id: FromPath[UUID], data: JSONBody[Role], fresh: Fresh, accounts: Accounts) -> None:
    """Give a member another role; viewers lose their keys. Needs a step-up."""
    await members.change_role(accounts, fresh, member_id, data.role)


@delete("/api/tenant/members/{member_id:uuid}", status_code=204)
async def remove_member(member_id: FromPath[UUID], fresh: Fresh, accounts: Accounts) -> None:
    """Remove a member: their keys stop at once; their account and their own rights in it stay. Needs a step-up."""
    await members.change_role(accounts, fresh, member_id, members.FORMER)


@post("/api/tenant/leave", status_code=204)
async def leave(fresh: Fresh, accounts: Accounts) -> None:
    """Leave one's organisation. Needs a step-up."""
    await members.leave(accounts, fresh)


@post("/api/tenant/invitations", status_code=201)
async def invite(data: JSONBody[Invited], fresh: Fresh, accounts: Accounts) -> dict[str, UUID]:
    """Invite an address; the answer is the same whether it has an account. Needs a step-up."""
    return {"id": await invitations.invite(accounts, fresh, data.email, data.role)}


@get("/api/tenant/invitations", response_headers=surface.NO_STORE)
async def list_invitations(person: Person, accounts: Accounts) -> list[Invitation]:
    """The open invitations of one's organisation."""
    return await invitations.listed(accounts, person)


@delete("/api/tenant/invitations/{invitation_id:uuid}", status_code=204)
async def withdraw(invitation_id: FromPath[UUID], person: Person, accounts: Accounts) -> None:
    """Take an open invitation back."""
    await invitations.withdraw(accounts, person, invitation_id)


@post("/api/invitations/accept", status_code=201)
async def accept(data: JSONBody[dict[str, Any]], accounts: Accounts) -> dict[str, UUID]:
    """Accept an invitation with the token of its mail, a password, and what else the policy asks for."""
    token = read_text("token", data.pop("token", None))
    return {"id": await invitations.accept(accounts, token, data)}


ROUTES = (list_members, change_member, remove_member, leave, invite, list_invitations, withdraw, accept)
