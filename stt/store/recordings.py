"""What the queue keeps beside its own documents: recordings, and the audio of their chunks."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from bson import ObjectId

from stt.domain.chunk import Chunk, Recording, chunk_id, count_of
from stt.errors import Ambiguous, BadAudio, NotFound
from stt.store.database import Database, Document, translated

_SOURCE_FIELDS = [
    "filename", "duration", "chunk_count", "language", "prompt", "start", "ingested_at",
    "model",
]  # fmt: skip

_STORED_FIELDS = [*_SOURCE_FIELDS, "sha256", "priority", "created_at"]
_REMOVED_TOGETHER = 200
# A crashed ingest may have stored audio that has no chunk yet, and no count tells how much.
_AUDIO_AHEAD = 16

# The states of docs/design.md, for one `$group`. What is missing counts as null.
_STATE = {
    "$cond": [{"$ne": [{"$ifNull": ["$transcribed_at", None]}, None]}, "transcribed",
    {"$cond": [{"$ne": [{"$ifNull": ["$failed_at", None]}, None]}, "failed",
    {"$cond": [{"$ne": [{"$ifNull": ["$processing_by", None]}, None]}, "processing", "pending"]}]}]
}  # fmt: skip
_OPEN: Document = {"transcribed_at": None, "failed_at": None}
_FAILED: Document = {"transcribed_at": None, "failed_at": {"$ne": None}}

ListState = Literal["all", "open", "done", "failed"]


@dataclass(frozen=True, slots=True)
class RecordingDetails:
    """A recording with what people see of it; `counts` are its chunks by state."""

    recording: Recording
    sha256: str | None = None
    priority: int = 0
    created_at: datetime | None = None
    is_ingesting: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ListRequest:
    """Which recordings to list; `after` is the last one of the page before.

    `state`: open while a chunk of it is to be worked on or still being cut, failed if one is in
    quarantine (it may be open as well), done if neither. `search`: a part of the file's name.
    """

    search: str = ""
    state: ListState = "all"
    after: ObjectId | None = None
    limit: int = 50
    oldest_first: bool = False


@dataclass(frozen=True, slots=True)
class ListPage:
    """Some recordings, the cursor of the next page, and how many there are in all."""

    recordings: tuple[RecordingDetails, ...]
    cursor: ObjectId | None
    total: int


class MongoRecordings:
    """Recordings and chunk audio. Raises DatabaseUnavailable; safe between threads."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def of(self, chunk: Chunk) -> Recording | None:
        """The recording of a chunk, as it is now; None if another program has it.

        Not kept between calls: a person may want another model from now on.
        """
        return None if chunk.recording_id is None else self._read(chunk.recording_id)

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

    def find(self, name: str) -> Recording:
        """The recording with this id or file name. Raises NotFound, also as Ambiguous."""
        query: dict[str, object] = {"filename": name}
        if ObjectId.is_valid(name):
            query = {"$or": [query, {"_id": ObjectId(name)}]}
        with translated():
            found = list(self._db.recordings.find(query, _SOURCE_FIELDS).limit(10))
        if not found:
            raise NotFound(f"No source is called {name!r}. `stt status` lists them.")
        if len(found) > 1:
            ids = ", ".join(str(document["_id"]) for document in found)
            raise Ambiguous(f"Several sources are called {name!r}; name one by its id: {ids}")
        return Recording.from_document(found[0])

    def all(self) -> Iterator[Recording]:
        """All recordings, oldest first."""
        with translated(), self._db.recordings.find({}, _SOURCE_FIELDS).sort("_id") as cursor:
            yield from map(Recording.from_document, cursor)

    def get(self, recording_id: ObjectId) -> Recording:
        """The recording with this id, even one that only its chunks know of. Raises NotFound."""
        recording = self._read(recording_id)
        if recording is None:
            with translated():
                is_known = self._db.chunks.find_one({"original_id": recording_id}, ["_id"])
            if is_known is None:
                raise _unknown(recording_id)
            return Recording(recording_id, str(recording_id))
        return recording

    def stored(self, recording_id: ObjectId) -> RecordingDetails:
        """The same with what people see of it. Raises NotFound."""
        recording = self.get(recording_id)
        listed = self._stored([recording_id])
        if listed:
            return listed[0]
        return RecordingDetails(
            recording, counts=self._counts_of([recording_id]).get(recording_id, {})
        )

    def page(self, wish: ListRequest) -> ListPage:
        """A page of recordings, the newest first unless wished otherwise.

        Looks at every recording's id, and at the chunks of the page's recordings alone; but at all
        open or failed chunks where the state matters.
        """
        query: Document = {}
        if search := wish.search.replace("\0", ""):
            query = {"filename": {"$regex": re.escape(search), "$options": "i"}}
        with translated(), self._db.recordings.find(query, ["ingested_at"]) as cursor:
            is_cut = {d["_id"]: d.get("ingested_at", "absent") is not None for d in cursor}
        ids = [id_ for id_ in is_cut if isinstance(id_, ObjectId)]
        is_open = {id_ for id_ in ids if not is_cut[id_]}
        if wish.state in ("open", "done"):
            is_open |= self._with_chunks(_OPEN)
        has_failed = self._with_chunks(_FAILED) if wish.state in ("failed", "done") else set()
        if wish.state == "open":
            ids = [id_ for id_ in ids if id_ in is_open]
        elif wish.state == "failed":
            ids = [id_ for id_ in ids if id_ in has_failed]
        elif wish.state == "done":
            ids = [id_ for id_ in ids if id_ not in is_open and id_ not in has_failed]
        return self._paged(sorted(ids, reverse=not wish.oldest_first), wish)

    def change(self, recording_id: ObjectId, fields: Mapping[str, object]) -> None:
        """Sets `language`, `prompt`, `model` or `priority`; a priority reaches all chunks that are
        not transcribed. Raises NotFound for a recording that nobody described."""
        with translated():
            if fields:
                changed = self._db.recordings.update_one(
                    {"_id": recording_id}, {"$set": dict(fields)}
                )
                if not changed.matched_count:
                    raise _unknown(recording_id)
            if "priority" in fields:
                self._db.chunks.update_many(
                    {"original_id": recording_id, "transcribed_at": None},
                    {"$set": {"priority": fields["priority"]}},
                )

    def remove(self, recording_id: ObjectId) -> None:
        """Takes a recording out of the queue, whoever works on it. Raises NotFound.

        Chunks go before their audio, so that no chunk is ever without, and the recording last: a
        removal that broke off can be asked for again. An ingest that is at it finds its recording
        gone, and clears away what it has stored since.
        """
        self.get(recording_id)
        last = self._remove_chunks(recording_id)
        with translated():
            described = self._db.recordings.find_one({"_id": recording_id}, ["chunk_count"]) or {}
        count = max(last + 1, count_of(described.get("chunk_count"))) + _AUDIO_AHEAD
        self._remove_audio([chunk_id(recording_id, index) for index in range(count)])
        with translated():
            self._db.recordings.delete_one({"_id": recording_id})
        self._remove_chunks(recording_id)

    def _remove_chunks(self, recording_id: ObjectId) -> int:
        """Chunks and their audio; returns the highest index among them, -1 if there were none."""
        last = -1
        while True:
            with translated():
                found = self._db.chunks.find({"original_id": recording_id}, ["index"])
                chunks = list(found.limit(_REMOVED_TOGETHER))
                ids = [chunk["_id"] for chunk in chunks]
                if not ids:
                    return last
                self._db.chunks.delete_many({"_id": {"$in": ids}})
            self._remove_audio(ids)
            last = max(last, *(count_of(chunk.get("index")) for chunk in chunks))

    def _remove_audio(self, ids: Sequence[ObjectId]) -> None:
        for at in range(0, len(ids), _REMOVED_TOGETHER):
            some = ids[at : at + _REMOVED_TOGETHER]
            with translated():
                self._db.audio.delete_many({"_id": {"$in": list(some)}})

    def _stored(self, ids: Sequence[ObjectId]) -> list[RecordingDetails]:
        """Those that somebody described, in the order of `ids`."""
        with translated():
            found = self._db.recordings.find({"_id": {"$in": list(ids)}}, _STORED_FIELDS)
            documents = {document["_id"]: document for document in found}
        counts = self._counts_of(ids) if ids else {}
        return [_stored(documents[id_], counts.get(id_, {})) for id_ in ids if id_ in documents]

    def _counts_of(self, ids: Iterable[ObjectId]) -> dict[ObjectId, dict[str, int]]:
        match = {"$match": {"original_id": {"$in": list(ids)}}}
        key = {"source": "$original_id", "state": _STATE}
        counts: dict[ObjectId, dict[str, int]] = {}
        with translated():
            group = {"$group": {"_id": key, "chunks": {"$sum": 1}}}
            for row in self._db.chunks.aggregate([match, group]):
                by_state = counts.setdefault(row["_id"]["source"], {})
                by_state[row["_id"]["state"]] = int(row["chunks"])
        return counts

    def _paged(self, ids: Sequence[ObjectId], wish: ListRequest) -> ListPage:
        after = wish.after
        rest = ids
        if after is not None:
            rest = [id_ for id_ in ids if (id_ > after if wish.oldest_first else id_ < after)]
        shown = rest[: wish.limit]
        cursor = shown[-1] if len(rest) > len(shown) else None
        return ListPage(tuple(self._stored(shown)), cursor, len(ids))

    def _with_chunks(self, query: Document) -> set[ObjectId]:
        with translated():
            found = self._db.chunks.distinct("original_id", query)
        return {recording_id for recording_id in found if isinstance(recording_id, ObjectId)}

    def _read(self, recording_id: ObjectId) -> Recording | None:
        with translated():
            document = self._db.recordings.find_one({"_id": recording_id}, _SOURCE_FIELDS)
        return Recording.from_document(document) if document else None


def _stored(document: Document, counts: Mapping[str, int]) -> RecordingDetails:
    created_at, sha256 = document.get("created_at"), document.get("sha256")
    return RecordingDetails(
        recording=Recording.from_document(document),
        sha256=sha256 if isinstance(sha256, str) else None,
        priority=count_of(document.get("priority")),
        created_at=created_at if isinstance(created_at, datetime) else None,
        # Only a source that has the field, and empty, is: other programs leave it out.
        is_ingesting=document.get("ingested_at", "absent") is None,
        counts=counts,
    )


def _unknown(recording_id: ObjectId) -> NotFound:
    return NotFound(f"There is no recording {recording_id}.")
