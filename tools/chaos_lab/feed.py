"""The chunks of a chaos run, put into the queue bit by bit, whatever becomes of the database."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from stt.media.audio import encode_opus
from stt.store.database import Database, translated
from tools.chaos_lab import barcode
from tools.chaos_lab.evidence import Fact

_START = datetime(2026, 1, 1, tzinfo=UTC)
_SOURCE_CHUNKS = 12
_LOT = 24
_PATIENCE_SECONDS = 1.0
_NOT_AUDIO = b"OggS, or so it says"


class Feed:
    """Each chunk is a second of audio that says its number; twelve in a row are a source."""

    def __init__(self, facts: Mapping[ObjectId, Fact]) -> None:
        self.added = 0
        """Chunks that the database has acknowledged."""
        self._facts = facts
        self._ids = list(facts)
        self._sources: dict[int, ObjectId] = defaultdict(ObjectId)

    def add(self, database: Database, until: int) -> None:
        """Puts chunks in until there are so many, or it has taken a while.

        Raises DatabaseUnavailable; what was not acknowledged is looked for by the next call.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self.added < until and time.monotonic() < deadline:
            ids = self._ids[self.added : min(until, self.added + _LOT)]
            chunks = [self._document(id_) for id_ in ids]
            with translated():
                # Audio before its chunk, since workers are waiting.
                _insert(database.audio, [{"_id": i, "data": _audio(self._facts[i])} for i in ids])
                _insert(database.chunks, chunks)
            self.added += len(ids)

    def _document(self, chunk_id: ObjectId) -> dict[str, Any]:
        number = self._facts[chunk_id].number
        nothing = dict.fromkeys(
            ("processing_by", "claimed_at", "claim_id", "not_before", "transcribed_at",
             "transcript", "failed_at")
        )  # fmt: skip
        return {
            "_id": chunk_id,
            "original_id": self._sources[number // _SOURCE_CHUNKS],
            "index": number % _SOURCE_CHUNKS,
            "start": _START + timedelta(seconds=number * barcode.SECONDS),
            "offset": number % _SOURCE_CHUNKS * barcode.SECONDS,
            "duration": barcode.SECONDS,
            "format": "opus",
            "priority": 0,
            "attempts": 0,
            "expirations": 0,
            "errors": [],
            **nothing,
        }


def _insert(collection: Collection[dict[str, Any]], documents: Sequence[dict[str, Any]]) -> None:
    """Those that are not there yet: an earlier try may have got through, unacknowledged."""
    ids = [document["_id"] for document in documents]
    known = {found["_id"] for found in collection.find({"_id": {"$in": ids}}, ["_id"])}
    if new := [document for document in documents if document["_id"] not in known]:
        collection.insert_many(new)


def _audio(fact: Fact) -> bytes:
    return _NOT_AUDIO if fact.poison == "audio" else encode_opus(barcode.encode(fact.number))
