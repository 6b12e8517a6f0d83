"""What a request costs the gateway, beside peers that run here: requests and chunks per second of the server's CPU.

    python -m bench.gateway [--seconds 10] [--rounds 3] [--peers nginx,avow]

The server under test has core 0 for itself, one worker; the mock upstream and the load generator share core 1 with what is
not the gateway (database, keeper). Peers are interleaved within each round, warmed before the first, and the median of the
rounds is told. Ratios are of CPU, not of time: a starved machine then changes them less. Writes bench/results/gateway.json.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import machine, peers

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "gateway.json"
WARM_UP_S = 4.0
LOAD_SHARE = 0.6
EXPECTED = {False: '"total_tokens"', True: "data: [DONE]"}
PROMPT = "You are a helpful assistant. " * 24


@dataclass(frozen=True)
class Scenario:
    name: str
    what: str
    connections: int
    stream: bool = False
    share_of_closed_loop: float = 0.0


CLOSED = Scenario("json", "64 connections, as fast as it goes", 64)
SCENARIOS = (
    CLOSED,
    Scenario("stream", "64 streams at once, 50 tokens, 5 ms apart", 64, stream=True),
    Scenario("alone", "one request at a time", 1),
    Scenario("60 %", "open loop at 60 % of its own json rate", 256, share_of_closed_loop=LOAD_SHARE),
)


@dataclass(frozen=True)
class Bar:
    """A figure to reach, as docs/reference/performance.md names it."""

    name: str
    need: str
    value: float | None
    met: bool | None


@dataclass
class Bench:
    """The tools of one run, and what it measured: runs by (peer, scenario)."""

    load: Path
    folder: Path
    core: int
    other_core: int
    seconds: float
    runs: dict[tuple[str, str], list[dict[str, float]]] = field(default_factory=dict)

    def offer(self, peer: peers.Started, scenario: Scenario, seconds: float, rate: float) -> dict[str, float]:
        """Offer load once. Returns the generator's figures."""
        body = self.folder / f"{'stream' if scenario.stream else 'json'}.body"
        body.write_text(json.dumps(request(scenario.stream)))
        command: list[str] = [str(self.load), "-p", str(peer.port), "-c", str(scenario.connections), "-d", str(seconds)]
        command += ["-b", str(body), "-e", EXPECTED[scenario.stream], *(["-r", str(rate)] if rate else [])]
        command += [part for header in peer.headers for part in ("-H", header)]
        with machine.pinned(self.other_core):
            told = subprocess.run(command, capture_output=True, text=True, check=False)
        if told.returncode:
            sys.exit(f"the load generator gave up: {told.stderr.strip()}")
        figures: dict[str, float] = json.loads(told.stdout)
        return figures

    def measure(self, peer: peers.Started, scenario: Scenario, rate: float) -> dict[str, float]:
        """Offer load and count what it cost."""
        database = machine.tree(peer.database_pids)
        server = machine.tree(peer.pids) - database
        before = machine.cpu_s(server), machine.cpu_s(database), machine.busy_s(self.core)
        run = self.offer(peer, scenario, self.seconds, rate)
        server_s = machine.cpu_s(server) - before[0]
        wall_s = run["seconds"]
        run["server_cpu"] = server_s / wall_s
        run["database_cpu"] = (machine.cpu_s(database) - before[1]) / wall_s
        run["others_on_core"] = max(0.0, (machine.busy_s(self.core) - before[2] - server_s) / wall_s)
        run["rss_mb"] = machine.rss_mb(server)
        run["per_cpu_s"] = run["good"] / server_s if server_s else 0.0
        run["events_per_cpu_s"] = run["events"] / server_s if server_s else 0.0
        return run

    def round(self, started: list[peers.Started], first: bool) -> None:
        for scenario in SCENARIOS:
            for peer in started:
                rate = scenario.share_of_closed_loop and self.median(peer.name, CLOSED.name, "per_s") * LOAD_SHARE
                if rate == 0 and scenario.share_of_closed_loop:
                    continue
                if first:
                    self.offer(peer, scenario, WARM_UP_S, rate)
                run = self.measure(peer, scenario, rate)
                self.runs.setdefault((peer.name, scenario.name), []).append(run)
                print(".", end="", flush=True, file=sys.stderr)

    def median(self, peer: str, scenario: str, figure: str) -> float:
        """The median over the rounds; 0 where nothing was measured."""
        return statistics.median([run[figure] for run in self.runs.get((peer, scenario), [])] or [0.0])


