"""Keys that were found where they should not be. Who sends the whole key has proved to have it, and needs no other proof.

The key is revoked, whichever of its secrets was found, and its owner is told by mail. The answer is the same for every
text, so that nobody learns from it whether a key exists.
"""

from typing import Final

from avow.accounts import keys, letters, people
from avow.accounts.needs import Needs
from avow.base.actor import Actor
from avow.vault import Act

FINDER: Final = Actor("system", "leak-report", "public")
"""Whoever sent the key in: nobody asks who they are."""


async def report(needs: Needs, text: str) -> None:
    """Revoke the key that was found, if it is one of ours and was not revoked yet."""
    found = await needs.directory.owner(text)
    if found is None:
        return
    tenant_id, subject_id = found.tenant_id, found.subject_id
    async with needs.database.tenant(tenant_id) as connection:
        if await keys.end(needs, connection, tenant_id, found.key_id):
            after = {"key": found.key_id, "state": "revoked"}
            act = Act(FINDER, "revoke leaked key", tenant_id, subject_id, "credential", "security", after=after)
            await needs.vault.record_act(connection, act)
            address = await people.open_address(needs, connection, tenant_id, subject_id)
            if address is not None:
                await letters.tell_of_leak(needs, connection, tenant_id, subject_id, address, found.key_id)
    needs.directory.forget(tenant_id)
