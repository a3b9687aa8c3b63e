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
from stt.store.database import Database, Document, translated
from stt.store.documents import CHUNK_FIELDS, read_chunk, read_number, read_positive, read_time
from stt.store.indexes import PAGING_ORDER
from stt.store.states import PENDING, PROCESSING, Query

_CANDIDATE_WAIT_SECONDS = (1.0, 3.0)
_MEASURED_CHUNKS = 1_000


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
        return database.count_chunks(_query(order))


def pending_seconds(database: Database, order: Order, count: int) -> float:
    """Return the seconds of audio in `count` pending chunks of `order`.

    Read at most a thousand of them; the others are taken to be as long on average.
    """
    with translated():
        query, fields = _query(order), ["duration", "channels"]
        with database.chunks.find(query, fields, limit=_MEASURED_CHUNKS) as cursor:
            measured = [read_chunk(document).recording_seconds for document in cursor]
    return sum(measured) * count / len(measured) if measured else 0.0


def has_pending(database: Database) -> bool:
    """Return whether any chunk is pending, even one that waits after a failure."""
    with translated():
        # In an order of the index: so the embedded database reads one entry, and not all.
        first = database.chunks.find_one(PENDING, ["_id"], sort=[("not_before", 1)])
    return first is not None


def read_page(database: Database, limit: int, order: Order, begin: PagePlace | None = None) -> Page:
    """Return up to `limit` chunks that may be claimed now, by priority and then by age.

    With `begin`, those of its priority from its time on: `is_last` and `next_due_seconds` are then
    about these alone.

    Leave out chunks before their `not_before`. Of the poison candidates return one, and none
    while another is processed. It reads about two pages, however many chunks are pending or rest.
    """
    now = database.server_time()
    due: list[datetime] = []
    with translated():
        chunks, is_last = _read_due(database, limit, order, now, begin)
        candidates = [chunk for chunk in chunks if chunk.is_poison_candidate]
        if candidates:
            is_held = is_other_candidate_processing(database, candidates[0].id)
            put_off = {chunk.id for chunk in candidates[0 if is_held else 1 :]}
            if put_off and not is_last:  # they may fill the page
                others, _ = _read_due(database, limit, order, now, begin, may_be_isolated=False)
                isolated = [chunk for chunk in chunks if chunk.isolated]
                chunks = sorted(isolated + others, key=lambda c: c.priority or 0, reverse=True)
            chunks = [chunk for chunk in chunks if chunk.id not in put_off]
            due += [now + candidate_wait()] if put_off else []
        if is_last:
            due += _first_at_rest(database, _query(order, begin), now)
        if not chunks and not due:  # a rest that a person ended between the queries escapes all
            chunks, is_last = _read_due(database, limit, order, now, begin)
    is_last = (is_last or not chunks) and len(chunks) <= limit
    next_due_seconds = (min(due) - now).total_seconds() if is_last and due else None
    return Page(tuple(chunks[:limit]), is_last=is_last, next_due_seconds=next_due_seconds)


def _read_due(
    database: Database,
    limit: int,
    order: Order,
    now: datetime,
    begin: PagePlace | None,
    *,
    may_be_isolated: bool = True,
) -> tuple[list[Chunk], bool]:
    """Return the first chunks that do not rest, in order, and whether they are all.

    The index has those that never rested in the paging order, and apart from them those that did,
    by the end of their rest: of many the longest ended come first. They are up to twice the limit.
    """
    query = _query(order, begin)
    if not may_be_isolated:
        query["solo"] = {"$ne": True}
    new = {**query, "not_before": None}
    # Not `$lte`: a value that is no time counts as null.
    rested = {**query, "not_before": {"$ne": None, "$not": {"$gt": now}}}
    found: list[Document] = []
    is_last = True
    for part, sort in ((new, _sort(order)), (rested, [("not_before", 1)])):
        with database.chunks.find(part, CHUNK_FIELDS, limit=limit + 1).sort(sort) as cursor:
            documents = list(cursor)
        is_last = is_last and len(documents) <= limit
        found = _merged(found, documents, order) if found and documents else found or documents
    # An id that is itself a document is of no program we know.
    return [read_chunk(d) for d in found if isinstance(d["_id"], Hashable)], is_last


def _merged(some: list[Document], others: list[Document], order: Order) -> list[Document]:
    """Return all in the paging order; values of odd types come before or after the others."""

    def age(document: Document) -> tuple[bool, float, str]:
        start = read_time(document.get("start"))
        return start is not None, start.timestamp() if start else 0.0, str(document["_id"])

    def priority(document: Document) -> float:
        return read_number(document.get("priority")) or 0.0

    by_age = sorted(some + others, key=age, reverse=order.newest_first)
    return sorted(by_age, key=priority, reverse=True)


def _first_at_rest(database: Database, pending: Query, now: datetime) -> list[datetime]:
    """Return the time at which the next chunk may be claimed of those that rest, if one does."""
    resting = {**pending, "not_before": {"$gt": now}}
    document = database.chunks.find_one(resting, ["not_before"], sort=[("not_before", 1)])
    at = read_time(document["not_before"]) if document else None
    return [] if at is None else [at]


def last_start(database: Database, order: Order, priority: int | None) -> datetime | None:
    """Return the time of the chunk that would be listed last of this priority.

    Of those that never rested, which alone have the paging order in the index.
    """
    reverse = [(field, -direction) for field, direction in _sort(order)]
    query = {**_query(order), "not_before": None, "priority": priority}
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
    chosen: Query = {}
    if order.recordings:
        chosen["$in"] = list(order.recordings)
    if order.without_recordings:
        chosen["$nin"] = list(order.without_recordings)
    # First, because SecantusDB takes the first condition that has an index.
    query: Query = {"original_id": chosen, **PENDING} if chosen else dict(PENDING)
    if begin is not None:
        comparison = "$lte" if order.newest_first else "$gte"
        query |= {"priority": begin.priority, "start": {comparison: begin.start}}
    return query


def _sort(order: Order) -> list[tuple[str, int]]:
    """Return the paging order; newest first turns it round within one priority."""
    sign = -1 if order.newest_first else 1
    return [(field, d if field == "priority" else d * sign) for field, d in PAGING_ORDER]
