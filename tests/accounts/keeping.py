"""What the keeper works with, over the database of a house of accounts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from tests.accounts.conftest import House

from avow.privacy import stores
from avow.privacy.needs import Needs as Privacy


def desk(house: House) -> Any:
    """What the keeper works with."""
    needs = house.needs
    privacy = Privacy(
        policy=needs.policy,
        clock=house.clock,
        database=house.databases.keeper,
        ring=needs.ring,
        stores=stores.tables(),
        tombstones=needs.tombstones,
        newest=cast(Any, None),
        signer=cast(Any, None),
        forget=cast(Any, None),
    )
    parts = SimpleNamespace(clock=house.clock)
    return SimpleNamespace(keeper=house.databases.keeper, accounts=needs, privacy=privacy, parts=parts)
