"""The queue's numbers for callers that want them every few seconds, however large the queue is.

A full count reads every chunk, so it takes time in proportion to the queue. It reads the chunks of
some recordings at a time, because an embedded database answers no other query meanwhile. What has
happened since comes from indexes: in proportion to what was transcribed since, has failed, and is
in work. The one exception is the number of documents, which an embedded database counts one by one
too.

The numbers are read one after the other from a living queue: a chunk that changes its state
meanwhile may be counted in the wrong one, but all chunks together are as many as there are. What
another program or a person has undone since the full count (a transcript taken back) shows with the
next one.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import pymongo

from stt.store.counts import Totals, sum_up, sums_by
from stt.store.database import Database, Document, translated
from stt.store.leases import count_stale
from stt.store.recording_windows import recording_windows
from stt.store.states import ANY_TEXT, ANY_TIME, FAILED, PROCESSING

FULL_COUNT_TIMEOUT_SECONDS = 300.0
"""An embedded database reads some ten thousand chunks a second, a large one a million."""

_IN_WORK: Document = {**PROCESSING, "processing_by": ANY_TEXT}
_FAILED: Document = {**FAILED, "failed_at": ANY_TIME}
_DISMISSED: Document = {**_FAILED, "dismissed_at": ANY_TIME}


@dataclass(frozen=True, slots=True)
class FullCount:
    """All chunks, read one by one; `at` by the database server's clock.

    `done` have a transcript from before `at`, `later` ones from then on, `open` have none;
    `with_errors` had an error in the hour before. The database's own count was `documents` when
    these were all: later ones are compared with it.
    """

    at: datetime
    done: Totals
    open: Totals
    later: Totals
    with_errors: int
    documents: int


@dataclass(frozen=True, slots=True)
class CountDelta:
    """What has been transcribed since a full count; the other numbers are whole.

    `dismissed` are of the `failed` ones.
    """

    at: datetime
    done: Totals
    failed: int
    dismissed: int
    processing: int
    stale: int
    documents: int


@dataclass(frozen=True, slots=True)
class HourlyThroughput:
    """An hour by the clock, from `at` on; `failed` chunks went into quarantine."""

    at: datetime
    chunks: int
    audio_seconds: float
    failed: int


def take_full_count(database: Database) -> FullCount:
    """Raise DatabaseUnavailable, also if it takes longer than FULL_COUNT_TIMEOUT_SECONDS."""
    at = database.server_time()
    with translated(), pymongo.timeout(FULL_COUNT_TIMEOUT_SECONDS):
        before = database.chunks.estimated_document_count()
        totals: defaultdict[str, Totals] = defaultdict(Totals)
        for found in _sums_of_windows(database, at, before):
            for kind, part in found.items():
                totals[kind] += part
        after = database.chunks.estimated_document_count()
        counted = sum(part.chunks for part in totals.values())
        # Chunks that came or went meanwhile were counted or not. Out of these bounds the database's
        # count is wrong, as after a crash, by as much then as later.
        is_right = min(before, after) <= counted <= max(before, after)
        return FullCount(
            at=at,
            done=totals["done"],
            open=totals["open"],
            later=totals["later"],
            with_errors=_count_with_errors(database, at - timedelta(hours=1)),
            documents=counted if is_right else after,
        )


def _sums_of_windows(
    database: Database, at: datetime, documents: int
) -> Iterator[dict[str, Totals]]:
    """Yield the sums of all chunks, by "done" before `at`, "open" and "later", window by window."""
    is_done = {
        "$and": [{"$gte": ["$transcribed_at", ANY_TIME["$gte"]]}, {"$lt": ["$transcribed_at", at]}]
    }
    is_open = {"$lte": ["$transcribed_at", None]}  # null and missing come before every value
    key = {"$cond": [is_open, "open", {"$cond": [is_done, "done", "later"]}]}
    counted = 0
    for window in recording_windows(database):
        found = sums_by(database, window, at, key)
        counted += sum(totals.chunks for totals in found.values())
        yield found
    if counted < documents:  # other programs may leave out a recording, or name it otherwise
        other = {"$nor": [{"original_id": {"$type": "objectId"}}]}
        yield sums_by(database, other, at, key)


def count_delta(full_count: FullCount, database: Database, lease_seconds: float) -> CountDelta:
    """Raise DatabaseUnavailable."""
    now = database.server_time()
    with translated():
        failed = database.chunks.count_documents(_FAILED)
        return CountDelta(
            at=now,
            failed=failed,
            dismissed=database.chunks.count_documents(_DISMISSED) if failed else 0,
            done=sum_up(database, {"transcribed_at": {"$gte": full_count.at}}, now),
            documents=database.chunks.estimated_document_count(),
            processing=database.chunks.count_documents(_IN_WORK),
            stale=count_stale(database, lease_seconds, now),
        )


def hourly_throughput(database: Database, begin: datetime) -> HourlyThroughput:
    """Return what was done in the hour from `begin` on. Raises DatabaseUnavailable."""
    within = {"$gte": begin, "$lt": begin + timedelta(hours=1)}
    with translated():
        done = sum_up(database, {"transcribed_at": within}, begin)
        failed = database.chunks.count_documents({"transcribed_at": None, "failed_at": within})
    return HourlyThroughput(begin, done.chunks, done.audio_seconds, failed)


def _count_with_errors(database: Database, since: datetime) -> int:
    """Count chunks with an error since then; a transcript is younger than the chunk's errors."""
    recent = {"errors.at": {"$gte": since}}
    without = database.chunks.count_documents({"transcribed_at": None, **recent})
    return without + database.chunks.count_documents({"transcribed_at": {"$gte": since}, **recent})
