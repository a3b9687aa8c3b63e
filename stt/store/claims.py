"""The claim protocol, whole. Only this file changes a chunk's state.

                   claim                       complete
      pending ────────────────▶ processing ────────────────▶ transcribed
         ▲                         │  │
         │  release · recover      │  │ fail, attempts = MAX_ATTEMPTS
         └─────────────────────────┘  │ recover, expirations = MAX_EXPIRATIONS
            (fail: not_before = now   └────────────────────▶ failed
             + backoff)                                        └─ retry ─▶ pending

One transition is one function, and one atomic operation on one document. What makes it safe:

- The compare-and-set: `claim` matches only a pending chunk, so one worker wins and the others miss.
- The fence: `claim_id` is made here, anew for each claim. Every later write matches on it, so a
  worker that slept through its lease finds no document and changes nothing. It stays in the
  document when the claim has ended, so that a worker whose connection broke can ask what became
  of its write.
- The lease: `claimed_at` is the database server's time of the last renewal, and the server's clock
  alone says when it is too old. The worker itself trusts a claim until `trusted_until` on its own
  monotonic clock, counted from before it asked, which is the earlier of the two; on a machine that
  slept it may be the later one, and then the fence alone protects.
- A chunk with which a server died is marked `solo` and travels alone from then on. If one dies
  again it is a suspect, and of those only one is in work in the whole fleet at a time: else the
  chunk that kills servers would take the innocent ones beside it into quarantine.
"""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from datetime import datetime, timedelta
from typing import TypeVar

from bson import ObjectId
from pymongo import ReturnDocument

from stt.domain.backoff import next_try, retry_until_lease_expires
from stt.domain.chunk import CHUNK_FIELDS, Chunk, count_of
from stt.domain.claim import Claim, ClaimRules, Order, Page, StaleClaim
from stt.domain.transcript import Transcript
from stt.domain.worker_id import pattern_of_node
from stt.errors import ClaimLost, DatabaseRefused
from stt.store.database import PAGING_ORDER, Database, Document, translated

T = TypeVar("T")

# A document that lacks a field matches None too, so other programs may write sparse ones.
_PENDING = {"transcribed_at": None, "failed_at": None, "processing_by": None}
_CLAIMED = {"transcribed_at": None, "failed_at": None, "processing_by": {"$ne": None}}
_FREE = {"processing_by": None, "claimed_at": None}
_CLEAN = {"failed_at": None, "attempts": 0, "expirations": 0, "not_before": None, "solo": False}
_ERRORS_KEPT = 5
_MAX_MESSAGE = 500
_SHORT_MESSAGE = 80  # in a document that has room for no more
_CANDIDATE_WAIT_SECONDS = (1.0, 3.0)


