"""What a receipt says: for each store, how deeply its facts were deleted, and when.

"Deleted" has five levels: hidden → logical (row gone) → key destroyed → physical (bytes gone) → backups expired. A level
that was not reached, or of which we cannot know, has no date; the receipt never guesses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from avow import catalog
from avow.policy import Policy
from avow.privacy.folders import Told
from avow.privacy.stores import Store, TableStore

FORMAT = 1
PHYSICAL = (
    "Freed bytes are overwritten when the database or the file system uses their space again; no date can be given. "
    "Sealed content in them cannot be read, because its key was destroyed."
)
ASKED = "You asked for it."
HELD = "Kept until its own end, because the law requires it."


def why_kept(store: Store, until: datetime | None) -> tuple[str, datetime | None]:
    """Why what an erasure holds in a store stays, and until when; None: until something happens that has no date yet."""
    stays = store.stays if isinstance(store, TableStore) else ""
    return (stays, None) if stays else (HELD, until)


def store_entry(
    policy: Policy, store: Store, ended: int, kept: int, until: datetime | None, at: datetime, keys_at: datetime,
    backups_at: datetime,
) -> dict[str, Any]:  # fmt: skip
    """One store on the receipt. Times: `at` its facts had ended, `keys_at` no process had their keys any more,
    `backups_at` the last backup that may hold them expires."""
    ending = store.ending(policy, "erasure")
    entry: dict[str, Any] = {"store": store.name, "categories": sorted(store.categories), "ending": ending}
    if ending == "hold" and not ended:
        why, until = why_kept(store, until)
        return {**entry, "facts": kept, "kept_until": _time(until), "why": why, "levels": _levels()}
    is_table = isinstance(store, TableStore)
    lost_keys = any(policy.categories[c].on_erasure != "hold" for c in store.sealed)
    levels = _levels(at, at, keys_at if lost_keys else None, None, backups_at if is_table else None)
    return {**entry, "facts": ended, "why": ASKED, "levels": levels}


def fields(
    policy: Policy,
    request_id: UUID,
    name: bytes,
    times: Mapping[str, datetime],
    stores: Sequence[Mapping[str, Any]],
    told: Sequence[Told],
    mirrors_missing: Sequence[str],
) -> dict[str, Any]:
    """The whole receipt, before it is signed. `name` is the keyed name of the person, which only this installation can
    make; `times` maps received, keys destroyed and finished to their moments."""
    return {
        "avow_receipt": FORMAT,
        "about": "erasure",
        "request": str(request_id),
        "person": name.hex(),
        "policy": {"name": policy.name, "version": policy.version, "hash": policy.hash},
        "times": {what: _time(moment) for what, moment in times.items()},
        "stores": list(stores),
        "other_places": _places(),
        "backups": [_backup(folder) for folder in told],
        "keyring_copies_not_told": sorted(mirrors_missing),
        "physical": PHYSICAL,
    }


def _levels(*dates: datetime | None) -> dict[str, str | None]:
    words = ("hidden", "logical", "key destroyed", "physical", "backups expired")
    return {word: _time(dates[i]) if i < len(dates) else None for i, word in enumerate(words)}


def _backup(folder: Told) -> dict[str, Any]:
    made = {"id": str(folder.id), "made_at": _time(folder.made_at), "ends_at": _time(folder.ends_at)}
    return {**made, "told": folder.reachable}


def _places() -> list[dict[str, Any]]:
    """The declared places that are no tables, each with what it is for; sealed or short-lived, or another party's."""
    places = (p for p in catalog.places() if p.categories)
    return [{"place": p.name, "kind": p.kind, "categories": sorted(p.categories), "why": p.why} for p in places]


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
