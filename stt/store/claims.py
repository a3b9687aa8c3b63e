"""The claim protocol. Only this file changes the state of a chunk.

                   claim                       complete
      pending ────────────────▶ processing ────────────────▶ transcribed ─ reset ─▶ pending
         ▲                         │  │
         │  release · recover      │  │ fail, attempts = MAX_ATTEMPTS
         └─────────────────────────┘  │ recover, expirations = MAX_EXPIRATIONS
            (fail: not_before = now   └────────────────────▶ failed
             + backoff)                                        └─ retry ─▶ pending

Each transition is one function and one atomic operation on one document. What makes it safe:

- The compare-and-set: `claim` matches only a pending chunk, so one worker wins and others miss.
- The fence: each claim has a new `claim_id`. Every later write matches on it, so a worker that
  slept through its lease changes nothing. It stays in the document after the claim has ended, so
  that a worker whose connection broke can find out whether its write was done.
- The lease: `claimed_at` is the database server's time of the last renewal, and only the server's
  clock decides when it is too old. The worker trusts a claim until `trusted_until` on its own
  monotonic clock, counted from before the request, which is earlier. On a machine that slept it
  may be later; then the fence alone protects.
- Isolation: a chunk is marked `solo` if a server died while it transcribed this chunk and others,
  and is sent alone from then on. If a server dies again, it is a poison candidate; the fleet
  processes one at a time, so that no other chunk is counted as failed in its place.
"""

import contextlib
import threading
import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument

from stt.domain.backoff import next_try, retry_until_lease_expires
from stt.domain.chunk import Chunk
from stt.domain.claim import Claim, ClaimRules, Order, Page, StaleClaim
from stt.domain.transcript import Transcript
from stt.domain.worker_id import pattern_of_node
from stt.errors import ClaimLost, DatabaseRefused
from stt.store import claim_queries, documents, states
from stt.store.claim_queries import candidate_wait, is_other_candidate_processing
from stt.store.database import Database, Document, translated
from stt.store.documents import CHUNK_FIELDS, read_chunk

_MAX_ERRORS = 5
_MAX_MESSAGE_CHARACTERS = 500
_SHORT_MESSAGE_CHARACTERS = 80  # for a document that has no room for more


