"""The parts of this slice that a policy can speak of."""

from avow import catalog

catalog.part("api", controls=["gateway.completion", "accounts.keys"])
catalog.part("opt_out", controls=["policy.plan", "gateway.orders", "accounts.tenants"])
catalog.part("field_choice", controls=["policy.plan", "gateway.completion"])
catalog.part("self_service", controls=["gateway.requests", "privacy.requests", "accounts.people"])
catalog.part("cache", controls=["gateway.cache", "policy.plan"])
catalog.part("filter", controls=["gateway.filters", "gateway.guard", "gateway.searching", "gateway.decisions"])
catalog.part("processors", controls=["gateway.rules", "site.registers"])
