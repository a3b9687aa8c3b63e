"""Recordings that are being cut while workers claim their first chunks.

The one who cuts notes in the recording's document that it goes on, and how many chunks there will
be; the one who reads a page of the queue learns which sequences are still incomplete.
"""

from collections.abc import Sequence
from datetime import timedelta

from bson import ObjectId

from stt.domain.chunk import Chunk
from stt.store.database import Database, translated
from stt.store.documents import read_count, read_mapping, read_time

FIELD = "cutting"
FRESH_SECONDS = 10.0
"""A note is that old at most: the one who cuts may have ended without a word."""
UNKNOWN_CHUNKS = 10_000
"""Expected of a recording whose length is not known until its end."""


def note(database: Database, recording_id: ObjectId, chunks: int | None) -> None:
    """Note that a recording is being cut, into so many `chunks` in all; None if unknown."""
    database.recordings.update_one(
        {"_id": recording_id, "ingested_at": None},
        {"$set": {f"{FIELD}.chunks": chunks}, "$currentDate": {f"{FIELD}.at": True}},
    )


def expected_chunks(database: Database, chunks: Sequence[Chunk]) -> dict[ObjectId, int]:
    """Return how many chunks there will be of each recording of these that is being cut now.

    Raises DatabaseUnavailable.
    """
    ids = {chunk.recording_id for chunk in chunks if isinstance(chunk.recording_id, ObjectId)}
    if not ids:
        return {}
    query = {"_id": {"$in": list(ids)}, f"{FIELD}.at": {"$ne": None}, "ingested_at": None}
    with translated():
        found = list(database.recordings.find(query, [FIELD]))
    if not found:
        return {}
    oldest = database.server_time() - timedelta(seconds=FRESH_SECONDS)
    growing = {}
    for document in found:
        cutting = read_mapping(document.get(FIELD))
        at = read_time(cutting.get("at"))
        if at is not None and at > oldest:
            growing[document["_id"]] = read_count(cutting.get("chunks")) or UNKNOWN_CHUNKS
    return growing
