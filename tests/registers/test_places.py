"""Where the parts of an installation stand, and which countries a start refuses."""

from __future__ import annotations

import pytest

from avow.policy import Policy
from avow.registers import places
from avow.registers.places import Place, RegionMissing, RegionRefused
from tests.policy.test_profiles import load

ONLY, LISTED = load("imagine-trooper"), load("infiner")


def test_every_part_has_its_own_country_and_a_relay_elsewhere_none_that_nobody_said() -> None:
    found = dict(places.of("DE", "FR", "NL", mail="DE"))
    assert (found["database"], found["backups"], found["queue"], found["mail"]) == ("FR", "NL", "DE", "DE")
    assert places.of_relay("127.0.0.1", "DE", "") == "DE"
    assert places.of_relay("smtp.example.org", "DE", "") == ""
    assert places.of_relay("smtp.example.org", "DE", "FR") == "FR"
    named = LISTED.named("processor")[0]
    assert places.of_party(LISTED, named.name, "DE") == named.values["region"]
    assert (places.of_party(LISTED, "", "DE"), places.of_party(LISTED, "nobody", "DE")) == ("DE", "")


@pytest.mark.parametrize(
    "part", ["database", "queue", "objects", "cache", "logs", "keys", "engine", "backups", "mail", "traces"]
)
def test_a_part_in_another_country_is_refused_by_name(part: str) -> None:
    with pytest.raises(RegionRefused, match=f"{part} in JP"):
        places.check(ONLY, [Place("x", "DE"), Place(part, "JP")], must_be_said=True)


@pytest.mark.parametrize("policy", [ONLY, LISTED])
def test_a_part_of_which_nobody_said_it_is_refused_by_name(policy: Policy) -> None:
    with pytest.raises(RegionMissing, match="mail"):
        places.check(policy, [Place("database", "DE"), Place("mail", "")], must_be_said=True)
    places.check(ONLY, [Place("database", "DE"), Place("mail", "")], must_be_said=False)


def test_where_a_policy_lists_only_its_own_countries_others_stand_in_the_register() -> None:
    places.check(LISTED, [Place("database", "US"), Place("mail", "DE")], must_be_said=True)
    with pytest.raises(RegionRefused):
        places.check(LISTED, [Place("database", "DE")], must_be_said=True)
