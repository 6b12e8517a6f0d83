"""The parts of this slice that a policy can speak of."""

from avow import catalog

catalog.part("disclosures", controls=["registers.entries", "registers.broker", "registers.disclosures"])
catalog.part("regions", controls=["registers.places", "registers.entries", "accounts.transfers"])
catalog.part("evidence", controls=["registers.documents"])
