"""The parts of this slice that a policy can speak of."""

from avow import catalog

catalog.part("cookies", controls=["policy.cookies", "site.cookie_pages", "site.reader", "accounts.callers"])
catalog.part("ads", controls=["site.ads", "policy.cookies"])
