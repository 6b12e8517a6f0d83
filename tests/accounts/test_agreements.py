"""A change is accepted as the policy says: by use, or by a word that nobody says by using the service."""

from __future__ import annotations

from uuid import UUID

import pytest
from tests.accounts.conftest import House

from avow.accounts import agreements
from avow.accounts.agreements import NotAccepted
from avow.privacy.versions import Agreed, Current

ACCEPTED = "SELECT accepted_how FROM acceptance WHERE subject_id = :who"


async def test_use_is_an_acceptance_only_where_the_policy_takes_it_for_one(house: House) -> None:
    me = (await (await house.signed_in()).get("/api/me")).json()
    whose, current = (UUID(me["tenant_id"]), UUID(me["id"])), Current(house.needs.vault)
    current.agreed = Agreed(2, "explicit")
    assert agreements.is_asked(current, 1) and not agreements.is_asked(current, 2)
    with pytest.raises(NotAccepted):
        await agreements.accept_by_use(house.needs.database, current, *whose)
    assert await house.query(ACCEPTED, who=whose[1]) == []
    current.agreed = Agreed(2, "use")
    await agreements.accept_by_use(house.needs.database, current, *whose)
    assert [row.accepted_how for row in await house.query(ACCEPTED, who=whose[1])] == ["use"]
