"""The parts of this slice that a policy can speak of."""

from avow import catalog

catalog.part("staff", controls=["accounts.staff", "accounts.looking", "vault.door"])
