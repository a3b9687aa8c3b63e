"""How the queue behaves as it grows, and when many workers start at once.

    python tools/bench_scale.py                        # nx-27017 if it is installed
    python tools/bench_scale.py --embedded --only growth storm --chunks 10000 100000 --workers 100
    STT_BENCH_MONGO_URL=mongodb://localhost:27017 python tools/bench_scale.py
    python tools/bench_scale.py --only simulation --simulated-workers 500 10000

    growth       fills a database of each size, and times what a worker does there, with `--held`
                 more chunks that others hold: p50 and p99; and what a recovery reads
    storm        starts `--workers` real planners at once, each a thread, on the database; until
                 each has claimed its first run of chunks
    simulation   the real planners in simulated time, with a model of the queue in memory: up to
                 many thousands of workers; with the latencies of `growth`, if that was run

Where no nx-27017 is installed (pip install 'stt-fleet[bench]'), it is the embedded database. The
former claims in constant time, as MongoDB does, but reads all chunks for a page: its pages and
recoveries say nothing of MongoDB's. What a database does not do in time is one line, and the rest
goes on.

Exit codes: 0 all goals met, 1 one was not, or something was not done; 2 wrong usage or no database,
130 interrupted.
"""

import argparse
import contextlib
import os
import signal
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pymongo import monitoring
from rich.table import Table

if __name__ == "__main__":  # run as a script: its own folder is on the path, and not the project's
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import stt.store.claims
from stt.errors import ConfigError, DatabaseUnavailable
from stt.store.database import Database
from tools.bench_lab.callers import percentile
from tools.scale_lab.databases import filled, kind_of
from tools.scale_lab.goals import Goals, console
from tools.scale_lab.simulation import Counts, FleetPlan, Latencies, Simulation
from tools.scale_lab.storm import storm
from tools.scale_lab.timings import ReadDocuments, Timings, measure

MAX_MISSES, MAX_PAGE_READS, MAX_GROWTH = 0.3, 3.0, 1.2
STORM_SECONDS = 300.0
TURNS = 5
PARTS = ("growth", "storm", "simulation")
OPERATIONS = ("claim", "page", "completion", "recovery")


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    os.environ.pop("STT_PAGE_SIZE", None)  # a person's setting must not change what is measured
    goals, latencies = Goals(), Latencies()
    try:
        if set(options.only) & {"growth", "storm"}:
            latencies = (
                _on_database(kind_of(embedded=options.embedded), options, goals) or latencies
            )
        if "simulation" in options.only:
            _simulate(options, latencies, goals)
    except (ConfigError, DatabaseUnavailable) as error:
        parser.exit(2, f"{error}\n")
    except KeyboardInterrupt:
        return 130
    return 0 if goals.are_met else 1


def _on_database(kind: str, options: argparse.Namespace, goals: Goals) -> Latencies | None:
    """Measure growth and the storm; return the latencies of the largest database, if any."""
    read = ReadDocuments()
    monitoring.register(read)
    if kind == "nx-27017":  # it matches no ObjectId outside `_id`: there the fence is text
        real = getattr(stt.store.claims, "ObjectId")  # noqa: B009
        setattr(stt.store.claims, "ObjectId", lambda: str(real()))  # noqa: B010
    found = _growth(kind, options, read, goals) if "growth" in options.only else []
    if "storm" in options.only:
        with filled(kind, options.storm_chunks, 0, goals) as database:
            if database is not None:
                _storm(kind, database, options, goals)
    if not found or not all(found[-1].seconds.get(name) for name in OPERATIONS):
        return None
    last = {name: statistics.median(found[-1].seconds[name]) for name in OPERATIONS}
    return Latencies(last["page"], last["claim"], last["completion"])


