"""What the queue keeps beside its own documents: recordings, and the audio of their chunks."""

from collections.abc import Iterator
from functools import lru_cache

from bson import ObjectId

from stt.chunk import Chunk, Source
from stt.database import Database, translated
from stt.errors import Ambiguous, BadAudio, NotFound

_SOURCE_FIELDS = [
    "filename", "duration", "chunk_count", "language", "prompt", "start", "ingested_at",
]  # fmt: skip


class Sources:
    """Reads recordings and chunk audio. Raises DatabaseUnavailable; safe between threads."""

    def __init__(self, database: Database) -> None:
        self._db = database
        # A worker meets the chunks of one source in a row.
        self._cached = lru_cache(maxsize=64)(self._read)

    def of(self, chunk: Chunk) -> Source | None:
        """The recording of a chunk, as it was when first asked; None if another program has it."""
        return None if chunk.source_id is None else self._cached(chunk.source_id)

    def audio(self, chunk: Chunk) -> bytes:
        """The encoded audio of a chunk, stored beside it or inline. Raises BadAudio if none is."""
        with translated():
            stored = self._db.audio.find_one({"_id": chunk.id}, ["data"])
            if stored is None:
                stored = self._db.chunks.find_one({"_id": chunk.id}, ["data"])
        data = stored.get("data") if stored else None
        if not isinstance(data, bytes) or not data:
            raise BadAudio("the chunk has no audio in audio_data, nor inline in data")
        return data

    def find(self, name: str) -> Source:
        """The recording with this id or file name. Raises NotFound, also as Ambiguous."""
        query: dict[str, object] = {"filename": name}
        if ObjectId.is_valid(name):
            query = {"$or": [query, {"_id": ObjectId(name)}]}
        with translated():
            found = list(self._db.sources.find(query, _SOURCE_FIELDS).limit(10))
        if not found:
            raise NotFound(f"No source is called {name!r}. `stt status` lists them.")
        if len(found) > 1:
            ids = ", ".join(str(document["_id"]) for document in found)
            raise Ambiguous(f"Several sources are called {name!r}; name one by its id: {ids}")
        return Source.from_document(found[0])

    def all(self) -> Iterator[Source]:
        """All recordings, oldest first."""
        with translated(), self._db.sources.find({}, _SOURCE_FIELDS).sort("_id") as cursor:
            yield from map(Source.from_document, cursor)

    def _read(self, source_id: ObjectId) -> Source | None:
        with translated():
            document = self._db.sources.find_one({"_id": source_id}, _SOURCE_FIELDS)
        return Source.from_document(document) if document else None