class MongoClaims:
    """The claims of one worker in a MongoDB-compatible database.

    Every method raises DatabaseUnavailable if the database stays away; those that begin or end a
    claim first retry for as long as the claim can be trusted.
    """

    def __init__(self, database: Database, worker: str, rules: ClaimRules) -> None:
        self._db = database
        self._chunks = database.chunks
        self._worker = worker
        self._rules = rules
        self._retries_stopped = threading.Event()

    def count_pending(self, order: Order) -> int:
        return claim_queries.count_pending(self._db, order)

    def page(self, limit: int, order: Order) -> Page:
        return claim_queries.read_page(self._db, limit, order)

    def claim(self, chunk: Chunk, claim_id: ObjectId | None = None) -> Claim | None:
        """Claim a chunk (pending → processing); return None if another worker was first.

        Return None too for a poison candidate while another one is processed, and put it off.
        `claim_id` is new for each claim; a coordinator passes on the id that its node has made.
        """
        trusted_until = time.monotonic() + self._rules.trusted_seconds
        claim = Claim(claim_id or ObjectId(), chunk, self._worker, trusted_until)
        holder = {"processing_by": self._worker, "claim_id": claim.id}

        @translated()
        def attempt() -> Document | None:
            document = self._chunks.find_one_and_update(
                {"_id": chunk.id, **states.PENDING},
                {"$set": holder, "$currentDate": {"claimed_at": True}},
                CHUNK_FIELDS,
                return_document=ReturnDocument.AFTER,
            )
            if document is None:  # perhaps claimed by an earlier try, ours or the driver's
                document = self._chunks.find_one({"_id": chunk.id, **holder}, CHUNK_FIELDS)
            return document

        document = retry_until_lease_expires(attempt, claim, self._retries_stopped)
        if document is not None:
            claim.chunk = read_chunk(document)
            if not claim.chunk.is_poison_candidate or not self._yield_to_other_candidate(claim):
                return claim
        return None

    def stop_retrying(self) -> None:
        """Make `claim` raise DatabaseUnavailable without further tries: the worker stops.

        If a claim was made all the same, its lease ends it.
        """
        self._retries_stopped.set()

    def renew(self, claim: Claim) -> None:
        """Begin the lease anew. Raise ClaimLost, and DatabaseUnavailable without further tries."""
        asked_at = time.monotonic()
        with translated():
            renewed = self._chunks.update_one(_fence(claim), {"$currentDate": {"claimed_at": True}})
        if renewed.matched_count == 0:
            raise ClaimLost(f"chunk {claim.chunk.id} is no longer ours")
        claim.trusted_until = asked_at + self._rules.trusted_seconds

    def complete(self, claim: Claim, transcript: Transcript) -> None:
        """Write the result (→ transcribed). If it raises ClaimLost, nothing was written."""
        written = documents.write_transcript(transcript)
        fields = {**states.UNCLAIMED, "not_before": None, "transcript": written}
        if claim.chunk.duration is not None:
            fields["duration"] = claim.chunk.duration
        update = {"$set": fields, "$currentDate": {"transcribed_at": True}}
        self._end(claim, update, states.TRANSCRIBED)

    def release(self, claim: Claim, *, isolated: bool = False) -> None:
        """Give the chunk back without an attempt counted (→ pending). Raise ClaimLost.

        `isolated`: no server may transcribe the chunk together with others from now on.
        """
        mark = {"solo": True} if isolated else {}
        self._end(claim, {"$set": {**states.UNCLAIMED, **mark}}, {**states.PENDING, **mark})

    def fail(self, claim: Claim, kind: str, message: str, *, server: str | None = None) -> None:
        """Count an attempt (→ pending after a wait, or → failed after the last). Raise ClaimLost.

        `server` is the one that was called. Raise DatabaseRefused if the document has no room even
        for a short error; the claim is then still held.
        """

        @translated()
        def read() -> tuple[datetime, Document]:
            document = self._chunks.find_one({"_id": claim.chunk.id}, ["errors"])
            return self._db.server_time(), document or {}

        now, document = retry_until_lease_expires(read, claim)
        attempts = claim.chunk.attempts + 1
        not_before = next_try(attempts, self._rules.max_attempts, now)
        error = {"at": now, "worker": self._worker, "kind": kind}
        error |= {"server": server} if server else {}

        def end(characters: int, earlier: Document) -> None:
            errors = _add_error(earlier, {**error, "message": message[:characters]})
            ended = {"attempts": attempts, "not_before": not_before, "errors": errors}
            update: Document = {"$set": {**states.UNCLAIMED, **ended}}
            if not_before is None:
                update["$currentDate"] = {"failed_at": True}
            self._end(claim, update, {"attempts": attempts})

        try:
            end(_MAX_MESSAGE_CHARACTERS, document)
        except DatabaseRefused:  # no room: one short error in place of the history
            end(_SHORT_MESSAGE_CHARACTERS, {})

    def recover(self) -> list[StaleClaim]:
        """End the claims whose lease has run out, unless they are renewed in the same moment."""
        return recover(self._db, self._rules, self._rules.lease_seconds)

    def _yield_to_other_candidate(self, claim: Claim) -> bool:
        """Put the chunk off (→ pending, for a while) if another poison candidate is processed.

        Of two that are claimed at the same time at least one sees the other.
        """

        @translated()
        def attempt() -> datetime | None:
            is_other = is_other_candidate_processing(self._db, claim.chunk.id)
            return self._db.server_time() if is_other else None

        now = retry_until_lease_expires(attempt, claim, self._retries_stopped)
        if now is None:
            return False
        fields = {**states.UNCLAIMED, "not_before": now + candidate_wait()}
        with contextlib.suppress(ClaimLost):
            self._end(claim, {"$set": fields}, states.PENDING)
        return True

    def _end(self, claim: Claim, update: Document, result: Document) -> None:
        """Write the end of a claim. `result` matches the document if an earlier try wrote it.

        That try may be the driver's own after a broken connection: a server that was killed
        meanwhile does not remember that it has done the write. Raise ClaimLost.
        """
        ended = {"_id": claim.chunk.id, "claim_id": claim.id, **result, "processing_by": None}

        @translated()
        def attempt() -> bool:
            if self._chunks.update_one(_fence(claim), update).matched_count:
                return True
            return self._chunks.find_one(ended, ["_id"]) is not None

        if not retry_until_lease_expires(attempt, claim):
            raise ClaimLost(f"chunk {claim.chunk.id} is no longer ours")


