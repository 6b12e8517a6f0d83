"""The parts of this slice that a policy can speak of."""

from avow import catalog

catalog.part("evidence", controls=["registers.documents"])
