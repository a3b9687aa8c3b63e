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
- The lease: `claimed_at` is the database server's time of the last renewal, and only that clock
  decides when it is older than the claim's own `lease_seconds`, written with it. The worker trusts
  a claim until `trusted_until` on its own monotonic clock, counted from before the request, which
  is earlier. On a machine that slept it may be later; then the fence alone protects.
- Isolation: a chunk is marked `solo` if a server died while it transcribed this chunk and others,
  and is sent alone from then on. If a server dies again, it is a poison candidate; the fleet
  processes one at a time, so that no other chunk is counted as failed in its place.
"""

import contextlib
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne

from stt.domain.backoff import next_try, retry_until_lease_expires
from stt.domain.chunk import Chunk
from stt.domain.claim import Claim, ClaimRules, Order, Page, Pending, StaleClaim
from stt.domain.transcript import Transcript
from stt.domain.worker_id import pattern_of_node
from stt.errors import ClaimLost, DatabaseRefused
from stt.store import claim_queries, documents, model_routing, recording_speakers, states
from stt.store.chunk_key import key_in, key_of
from stt.store.claim_queries import candidate_wait, is_other_candidate_processing
from stt.store.database import Database, Document, translated
from stt.store.documents import CHUNK_FIELDS, read_chunk, with_error
from stt.store.leases import LeaseWatch, orphaned, read_stale_claim
from stt.system.process_identity import ProcessIdentity as Process


class MongoClaims:
    """The claims of one worker in a MongoDB-compatible database.

    Every method raises DatabaseUnavailable if the database stays away; those that begin or end a
    claim first retry for as long as the claim can be trusted.
    """

    def __init__(
        self, database: Database, worker: str, rules: ClaimRules, process: Process | None = None
    ) -> None:
        """`process`: the worker's, so that others of its machine know when it has ended."""
        self._db, self._chunks = database, database.chunks
        self._worker, self._process, self._rules = worker, process, rules
        holder = str(process) if process else None
        self._lease = {"lease_seconds": rules.lease_seconds, "holder_process": holder}
        self._lease_watch = LeaseWatch(database)
        self._retries_stopped = threading.Event()

    def count_pending(self, order: Order) -> int:
        return model_routing.count_patiently(self._db, order)

    def pending(self, order: Order) -> Pending:
        return model_routing.with_length(self._db, order, self.count_pending(order))

    def page(self, limit: int, order: Order) -> Page:
        return model_routing.read_page(self._db, limit, order)

    def claim(self, chunk: Chunk, claim_id: ObjectId | None = None) -> Claim | None:
        """Claim a chunk (pending → processing); return None if another worker was first.

        Return None too for a poison candidate while another one is processed, and put it off.
        `claim_id` is new for each claim; a coordinator passes on the id that its node has made.
        """
        trusted_until = time.monotonic() + self._rules.trusted_seconds
        claim = Claim(claim_id or ObjectId(), chunk, self._worker, trusted_until)
        holder = {"processing_by": self._worker, "claim_id": claim.id, **self._lease}

        @translated()
        def attempt() -> Document | None:
            document = self._db.change_chunk(
                {**key_of(chunk), **states.PENDING},
                {"$set": holder, "$currentDate": {"claimed_at": True}},
                CHUNK_FIELDS,
            )
            if document is None:  # perhaps claimed by an earlier try, ours or the driver's
                document = self._chunks.find_one(_fence(claim), CHUNK_FIELDS)
            return document

        document = retry_until_lease_expires(attempt, claim, self._retries_stopped)
        if document is not None:
            claim.chunk = read_chunk(document)
            if not claim.chunk.is_poison_candidate or not self._yield_to_other_candidate(claim):
                return claim
        return None

    def stop_retrying(self) -> None:
        """Make `claim` raise DatabaseUnavailable at the first failure: the worker stops."""
        self._retries_stopped.set()

    def renew(self, claim: Claim) -> None:
        """Begin the lease anew. Raise ClaimLost, and DatabaseUnavailable without further tries."""
        if self.renew_all([claim]):
            raise ClaimLost(f"chunk {claim.chunk.id} is no longer ours")

    def renew_all(self, claims: Sequence[Claim]) -> list[Claim]:
        """Begin the leases anew in one request; return the claims that are lost."""
        asked_at = time.monotonic()
        update = {"$set": self._lease, "$currentDate": {"claimed_at": True}}
        writes = [UpdateOne(_fence(claim), update) for claim in claims]
        with translated():
            matched = self._chunks.bulk_write(writes, ordered=False).matched_count if writes else 0
        lost = claim_queries.lost_of(self._db, claims, matched)
        for claim in claims:
            if claim not in lost:
                claim.trusted_until = asked_at + self._rules.trusted_seconds
        return lost

    def complete(self, claim: Claim, transcript: Transcript) -> None:
        """Write the result (→ transcribed). If it raises ClaimLost, nothing was written."""
        written = documents.write_transcript(transcript)
        fields = {**states.UNCLAIMED, "not_before": None, "transcript": written}
        fields |= {} if claim.chunk.duration is None else {"duration": claim.chunk.duration}
        update = {"$set": fields, "$currentDate": {"transcribed_at": True}}
        self._end(claim, update, states.TRANSCRIBED)
        if transcript.speakers is not None:
            recording_speakers.join_if_whole(self._db, claim.chunk.recording_id)

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
            document = self._chunks.find_one(key_of(claim.chunk), ["errors"])
            return self._db.server_time(), document or {}

        now, document = retry_until_lease_expires(read, claim)
        attempts = claim.chunk.attempts + 1
        not_before = next_try(attempts, self._rules.max_attempts, now)
        error = {"at": now, "worker": self._worker, "kind": kind}
        error |= {"server": server} if server else {}

        def end(characters: int, earlier: Document) -> None:
            errors = with_error(earlier, {**error, "message": message[:characters]})
            ended = {"attempts": attempts, "not_before": not_before, "errors": errors}
            update: Document = {"$set": {**states.UNCLAIMED, **ended}}
            if not_before is None:
                update["$currentDate"] = {"failed_at": True}
            self._end(claim, update, {"attempts": attempts})

        try:
            end(characters=500, earlier=document)
        except DatabaseRefused:  # no room: one short error in place of the history
            end(characters=80, earlier={})

    def recover(self) -> list[StaleClaim]:
        """End the claims whose lease has run out, unless they are renewed in the same moment."""
        return recover(self._db, self._rules, watch=self._lease_watch)

    def recover_orphaned(self) -> list[StaleClaim]:
        """End the claims of workers whose process on this machine has surely ended."""
        return _expire_all(self._db, self._rules, orphaned(self._db, self._process, self._worker))

    def _yield_to_other_candidate(self, claim: Claim) -> bool:
        """Put the chunk off (→ pending, for a while) if another poison candidate is processed.

        Of two that are claimed at the same time at least one sees the other.
        """

        @translated()
        def attempt() -> datetime | None:
            is_other = is_other_candidate_processing(self._db, claim.chunk.id)
            return self._db.server_time() if is_other else None

        now = retry_until_lease_expires(attempt, claim, self._retries_stopped)
        if now is not None:
            fields = {**states.UNCLAIMED, "not_before": now + candidate_wait()}
            with contextlib.suppress(ClaimLost):
                self._end(claim, {"$set": fields}, states.PENDING)
        return now is not None

    def _end(self, claim: Claim, update: Document, result: Document) -> None:
        """Write the end of a claim. `result` matches the document if an earlier try wrote it.

        That try may be the driver's own after a broken connection: a server that was killed
        meanwhile does not remember that it has done the write. Raise ClaimLost.
        """
        ended = {**key_of(claim.chunk), "claim_id": claim.id, **result, "processing_by": None}

        @translated()
        def attempt() -> bool:
            if self._chunks.update_one(_fence(claim), update).matched_count:
                return True
            return self._chunks.find_one(ended, ["_id"]) is not None

        if not retry_until_lease_expires(attempt, claim):
            raise ClaimLost(f"chunk {claim.chunk.id} is no longer ours")


