"""Find claims whose lease has run out, and claims of processes that have ended.

`claims.py` ends them. Each query is an equality on the first fields of an index and a range on the
next one, with both ends where the embedded database would read on: so it costs what it finds,
however many chunks and claims there are. The exception is `distinct` on the embedded database: it
reads an index entry for each claim (30 µs), where MongoDB skips from one lease to the next.
"""

import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import inf, nan
from typing import Any

from stt.domain.claim import ClaimRules, StaleClaim
from stt.domain.worker_id import WorkerId
from stt.store.database import Database, Document, translated
from stt.store.documents import read_count, read_positive, read_text, read_time
from stt.store.states import UNFINISHED, Query
from stt.system.process_identity import ProcessIdentity

logger = logging.getLogger(__name__)

_FIELDS = (
    "original_id", "processing_by", "claimed_at", "claim_id", "expirations", "errors",
    "holder_process",
)  # fmt: skip
_PLAIN_VALUES: tuple[Any, ...] = (
    {"$gte": -inf, "$lte": inf}, nan, {"$gte": "", "$lt": "\U0010ffff"}, False, True
)  # fmt: skip
"""Match numbers, NaN, text and booleans: what other programs, and people in a shell, write in place
of a time or of seconds."""
_EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
_LONGEST_LEASE_SECONDS = 1e6  # as in the settings
_TOLERATED_STEP = 0.25
"""The part of its lease that a claim's age may be wrong by: a live one was renewed within another
quarter."""


class LeaseWatch:
    """Finds stale claims again and again, for one process.

    It remembers the database server's clock. If that was set since the last time, or another
    member became primary, then claims look older or younger than they are. Those whose lease is
    short beside the step are left for the next time: by then every live worker has renewed them.
    """

    def __init__(self, database: Database) -> None:
        self._db = database
        self._last: tuple[float, float, datetime] | None = None
        self._has_warned = False

    def stale(
        self, lease_seconds: float, older_than_seconds: float | None = None
    ) -> list[Document]:
        """Return the claims that were not renewed for their own lease.

        `lease_seconds` is for those that name none. A person's `older_than_seconds` is the least
        for each, and decides alone where it is shorter than `lease_seconds`, or there is no other.
        Raise DatabaseUnavailable.
        """
        asked_at = time.monotonic()
        now, step_seconds = self._server_time()
        leases = _leases(self._db)
        if older_than_seconds is None:
            self._warn_of_others(lease_seconds, leases)
        found: list[Document] = []
        for lease in (None, *leases):
            seconds = _seconds(lease) or older_than_seconds or lease_seconds
            if older_than_seconds is not None:
                is_short = older_than_seconds < lease_seconds
                seconds = older_than_seconds if is_short else max(seconds, older_than_seconds)
            if step_seconds <= _TOLERATED_STEP * seconds:
                found.extend(_find(self._db, lease, seconds, now, asked_at))
        return found

    def _server_time(self) -> tuple[datetime, float]:
        """Return the server's time, and how far its clock was surely set since the last time."""
        asked = time.monotonic()
        now = self._db.server_time()
        answered = time.monotonic()
        last, self._last = self._last, (asked, answered, now)
        if last is None:
            return now, 0.0
        passed = (now - last[2]).total_seconds()
        step = max(passed - (answered - last[0]), (asked - last[1]) - passed, 0.0)
        if step > 1:
            logger.warning(
                "The clock of the database was set by about %.0f s, or this machine slept: claims"
                " that look too old now are freed later",
                step,
            )
        return now, step

    def _warn_of_others(self, own: float, leases: list[object]) -> None:
        others = sorted({seconds for lease in leases if (seconds := _seconds(lease))} - {own})
        if others and not self._has_warned:
            self._has_warned = True
            logger.warning(
                "LEASE_SECONDS is %g here and %s in claims of others. Each claim is judged by its"
                " own; set the same on all machines",
                own,
                ", ".join(f"{seconds:g}" for seconds in others),
            )


