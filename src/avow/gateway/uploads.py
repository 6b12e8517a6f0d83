"""How much of large bodies is in memory at once: of one process, and of one key, so that none keeps the others out.

What has come counts, not what was announced: who announces much and sends nothing takes no room.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from avow.billing.refusals import RateExceeded
from avow.gateway import forms, refusals, wire

BYTES_MAX = 96 * 1024 * 1024
"""Of one process, all that are under way: each byte may stand in memory three times, as it came, as it goes, on its way."""
KEY_BYTES_MAX = 2 * forms.BYTES_MAX
"""Of one key: two of the largest."""

Grow = Callable[[int], None]
"""Told of so many more bytes that came. Raises UploadsFull and RateExceeded."""


class Uploads:
    """The bodies of one process that are under way."""

    def __init__(self) -> None:
        self._bytes, self._of_keys = 0, Counter[int]()

    @contextmanager
    def begin(self, key_id: UUID | None, bytes_max: int) -> Iterator[Grow]:
        """A body of at most `bytes_max` bytes, in memory until the context ends; small ones are not counted, and those of nobody
        known (`key_id` None) only together."""
        mine = 0

        def grow(size: int) -> None:
            nonlocal mine
            if bytes_max <= wire.BODY_BYTES_MAX:
                return
            if self._bytes + size > BYTES_MAX:
                raise refusals.UploadsFull()
            if key_id is not None and self._of_keys[key_id.int] + size > KEY_BYTES_MAX:
                raise RateExceeded("Too much is being sent with this key at once.")
            mine += size
            self._add(key_id, size)

        try:
            yield grow
        finally:
            self._add(key_id, -mine)

    def _add(self, key_id: UUID | None, size: int) -> None:
        self._bytes += size
        if key_id is None:
            return
        self._of_keys[key_id.int] += size
        if not self._of_keys[key_id.int]:
            del self._of_keys[key_id.int]
