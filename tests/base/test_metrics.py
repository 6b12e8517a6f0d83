"""Figures of several processes: added up, kept over a restart, bounded, and readable by Prometheus' own parsers."""

from __future__ import annotations

import os
import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from avow.base import metrics
from avow.base.metrics import ROWS_MAX, Family, Histogram, Row, Sheet, Slip

FAMILIES = (
    Family("t_calls_total", "counter", 'Calls\nwith "quotes" and \\.', ("model",)),
    Family("t_waiting", "gauge", "Who waits."),
    Family("t_slowest_seconds", "gauge", "The slowest.", largest=True),
    Family("t_took_seconds", "histogram", "How long.", ("surface",), (0.1, 1.0)),
)


def sheet(calls: int = 0, waiting: float = 0, slowest: float = 0, took: tuple[float, ...] = ()) -> Sheet:
    made, seen = Sheet(FAMILIES), Histogram((0.1, 1.0))
    for value in took:
        seen.see(value)
    made.add("t_calls_total", ("m",), calls)
    made.set("t_waiting", (), waiting)
    made.set("t_slowest_seconds", (), slowest)
    made.put("t_took_seconds", ("chat",), seen)
    return made


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What Prometheus' parser for the older format reads."""
    families = text_string_to_metric_families(text)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_processes_are_added_up_in_both_formats(tmp_path: Path) -> None:
    Slip(tmp_path, "worker 0").write(sheet(3, 2, 0.5, (0.05, 0.1, 5.0)))
    Slip(tmp_path, "worker 1").write(sheet(4, 1, 0.7, (0.5,)))
    found = metrics.collect(tmp_path, FAMILIES)
    read = samples(metrics.text(found))
    assert read["t_calls_total", (("model", "m"),)] == 7
    assert read["t_waiting", ()] == 3 and read["t_slowest_seconds", ()] == 0.7
    buckets = [read["t_took_seconds_bucket", (("le", le), ("surface", "chat"))] for le in ("0.1", "1", "+Inf")]
    assert buckets == [2, 3, 4], "a bound belongs to its bucket, and buckets add up"
    assert read["t_took_seconds_sum", (("surface", "chat"),)] == 5.65
    newer = {f.name: f for f in openmetrics.text_string_to_metric_families(metrics.text(found, openmetrics=True))}
    assert newer["t_calls"].samples[0].value == 7 and newer["t_calls"].type == "counter"
    assert newer["t_took_seconds"].type == "histogram"


def test_a_process_goes_on_where_the_one_before_it_was_killed(tmp_path: Path) -> None:
    Slip(tmp_path, "worker 0").write(sheet(3, waiting=9, took=(0.5,)))
    again = Sheet(FAMILIES)
    again.take(Slip(tmp_path, "worker 0").before(), gauges=False)
    again.add("t_calls_total", ("m",), 2)
    assert {row.family: row.values for row in again.rows()} == {"t_calls_total": [5], "t_took_seconds": [0, 1, 0, 0.5]}


def test_what_waits_in_a_process_that_is_gone_does_not_count(tmp_path: Path) -> None:
    Slip(tmp_path, "worker 0").write(sheet(3, waiting=9))
    old = time.time() - 60
    os.utime(tmp_path / "worker-0.json", (old, old))
    found = {row.family: row.values for row in metrics.collect(tmp_path, FAMILIES).rows()}
    assert found["t_calls_total"] == [3] and "t_waiting" not in found


def test_a_yes_is_a_one(tmp_path: Path) -> None:
    Slip(tmp_path, "worker 0").write(sheet(waiting=True))
    assert samples(metrics.text(metrics.collect(tmp_path, FAMILIES)))["t_waiting", ()] == 1


def test_rows_are_bounded(tmp_path: Path) -> None:
    made = Sheet(FAMILIES)
    for n in range(ROWS_MAX + 50):
        made.add("t_calls_total", (f"m{n}",))
    rows = list(made.rows_of("t_calls_total"))
    assert len(rows) == ROWS_MAX + 1 and sum(row.values[0] for row in rows) == ROWS_MAX + 50


def test_a_file_of_another_version_or_a_broken_one_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "worker-0.json").write_text('[["t_calls_total",["m"')
    (tmp_path / "worker-1.json").write_text(
        '[["t_gone",[],[1]],["t_calls_total",[],[1]],["t_took_seconds",["chat"],[1]],["t_calls_total",["m"],[1]]]'
    )
    assert [row.values for row in metrics.collect(tmp_path, FAMILIES).rows()] == [[1]]


@given(st.text(max_size=20), st.floats(min_value=0, max_value=1e15))
def test_whatever_a_model_is_called_prometheus_reads_it(name: str, value: float) -> None:
    made = Sheet(FAMILIES)
    # The parser takes lone line separators of Unicode for ends of lines, which the format does not.
    name = "".join(each for each in name if each.isprintable() or each == "\n")
    made.take([Row("t_calls_total", (name,), [value])])
    assert samples(metrics.text(made)) == {("t_calls_total", (("model", name),)): value}
