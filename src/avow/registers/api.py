"""What somebody sees of the register: to whom their data went, and on what ground."""

from __future__ import annotations

from datetime import datetime

import msgspec
from litestar import get

from avow.privacy.api import Person, Privacy
from avow.registers import book


class Disclosed(msgspec.Struct):
    """Something went to a recipient: of which categories which fields, on what ground, and since when the entry stands."""

    recipient: str
    basis: str
    purpose: str
    fields: dict[str, tuple[str, ...]]
    entered_at: datetime
    times: int


@get("/api/privacy/disclosures")
async def list_disclosures(person: Person, privacy: Privacy) -> list[Disclosed]:
    """To whom one's data was disclosed under an entry about oneself. Providers stand at /privacy/processors. What a legal
    process forbids to tell is shown from the day on which that ends."""
    assert person.tenant_id is not None and person.subject_id is not None
    async with privacy.database.tenant(person.tenant_id) as c:
        found = await book.of_person(c, person.subject_id, privacy.clock.now())
    return [
        Disclosed(
            kept.entry.recipient, kept.entry.basis, kept.entry.purpose, kept.entry.fields, kept.made_at, kept.sent
        )
        for kept in found
    ]


ROUTES = (list_disclosures,)