def request(stream: bool) -> dict[str, Any]:
    messages = [{"role": "system", "content": PROMPT}, {"role": "user", "content": "What is the weather like?"}]
    asked: dict[str, Any] = {"model": "bench", "messages": messages, "max_tokens": 64, "temperature": 0.5}
    return asked | ({"stream": True, "stream_options": {"include_usage": True}} if stream else {})


def bars(bench: Bench, subject: str) -> list[Bar]:
    """The bars for `subject`; without a figure where a peer was not measured."""

    def ratio(scenario: str, figure: str) -> float | None:
        nginx, own = bench.median("nginx", scenario, figure), bench.median(subject, scenario, figure)
        return own / nginx if nginx and own else None

    def at_most(value: float | None, most: float) -> bool | None:
        return None if value is None else value <= most

    def at_least(value: float | None, least: float) -> bool | None:
        return None if value is None else value >= least

    requests, chunks = ratio("json", "per_cpu_s"), ratio("stream", "events_per_cpu_s")
    measured = (subject, "alone") in bench.runs
    overhead = (
        bench.median(subject, "alone", "p50_ms") - bench.median("direct", "alone", "p50_ms") if measured else None
    )
    p99 = bench.median(subject, "60 %", "p99_ms") if measured else None
    return [
        Bar("requests per CPU-second, of nginx", ">= 0.20", requests, at_least(requests, 0.20)),
        Bar("the same, goal", ">= 0.30", requests, at_least(requests, 0.30)),
        Bar("stream chunks per CPU-second, of nginx", ">= 0.50", chunks, at_least(chunks, 0.50)),
        Bar("overhead of one request alone, ms", "<= 1.5", overhead, at_most(overhead, 1.5)),
        Bar("p99 at 60 % load, ms", "<= 8", p99, at_most(p99, 8)),
    ]


COLUMNS = (
    ("req/s", "per_s", ",.0f"),
    ("req/CPU-s", "per_cpu_s", ",.0f"),
    ("chunks/CPU-s", "events_per_cpu_s", ",.0f"),
    ("p50 ms", "p50_ms", ".2f"),
    ("p99 ms", "p99_ms", ".2f"),
    ("first p50", "first_p50_ms", ".2f"),
    ("server CPU", "server_cpu", ".2f"),
    ("database", "database_cpu", ".2f"),
    ("others", "others_on_core", ".2f"),
    ("RSS MB", "rss_mb", ".0f"),
)
FAULTS = ("bad_status", "incomplete", "unexpected")


def rows(bench: Bench, names: list[str]) -> list[dict[str, Any]]:
    """One row per scenario and peer: medians, every run, and the ratio to nginx."""
    made = []
    for scenario in SCENARIOS:
        figure = "events_per_cpu_s" if scenario.stream else "per_cpu_s"
        nginx = bench.median("nginx", scenario.name, figure)
        for name in names:
            runs = bench.runs.get((name, scenario.name))
            if not runs:
                made.append({"scenario": scenario.name, "peer": name, "measured": False})
                continue
            medians = {key: round(bench.median(name, scenario.name, key), 3) for key in runs[0]}
            of_nginx = round(medians[figure] / nginx, 3) if nginx and medians[figure] else None
            faults = sum(int(run[fault]) for run in runs for fault in FAULTS)
            row = {"scenario": scenario.name, "peer": name, "measured": True, "of_nginx": of_nginx, "faults": faults}
            made.append({**row, "median": medians, "runs": [{key: round(run[key], 3) for key in run} for run in runs]})
    return made