def recover(
    database: Database, rules: ClaimRules, older_than_seconds: float, *, dry_run: bool = False
) -> list[StaleClaim]:
    """End claims that were not renewed for `older_than_seconds` (→ pending, or → failed).

    End each only if it is still the claim, and the renewal, that was read: safe beside workers. A
    claim without a time was written by hand or by another program, and is stale too.
    """
    now = database.server_time()
    oldest = now - timedelta(seconds=older_than_seconds)
    fields = ["processing_by", "claimed_at", "claim_id", "expirations", "errors"]
    recovered = []
    with translated():
        for document in list(database.chunks.find(states.PROCESSING, fields)):
            claimed_at = documents.read_time(document.get("claimed_at"))
            if claimed_at is not None and claimed_at >= oldest:
                continue
            expirations = documents.read_count(document.get("expirations")) + 1
            worker, is_last = str(document["processing_by"]), expirations >= rules.max_expirations
            stale = StaleClaim(document["_id"], worker, claimed_at, quarantined=is_last)
            if dry_run or _expire(database, document, stale, expirations, now):
                recovered.append(stale)
    return recovered


def _expire(
    database: Database, document: Document, stale: StaleClaim, expirations: int, now: datetime
) -> bool:
    as_read = {f: document.get(f) for f in ("_id", "processing_by", "claimed_at", "claim_id")}
    message = f"claim {expirations} ran out without a result"
    error = {"at": now, "worker": stale.worker, "kind": "expired", "message": message}
    counted = {**states.UNCLAIMED, "expirations": expirations}
    # A document that is nearly full has no room for the history, or for nothing more at all.
    for fields in ({**counted, "errors": _add_error(document, error)}, counted, states.UNCLAIMED):
        update: Document = {"$set": fields}
        if stale.quarantined:
            update["$currentDate"] = {"failed_at": True}
        with contextlib.suppress(DatabaseRefused), translated():
            return database.chunks.update_one(as_read, update).matched_count > 0
    return False


def retry(
    database: Database, chunk_ids: Iterable[ObjectId] = (), recording_id: ObjectId | None = None
) -> int:
    """Retry failed chunks (→ pending): these, a recording's, or all; return how many."""
    query = {**states.FAILED, **_choice(chunk_ids, recording_id)}
    return _update(database, query, {**states.WITHOUT_FAILURES, "solo": False})


def reset(
    database: Database, chunk_ids: Iterable[ObjectId] = (), recording_id: ObjectId | None = None
) -> int:
    """Transcribe these chunks, or a recording's, again (any state → pending); return how many.

    The earlier transcripts stay until `complete` replaces them. Who holds a chunk gets ClaimLost.
    """
    query = _choice(chunk_ids, recording_id)
    return _update(database, query, {**states.AGAIN, "solo": False}) if query else 0


def release_of_node(database: Database, node_id: str, except_worker: str | None = None) -> int:
    """Release the chunks that workers of this node hold (→ pending); return how many.

    `except_worker` keeps its claims: a node that was restarted releases what it held before.
    """
    holders: Document = {"$regex": pattern_of_node(node_id).pattern}
    if except_worker is not None:
        holders["$ne"] = except_worker
    return _update(database, {**states.PROCESSING, "processing_by": holders}, states.UNCLAIMED)


def release(database: Database, chunk_ids: Iterable[ObjectId]) -> int:
    """Release these chunks, whichever workers hold them (→ pending); return how many."""
    query = {"_id": {"$in": list(chunk_ids)}, **states.PROCESSING}
    return _update(database, query, states.UNCLAIMED)


def _choice(chunk_ids: Iterable[ObjectId], recording_id: ObjectId | None) -> Document:
    ids = list(chunk_ids)
    choice: Document = {"_id": {"$in": ids}} if ids else {}
    return choice if recording_id is None else {**choice, "original_id": recording_id}


def _update(database: Database, query: Document, fields: Mapping[str, Any]) -> int:
    with translated():
        return database.chunks.update_many(query, {"$set": fields}).matched_count


def _fence(claim: Claim) -> Document:
    return {"_id": claim.chunk.id, "processing_by": claim.worker, "claim_id": claim.id}


def _add_error(document: Document, error: Document) -> list[Document]:
    return [*documents.read_list(document.get("errors")), error][-_MAX_ERRORS:]
