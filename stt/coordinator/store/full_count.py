"""The queue's numbers for whoever looks at them every few seconds, however large the queue is.

A census looks at every chunk, so it takes time in proportion to the queue. What has happened since
is news, and comes from indexes: in proportion to what was done since, failed, and is in work. The
one exception is the number of documents, which an embedded database counts one by one too.

The numbers are read one after the other from a living queue: a chunk that changes its state
meanwhile may be counted twice or not at all. What another program or a person has undone since the
census (a transcript taken back) shows with the next one.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any

import pymongo

from stt.store.database import Database, Document, translated
from stt.store.documents import read_count

FULL_COUNT_TIMEOUT_SECONDS = 300.0
"""An embedded database looks at some ten thousand chunks a second, a large one at a million."""

_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_OPEN = {"transcribed_at": None, "failed_at": None}
# Names of workers are text: so the index on them tells who has any, without a look at the others.
_IN_WORK: Document = {**_OPEN, "processing_by": {"$gt": ""}}
_FAILED: Document = {"transcribed_at": None, "failed_at": {"$gte": _EVER}}

# As an expression: null and what is not there at all come before every other value.
_IS_SILENT = {
    "$or": [{"$eq": ["$transcript.segments", []]}, {"$lte": ["$transcript.segments", None]}]
}


@dataclass(frozen=True, slots=True)
class FullCount:
    """All chunks, looked at one by one; `at` by the database server's clock.

    `transcribed`, `empty` (nothing was said) and `audio_seconds_done` are those with a transcript
    from before `at`. `resting` wait after a failure; `with_errors` had one in the hour before.
    `documents` is the database's own count, right or nearly so: later ones are held against it.
    """

    at: datetime
    chunks: int
    transcribed: int
    empty: int
    resting: int
    with_errors: int
    audio_seconds: float
    audio_seconds_done: float
    documents: int


@dataclass(frozen=True, slots=True)
class CountDelta:
    """What became of the queue since a census; `failed`, `processing` and `stale` are whole."""

    at: datetime
    transcribed: int
    empty: int
    audio_seconds_done: float
    failed: int
    processing: int
    stale: int
    documents: int


@dataclass(frozen=True, slots=True)
class HourlyThroughput:
    """What was done from `at` on, for an hour; `failed` went into quarantine."""

    at: datetime
    chunks: int
    audio_seconds: float
    failed: int


def take_full_count(database: Database) -> FullCount:
    """Raises DatabaseUnavailable, also if it takes longer than FULL_COUNT_TIMEOUT_SECONDS."""
    at = database.server_time()
    with translated(), pymongo.timeout(FULL_COUNT_TIMEOUT_SECONDS):
        documents = database.chunks.estimated_document_count()
        done = _totals(database, {"transcribed_at": {"$gte": _EVER, "$lt": at}}, at)
        rest = _totals(database, {"transcribed_at": None}, at)
        with_errors = _count_with_errors(database, at - timedelta(hours=1))
    return FullCount(
        at=at,
        chunks=done.chunks + rest.chunks,
        transcribed=done.chunks,
        empty=done.empty,
        resting=rest.resting,
        with_errors=with_errors,
        audio_seconds=done.audio_seconds + rest.audio_seconds,
        audio_seconds_done=done.audio_seconds,
        documents=documents,
    )


def count_delta(full_count: FullCount, database: Database, lease_seconds: float) -> CountDelta:
    """Raises DatabaseUnavailable."""
    now = database.server_time()
    oldest = now - timedelta(seconds=lease_seconds)
    with translated():
        claims = list(database.chunks.find(_IN_WORK, ["claimed_at"]))
        failed = database.chunks.count_documents(_FAILED)
        done = _totals(database, {"transcribed_at": {"$gte": full_count.at}}, now)
        documents = database.chunks.estimated_document_count()
    return CountDelta(
        at=now,
        transcribed=done.chunks,
        empty=done.empty,
        audio_seconds_done=done.audio_seconds,
        failed=failed,
        processing=len(claims),
        stale=sum(_is_older(claim.get("claimed_at"), oldest) for claim in claims),
        documents=documents,
    )


def hourly_throughput(database: Database, begin: datetime) -> HourlyThroughput:
    """The hour from `begin` on. Raises DatabaseUnavailable."""
    within = {"$gte": begin, "$lt": begin + timedelta(hours=1)}
    with translated():
        done = _totals(database, {"transcribed_at": within}, begin)
        failed = database.chunks.count_documents({"transcribed_at": None, "failed_at": within})
    return HourlyThroughput(begin, done.chunks, done.audio_seconds, failed)


@dataclass(frozen=True, slots=True)
class _Tally:
    chunks: int
    audio_seconds: float
    empty: int
    resting: int


def _totals(database: Database, query: Document, now: datetime) -> _Tally:
    """One look at each of these chunks. Those that rest are pending: nobody claims one before."""
    group: Document = {
        "_id": None,
        "chunks": {"$sum": 1},
        "audio": {"$sum": "$duration"},
        "empty": {"$sum": {"$cond": [_IS_SILENT, 1, 0]}},
        "resting": {"$sum": {"$cond": [{"$gt": ["$not_before", now]}, 1, 0]}},
    }
    rows = database.chunks.aggregate([{"$match": query}, {"$group": group}])
    row: Document = next(iter(rows), {})
    return _Tally(
        chunks=read_count(row.get("chunks")),
        audio_seconds=_seconds(row.get("audio")),
        empty=read_count(row.get("empty")),
        resting=read_count(row.get("resting")),
    )


def _count_with_errors(database: Database, since: datetime) -> int:
    """Chunks with an error since then: one that has a transcript has had it later than that."""
    recent = {"errors.at": {"$gte": since}}
    without = database.chunks.count_documents({"transcribed_at": None, **recent})
    return without + database.chunks.count_documents({"transcribed_at": {"$gte": since}, **recent})


def _is_older(claimed_at: Any, oldest: datetime) -> bool:
    return not isinstance(claimed_at, datetime) or claimed_at < oldest


def _seconds(value: Any) -> float:
    """A sum of lengths, some of which another program may have garbled."""
    is_number = isinstance(value, (int, float)) and isfinite(value)
    return max(float(value), 0.0) if is_number else 0.0
