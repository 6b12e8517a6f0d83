"""The parts of this slice that a policy can speak of."""

from avow import catalog

catalog.part("erasure", controls=["privacy.erase", "privacy.tombstones", "vault.ring"])
catalog.part("rights", controls=["privacy.requests", "privacy.copies", "privacy.standings", "privacy.answers"])
catalog.part("consents", controls=["privacy.consents", "vault.standing", "policy.decide"])
catalog.part("backups", controls=["privacy.backup", "privacy.folders", "vault.ring"])
catalog.part("notices", controls=["privacy.notices", "privacy.plans", "vault.outbox"])
catalog.part("acceptance", controls=["privacy.acceptances", "accounts.agreements"])
