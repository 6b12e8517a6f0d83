"""Every stored field has a name that people understand, in both languages."""

import re

from avow.site.field_words import FIELDS, named
from tests.policy.test_profiles import POLICIES, load

ALL = [*POLICIES.values(), load("default")]


def test_every_field_of_every_profile_has_its_words() -> None:
    """One that is missing has no line in avow/site/field_words.py yet: say in a few words what it holds."""
    used = {field for policy in ALL for category in policy.categories.values() for field in category.fields}
    assert sorted(used - set(FIELDS)) == []
    for name, (en, zh) in FIELDS.items():
        assert en.strip() and "_" not in en and re.search(r"[\u4e00-\u9fff]", zh), name


def test_words_stand_once_and_in_order() -> None:
    assert named(["token_hash", "text", "token_hmac"], "en") == ["digest of a token", "text"]
    assert named(["not_named_yet"], "zh") == ["not named yet"]
