"""A fleet whose only whisper server dies for a while: what is lost, and how soon work resumes.

    python tools/outage.py                       # four workers, an outage of two minutes
    python tools/outage.py --workers 8 --seconds 300

Starts an embedded database, a stand-in whisper server (tools/stand_in_server.py) and real worker
processes; kills the server with SIGKILL in the middle of its calls, starts it again, and lets the
workers come to their end. Times are those of the database server. Exit code 1 if a chunk was lost
or charged with a failure, a claim was held while no server was there, or work did not resume soon.
"""

import argparse
import ast
import contextlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import requests
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from stt.store.database import Database
from stt.system.processes import free_port
from tools.bench_fleet import HERE, local_database, seed, wait_for

CALL_SECONDS = 0.5
CHUNKS_OF_A_CALL = 2
BEFORE_SECONDS = 5.0
AFTER_SECONDS = 8.0
SAMPLE_SECONDS = 0.25
WINDOW_SECONDS = 3.0
FULL_SPEED = 0.8
"""Of the speed before the outage."""
LONGEST_UNTIL_FIRST = 10.0
LONGEST_UNTIL_FULL_SPEED = 20.0
LONGEST_UNTIL_NO_CLAIM = 5.0
SLOWEST_START_SECONDS = 60.0
SLOWEST_END_SECONDS = 180.0


@dataclass(frozen=True)
class Outage:
    """When it happened, by the database's clock; `held` are samples: seconds since, claims."""

    began: datetime
    ended: datetime
    held: Sequence[tuple[float, int]]

    @property
    def seconds_until_no_claim(self) -> float | None:
        """None if claims were held to the end."""
        last = [at for at, count in self.held if count]
        if self.held[-1][1]:
            return None
        return last[-1] if last else 0.0


@dataclass(frozen=True)
class Figures:
    """What the run showed. Seconds are counted from the server's return; None: never."""

    chunks: int
    before: int
    during: int
    after: int
    left: int
    charged: int
    failed: int
    claims_at_once: int
    until_no_claim: float | None
    until_first: float | None
    until_full_speed: float | None
    exit_codes: tuple[int, ...]
    told: int

    def breaches(self) -> Iterator[str]:
        if self.left or self.failed:
            yield f"{self.left} chunks are not done, {self.failed} of them quarantined"
        if self.charged:
            yield f"{self.charged} attempts were charged to chunks"
        if _is_over(self.until_no_claim, LONGEST_UNTIL_NO_CLAIM):
            yield "claims were held while no server was there"
        if _is_over(self.until_first, LONGEST_UNTIL_FIRST):
            yield "work did not resume soon after the server's return"
        if _is_over(self.until_full_speed, LONGEST_UNTIL_FULL_SPEED):
            yield "work did not come back to its speed"
        if any(self.exit_codes):
            yield f"workers ended with {self.exit_codes}"
        if self.told != self.chunks - self.left:
            yield f"the workers say that they did {self.told} chunks"


def _is_over(seconds: float | None, longest: float) -> bool:
    return seconds is None or seconds > longest


def run(worker_count: int, outage_seconds: float) -> Figures:
    """The whole of it. Raises RuntimeError if the workers do not come to their end."""
    per_second = worker_count * CHUNKS_OF_A_CALL / CALL_SECONDS
    chunks = round(per_second * (BEFORE_SECONDS + AFTER_SECONDS))
    port = free_port()
    server_url = f"http://127.0.0.1:{port}"
    server = [sys.executable, str(HERE / "stand_in_server.py"), "--port", str(port)]
    server += ["--seconds", str(CALL_SECONDS), "--slots", str(worker_count)]
    with (
        local_database("secantusd-py") as mongo_url,
        Database(mongo_url, "stt_outage") as database,
        contextlib.ExitStack() as fleet,
    ):
        database.ensure_indexes()
        seed(database, chunks)
        with running(server, server_url) as kill:
            workers = [
                fleet.enter_context(worker(mongo_url, server_url)) for _ in range(worker_count)
            ]
            _until_all_are_at_work(database, worker_count)
            time.sleep(BEFORE_SECONDS)
            kill()
            began = database.server_time()
            held = list(samples(database, outage_seconds))
        with running(server, server_url):
            outage = Outage(began, database.server_time(), held)
            outputs = [_end(process) for process in workers]
        codes = tuple(process.returncode for process in workers)
        return figures(database, chunks, outage, outputs, codes)