def count_stale(database: Database, lease_seconds: float, now: datetime) -> int:
    """Count the claims that were not renewed for their own lease, or for this one without any."""
    asked_at = time.monotonic()
    return sum(
        1
        for lease in (None, *_leases(database))
        for _ in _find(database, lease, _seconds(lease) or lease_seconds, now, asked_at)
    )


def orphaned(
    database: Database, this_process: ProcessIdentity | None, worker: str
) -> list[Document]:
    """Return the claims of processes on this machine that have surely ended.

    `worker` is the id of this process. Leave out chunks that have lost a worker before: what kills
    workers one after the other must not use up a chunk's tries faster than leases run out.
    """
    if this_process is None:
        return []
    owner = WorkerId(worker).owner
    of_this_host = {"$gte": f"{owner}_", "$lt": f"{owner}{chr(ord('_') + 1)}"}
    query = {**UNFINISHED, "processing_by": of_this_host, "holder_process": {"$gt": ""}}
    with translated():
        documents = list(database.chunks.find(query, _FIELDS))
    return [
        document
        for document in documents
        if not read_count(document.get("expirations")) and _is_orphan(document, owner, this_process)
    ]


def read_stale_claim(document: Document, rules: ClaimRules) -> StaleClaim:
    """Read a document of `stale` or `orphaned`: what is to become of its claim."""
    expirations = read_count(document.get("expirations")) + 1
    return StaleClaim(
        chunk_id=document["_id"],
        worker=str(document["processing_by"]),
        claimed_at=read_time(document.get("claimed_at")),
        quarantined=expirations >= rules.max_expirations,
        expirations=expirations,
    )


def _is_orphan(document: Document, owner: str, this_process: ProcessIdentity) -> bool:
    process = ProcessIdentity.parse(read_text(document["holder_process"]) or "")
    # A worker of an earlier version leaves the process of the claim before its own.
    is_of_holder = process and document["processing_by"] == WorkerId.of(owner, process.pid)
    return bool(process and is_of_holder and process.has_ended(seen_by=this_process))


def _leases(database: Database) -> list[object]:
    """Return what claims have as their lease, also what is no length of time."""
    with translated():
        found = [
            lease
            for values in _PLAIN_VALUES
            for lease in database.chunks.distinct("lease_seconds", {"lease_seconds": values})
        ]
    return list({repr(lease): lease for lease in found}.values())  # NaN differs from itself


def _seconds(lease: object) -> float | None:
    """Return a claim's own lease; None if it has none that can be one."""
    seconds = read_positive(lease)
    return None if seconds is None else min(seconds, _LONGEST_LEASE_SECONDS)


def _find(
    database: Database, lease: object, seconds: float, now: datetime, asked_at: float
) -> Iterator[Document]:
    """Yield the stale claims of one lease; `now` was asked for at `asked_at` on `time.monotonic()`.

    A claim without a time was made by hand or by another program, and is stale. One that is
    further in the future than its lease would else be held until then; but one that was made or
    renewed since `now` was read is none, however long this process was paused meanwhile.
    """
    age = timedelta(seconds=seconds)
    queries: list[Query] = [
        {"claimed_at": {"$gte": _EARLIEST, "$lt": now - age}},
        {"claimed_at": {"$gt": now + age}},
        *({"claimed_at": None, "processing_by": holder} for holder in _PLAIN_VALUES),
        *({"claimed_at": odd} for odd in _PLAIN_VALUES),
    ]
    with translated():
        for query in queries:
            whole = {"lease_seconds": lease, **UNFINISHED, **query}
            found = list(database.chunks.find(whole, _FIELDS))
            latest = now + age + timedelta(seconds=time.monotonic() - asked_at)
            for document in found:
                claimed_at = read_time(document.get("claimed_at"))
                is_recent = claimed_at is not None and now - age <= claimed_at <= latest
                if document.get("processing_by") is not None and not is_recent:
                    yield document