def _growth(
    kind: str, options: argparse.Namespace, read: ReadDocuments, goals: Goals
) -> list[Timings]:
    """Measure all sizes in turns, so that a busy machine changes no ratio of them."""
    found: dict[Database, Timings] = {}
    with contextlib.ExitStack() as stack:
        for chunks in options.chunks:
            database = stack.enter_context(filled(kind, chunks, options.held, goals))
            if database is not None:
                found[database] = Timings(chunks)
        try:
            for turn in range(TURNS):
                for database, timings in found.items():
                    earlier = set(timings.failures)
                    measure(database, timings, turn, -(-options.times // TURNS), read)
                    for name in timings.failures.keys() - earlier:
                        reason = timings.failures[name]
                        goals.not_done(f"{name} with {timings.chunks:,} chunks: {reason}")
                console.print(f"turn {turn + 1} of {TURNS} of all sizes done")
        finally:
            _show_growth(kind, list(found.values()), options.held, goals)
    return list(found.values())


def _storm(kind: str, database: Database, options: argparse.Namespace, goals: Goals) -> None:
    console.print(f"{options.workers} workers start at once …")
    seen = storm(database, options.workers, STORM_SECONDS)
    console.print(
        f"storm on {kind}, {options.storm_chunks:,} chunks: {seen.workers} workers, each with"
        f" its first run after {seen.seconds:.1f} s; {seen.chunks:,} chunks claimed,"
        f" {seen.misses:,} misses, {seen.pages:,} pages read",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    if seen.failed_calls:
        goals.not_done(f"storm: {seen.failed_calls} calls, which workers then repeated")
    goals.judge("storm: misses a chunk", seen.misses / max(1, seen.chunks), MAX_MISSES)
    goals.judge("storm: page reads a worker", seen.pages / seen.workers, MAX_PAGE_READS)
    goals.judge("storm: workers without work", seen.idle, 0)


def _show_growth(kind: str, found: Sequence[Timings], held: int, goals: Goals) -> None:
    table = Table(title=f"{kind}: p50, p99 in ms; {held:,} more chunks are held")
    for heading in ("chunks", *OPERATIONS, "documents a recovery reads"):
        table.add_column(heading, justify="right")
    for one in found:
        recoveries = len(one.seconds.get("recovery", ()))
        read = f"{one.recovery_documents / recoveries:.0f}" if recoveries else "–"
        cells = [_times(one.seconds.get(name, ())) for name in OPERATIONS]
        table.add_row(f"{one.chunks:,}", *cells, read)
    console.print(table)
    for one in found[1:]:
        for name in OPERATIONS:
            before, after = found[0].seconds.get(name), one.seconds.get(name)
            if before and after:
                text = f"{name}: p50 with {one.chunks:,} chunks, of that with {found[0].chunks:,}"
                goals.judge(text, statistics.median(after) / statistics.median(before), MAX_GROWTH)


def _times(seconds: Sequence[float]) -> str:
    values = (percentile(seconds, share) for share in (0.5, 0.99))
    return ", ".join("–" if value is None else f"{1000 * value:.1f}" for value in values)


def _simulate(options: argparse.Namespace, latencies: Latencies, goals: Goals) -> None:
    table = Table(title=f"simulated, {options.simulated_chunks:,} chunks, one call a worker")
    for heading in (
        "workers", "until", "s", "chunks", "misses a chunk", "page reads a worker",
        "documents a chunk",
    ):  # fmt: skip
        table.add_column(heading, justify="right")
    for workers in options.simulated_workers:
        plan = FleetPlan(
            workers, options.simulated_chunks,
            start_seconds=0.1, seconds=options.simulated_seconds, seed=options.seed,
        )  # fmt: skip
        simulation = Simulation(plan, latencies)
        simulation.run(_progress(workers, options.simulated_seconds))
        for until, counts in (("all busy", simulation.until_busy), ("the end", simulation.counts)):
            if counts is not None:
                table.add_row(str(workers), until, *_cells(counts, workers))
        busy = simulation.until_busy or simulation.counts
        goals.judge(f"{workers} simulated: misses a chunk", busy.misses_per_chunk, MAX_MISSES)
        goals.judge(
            f"{workers} simulated: page reads a worker", busy.pages / workers, MAX_PAGE_READS
        )
    console.print(table)


def _progress(workers: int, seconds: float) -> Any:
    shown = 0.0

    def show(now: float, busy: int) -> None:
        nonlocal shown
        if now - shown >= seconds / 6:
            shown = now
            console.print(f"{now:.0f} of {seconds:.0f} simulated s, {busy} of {workers} were busy")

    return show


def _cells(counts: Counts, workers: int) -> list[str]:
    return [
        f"{counts.seconds:.1f}", f"{counts.chunks:,}", f"{counts.misses_per_chunk:.3f}",
        f"{counts.pages / workers:.2f}", f"{counts.documents / max(1, counts.chunks):.1f}",
    ]  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, count = parser.add_argument, _count
    add("--only", nargs="+", choices=PARTS, default=PARTS, help="default: all")
    add("--embedded", action="store_true", help="measure the embedded database")
    add("--chunks", type=count, nargs="+", default=[10_000, 100_000, 1_000_000], metavar="N",
        help="sizes of the collection; default: 10000 100000 1000000")  # fmt: skip
    add("--held", type=count, default=10_000, metavar="N", help="held chunks; default: 10000")
    add("--times", type=count, default=200, metavar="N", help="claims of a size; default: 200")
    add("--workers", type=count, default=500, metavar="N", help="of the storm; default: 500")
    add("--storm-chunks", type=count, default=20_000, metavar="N", help="default: 20000")
    add("--simulated-workers", type=count, nargs="+", default=[500, 10_000], metavar="N",
        help="default: 500 10000")  # fmt: skip
    add("--simulated-chunks", type=count, default=1_000_000, metavar="N", help="default: 1000000")
    add("--simulated-seconds", type=count, default=60, metavar="N", help="default: 60")
    add("--seed", type=int, default=0, help="of the simulation; default: 0")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 10_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 10000000")
    return int(text)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # or servers would be left
    sys.exit(main())
