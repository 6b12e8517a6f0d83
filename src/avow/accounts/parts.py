"""The parts of this slice that a policy can speak of."""

from avow import catalog

catalog.part("age_gate", controls=["accounts.affirmations", "accounts.sign_up"])
catalog.part("technical_log", controls=["accounts.visits", "accounts.sessions"])
catalog.part("security_log", controls=["accounts.sign_ins", "accounts.sessions"])
catalog.part("staff", controls=["accounts.staff", "accounts.looking", "vault.door"])
