"""Read the queue for the claim protocol; only `claims.py` changes it.

Every function raises DatabaseUnavailable.
"""

import random
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bson import ObjectId

from stt.domain.chunk import Chunk
from stt.domain.claim import Claim, Order, Page, Step
from stt.domain.worker_id import pattern_of_node
from stt.store.database import Database, translated
from stt.store.documents import CHUNK_FIELDS, read_chunk, read_positive, read_time
from stt.store.indexes import PAGING_ORDER
from stt.store.states import PENDING, PROCESSING, Query

_CANDIDATE_WAIT_SECONDS = (1.0, 3.0)


@dataclass(frozen=True, slots=True)
class PagePlace:
    """A place in the order of pages: a priority, and the time of a chunk."""

    priority: int | None
    start: datetime


def count_pending(database: Database, order: Order) -> int:
    """Count the pending chunks of `order`, those that wait after a failure too.

    It takes time in proportion to the count.
    """
    with translated():
        return database.chunks.count_documents(_query(order))


def read_page(database: Database, limit: int, order: Order, begin: PagePlace | None = None) -> Page:
    """Return up to `limit` chunks that may be claimed now, by priority and then by age.

    With `begin`, those of its priority from its time on: `is_last` and `next_due_seconds` are then
    about these alone.

    Leave out chunks before their `not_before`. Of the poison candidates return one, and none
    while another is processed.
    """
    now = database.server_time()
    chunks: list[Chunk] = []
    due: list[datetime] = []
    may_hold_candidate: bool | None = None
    with (
        translated(),
        database.chunks.find(_query(order, begin), CHUNK_FIELDS, batch_size=limit + 1).sort(
            _sort(order)
        ) as cursor,
    ):
        for document in cursor:
            if not isinstance(document["_id"], Hashable):
                continue  # an id that is itself a document: not a chunk of any program we know
            chunk = read_chunk(document)
            if chunk.is_poison_candidate and may_hold_candidate is None:
                may_hold_candidate = not is_other_candidate_processing(database, chunk.id)
            if chunk.not_before is not None and chunk.not_before > now:
                due.append(chunk.not_before)
            elif chunk.is_poison_candidate and not may_hold_candidate:
                due.append(now + candidate_wait())
            elif len(chunks) < limit:
                chunks.append(chunk)
                may_hold_candidate = may_hold_candidate and not chunk.is_poison_candidate
            else:
                return Page(tuple(chunks), is_last=False)
    next_due_seconds = (min(due) - now).total_seconds() if due else None
    return Page(tuple(chunks), is_last=True, next_due_seconds=next_due_seconds)


def last_start(database: Database, order: Order, priority: int | None) -> datetime | None:
    """Return the time of the chunk that would be listed last of this priority."""
    reverse = [(field, -direction) for field, direction in _sort(order)]
    query = {**_query(order), "priority": priority}
    with translated():
        document = database.chunks.find_one(query, ["start"], sort=reverse)
    return read_time(document.get("start")) if document else None


def is_other_candidate_processing(database: Database, chunk_id: ObjectId) -> bool:
    """Return whether a poison candidate other than this chunk is processed now."""
    other = {**PROCESSING, "solo": True, "attempts": {"$gt": 0}, "_id": {"$ne": chunk_id}}
    with translated():
        return database.chunks.find_one(other, ["_id"]) is not None


def chunks_held_under(database: Database, worker: str, claim_id: ObjectId) -> list[Chunk]:
    """Return the chunks that a worker holds under one claim id, in their order."""
    held = {**PROCESSING, "processing_by": worker, "claim_id": claim_id}
    with translated(), database.chunks.find(held, CHUNK_FIELDS).sort("index") as cursor:
        return [read_chunk(document) for document in cursor]


def lost_of(database: Database, claims: Sequence[Claim], renewed: int) -> list[Claim]:
    """Return the claims that are not held any more; `renewed` is how many still were."""
    if renewed in (0, len(claims)):
        return [] if renewed else list(claims)
    ids, claim_ids = [claim.chunk.id for claim in claims], [claim.id for claim in claims]
    query = {"_id": {"$in": ids}, "claim_id": {"$in": claim_ids}}
    with translated():
        found = list(database.chunks.find(query, ["processing_by", "claim_id"]))
    held = {(d["_id"], d.get("processing_by"), d.get("claim_id")) for d in found}
    return [claim for claim in claims if (claim.chunk.id, claim.worker, claim.id) not in held]


def seconds_claimed_under(
    database: Database, chunk_id: ObjectId, claim_id: ObjectId
) -> float | None:
    """Return the length of the chunk if its latest claim is this one, which may have ended.

    0 if its document has none; None if another claim came after, or none was ever made.
    """
    query = {"_id": chunk_id, "claim_id": claim_id}
    with translated():
        document = database.chunks.find_one(query, ["duration"])
    return None if document is None else read_positive(document.get("duration")) or 0.0


def is_held_by(database: Database, chunk_id: ObjectId, node_id: str) -> bool:
    """Return whether a worker of this node has a claim on the chunk."""
    query = {"_id": chunk_id, **PROCESSING, "processing_by": pattern_of_node(node_id)}
    with translated():
        return database.chunks.find_one(query, ["_id"]) is not None


def neighbour_of(database: Database, chunk_id: ObjectId, step: Step) -> Chunk | None:
    """Return the chunk before or after this one, of the same channel, whose audio may go with it.

    None if there is none, or if it failed before: its audio may be what a server dies of.
    """
    with translated():
        document = database.chunks.find_one({"_id": chunk_id}, CHUNK_FIELDS)
        if document is None:
            return None
        chunk = read_chunk(document)
        if chunk.recording_id is None:
            return None
        query = {"original_id": chunk.recording_id, "index": chunk.index + step, "failed_at": None}
        found = database.chunks.find_one(query, CHUNK_FIELDS)
    neighbour = read_chunk(found) if found else None
    if neighbour is None or neighbour.channel != chunk.channel or neighbour.has_failed_before:
        return None
    return neighbour


def candidate_wait() -> timedelta:
    """Return how long a poison candidate waits for another one, with some jitter."""
    return timedelta(seconds=random.uniform(*_CANDIDATE_WAIT_SECONDS))


def _query(order: Order, begin: PagePlace | None = None) -> Query:
    query = dict(PENDING)
    chosen: Query = {}
    if order.recordings:
        chosen["$in"] = list(order.recordings)
    if order.without_recordings:
        chosen["$nin"] = list(order.without_recordings)
    if chosen:
        query["original_id"] = chosen
    if begin is not None:
        comparison = "$lte" if order.newest_first else "$gte"
        query |= {"priority": begin.priority, "start": {comparison: begin.start}}
    return query


def _sort(order: Order) -> list[tuple[str, int]]:
    """Return the paging order; newest first turns it round within one priority."""
    sign = -1 if order.newest_first else 1
    return [(field, d if field == "priority" else d * sign) for field, d in PAGING_ORDER]
