"""Chunks of recordings that want a model: which are listed, and which wait for one.

Every function raises DatabaseUnavailable.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bson import ObjectId

from stt.domain.chunk import SPEAKERS
from stt.domain.claim import Order, Page, Pending
from stt.store import claim_queries, spread_pages
from stt.store.database import Database, translated
from stt.store.documents import read_text
from stt.store.growing_recordings import expected_chunks
from stt.store.states import ANY_TEXT, Query
from stt.store.workers import MongoRoster

_MAX_NAME = 1_000
_WITH_SPEAKERS: Query = {"speakers": {"$gte": 0}}


@dataclass(frozen=True, slots=True)
class WaitingChunks:
    """Pending chunks whose recordings want a model that no worker has."""

    model: str
    chunks: int


def read_page(database: Database, limit: int, order: Order) -> Page:
    """Return a page as `spread_pages.read_page` does, without the recordings that are to wait.

    They are looked for only if the page would show one of them.
    """
    page = spread_pages.read_page(database, limit, order)
    if order.without_models and page.chunks:
        shown = {chunk.recording_id for chunk in page.chunks} - {None}
        query = {"_id": {"$in": list(shown)}, **_that_want(order.without_models)}
        with translated():
            is_any_shown = database.recordings.find_one(query, ["_id"]) is not None
        if is_any_shown:
            waiting = _recordings_that_want(database, order.without_models)
            page = spread_pages.read_page(
                database, limit, replace(order, without_recordings=tuple(waiting))
            )
    growing = expected_chunks(database, page.chunks)
    return replace(page, models=wanted_models(database), growing=growing)


def count_pending(database: Database, order: Order) -> int:
    """Count as `claim_queries.count_pending` does, of `order.models` alone if there are any."""
    chosen = _of_models(database, order)
    return claim_queries.count_pending(database, chosen) if chosen else 0


def count_patiently(database: Database, order: Order) -> int:
    """Count as `count_pending` does, however long it takes."""
    with database.without_time_limit() as patient:
        return count_pending(patient, order)


def with_length(database: Database, order: Order, count: int) -> Pending:
    """Return what `count_pending` has counted, and about how long the chunks are together."""
    chosen = _of_models(database, order)
    seconds = claim_queries.pending_seconds(database, chosen, count) if chosen else 0.0
    return Pending(count, seconds)


def _of_models(database: Database, order: Order) -> Order | None:
    """Return the order with the recordings that want `order.models`, if any; None without one."""
    if not order.models:
        return order
    chosen = _recordings_that_want(database, order.models)
    if order.recordings:
        chosen = [id_ for id_ in chosen if id_ in order.recordings]
    return replace(order, recordings=tuple(chosen)) if chosen else None


def wanted_models(database: Database) -> tuple[str, ...]:
    """Return the models that recordings want, by name, and SPEAKERS; indexes answer it."""
    with translated():
        found = database.recordings.distinct("model", {"model": ANY_TEXT})
        want_speakers = database.recordings.find_one(_WITH_SPEAKERS, ["_id"]) is not None
    names = {name for name in map(read_text, found) if name and len(name) <= _MAX_NAME}
    return tuple(sorted(names | {SPEAKERS} if want_speakers else names))


def waiting_chunks(database: Database) -> tuple[WaitingChunks, ...]:
    """Return what waits for a model that every worker misses, by their latest heartbeats.

    Those of workers that have ended count only where none is alive.
    """
    with translated():
        members = [member for member in MongoRoster(database).members() if member.report.slots]
    members = [member for member in members if member.is_alive] or members
    missing = [set(member.report.missing_models) for member in members]
    names = sorted(set.intersection(*missing)) if missing else []
    counts = ((name, count_pending(database, Order(models=(name,)))) for name in names)
    return tuple(WaitingChunks(name, count) for name, count in counts if count)


def count_waiting(database: Database, waiting: Sequence[WaitingChunks]) -> int:
    """Count these chunks, each once, though it may wait for a model and for speakers."""
    if len(waiting) < 2:
        return sum(one.chunks for one in waiting)
    return count_pending(database, Order(models=tuple(one.model for one in waiting)))


def _recordings_that_want(database: Database, models: Sequence[str]) -> list[ObjectId]:
    with translated(), database.recordings.find(_that_want(models), ["_id"]) as found:
        return [document["_id"] for document in found]


def _that_want(names: Sequence[str]) -> Query:
    """Return a query for recordings that want one of these models, or speakers if it is named."""
    of_model: Query = {"model": {"$in": list(names)}}
    return {"$or": [of_model, _WITH_SPEAKERS]} if SPEAKERS in names else of_model
