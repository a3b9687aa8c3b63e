"""Times of claims, pages, completions and recovery on a real database of a given size."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from bson import ObjectId
from pymongo import monitoring

from stt.domain.claim import Claim, ClaimRules, Order
from stt.domain.transcript import Segment, Transcript
from stt.errors import DatabaseUnavailable
from stt.store.claims import MongoClaims
from stt.store.database import Database, translated
from stt.store.documents import read_chunk

T = TypeVar("T")

PAGE = 500
_MAX_SECONDS = 30.0
"""Of all calls of one operation; of a slow one there are fewer."""

_FIRST_BATCH, _LEAST_BATCH, _MOST_BATCH = 100, 10, 2_000
_BATCH_SECONDS = 1.0
_LEASE_SECONDS = 10.0  # shorter than a call's time limit: a completion is tried once
_HELD_SECONDS = 86_400.0  # the lease of held chunks; longer than any run
_PAGES, _RECOVERIES = 4, 4  # of a turn
_CHUNKS_OF_RECORDING = 120
_START = datetime(2026, 1, 1, tzinfo=UTC)
_TEXT = Transcript((Segment(0.0, 30.0, "words " * 20),), "en", 30.0, "model")


@dataclass(slots=True)
class Timings:
    """Seconds of each operation, by its name, and why an operation failed.

    `recovery_documents`: how many all recoveries read together.
    """

    chunks: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    recovery_documents: int = 0

    def timed(self, name: str, call: Callable[[], T]) -> T | None:
        """Call and return the result; None after a failure, which is noted.

        Do nothing after an earlier failure, or if the calls of that name have taken their time.
        """
        if name in self.failures or sum(self.seconds.get(name, ())) > _MAX_SECONDS:
            return None
        began = time.perf_counter()
        try:
            result = call()
        except DatabaseUnavailable as error:
            self.failures[name] = reason_of(error, time.perf_counter() - began)
            return None
        self.seconds.setdefault(name, []).append(time.perf_counter() - began)
        return result


def reason_of(error: DatabaseUnavailable, seconds: float) -> str:
    """Return in a few words why a call failed that took so long."""
    return f"no answer in {seconds:.0f} s" if "timed out" in str(error) else str(error)


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
    """Insert pending chunks, and as many that a worker holds; yield how many there are.

    In batches of about a second. Raises DatabaseUnavailable.
    """
    now = database.server_time()
    done, size = 0, _FIRST_BATCH
    while done < chunks + held:
        numbers = range(done, min(done + size, chunks + held))
        began = time.perf_counter()
        with translated():
            database.chunks.insert_many([_document(n, n >= chunks, now) for n in numbers])
        done = numbers.stop
        yield done
        change = _BATCH_SECONDS / max(time.perf_counter() - began, 1e-9)
        size = max(_LEAST_BATCH, min(_MOST_BATCH, int(size * min(max(change, 0.1), 2.0))))


def _document(number: int, is_held: bool, now: datetime) -> dict[str, Any]:
    recording, index = divmod(number, _CHUNKS_OF_RECORDING)
    empty = ("claim_id", "transcribed_at", "failed_at", "not_before", "transcript")
    return {
        "_id": ObjectId(number.to_bytes(12)), "original_id": f"recording {recording}",
        "index": index, "start": _START + timedelta(seconds=30 * number), "offset": 30.0 * index,
        "duration": 30.0, "format": "opus", "priority": 0, "attempts": 0, "expirations": 0,
        "errors": [], "processing_by": "box_1" if is_held else None,
        "claimed_at": now if is_held else None,
        "lease_seconds": _HELD_SECONDS if is_held else None,
        **dict.fromkeys(empty),
    }  # fmt: skip


def measure(
    database: Database, timings: Timings, turn: int, times: int, read: ReadDocuments
) -> None:
    """Time the operations of a worker on a database that is filled, on `times` of its chunks.

    Each `turn` takes others.
    """
    claims = MongoClaims(database, "bench_1", ClaimRules(_LEASE_SECONDS))
    claims.stop_retrying()
    if turn == 0:
        timings.timed("page", lambda: claims.page(PAGE, Order()))
        timings.seconds.pop("page", None)  # the server was cold
    for _ in range(_PAGES):
        timings.timed("page", lambda: claims.page(PAGE, Order()))
    for number in range(turn * times, min((turn + 1) * times, timings.chunks)):
        _claim_and_complete(claims, number, timings)
    before = read.count
    watching = MongoClaims(database, "bench_1", ClaimRules(_HELD_SECONDS))
    for _ in range(_RECOVERIES):
        timings.timed("recovery", watching.recover)
    timings.recovery_documents += read.count - before


def _claim_and_complete(claims: MongoClaims, number: int, timings: Timings) -> None:
    """Claim the chunk of that number, whether or not a page can be read, and complete it."""
    chunk = read_chunk(_document(number, False, _START))

    def claim() -> Claim:
        claimed = claims.claim(chunk)
        if claimed is None:
            raise DatabaseUnavailable("the claim of a pending chunk found none")
        return claimed

    claimed = timings.timed("claim", claim)
    if claimed is not None:
        timings.timed("completion", lambda: claims.complete(claimed, _TEXT))