def print_table(table: list[dict[str, Any]], missing: dict[str, str]) -> None:
    for scenario in SCENARIOS:
        print(f"\n{scenario.name}: {scenario.what}")
        print(f"{'':14}" + "".join(f"{title:>13}" for title, _, _ in COLUMNS) + f"{'of nginx':>10}{'faults':>8}")
        for row in (row for row in table if row["scenario"] == scenario.name):
            if not row["measured"]:
                print(f"{row['peer']:14}  not measured  {missing.get(row['peer'], '')}")
                continue
            cells = "".join(f"{format(row['median'][key], shape):>13}" for _, key, shape in COLUMNS)
            of_nginx = "-" if row["of_nginx"] is None else f"{row['of_nginx']:.2f}"
            print(f"{row['peer']:14}{cells}{of_nginx:>10}{row['faults']:>8}")


def print_bars(subject: str, found: list[Bar]) -> None:
    print(f"\n{subject} beside the bars")
    for bar in found:
        verdict = {True: "met", False: "not met", None: "not measured"}[bar.met]
        value = "" if bar.value is None else f"{bar.value:.2f}"
        print(f"  {bar.name:42}{bar.need:>9}{value:>9}  {verdict}")


def write(
    arguments: argparse.Namespace, chosen: list[peers.Peer], table: list[dict[str, Any]], found: list[Bar]
) -> None:
    versions = {"python": platform.python_version()}
    versions |= {peer.name: peer.version() for peer in chosen if not peer.missing() and peer is not peers.DIRECT}
    report = {
        "bench": "gateway",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python -m bench.gateway --seconds {arguments.seconds:g} --rounds {arguments.rounds}",
        "machine": machine.describe(),
        "versions": versions,
        "scenarios": {scenario.name: scenario.what for scenario in SCENARIOS},
        "bars": [bar.__dict__ for bar in found],
        "rows": table,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")


def choose(names: str) -> list[peers.Peer]:
    if not names:
        return list(peers.ALL)
    known = {peer.name: peer for peer in peers.ALL}
    wanted = [name.strip() for name in names.split(",")]
    if unknown := set(wanted) - known.keys():
        sys.exit(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return [peers.DIRECT, *(known[name] for name in wanted if name != peers.DIRECT.name)]


def run(arguments: argparse.Namespace) -> None:
    if len(machine.cores()) < 2:
        sys.exit("This needs two cores: one for the server, one for what tests it.")
    core, other_core = machine.cores()[:2]
    chosen = choose(arguments.peers)
    missing = {peer.name: hint for peer in chosen if (hint := peer.missing())}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="avow-b-")))
        upstream, load = (machine.compiled(HERE / f"{name}.c", folder) for name in ("upstream", "load"))
        upstream_port = machine.free_port()
        mock = stack.enter_context(
            machine.running([str(upstream), "-p", str(upstream_port)], other_core, stdout=subprocess.DEVNULL)
        )
        machine.wait_until(lambda: machine.listens(upstream_port), mock)
        started: list[peers.Started] = []
        for number, peer in enumerate(chosen):
            if peer.name not in missing:
                (own := folder / str(number)).mkdir()
                started += stack.enter_context(peer.start(peers.Place(own, core, other_core, upstream_port)))
        bench = Bench(load, folder, core, other_core, arguments.seconds)
        for number in range(arguments.rounds):
            bench.round(started, first=number == 0)
    names = [peer.name for peer in started] + list(missing)
    table, found = rows(bench, names), bars(bench, arguments.subject)
    print_table(table, missing)
    print_bars(arguments.subject, found)
    write(arguments, chosen, table, found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10, help="length of one run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default="", help="names, separated by commas; all unless told")
    parser.add_argument("--subject", default="avow", help="the peer that is held against the bars")
    run(parser.parse_args())


if __name__ == "__main__":
    main()