class MongoClaims:
    """The protocol over a MongoDB-compatible database.

    Every method raises DatabaseUnavailable if the database stays away; those that end a claim
    first go on asking for as long as the claim can be trusted.
    """

    def __init__(self, database: Database, worker: str, rules: ClaimRules) -> None:
        self._db = database
        self._chunks = database.chunks
        self._worker = worker
        self._rules = rules
        self._retries_stopped = threading.Event()

    def count_pending(self, order: Order) -> int:
        """All pending chunks of `order`, those at rest included. Once a run: counting is slow."""
        with translated():
            return self._chunks.count_documents(_query(order))

    def page(self, limit: int, order: Order) -> Page:
        """Up to `limit` pending chunks, by priority and age. `not_before` is heeded here only.

        Of suspects a page holds one, and none while another is in work.
        """
        now = self._db.server_time()
        chunks: list[Chunk] = []
        due: list[datetime] = []
        may_hold_candidate: bool | None = None
        with (
            translated(),
            self._chunks.find(_query(order), CHUNK_FIELDS, batch_size=limit + 1).sort(
                _sort(order)
            ) as cursor,
        ):
            for document in cursor:
                if not isinstance(document["_id"], Hashable):
                    continue  # nobody's chunk: an id that is a document itself
                chunk = Chunk.from_document(document)
                if chunk.is_poison_candidate and may_hold_candidate is None:
                    may_hold_candidate = not self._is_poison_candidate_in_work(chunk)
                if chunk.not_before is not None and chunk.not_before > now:
                    due.append(chunk.not_before)
                elif chunk.is_poison_candidate and not may_hold_candidate:
                    due.append(now + _candidate_wait())
                elif len(chunks) < limit:
                    chunks.append(chunk)
                    may_hold_candidate = may_hold_candidate and not chunk.is_poison_candidate
                else:
                    return Page(tuple(chunks), is_last=False)
        next_due_seconds = (min(due) - now).total_seconds() if due else None
        return Page(tuple(chunks), is_last=True, next_due_seconds=next_due_seconds)

    def claim(self, chunk: Chunk, claim_id: ObjectId | None = None) -> Claim | None:
        """pending → processing; None if another worker was first.

        None also for a suspect while another one is in work: then it is put off a little. The id
        is made here, unless whoever asks on a worker's behalf brings the one that it has made.
        """
        asked_at = time.monotonic()
        trusted_until = asked_at + self._rules.trusted_seconds
        claim = Claim(claim_id or ObjectId(), chunk, self._worker, trusted_until)
        mine = {"processing_by": self._worker, "claim_id": claim.id}

        def attempt() -> Document | None:
            document = self._chunks.find_one_and_update(
                {"_id": chunk.id, **_PENDING},
                {"$set": mine, "$currentDate": {"claimed_at": True}},
                CHUNK_FIELDS,
                return_document=ReturnDocument.AFTER,
            )
            if document is None:  # or has an earlier try, ours or the driver's, got through?
                document = self._chunks.find_one({"_id": chunk.id, **mine}, CHUNK_FIELDS)
            return document

        document = _retry_until_lease_expires(attempt, claim, self._retries_stopped)
        if document is None:
            return None
        claim.chunk = Chunk.from_document(document)
        return (
            None
            if claim.chunk.is_poison_candidate and self._yields_to_another_candidate(claim)
            else claim
        )

    def held_under(self, claim_id: ObjectId) -> list[Chunk]:
        """The chunks that this worker holds under one id, in their order."""
        mine = {**_CLAIMED, "processing_by": self._worker, "claim_id": claim_id}
        with translated(), self._chunks.find(mine, CHUNK_FIELDS).sort("index") as cursor:
            return [Chunk.from_document(document) for document in cursor]

    def stop_retrying(self) -> None:
        """The worker stops: `claim` raises DatabaseUnavailable without asking again.

        A claim that got through all the same is left to its lease.
        """
        self._retries_stopped.set()

    def renew(self, claim: Claim) -> None:
        """Starts the lease anew. Raises ClaimLost, and DatabaseUnavailable without asking again."""
        asked_at = time.monotonic()
        with translated():
            renewed = self._chunks.update_one(_fence(claim), {"$currentDate": {"claimed_at": True}})
        if renewed.matched_count == 0:
            raise ClaimLost(f"chunk {claim.chunk.id} is no longer ours")
        claim.trusted_until = asked_at + self._rules.trusted_seconds

    def complete(self, claim: Claim, transcript: Transcript) -> None:
        """processing → transcribed. Raises ClaimLost, and then has written nothing."""
        duration = claim.chunk.duration
        self._end(
            claim,
            {
                "$set": {
                    **_FREE,
                    **({"duration": duration} if duration is not None else {}),
                    "not_before": None,
                    "transcript": transcript.to_document(),
                },
                "$currentDate": {"transcribed_at": True},
            },
            {"transcribed_at": {"$ne": None}},
        )

    def release(self, claim: Claim, *, isolated: bool = False) -> None:
        """processing → pending, nobody's fault; from now on alone if `solo`. Raises ClaimLost."""
        marked = {"solo": True} if isolated else {}
        self._end(claim, {"$set": {**_FREE, **marked}}, {**_PENDING, **marked})

    def fail(self, claim: Claim, kind: str, message: str, *, server: str | None = None) -> None:
        """processing → pending after a rest, or → failed. Raises ClaimLost.

        `server` is the one that had a part in it. Raises DatabaseRefused if the document cannot
        even take that: then the claim is still held.
        """

        def read() -> tuple[datetime, Document]:
            known = self._chunks.find_one({"_id": claim.chunk.id}, ["errors"])
            return self._db.server_time(), known or {}

        now, known = _retry_until_lease_expires(read, claim)
        attempts = claim.chunk.attempts + 1
        rest_until = next_try(attempts, self._rules.max_attempts, now)
        error = {
            "at": now,
            "worker": self._worker,
            "kind": kind,
            "message": message[:_MAX_MESSAGE],
            **({"server": server} if server else {}),
        }
        ending = {**_FREE, "attempts": attempts, "not_before": rest_until}

        def end(errors: list[Document]) -> None:
            update: Document = {"$set": {**ending, "errors": errors}}
            if rest_until is None:
                update["$currentDate"] = {"failed_at": True}
            self._end(claim, update, {"attempts": attempts})

        try:
            end(_with_error(known, error))
        except DatabaseRefused:  # no room: one short error in place of the history
            end([{**error, "message": message[:_SHORT_MESSAGE]}])

    def recover(self) -> list[StaleClaim]:
        """Frees the claims whose lease ran out; a renewal in the same moment wins."""
        return recover(self._db, self._rules, self._rules.lease_seconds)

    def _yields_to_another_candidate(self, claim: Claim) -> bool:
        """processing → pending for a while, if another suspect is in work.

        Of two that are claimed at once at least one sees the other.
        """
        if not _retry_until_lease_expires(
            lambda: self._is_poison_candidate_in_work(claim.chunk), claim, self._retries_stopped
        ):
            return False
        later = (
            _retry_until_lease_expires(self._db.server_time, claim, self._retries_stopped)
            + _candidate_wait()
        )
        with contextlib.suppress(ClaimLost):
            self._end(claim, {"$set": {**_FREE, "not_before": later}}, _PENDING)
        return True

    def _is_poison_candidate_in_work(self, but: Chunk) -> bool:
        other = {**_CLAIMED, "solo": True, "attempts": {"$gt": 0}, "_id": {"$ne": but.id}}
        return self._chunks.find_one(other, ["_id"]) is not None

    def _end(self, claim: Claim, update: Document, traces: Document) -> None:
        """Writes the end of a claim; `traces` of it show that an earlier try has got through.

        That may be one of the driver, which tries again by itself when a connection breaks: a
        server that was killed meanwhile does not remember that it has answered it already.
        """
        ended = {"_id": claim.chunk.id, "claim_id": claim.id, "processing_by": None, **traces}

        def attempt() -> bool:
            if self._chunks.update_one(_fence(claim), update).matched_count:
                return True
            return self._chunks.find_one(ended, ["_id"]) is not None

        if not _retry_until_lease_expires(attempt, claim):
            raise ClaimLost(f"chunk {claim.chunk.id} is no longer ours")


