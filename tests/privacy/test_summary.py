"""A plan at the terminal reads as a policy file does, not as the values behind it."""

from __future__ import annotations

from avow.policy import diff, parse
from avow.privacy import summary
from avow.privacy.notices import Notice
from avow.privacy.outlook import Outlook
from tests.platform import policy_text


def test_values_are_said_in_words() -> None:
    old = policy_text()
    new = policy_text(
        ("version = 1", "version = 2"),
        ('keep = "at most 30 days"', 'keep = "at most 1 hours"'),
        ('purposes = ["service", "billing", "security"]', 'purposes = ["service"]'),
    )
    change = diff(parse(old), parse(new))
    told = [*summary.lines(Outlook("", "", 2, None, change, (), (), (), Notice("policy", (), 0, 0), ()))]
    assert "tightening category.usage.keep: at most 30 days -> at most 1 hour" in told
    assert "tightening category.usage.purposes: billing, security, service -> service" in told
    assert not any("[" in line or "1 hours" in line for line in told)
