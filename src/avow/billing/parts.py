"""The parts of this slice that a policy can speak of."""

from avow import catalog

catalog.part("improvement", controls=["billing.sums", "base.access", "privacy.purpose_rules"])
