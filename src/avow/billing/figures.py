"""What a worker's ledger tells of itself: its batches, what waits, and whether PostgreSQL answers."""

from __future__ import annotations

from avow.base.metrics import Family, Histogram, Sheet

_EVENTS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0)

FAMILIES = (
    Family("avow_ledger_batch_events", "histogram", "Money events in a batch.", (), _EVENTS),
    Family("avow_ledger_batch_seconds", "histogram", "From a batch to its durable answer.", (), _SECONDS),
    Family("avow_ledger_waiting", "gauge", "Money events that wait for a batch."),
    Family("avow_ledger_spooled", "gauge", "Charges that are durable in the spool only."),
    Family("avow_ledger_down", "gauge", "Processes whose ledger does not answer."),
)


class Figures:
    """The batches of one worker since it began."""

    def __init__(self) -> None:
        self._events, self._took = Histogram(_EVENTS), Histogram(_SECONDS)

    def sent(self, events: int, took_s: float) -> None:
        """A batch was answered; one without events is only a sign of life."""
        if events:
            self._events.see(events)
            self._took.see(took_s)

    def tell(self, sheet: Sheet, waiting: int, spooled: int, ready: bool) -> None:
        """Write them on a sheet, with what waits now."""
        sheet.put("avow_ledger_batch_events", (), self._events)
        sheet.put("avow_ledger_batch_seconds", (), self._took)
        sheet.set("avow_ledger_waiting", (), waiting)
        sheet.set("avow_ledger_spooled", (), spooled)
        sheet.set("avow_ledger_down", (), not ready)