def recover(
    database: Database,
    rules: ClaimRules,
    older_than_seconds: float | None = None,
    *,
    dry_run: bool = False,
    watch: LeaseWatch | None = None,
) -> list[StaleClaim]:
    """End claims that were not renewed for their own lease (→ pending, or → failed).

    The lease of `rules` is for claims that name none; `older_than_seconds` is a person's, see
    `LeaseWatch.stale`. Pass the same `watch` to repeated calls.
    """
    found = (watch or LeaseWatch(database)).stale(rules.lease_seconds, older_than_seconds)
    return _expire_all(database, rules, found, dry_run=dry_run)


def _expire_all(
    database: Database, rules: ClaimRules, found: Iterable[Document], *, dry_run: bool = False
) -> list[StaleClaim]:
    """End each only if it is still the claim, and the renewal, that was read."""
    stale = [(read_stale_claim(document, rules), document) for document in found]
    return [claim for claim, read in stale if dry_run or _expire(database, claim, read)]


def _expire(database: Database, stale: StaleClaim, document: Document) -> bool:
    as_read = key_in(document, "processing_by", "claimed_at", "claim_id")
    error = stale.error(database.server_time())
    counted = {**states.UNCLAIMED, "expirations": stale.expirations}
    failed: Document = {"$currentDate": {"failed_at": True}} if stale.quarantined else {}
    # A document that is nearly full has no room for the history, or for nothing more at all.
    for fields in ({**counted, "errors": with_error(document, error)}, counted, states.UNCLAIMED):
        with contextlib.suppress(DatabaseRefused), translated():
            return database.chunks.update_one(as_read, {"$set": fields, **failed}).matched_count > 0
    return False


