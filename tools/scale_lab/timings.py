"""Times of claims, pages, completions and recovery on a real database of a given size."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

from bson import ObjectId
from pymongo import monitoring

from stt.domain.claim import ClaimRules, Order, Queue, WorkerReport
from stt.domain.transcript import Segment, Transcript
from stt.settings import load_settings
from stt.store.claims import MongoClaims
from stt.store.database import Database
from stt.store.workers import MongoRoster
from stt.worker.planner import Planner
from stt.worker.stop_conditions import StopConditions

T = TypeVar("T")

PAGE = 500
_BATCH = 1_000
_CHUNKS_OF_RECORDING = 120
_START = datetime(2026, 1, 1, tzinfo=UTC)
_TEXT = Transcript((Segment(0.0, 30.0, "words " * 20),), "en", 30.0, "model")


@dataclass(slots=True)
class Timings:
    """Seconds of each operation, by its name; `recovery_documents`: read by one recovery."""

    chunks: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    recovery_documents: float = 0.0

    def timed(self, name: str, call: Callable[[], T]) -> T:
        began = time.perf_counter()
        result = call()
        self.seconds.setdefault(name, []).append(time.perf_counter() - began)
        return result


class ReadDocuments(monitoring.CommandListener):
    """Counts the documents that all clients of this process read; register it before they begin."""

    def __init__(self) -> None:
        self.count = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None: ...

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        cursor = event.reply.get("cursor", {})
        self.count += len(cursor.get("firstBatch", ())) + len(cursor.get("nextBatch", ()))


def fill(database: Database, chunks: int, held: int) -> Iterator[int]:
    """Insert pending chunks, and as many that a worker holds; yield how many there are."""
    now = database.server_time()
    for first in range(0, chunks + held, _BATCH):
        numbers = range(first, min(first + _BATCH, chunks + held))
        database.chunks.insert_many([_document(n, n >= chunks, now) for n in numbers])
        yield numbers[-1] + 1


def _document(number: int, is_held: bool, now: datetime) -> dict[str, Any]:
    recording, index = divmod(number, _CHUNKS_OF_RECORDING)
    empty = ("claim_id", "transcribed_at", "failed_at", "not_before", "transcript")
    return {
        "_id": ObjectId(number.to_bytes(12)), "original_id": f"recording {recording}",
        "index": index, "start": _START + timedelta(seconds=30 * number), "offset": 30.0 * index,
        "duration": 30.0, "format": "opus", "priority": 0, "attempts": 0, "expirations": 0,
        "errors": [], "processing_by": "box_1" if is_held else None,
        "claimed_at": now if is_held else None, "lease_seconds": 300.0 if is_held else None,
        **dict.fromkeys(empty),
    }  # fmt: skip


def measure(database: Database, chunks: int, times: int, read: ReadDocuments) -> Timings:
    """Time the operations of a worker, `times` chunks of them, on a collection that is filled."""
    timings = Timings(chunks)
    claims = MongoClaims(database, "bench_1", ClaimRules())
    timings.timed("first page", lambda: claims.page(PAGE, Order()))  # of a cold server
    for _ in range(max(5, times // 20)):
        page = timings.timed("page", lambda: claims.page(PAGE, Order()))
    for chunk in page.chunks[:times]:
        claim = timings.timed("claim", lambda chunk=chunk: claims.claim(chunk))  # type: ignore[misc]
        assert claim is not None
        timings.timed("completion", lambda claim=claim: claims.complete(claim, _TEXT))  # type: ignore[misc]
    before, recoveries = read.count, 5
    for _ in range(recoveries):
        timings.timed("recovery", claims.recover)
    timings.recovery_documents = (read.count - before) / recoveries
    return timings


@dataclass(slots=True)
class Storm:
    """What the workers of a start did until each held its first run; Counts of the simulation."""

    workers: int
    chunks: int = 0
    misses: int = 0
    pages: int = 0
    seconds: float = 0.0
    failures: int = 0


def storm(database: Database, workers: int) -> Storm:
    """Start as many workers at once, each a thread with its planner, and let each claim one run."""
    found, lock, barrier = Storm(workers), threading.Lock(), threading.Barrier(workers)
    settings = load_settings()

    def work(number: int) -> None:
        claims = MongoClaims(database, f"bench_{number}", ClaimRules())
        roster = MongoRoster(database)
        queue = Queue(claims, cast(Any, None), roster)
        planner = Planner(queue, settings, Order(), None, StopConditions(settings))
        pages = 0
        original = claims.page

        def page(limit: int, order: Order) -> Any:
            nonlocal pages
            pages += 1
            return original(limit, order)

        setattr(claims, "page", page)  # noqa: B010
        barrier.wait()
        roster.report(f"bench_{number}", WorkerReport(slots=1))
        claimed = misses = 0
        while not claimed:
            run = planner.next()
            if not isinstance(run, tuple):
                break
            for chunk in run:
                if claims.claim(chunk) is None:
                    misses += 1
                    break
                claimed += 1
            planner.claimed(run, missed=claimed < len(run))
            planner.ended(unspent=len(run) - claimed)
        with lock:
            found.chunks += claimed
            found.misses += misses
            found.pages += pages
            found.failures += not claimed

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(workers)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found.seconds = time.perf_counter() - began
    return found