def recover(
    database: Database, rules: ClaimRules, older_than_seconds: float, *, dry_run: bool = False
) -> list[StaleClaim]:
    """processing → pending, or → failed, for claims not renewed for `older_than_seconds`.

    Safe beside live workers: each is freed only if it is still the claim, and the renewal, that
    was read. A claim without a time was written by hand or by another program and is stale too.
    """
    now = database.server_time()
    oldest = now - timedelta(seconds=older_than_seconds)
    fields = ["processing_by", "claimed_at", "claim_id", "expirations", "errors"]
    freed = []
    with translated():
        for document in list(database.chunks.find(_CLAIMED, fields)):
            claimed_at = document.get("claimed_at")
            if isinstance(claimed_at, datetime) and claimed_at >= oldest:
                continue
            expirations = count_of(document.get("expirations")) + 1
            stale = StaleClaim(
                chunk_id=document["_id"],
                worker=str(document["processing_by"]),
                claimed_at=claimed_at if isinstance(claimed_at, datetime) else None,
                quarantined=expirations >= rules.max_expirations,
            )
            if dry_run or _expire(database, document, stale, expirations, now):
                freed.append(stale)
    return freed


def _expire(
    database: Database, document: Document, stale: StaleClaim, expirations: int, now: datetime
) -> bool:
    as_read = {f: document.get(f) for f in ("processing_by", "claimed_at", "claim_id")}
    message = f"claim {expirations} ran out without a result"
    error = {"at": now, "worker": stale.worker, "kind": "expired", "message": message}
    counted = {**_FREE, "expirations": expirations}
    # A document that is nearly full has no room for its history, or for nothing more at all.
    for changed in ({**counted, "errors": _with_error(document, error)}, counted, _FREE):
        update: Document = {"$set": changed}
        if stale.quarantined:
            update["$currentDate"] = {"failed_at": True}
        try:
            with translated():
                query = {"_id": stale.chunk_id, **as_read}
                return database.chunks.update_one(query, update).matched_count > 0
        except DatabaseRefused:
            continue
    return False


