"""Dismiss chunks that failed: they stay failed, and are listed and counted only where asked for.

Their text is missing in exports as before. A chunk that is retried is no longer dismissed.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from bson import ObjectId

from stt.store.database import Database, translated
from stt.store.states import DISMISSED, IN_QUARANTINE, Query, chosen


def dismiss(
    database: Database, chunk_ids: Iterable[ObjectId] = (), recording_id: ObjectId | None = None
) -> int:
    """Dismiss failed chunks: these, a recording's, or all; return how many."""
    query = {**IN_QUARANTINE, **chosen(chunk_ids, recording_id)}
    return _update(database, query, {"$currentDate": {"dismissed_at": True}})


def put_back(
    database: Database, chunk_ids: Iterable[ObjectId] = (), recording_id: ObjectId | None = None
) -> int:
    """Put dismissed chunks back into the quarantine: these, a recording's, or all."""
    query = {**DISMISSED, **chosen(chunk_ids, recording_id)}
    return _update(database, query, {"$unset": {"dismissed_at": 1}})


def _update(database: Database, query: Query, update: Mapping[str, Any]) -> int:
    with translated():
        return database.chunks.update_many(query, update).matched_count
