"""The oldest TLS that a connection to somebody else may speak."""

from __future__ import annotations

import ssl
from typing import Final

from avow.policy import Policy

NEWEST: Final = "TLS 1.3"
"""The rule of `[security.transit]` that says in public which TLS data on its way is encrypted with."""


def least(policy: Policy) -> ssl.TLSVersion:
    """TLS 1.3 where the policy says so in public, else 1.2: there are relays and providers that speak nothing newer."""
    said = policy.parts.get("security.transit")
    is_promised = said is not None and said.values["rule"] == NEWEST
    return ssl.TLSVersion.TLSv1_3 if is_promised else ssl.TLSVersion.TLSv1_2