def retry(
    database: Database, chunk_ids: Iterable[ObjectId] = (), recording_id: ObjectId | None = None
) -> int:
    """Retry failed chunks (→ pending): these, a recording's, or all not dismissed; count them."""
    return _update(database, states.to_retry(chunk_ids, recording_id), states.RETRIED)


def reset(
    database: Database,
    chunk_ids: Iterable[ObjectId] = (),
    recording_id: ObjectId | None = None,
    only: states.Query = states.WITH_AUDIO,
) -> int:
    """Transcribe these chunks, or a recording's, again (→ pending) if `only` matches; count them.

    The earlier transcripts stay until `complete` replaces them. Holders get ClaimLost.
    """
    query = states.chosen(chunk_ids, recording_id)
    return _update(database, query | only, states.RESET) if query else 0


def release_of_node(database: Database, node_id: str, except_worker: str | None = None) -> int:
    """Release the chunks that workers of this node hold (→ pending); return how many.

    `except_worker` keeps its claims: a node that was restarted releases what it held before.
    """
    holders = {"$regex": pattern_of_node(node_id).pattern, "$ne": except_worker}
    return _update(database, {**states.PROCESSING, "processing_by": holders}, states.UNCLAIMED)


def release(database: Database, chunk_ids: Iterable[ObjectId]) -> int:
    """Release these chunks, whichever workers hold them (→ pending); return how many."""
    chosen = {"_id": {"$in": list(chunk_ids)}}
    return _update(database, {**chosen, **states.PROCESSING}, states.UNCLAIMED)


def _update(database: Database, query: Document, fields: Mapping[str, Any]) -> int:
    with translated():
        return database.chunks.update_many(query, {"$set": fields}).matched_count


def _fence(claim: Claim) -> Document:
    return {**key_of(claim.chunk), "processing_by": claim.worker, "claim_id": claim.id}