@contextlib.contextmanager
def running(command: Sequence[str], url: str) -> Iterator[Callable[[], None]]:
    """The server, once it is ready; gives what kills it."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill() -> None:
        process.kill()
        process.wait()

    try:
        wait_for(lambda: requests.get(f"{url}/ready", timeout=1).ok, requests.RequestException)
        yield kill
    finally:
        kill()


@contextlib.contextmanager
def worker(mongo_url: str, server_url: str) -> Iterator[subprocess.Popen[str]]:
    """One call at a time, a few chunks in each."""
    command = [
        sys.executable, "-m", "stt", "--mongo-url", mongo_url, "--database", "stt_outage",
        "--server", server_url, "--workers", "1", "--log-format", "text",
        "--sequence-seconds", str(CHUNKS_OF_A_CALL), "--required-empty-checks", "1",
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def samples(database: Database, seconds: float) -> Iterator[tuple[float, int]]:
    """Claims held, again and again while the server is away."""
    started = time.monotonic()
    while (at := time.monotonic() - started) < seconds:
        yield at, database.chunks.count_documents({"processing_by": {"$ne": None}})
        time.sleep(SAMPLE_SECONDS)


def _until_all_are_at_work(database: Database, count: int) -> None:
    deadline = time.monotonic() + SLOWEST_START_SECONDS
    while len(database.chunks.distinct("transcript.worker")) < count:
        if time.monotonic() > deadline:
            raise RuntimeError("the workers do not start")
        time.sleep(SAMPLE_SECONDS)


def _end(process: subprocess.Popen[str]) -> str:
    try:
        return process.communicate(timeout=SLOWEST_END_SECONDS)[0]
    except subprocess.TimeoutExpired as late:
        process.send_signal(signal.SIGKILL)
        raise RuntimeError(f"a worker does not end: {process.communicate()[0][-2000:]}") from late


def figures(
    database: Database,
    chunks: int,
    outage: Outage,
    outputs: Sequence[str],
    exit_codes: tuple[int, ...],
) -> Figures:
    """Reads the database and what the workers said in the end."""
    documents = list(database.chunks.find({}, ["transcribed_at", "attempts", "failed_at"]))
    times = sorted(d["transcribed_at"] for d in documents if d["transcribed_at"])
    before = [at for at in times if at <= outage.began]
    after = [(at - outage.ended).total_seconds() for at in times if at > outage.ended]
    speed = sum((outage.began - at).total_seconds() < BEFORE_SECONDS for at in before)
    wanted = FULL_SPEED * speed / BEFORE_SECONDS * WINDOW_SECONDS
    return Figures(
        chunks=chunks,
        before=len(before),
        during=len(times) - len(before) - len(after),
        after=len(after),
        left=chunks - len(times),
        charged=sum(d["attempts"] for d in documents),
        failed=sum(d["failed_at"] is not None for d in documents),
        claims_at_once=max(count for _, count in outage.held),
        until_no_claim=outage.seconds_until_no_claim,
        until_first=after[0] if after else None,
        until_full_speed=next(
            (at for at in after if sum(at <= t < at + WINDOW_SECONDS for t in after) >= wanted),
            None,
        ),
        exit_codes=exit_codes,
        told=sum(_told(output) for output in outputs),
    )


def _told(output: str) -> int:
    found = re.search(r"  Completed processing\. Stats: (\{.*\})$", output, re.MULTILINE)
    stats: dict[str, int] = ast.literal_eval(found[1]) if found else {}
    return stats.get("transcribed", 0) + stats.get("empty", 0)


def show(console: Console, found: Figures) -> None:
    table = Table(title="A fleet without its only whisper server", show_header=False)
    for name, value in (
        ("chunks done before, during, after", f"{found.before}, {found.during}, {found.after}"),
        ("chunks not done", found.left),
        ("attempts charged", found.charged),
        ("claims held at most during the outage", found.claims_at_once),
        ("when the last claim was seen, seconds into it", found.until_no_claim),
        ("seconds from its return to the first result", found.until_first),
        ("seconds from its return to full speed", found.until_full_speed),
        ("exit codes of the workers", ", ".join(map(str, found.exit_codes))),
    ):
        shown = "never" if value is None else value
        table.add_row(name, f"{shown:.1f}" if isinstance(shown, float) else str(shown))
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=120, help="length of the outage")
    arguments = parser.parse_args()
    console = Console()
    found = run(arguments.workers, arguments.seconds)
    show(console, found)
    breaches = list(found.breaches())
    for breach in breaches:
        console.print(f"BREACH: {breach}")
    sys.exit(1 if breaches else 0)


if __name__ == "__main__":
    main()
