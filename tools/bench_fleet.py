"""How well worker processes keep a server busy, and what a chunk costs beside the server's time.

    python tools/bench_fleet.py                        # nx-27017 if installed, and the embedded one
    python tools/bench_fleet.py --mongo-url mongodb://localhost:27017 --workers 8 --seconds 1

Starts a stand-in server that takes a fixed time per call (tools/stand_in_server.py), seeds a queue
of one-second chunks, and lets real worker processes loose on it, one call at a time each. Printed
for each number of workers:

    chunks/s   written results per second, from the first call of the last worker to start
               until the last call begins (the start-up and the end of a run say nothing of a fleet)
    ideal      that rate over workers / seconds per call
    busy       share of that time in which the server's slots worked
    own ms     at 0 s a call: all of one worker's time, per chunk
    latency    at 0 s a call: median milliseconds from asking for a claim to its written result

Timings differ from machine to machine; the ratios of one run are what to read.
"""

import argparse
import multiprocessing
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pymongo
import requests
from bson import ObjectId
from pymongo.errors import PyMongoError
from rich.console import Console
from rich.table import Table

import stt.store.claims
from stt.domain.chunk import Chunk
from stt.domain.claim import Claim, ClaimRules
from stt.domain.transcript import Transcript
from stt.domain.worker_id import WorkerId
from stt.media.audio import SAMPLE_RATE, encode_opus
from stt.settings import load_settings
from stt.store.claims import MongoClaims
from stt.store.database import Database
from stt.worker.context import WorkOptions
from stt.worker.worker import Worker

HERE = Path(__file__).parent
console = Console()


@dataclass(frozen=True)
class Run:
    workers: int
    call_seconds: float
    chunks: int
    on_nx: bool = False


@dataclass(frozen=True)
class Result:
    chunks_per_second: float
    busy_share: float
    latency_ms: float

    def ideal_share(self, run: Run) -> float:
        return self.chunks_per_second * run.call_seconds / run.workers


def measure(mongo_url: str, run: Run) -> Result:
    """One run on a fresh queue. Raises RuntimeError if a chunk was not done exactly once."""
    name = f"stt_bench_{uuid.uuid4().hex[:8]}"
    with Database(mongo_url, name) as database, stand_in(run) as server_url:
        if not run.on_nx:  # it cannot index `_id` beside other fields
            database.ensure_indexes()
        seed(database, run.chunks)
        context = multiprocessing.get_context("spawn")
        latencies = context.SimpleQueue()
        processes = [
            context.Process(target=work, args=(mongo_url, name, server_url, run.on_nx, latencies))
            for _ in range(run.workers)
        ]
        for process in processes:
            process.start()
        timings = [latencies.get() for _ in processes]
        for process in processes:
            process.join()
        calls = requests.get(f"{server_url}/calls", timeout=10).json()
        written = sum(1 for _ in database.chunks.find({"transcribed_at": {"$gt": EPOCH}}, ["_id"]))
        with pymongo.MongoClient[dict[str, Any]](mongo_url) as client:
            client.drop_database(name)
    if not len(calls) == written == run.chunks:
        raise RuntimeError(f"{run.chunks} chunks, {len(calls)} calls, {written} results")
    return summary(run, calls, [ms for timing in timings for ms in timing])


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def summary(run: Run, calls: list[tuple[float, float]], latencies: list[float]) -> Result:
    """Figures of the steady part: from all slots in use until the last call begins."""
    edges = sorted([(start, 1) for start, _ in calls] + [(end, -1) for _, end in calls])
    in_flight, begin = 0, edges[0][0]
    for at, step in edges:
        in_flight += step
        if in_flight == run.workers:
            begin = at
            break
    end = max(start for start, _ in calls)
    window = max(end - begin, 1e-9)
    busy = sum(max(0.0, min(stop, end) - max(start, begin)) for start, stop in calls)
    finished = sum(1 for _, stop in calls if begin <= stop <= end)
    return Result(finished / window, busy / window / run.workers, statistics.median(latencies))


