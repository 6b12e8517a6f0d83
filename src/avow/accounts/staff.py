"""Staff: people of the operator who may look at others' data, each time for a purpose, with a reason, and on record.

A member of staff is a person in an internal tenant with a staff role. The role is given by the operator's command and by
no route; it needs a signed confidentiality agreement and training that has not run out. Nobody can act as somebody
else: a session of staff is always their own, and what it opens is opened as staff.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts import codes, fields, people, sessions, sign_up
from avow.accounts.needs import Needs
from avow.accounts.sign_up import SignUp
from avow.accounts.tables import person, session, staff, tenant_kind
from avow.base.actor import COMMAND, PLATFORM
from avow.base.db import Database
from avow.base.errors import AvowError, BadInput, NotFound
from avow.policy import words
from avow.vault import Act, Ref, fact


class StaffRefused(AvowError):
    """This person cannot be staff."""

    status = 409
    code = "staff_refused"
    hint = "Give staff an address of their own, which is no customer's account."


class VoucherRefused(AvowError):
    """Who stands behind a change is a member of staff with the role operator, in training, and shows who they are."""

    status = 403
    code = "voucher_refused"
    hint = "They type their password and, where they have a second factor, the code that it shows."


async def appoint(
    needs: Needs,
    keeper: Database,
    facts: dict[str, str],
    password: str,
    role: str,
    trained_until: datetime,
    agreement: str,
    reason: str | None = None,
) -> UUID:
    """Make somebody staff, or change what they are; gives their id. `facts` are fields of the account, e-mail too.

    Who is staff already keeps their password, and their sessions end. Raises BadInput, FieldRefused, WeakPassword, or
    StaffRefused for a customer's address.
    """
    known = fields.read(needs.policy.account, facts)
    agreed = fields.read_fact("agreement", agreement)
    if role not in words.STAFF:
        raise BadInput(f"There is no such role; there are {', '.join(words.STAFF)}.", param="role")
    if not agreed:
        raise BadInput("Staff have signed a confidentiality agreement; name it.", param="agreement")
    if trained_until <= needs.clock.now():
        raise BadInput("This training has run out already.", param="trained_until")
    if await people.find(needs, known.get("email", "")) is None:
        password_hash = await needs.passwords.hash(password)
        await sign_up.open_account(needs, SignUp(password, known), password_hash, "internal", confirmed=True)
    found = await people.find(needs, known["email"])
    if found is None:
        raise NotFound
    async with keeper.begin() as c:
        await _write(needs, c, found.tenant_id, found.subject_id, role, trained_until, agreed, reason)
    return UUID(str(found.subject_id))


async def dismiss(needs: Needs, keeper: Database, email: str, reason: str | None = None) -> UUID:
    """Take somebody's staff role and end their sessions at once; gives their id. Raises NotFound."""
    found = await people.find(needs, email)
    if found is None:
        raise NotFound("There is no such person.")
    async with keeper.begin() as c:
        role = await c.scalar(delete(staff).where(staff.c.id == found.subject_id).returning(staff.c.role))
        if role is None:
            raise NotFound("This person is no staff.")
        await c.execute(delete(session).where(session.c.subject_id == found.subject_id))
        before = {"role": role}
        whose, after = (found.tenant_id, found.subject_id), {"role": None}
        act = Act(COMMAND, "dismiss staff", *whose, "account", "service", reason, before, after)
        await needs.vault.record_act(c, act)
    return UUID(str(found.subject_id))


NAMED = "staff:"
"""How a member of staff is named who stands behind a change, before their id."""


async def vouch(needs: Needs, keeper: Database, email: str, password: str, code: str = "") -> str:
    """The name under which a member of staff with the role operator stands behind a change, once their password was right
    and, where they have a second factor, its `code`. Raises VoucherRefused, or what sign-in raises for one who guesses."""
    found = await people.find(needs, email)
    if found is None:
        raise VoucherRefused
    whose = found.tenant_id, found.subject_id
    if not await sessions.is_shown(needs, *whose, password):
        raise VoucherRefused
    if await codes.are_asked(needs, *whose) and not (code and await sessions.is_shown(needs, *whose, "", code)):
        raise VoucherRefused
    if not await is_operator(keeper, found.subject_id, needs.clock.now()):
        raise VoucherRefused
    return f"{NAMED}{found.subject_id}"


async def role_of(needs: Needs, tenant_id: UUID, subject_id: UUID) -> str | None:
    """The staff role of somebody whose training has not run out; None: they are no staff."""
    mine = staff.c.id == subject_id, staff.c.trained_until > needs.clock.now()
    async with needs.database.tenant(tenant_id) as c:
        found: str | None = await c.scalar(select(staff.c.role).where(*mine))
    return found


async def stands(keeper: Database, name: str, at: datetime) -> bool:
    """Whether who stands behind a change under a name that `vouch` or the desk gave is an operator at `at`."""
    try:
        return name.startswith(NAMED) and await is_operator(keeper, UUID(name.removeprefix(NAMED)), at)
    except ValueError:
        return False


async def is_operator(keeper: Database, subject_id: UUID, at: datetime) -> bool:
    """Whether somebody is staff with the role operator and training that is valid at `at`."""
    wanted = staff.c.id == subject_id, staff.c.role == "operator", staff.c.trained_until > at
    async with keeper.begin() as c:
        return await c.scalar(select(staff.c.id).where(*wanted)) is not None


async def tenant_of(needs: Needs, subject_id: UUID) -> UUID:
    """The tenant of a person, for staff who know their id; the platform's record is its own. Raises NotFound."""
    if subject_id == PLATFORM:
        return PLATFORM
    async with needs.database.begin() as c:
        query = text("SELECT tenant_of_person(:wanted, :at)")
        found: UUID | None = await c.scalar(query, {"wanted": subject_id, "at": needs.clock.now()})
    if found is None:
        raise NotFound("There is no such person.")
    return found


async def _write(
    needs: Needs,
    c: AsyncConnection,
    tenant_id: UUID,
    subject_id: UUID,
    role: str,
    trained_until: datetime,
    agreement: str,
    reason: str | None,
) -> None:
    kind = await c.scalar(select(tenant_kind.c.kind).where(tenant_kind.c.tenant_id == tenant_id))
    if kind != "internal":
        raise StaffRefused
    old = (await c.execute(select(staff.c.role).where(staff.c.id == subject_id))).scalar_one_or_none()
    begun = {**fact.begin(needs.policy, "account", tenant_id, subject_id, needs.clock.now()), "id": subject_id}
    ref = Ref(tenant_id, staff.name, "account", subject_id, subject_id)
    changed: dict[str, Any] = {
        "role": role,
        "trained_until": trained_until,
        "box": needs.vault.seal(ref, {"agreement": agreement}, begun["ends_at"]),
    }
    made = insert(staff).values(**begun, **changed)
    await c.execute(made.on_conflict_do_update(index_elements=[staff.c.id], set_=changed))
    # Staff own nothing here: without their role they have their own rights left, and no more.
    await c.execute(update(person).where(person.c.id == subject_id).values(role="former"))
    await c.execute(delete(session).where(session.c.subject_id == subject_id))
    states = ({"role": old}, {"role": role})
    act = Act(COMMAND, "appoint staff", tenant_id, subject_id, "account", "service", reason, *states)
    await needs.vault.record_act(c, act)
