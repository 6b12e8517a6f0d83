"""Where everything lies: each store, queue, log, relay, backup and engine of the platform, with its country."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from avow.base.errors import AvowError
from avow.policy import Policy
from avow.registers.broker import is_here
from avow.registers.entries import OWN

DATABASE = "database"


class Place(NamedTuple):
    """A part of the platform and its country; empty: nobody said."""

    part: str
    region: str


class RegionMissing(AvowError):
    """The policy says in which countries data lies, and nobody said in which this machine stands."""

    code = "region_missing"
    hint = (
        "Set AVOW_REGION to the country of this machine, as the policy writes it, for example DE, and AVOW_MAIL_REGION to that "
        "of a mail relay elsewhere."
    )


class RegionRefused(AvowError):
    """A part of the platform stands in a country where data may not lie."""

    code = "region_refused"
    hint = "Move the part to a country that the policy allows, or plan and apply a policy that allows its country."

    def __init__(self, wrong: Sequence[Place], countries: Sequence[str]) -> None:
        self.hint = (
            f"The policy allows {', '.join(countries)}. Move the part there and say so (AVOW_REGION, AVOW_DATABASE_REGION, "
            "AVOW_BACKUP_REGION, AVOW_MAIL_REGION), or plan and apply a policy that allows the country."
        )
        super().__init__("Data may not lie there: " + "; ".join(f"{part} in {region}" for part, region in wrong) + ".")


class DatabaseUnregistered(AvowError):
    """The database stands elsewhere, and the policy names nobody who runs it."""

    code = "database_unregistered"
    hint = (
        "Set AVOW_DATABASE_PROCESSOR to the [processor.NAME] of the policy that runs it, with the role database, or to own where "
        "the machine is the operator's, with AVOW_DATABASE_REGION."
    )


LOCAL = ("queue", "objects", "cache", "logs", "keys", "engine")
"""What runs on this machine itself, beside the database and the backups."""


OUTSIDE = frozenset({"mail", "traces"})
"""What an outside party may run: where a policy only lists its own countries, theirs stand in the register."""


def of(region: str, database_region: str = "", backup_region: str = "", **others: str) -> list[Place]:
    """The places of one installation; `others` are those of OUTSIDE that it has, each with its country."""
    places = [Place("database", database_region or region), *(Place(part, region) for part in LOCAL)]
    return [*places, Place("backups", backup_region or region), *(Place(part, others[part]) for part in sorted(others))]


def of_relay(host: str, region: str, mail_region: str) -> str:
    """The country of a mail relay: what was said of it, else that of this machine for one that runs here."""
    return mail_region or (region if is_here(host) else "")


def of_party(policy: Policy, name: str, region: str) -> str:
    """The country of what a party of the policy runs; without a name it is ours and stands here."""
    part = policy.parts.get(f"processor.{name}")
    return region if not name else "" if part is None else str(part.values["region"])


def of_database(policy: Policy, host: str, processor: str, region: str) -> str:
    """The country of a database at `host`; that of a processor is the policy's. Raises DatabaseUnregistered for one elsewhere
    that nobody named."""
    if is_here(host) or (processor == OWN and region):
        return region
    part = policy.parts.get(f"processor.{processor}")
    if part is None or DATABASE not in part.values["roles"]:
        raise DatabaseUnregistered
    return str(part.values["region"])


def check(policy: Policy, places: Sequence[Place], *, must_be_said: bool) -> None:
    """Refuse places outside the policy's countries. Raises RegionMissing (only where it `must_be_said`) or RegionRefused.

    A policy whose mode is `listed` names where data lies as well; other countries are its processors', each in the register.
    """
    part = policy.parts.get("regions")
    if part is None:
        return
    unsaid = [place.part for place in places if not place.region]
    if must_be_said and unsaid:
        raise RegionMissing(f"Nobody said in which country these stand: {', '.join(unsaid)}.")
    free = OUTSIDE if part.values["mode"] == "listed" else frozenset[str]()
    said = [place for place in places if place.region and place.part not in free]
    wrong = [place for place in said if place.region not in part.values["countries"]]
    if wrong:
        raise RegionRefused(wrong, part.values["countries"])
