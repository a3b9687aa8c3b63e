"""Read, list, change and remove recordings; read the audio of their chunks."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from bson import ObjectId

from stt.domain.chunk import Chunk, Recording, chunk_id
from stt.errors import Ambiguous, BadAudio, NotFound
from stt.store.database import Database, Document, translated
from stt.store.documents import (
    is_being_ingested,
    read_count,
    read_recording,
    read_text,
    read_time,
)
from stt.store.states import FAILED, STATE_EXPRESSION, UNFINISHED

_RECORDING_FIELDS = [
    "filename", "duration", "chunk_count", "language", "prompt", "start", "ingested_at",
    "model",
]  # fmt: skip

_DETAIL_FIELDS = [*_RECORDING_FIELDS, "sha256", "priority", "created_at"]
_REMOVE_BATCH = 200
# A crashed ingest may have stored the audio of chunks that it did not store yet.
_AUDIO_WITHOUT_CHUNKS = 16

ListState = Literal["all", "open", "done", "failed"]


@dataclass(frozen=True, slots=True)
class RecordingDetails:
    """A recording with more of its document; `counts`: its chunks by state."""

    recording: Recording
    sha256: str | None = None
    priority: int = 0
    created_at: datetime | None = None
    is_ingesting: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ListRequest:
    """Which recordings to list; `after` is the last one of the page before.

    `state`: open if a chunk is pending, processing or still to be cut; failed if one is in
    quarantine (the recording may be open too); done otherwise. `search`: a part of the file name.
    """

    search: str = ""
    state: ListState = "all"
    after: ObjectId | None = None
    limit: int = 50
    oldest_first: bool = False


@dataclass(frozen=True, slots=True)
class ListPage:
    """A page of recordings, the cursor of the next page, and the number of all."""

    recordings: tuple[RecordingDetails, ...]
    cursor: ObjectId | None
    total: int


class MongoRecordings:
    """The recordings of one database. Safe between threads. Methods raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def of(self, chunk: Chunk) -> Recording | None:
        """Return the recording of a chunk, or None if it has no document.

        Read it anew each time: its model or prompt may be changed meanwhile.
        """
        return None if chunk.recording_id is None else self._read(chunk.recording_id)

    def audio(self, chunk: Chunk) -> bytes:
        """Return the encoded audio of a chunk, from `audio_data` or inline; raise BadAudio."""
        with translated():
            stored = self._db.audio.find_one({"_id": chunk.id}, ["data"])
            if stored is None:
                stored = self._db.chunks.find_one({"_id": chunk.id}, ["data"])
        data = stored.get("data") if stored else None
        if not isinstance(data, bytes) or not data:
            raise BadAudio("the chunk has no audio in audio_data, nor inline in data")
        return data

    def find(self, name: str) -> Recording:
        """Return the recording with this id or file name; raise NotFound or Ambiguous."""
        query: dict[str, object] = {"filename": name}
        if ObjectId.is_valid(name):
            query = {"$or": [query, {"_id": ObjectId(name)}]}
        with translated():
            found = list(self._db.recordings.find(query, _RECORDING_FIELDS).limit(10))
        if not found:
            raise NotFound(f"No source is called {name!r}. `stt status` lists them.")
        if len(found) > 1:
            ids = ", ".join(str(document["_id"]) for document in found)
            raise Ambiguous(f"Several sources are called {name!r}; name one by its id: {ids}")
        return read_recording(found[0])

    def all(self) -> Iterator[Recording]:
        """Yield all recordings, oldest first."""
        with translated(), self._db.recordings.find({}, _RECORDING_FIELDS).sort("_id") as cursor:
            yield from map(read_recording, cursor)

    def get(self, recording_id: ObjectId) -> Recording:
        """Return the recording with this id, even if only chunks refer to it; raise NotFound."""
        recording = self._read(recording_id)
        if recording is None:
            with translated():
                is_known = self._db.chunks.find_one({"original_id": recording_id}, ["_id"])
            if is_known is None:
                raise _unknown(recording_id)
            return Recording(recording_id, str(recording_id))
        return recording

    def details(self, recording_id: ObjectId) -> RecordingDetails:
        """Like `get`, with more of the document and the counts of its chunks."""
        recording = self.get(recording_id)
        listed = self._details([recording_id])
        if listed:
            return listed[0]
        return RecordingDetails(
            recording, counts=self._counts_of([recording_id]).get(recording_id, {})
        )

    def page(self, request: ListRequest) -> ListPage:
        """Return a page of recordings.

        Read the ids of all recordings, and the chunks of those on the page. For a `state` other
        than all, read all open or failed chunks too.
        """
        query: Document = {}
        if search := request.search.replace("\0", ""):
            query = {"filename": {"$regex": re.escape(search), "$options": "i"}}
        with translated(), self._db.recordings.find(query, ["ingested_at"]) as cursor:
            is_cut = {d["_id"]: not is_being_ingested(d) for d in cursor}
        ids = [id_ for id_ in is_cut if isinstance(id_, ObjectId)]
        is_open = {id_ for id_ in ids if not is_cut[id_]}
        if request.state in ("open", "done"):
            is_open |= self._with_chunks(UNFINISHED)
        has_failed = self._with_chunks(FAILED) if request.state in ("failed", "done") else set()
        if request.state == "open":
            ids = [id_ for id_ in ids if id_ in is_open]
        elif request.state == "failed":
            ids = [id_ for id_ in ids if id_ in has_failed]
        elif request.state == "done":
            ids = [id_ for id_ in ids if id_ not in is_open and id_ not in has_failed]
        return self._paged(sorted(ids, reverse=not request.oldest_first), request)

    def change(self, recording_id: ObjectId, fields: Mapping[str, object]) -> None:
        """Set `language`, `prompt`, `model` or `priority`; raise NotFound without a document.

        Set the priority of all chunks that are not transcribed too.
        """
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
        """Remove a recording, its chunks and their audio, even while they are processed.

        Remove chunks before their audio, so that no chunk lacks its audio, and the recording last,
        so that an interrupted removal can be repeated. An ingest that is still cutting it finds
        the recording gone and removes what it has stored since. Raise NotFound.
        """
        self.get(recording_id)
        last = self._remove_chunks(recording_id)
        with translated():
            document = self._db.recordings.find_one({"_id": recording_id}, ["chunk_count"]) or {}
        count = max(last + 1, read_count(document.get("chunk_count"))) + _AUDIO_WITHOUT_CHUNKS
        self._remove_audio([chunk_id(recording_id, index) for index in range(count)])
        with translated():
            self._db.recordings.delete_one({"_id": recording_id})
        self._remove_chunks(recording_id)

    def _remove_chunks(self, recording_id: ObjectId) -> int:
        """Remove chunks and their audio; return the highest index among them, -1 without any."""
        last = -1
        while True:
            with translated():
                found = self._db.chunks.find({"original_id": recording_id}, ["index"])
                chunks = list(found.limit(_REMOVE_BATCH))
                ids = [chunk["_id"] for chunk in chunks]
                if not ids:
                    return last
                self._db.chunks.delete_many({"_id": {"$in": ids}})
            self._remove_audio(ids)
            last = max(last, *(read_count(chunk.get("index")) for chunk in chunks))

    def _remove_audio(self, ids: Sequence[ObjectId]) -> None:
        for at in range(0, len(ids), _REMOVE_BATCH):
            some = ids[at : at + _REMOVE_BATCH]
            with translated():
                self._db.audio.delete_many({"_id": {"$in": list(some)}})

    def _details(self, ids: Sequence[ObjectId]) -> list[RecordingDetails]:
        """Return those that have a document, in the order of `ids`."""
        with translated():
            found = self._db.recordings.find({"_id": {"$in": list(ids)}}, _DETAIL_FIELDS)
            documents = {document["_id"]: document for document in found}
        counts = self._counts_of(ids) if ids else {}
        return [
            _read_details(documents[id_], counts.get(id_, {})) for id_ in ids if id_ in documents
        ]

    def _counts_of(self, ids: Iterable[ObjectId]) -> dict[ObjectId, dict[str, int]]:
        match = {"$match": {"original_id": {"$in": list(ids)}}}
        key = {"recording": "$original_id", "state": STATE_EXPRESSION}
        counts: dict[ObjectId, dict[str, int]] = {}
        with translated():
            group = {"$group": {"_id": key, "chunks": {"$sum": 1}}}
            for row in self._db.chunks.aggregate([match, group]):
                by_state = counts.setdefault(row["_id"]["recording"], {})
                by_state[row["_id"]["state"]] = int(row["chunks"])
        return counts

    def _paged(self, ids: Sequence[ObjectId], request: ListRequest) -> ListPage:
        after = request.after
        rest = ids
        if after is not None:
            rest = [id_ for id_ in ids if (id_ > after if request.oldest_first else id_ < after)]
        shown = rest[: request.limit]
        cursor = shown[-1] if len(rest) > len(shown) else None
        return ListPage(tuple(self._details(shown)), cursor, len(ids))

    def _with_chunks(self, query: Document) -> set[ObjectId]:
        with translated():
            found = self._db.chunks.distinct("original_id", query)
        return {recording_id for recording_id in found if isinstance(recording_id, ObjectId)}

    def _read(self, recording_id: ObjectId) -> Recording | None:
        with translated():
            document = self._db.recordings.find_one({"_id": recording_id}, _RECORDING_FIELDS)
        return read_recording(document) if document else None


def recording_names(database: Database, ids: Iterable[Any]) -> dict[Any, str]:
    """Return the file names of these recordings; for one without a document, its id as text."""
    names = {id_: str(id_ or "") for id_ in ids}
    known = [id_ for id_ in names if isinstance(id_, ObjectId)]
    with translated(), database.recordings.find({"_id": {"$in": known}}, ["filename"]) as found:
        return names | {document["_id"]: read_recording(document).filename for document in found}


def _read_details(document: Document, counts: Mapping[str, int]) -> RecordingDetails:
    return RecordingDetails(
        recording=read_recording(document),
        sha256=read_text(document.get("sha256")),
        priority=read_count(document.get("priority")),
        created_at=read_time(document.get("created_at")),
        is_ingesting=is_being_ingested(document),
        counts=counts,
    )


def _unknown(recording_id: ObjectId) -> NotFound:
    return NotFound(f"There is no recording {recording_id}.")