class TimedClaims(MongoClaims):
    """The real protocol with a stopwatch around it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.asked: dict[ObjectId, float] = {}
        self.latencies_ms: list[float] = []

    def claim(self, chunk: Chunk, claim_id: ObjectId | None = None) -> Claim | None:
        self.asked[chunk.id] = time.monotonic()
        return super().claim(chunk, claim_id)

    def complete(self, claim: Claim, transcript: Transcript) -> None:
        super().complete(claim, transcript)
        took = time.monotonic() - self.asked[claim.chunk.id] - (transcript.seconds or 0)
        self.latencies_ms.append(took * 1000)


def work(mongo_url: str, name: str, server_url: str, on_nx: bool, latencies: Any) -> None:
    """One worker process: the real `Worker`, one call at a time, one chunk a call."""
    if on_nx:  # it matches no ObjectId outside `_id`: there the fence is its hex digits
        setattr(stt.store.claims, "ObjectId", lambda: str(ObjectId()))  # noqa: B010
    os.environ.clear()  # a person's settings must not change what is measured
    settings = load_settings(
        server_urls=(server_url,),
        use_parallel_transcription=False,
        sequence_seconds=0,
        required_empty_checks=1,
    )
    with Database(mongo_url, name) as database:
        claims = TimedClaims(
            database, WorkerId.of_this_process(), ClaimRules(settings.lease_seconds)
        )
        Worker.at_database(database, settings, WorkOptions(), claims).run()
    latencies.put(claims.latencies_ms)


def seed(database: Database, count: int) -> None:
    """Pending chunks of one second each, complete documents as ingest writes them."""
    audio = encode_opus(np.zeros(SAMPLE_RATE, np.int16))
    recording_id = ObjectId()
    empty = dict.fromkeys(
        ("processing_by", "claimed_at", "claim_id", "transcribed_at", "failed_at", "not_before")
    )
    documents: list[dict[str, Any]] = [
        {"_id": ObjectId(), "original_id": recording_id, "index": index, "start": EPOCH,
         "offset": float(index), "duration": 1.0, "format": "opus", "priority": 0,
         "attempts": 0, "expirations": 0, "errors": [], **empty}
        for index in range(count)
    ]  # fmt: skip
    database.audio.insert_many([{"_id": d["_id"], "data": audio} for d in documents])
    database.chunks.insert_many(documents)


@contextmanager
def stand_in(run: Run) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, str(HERE / "stand_in_server.py"), "--port", str(port)]
    command += ["--seconds", str(run.call_seconds), "--slots", str(run.workers)]
    with child(command):
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: requests.get(f"{url}/ready", timeout=1).ok, requests.RequestException)
        yield url


@contextmanager
def local_database(kind: str) -> Iterator[str]:
    """A database server of its own in a temporary folder: `nx-27017` or `secantusd-py`."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="stt-bench-") as folder:
        command = {
            "nx-27017": ["nx-27017", "--data-dir", folder, "--port", str(port),
                         "--pid-file", f"{folder}/pid", "--log-file", f"{folder}/log"],
            "secantusd-py": ["secantusd-py", "--storage-path", folder, "--port", str(port),
                             "--log-level", "ERROR"],
        }[kind]  # fmt: skip
        command[0] = find_program(kind) or kind
        with child(command):
            url = f"mongodb://127.0.0.1:{port}/?directConnection=true"

            def answers() -> bool:
                with pymongo.MongoClient[Any](url, serverSelectionTimeoutMS=500) as client:
                    return bool(client.admin.command("ping"))

            wait_for(answers, PyMongoError)
            yield url


@contextmanager
def child(command: list[str]) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:  # it is busy with a call
            process.kill()
            process.wait()


def wait_for(condition: Callable[[], bool], not_yet: type[Exception]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if condition():
                return
        except not_yet:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def find_program(name: str) -> str | None:
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name)


def bench(title: str, mongo_url: str, arguments: argparse.Namespace) -> None:
    """Prints the table of one database."""
    on_nx = title == "nx-27017"
    table = Table(title=title)
    for heading in ("workers", "chunks/s", "ideal", "busy", "chunks/s at 0 s", "own ms", "latency"):
        table.add_column(heading, justify="right")
    for workers in arguments.workers:
        timed = Run(workers, arguments.seconds, arguments.calls * workers, on_nx)
        result = measure(mongo_url, timed)
        bare = measure(mongo_url, Run(workers, 0.0, arguments.bare_chunks, on_nx))
        table.add_row(
            str(workers),
            f"{result.chunks_per_second:.2f}",
            f"{result.ideal_share(timed):.3f}",
            f"{result.busy_share:.3f}",
            f"{bare.chunks_per_second:.1f}",
            f"{1000 / bare.chunks_per_second:.1f}",
            f"{bare.latency_ms:.1f}",
        )
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mongo-url", help="a database to use in place of local ones")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--seconds", type=float, default=1.0, help="time per call")
    parser.add_argument("--calls", type=int, default=40, help="calls per worker at that time")
    parser.add_argument("--bare-chunks", type=int, default=300, help="chunks at 0 s a call")
    arguments = parser.parse_args()
    if arguments.mongo_url:
        bench("your database", arguments.mongo_url, arguments)
        return
    for kind in ("nx-27017", "secantusd-py"):
        if find_program(kind) is None:
            console.print(f"{kind} is not installed: left out (pip install 'stt-fleet[bench]')")
            continue
        with local_database(kind) as url:
            bench(kind, url, arguments)


if __name__ == "__main__":
    main()
