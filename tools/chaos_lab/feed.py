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
from tools.chaos_lab import barcode, voices
from tools.chaos_lab.evidence import Fact

_START = datetime(2026, 1, 1, tzinfo=UTC)
_LOT = 24
_PATIENCE_SECONDS = 1.0
_NOT_AUDIO = b"OggS, or so it says"


class Feed:
    """Each chunk is a second of audio that says its number; twelve in a row are a recording.

    Every other recording asks for its speakers, and has a document for that.
    """

    def __init__(self, facts: Mapping[ObjectId, Fact]) -> None:
        self.added = 0
        """Chunks that the database has acknowledged."""
        self._facts = facts
        self._ids = list(facts)
        self._recordings: dict[int, ObjectId] = defaultdict(ObjectId)

    def add(self, database: Database, until: int) -> None:
        """Puts chunks in until there are so many, or it has taken a while.

        Raises DatabaseUnavailable; what was not acknowledged is looked for by the next call.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self.added < until and time.monotonic() < deadline:
            ids = self._ids[self.added : min(until, self.added + _LOT)]
            chunks = [self._document(id_) for id_ in ids]
            with translated():
                # What a chunk needs comes before it, since workers are waiting.
                _insert(database.recordings, self._recordings_of(chunks))
                _insert(database.audio, [{"_id": i, "data": _audio(self._facts[i])} for i in ids])
                _insert(database.chunks, chunks)
            self.added += len(ids)

    def _recordings_of(self, chunks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the documents of recordings that ask for speakers."""
        ids = {chunk["original_id"] for chunk in chunks}
        return [
            {"_id": id_, "filename": f"{number}.wav", "sha256": str(id_), "speakers": 0}
            for number, id_ in self._recordings.items()
            if id_ in ids and voices.wants_speakers(number)
        ]

    def _document(self, chunk_id: ObjectId) -> dict[str, Any]:
        number = self._facts[chunk_id].number
        index = number % voices.CHUNKS_OF_RECORDING
        nothing = dict.fromkeys(
            ("processing_by", "claimed_at", "claim_id", "not_before", "transcribed_at",
             "transcript", "failed_at")
        )  # fmt: skip
        return {
            "_id": chunk_id,
            "original_id": self._recordings[voices.recording_of(number)],
            "index": index,
            "start": _START + timedelta(seconds=number * barcode.SECONDS),
            "offset": index * barcode.SECONDS,
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
