"""A tenant's own wishes: how long the content of its API calls is kept, within what the policy allows."""

from sqlalchemy import select, update

from avow.accounts import directory
from avow.accounts.needs import Needs
from avow.accounts.people import own
from avow.accounts.sessions import StepUpNeeded
from avow.accounts.tables import tenant
from avow.base.actor import Actor
from avow.base.errors import AvowError
from avow.policy import Overrides, compile
from avow.vault import Act

CONTENT = "api_content"


class KeepRefused(AvowError):
    """The policy does not allow content to be kept for so long."""

    status = 400
    code = "keep_refused"
    hint = "Ask for fewer hours; 0 keeps nothing, null takes the wish back."


def check_keep(needs: Needs, keep_h: int | None) -> None:
    """Refuse a wish that the policy would clip. Raises KeepRefused, which names the most hours that can be had."""
    if keep_h is None:
        return
    if keep_h < 0:
        raise KeepRefused("Hours are a whole number, 0 or more.", param="keep_h")
    for clip in compile(needs.policy, Overrides({CONTENT: keep_h})).clipped:
        most = "" if clip.given_h is None else f" At most {clip.given_h} hours can be had."
        raise KeepRefused(f"Content cannot be kept for {keep_h} hours: {clip.reason}.{most}", param="keep_h")


def check_longer(was_h: int | None, is_h: int | None, *, proved: bool) -> None:
    """Refuse that content is kept for longer from somebody who has not just shown who they are; None: as long as it gets.

    Who has stolen a cookie may shorten what is kept, and not begin to collect. Raises StepUpNeeded.
    """
    if not proved and was_h is not None and (is_h is None or is_h > was_h):
        raise StepUpNeeded


async def ask_to_keep(needs: Needs, who: Actor, keep_h: int | None, *, proved: bool) -> None:
    """Set how many hours of API content a tenant wants kept; None: it does not ask. `proved`: they have just shown who they
    are. Raises KeepRefused, or StepUpNeeded for more hours.

    Every worker learns of it: the directory's memory is dropped, and a Plan belongs to the wishes that it was compiled
    from. The policy's epoch is everybody's, so that no tenant may count it up.
    """
    check_keep(needs, keep_h)
    tenant_id, subject_id = own(who)
    async with needs.database.tenant(tenant_id) as connection:
        was_h = await connection.scalar(select(tenant.c.keep_h).with_for_update())
        check_longer(_kept_h(needs, was_h), _kept_h(needs, keep_h), proved=proved)
        before = {"keep_h": was_h}
        act = Act(who, "ask to keep", tenant_id, subject_id, "api_content", before=before, after={"keep_h": keep_h})
        await needs.vault.record_act(connection, act)
        await connection.execute(update(tenant).where(tenant.c.tenant_id == tenant_id).values(keep_h=keep_h))
        await directory.announce(connection, tenant_id)
    needs.directory.forget(tenant_id)


def _kept_h(needs: Needs, keep_h: int | None) -> int | None:
    """For how long content is kept where a tenant asks for `keep_h`; what the policy keeps only when asked is 0 without."""
    wishes = None if keep_h is None else Overrides({CONTENT: keep_h})
    return compile(needs.policy, wishes).keep_h(CONTENT)