def retry(
    database: Database, chunk_ids: Iterable[ObjectId] = (), recording_id: ObjectId | None = None
) -> int:
    """failed → pending with a clean record: all, those named, or a source's; returns how many."""
    query: Document = {"failed_at": {"$ne": None}, "transcribed_at": None}
    if ids := list(chunk_ids):
        query["_id"] = {"$in": ids}
    if recording_id is not None:
        query["original_id"] = recording_id
    with translated():
        return database.chunks.update_many(query, {"$set": _CLEAN}).matched_count


def reset(
    database: Database, chunk_ids: Iterable[ObjectId] = (), recording_id: ObjectId | None = None
) -> int:
    """Any state → pending as on its first day, the transcript gone: those named, or a source's.

    Returns how many. Whoever holds one of them finds his claim lost.
    """
    fresh: Document = {**_FREE, **_CLEAN, "claim_id": None, "errors": []}
    undone = {"transcribed_at": None, "transcript": None}
    query: Document = {"_id": {"$in": list(chunk_ids)}}
    if recording_id is not None:
        query = {"original_id": recording_id}
    with translated():
        return database.chunks.update_many(query, {"$set": {**fresh, **undone}}).matched_count


def is_held_by(database: Database, chunk_id: ObjectId, node_id: str) -> bool:
    """True while a worker of this node has a claim on the chunk."""
    with translated():
        query = {"_id": chunk_id, **_CLAIMED, "processing_by": pattern_of_node(node_id)}
        return database.chunks.find_one(query, ["_id"]) is not None


def release_of_node(database: Database, node_id: str, except_worker: str | None = None) -> int:
    """processing → pending for all that this node's workers hold (`NODE_RUN`); returns how many.

    `except_worker` keeps its own: a node that was started again gives back what it held before.
    """
    whose: Document = {"$regex": pattern_of_node(node_id).pattern}
    if except_worker is not None:
        whose["$ne"] = except_worker
    query = {**_CLAIMED, "processing_by": whose}
    with translated():
        return database.chunks.update_many(query, {"$set": _FREE}).matched_count


def release(database: Database, chunk_ids: Iterable[ObjectId]) -> int:
    """processing → pending by hand, whoever holds it (the fence stops them); returns how many."""
    query = {"_id": {"$in": list(chunk_ids)}, **_CLAIMED}
    with translated():
        return database.chunks.update_many(query, {"$set": _FREE}).matched_count


def _query(order: Order) -> Document:
    return (
        {**_PENDING, "original_id": {"$in": list(order.recordings)}}
        if order.recordings
        else _PENDING
    )


def _sort(order: Order) -> list[tuple[str, int]]:
    turned = -1 if order.newest_first else 1
    return [(f, d if f == "priority" else d * turned) for f, d in PAGING_ORDER]


def _candidate_wait() -> timedelta:
    return timedelta(seconds=random.uniform(*_CANDIDATE_WAIT_SECONDS))


def _fence(claim: Claim) -> Document:
    return {"_id": claim.chunk.id, "processing_by": claim.worker, "claim_id": claim.id}


def _with_error(document: Document, error: Document) -> list[Document]:
    known = document.get("errors")
    return [*(known if isinstance(known, list) else []), error][-_ERRORS_KEPT:]


def _retry_until_lease_expires(
    attempt: Callable[[], T], claim: Claim, stopped: threading.Event | None = None
) -> T:
    """Asks until the database answers, or the claim cannot be trusted."""

    def ask() -> T:
        with translated():
            return attempt()

    return retry_until_lease_expires(ask, claim, stopped)
