"""How the queue behaves as it grows, and when many workers start at once.

    python tools/bench_scale.py                        # nx-27017 if it is installed
    python tools/bench_scale.py --embedded --chunks 10000 --storm-chunks 10000 --workers 50
    STT_BENCH_MONGO_URL=mongodb://localhost:27017 python tools/bench_scale.py
    python tools/bench_scale.py --only simulation --simulated-workers 500 10000

    growth       fills a collection of each size, and times what a worker does there, with `--held`
                 more chunks that others hold: p50 and p99; and what a recovery reads
    storm        starts `--workers` real planners at once, each a thread, on the database; until
                 each has claimed its first run of chunks
    simulation   the real planners in simulated time, with a model of the queue in memory: up to
                 many thousands of workers; with the latencies of `growth`, if that was run

nx-27017 (pip install 'stt-fleet[bench]') claims in constant time, as MongoDB does; its pages take
longer the more chunks there are, as it has no index for them.

Exit codes: 0 all goals met, 1 one was not; 2 wrong usage or no database, 130 interrupted.
"""

import argparse
import contextlib
import os
import statistics
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pymongo import IndexModel, MongoClient, monitoring
from rich.console import Console
from rich.table import Table

if __name__ == "__main__":  # run as a script: its own folder is on the path, and not the project's
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import stt.store.claims
from stt.store.database import Database
from tools.bench_fleet import find_program, local_database
from tools.bench_lab.callers import percentile
from tools.scale_lab.simulation import Counts, FleetPlan, Latencies, Simulation
from tools.scale_lab.timings import ReadDocuments, Timings, fill, measure, storm

MAX_MISSES, MAX_PAGE_READS, MAX_GROWTH = 0.3, 3.0, 1.2
PARTS = ("growth", "storm", "simulation")
OPERATIONS = ("claim", "page", "completion", "recovery")
console = Console()


class Goals:
    """Prints each goal with its value as it is judged; `are_met` once all were."""

    def __init__(self) -> None:
        self.are_met = True

    def judge(self, text: str, value: float, limit: float) -> None:
        is_met = value <= limit + 1e-9
        self.are_met &= is_met
        style, met = ("green", "PASS  ") if is_met else ("yellow", "MISSED")
        line = f"{met} {text}: {value:.3g}, limit {limit:g}"
        console.print(line, style=style, highlight=False, soft_wrap=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    os.environ.pop("STT_PAGE_SIZE", None)  # a person's setting must not change what is measured
    goals, latencies = Goals(), Latencies()
    try:
        if set(options.only) & {"growth", "storm"}:
            kind = _kind_of(options)
            if kind is None:
                parser.error("no database: pip install 'stt-fleet[bench]', or see --help")
            with _server(kind) as url:
                latencies = _on_database(kind, url, options, goals) or latencies
        if "simulation" in options.only:
            _simulate(options, latencies, goals)
    except KeyboardInterrupt:
        return 130
    return 0 if goals.are_met else 1


def _kind_of(options: argparse.Namespace) -> str | None:
    """Return the kind of the database; "given" for that of STT_BENCH_MONGO_URL."""
    if os.environ.get("STT_BENCH_MONGO_URL"):
        return "given"
    kind = "secantusd-py" if options.embedded else "nx-27017"
    return kind if find_program(kind) else None


@contextlib.contextmanager
def _server(kind: str) -> Iterator[str]:
    if kind == "given":
        yield os.environ["STT_BENCH_MONGO_URL"]
    else:
        with local_database(kind) as url:
            yield url


def _on_database(
    kind: str, url: str, options: argparse.Namespace, goals: Goals
) -> Latencies | None:
    """Measure growth and the storm; return the latencies of the largest collection, if any."""
    read = ReadDocuments()
    monitoring.register(read)
    if kind == "nx-27017":  # it matches no ObjectId outside `_id`: there the fence is text
        real = getattr(stt.store.claims, "ObjectId")  # noqa: B009
        setattr(stt.store.claims, "ObjectId", lambda: str(real()))  # noqa: B010
    found: list[Timings] = []
    if "growth" in options.only:
        for chunks in options.chunks:
            with _filled(kind, url, chunks, options.held) as database:
                found.append(measure(database, chunks, options.times, read))
        _show_growth(kind, found, options.held, goals)
    if "storm" in options.only:
        with _filled(kind, url, options.storm_chunks, 0) as database:
            console.print(f"{options.workers} workers start at once …")
            seen = storm(database, options.workers)
        console.print(
            f"storm on {kind}, {options.storm_chunks:,} chunks: {seen.workers} workers, each with"
            f" its first run after {seen.seconds:.1f} s; {seen.chunks:,} chunks claimed,"
            f" {seen.misses:,} misses, {seen.pages:,} pages asked for",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
        goals.judge("storm: misses a chunk", seen.misses / max(1, seen.chunks), MAX_MISSES)
        goals.judge("storm: page reads a worker", seen.pages / seen.workers, MAX_PAGE_READS)
        goals.judge("storm: workers without work", seen.failures, 0)
    if not found:
        return None
    last = {name: statistics.median(found[-1].seconds[name]) for name in OPERATIONS}
    return Latencies(last["page"], last["claim"], last["completion"])


@contextlib.contextmanager
def _filled(kind: str, url: str, chunks: int, held: int) -> Iterator[Database]:
    """A database of its own with so many chunks, dropped at the end."""
    name = f"stt_bench_{uuid.uuid4().hex[:8]}"
    with Database(url, name) as database:
        try:
            for count in fill(database, chunks, held):
                if count % 100_000 == 0 or count == chunks + held:
                    console.print(f"{count:,} of {chunks + held:,} chunks inserted")
            if kind == "nx-27017":  # it cannot index `_id` beside other fields
                fields = ["transcribed_at", "failed_at", "processing_by"]
                keys = [*((one, 1) for one in fields), ("priority", -1), ("start", 1)]
                claims = IndexModel([("processing_by", 1), ("claimed_at", 1)], name="claims")
                database.chunks.create_indexes([IndexModel(keys, name="paging"), claims])
            else:
                database.ensure_indexes()
            yield database
        finally:
            with MongoClient[dict[str, Any]](url) as client:
                client.drop_database(name)


def _show_growth(kind: str, found: Sequence[Timings], held: int, goals: Goals) -> None:
    table = Table(title=f"{kind}: p50, p99 in ms; {held:,} more chunks are held")
    for heading in ("chunks", *OPERATIONS, "documents a recovery reads"):
        table.add_column(heading, justify="right")
    for one in found:
        cells = [
            ", ".join(f"{1000 * (percentile(one.seconds[name], p) or 0):.1f}" for p in (0.5, 0.99))
            for name in OPERATIONS
        ]
        table.add_row(f"{one.chunks:,}", *cells, f"{one.recovery_documents:.0f}")
    console.print(table)
    if len(found) < 2:
        return
    for name in OPERATIONS:
        first, last = (statistics.median(one.seconds[name]) for one in (found[0], found[-1]))
        text = f"{name}: p50 with {found[-1].chunks:,} chunks, of that with {found[0].chunks:,}"
        goals.judge(text, last / first, MAX_GROWTH)


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
    sys.exit(main())
