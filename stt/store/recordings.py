"""Read, list, change and remove recordings; read the audio of their chunks."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from bson import ObjectId
from pydantic import Field

from stt.domain.chunk import Chunk, Recording, chunk_id
from stt.domain.field_types import HexId
from stt.errors import Ambiguous, BadAudio, NotFound
from stt.store.counts import StateCounts, counts_by_recording
from stt.store.database import Database, Document, Repository, translated
from stt.store.documents import read_count, read_recording, read_text, read_time
from stt.store.states import FAILED, UNFINISHED
from stt.transcripts.files import file_stems

_RECORDING_FIELDS = [field.name for field in fields(Recording)]
_DETAIL_FIELDS = [*_RECORDING_FIELDS, "sha256", "priority", "created_at"]
_REMOVE_BATCH = 200
# A crashed ingest may have stored the audio of chunks that it did not store yet.
_AUDIO_WITHOUT_CHUNKS = 16

ListState = Literal["all", "open", "done", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingDetails(Recording):
    """A recording with more of its document; `counts`: its chunks by state.

    `duration` and `chunk_count` are None while it is being cut. `start`: when it was recorded.
    """

    sha256: Annotated[str | None, Field(exclude=True)]
    priority: int
    created_at: datetime | None
    counts: StateCounts


@dataclass(frozen=True, slots=True)
class RecordingList:
    """A page of recordings, the cursor of the next page, and how many there are on all pages."""

    recordings: tuple[RecordingDetails, ...]
    cursor: HexId | None
    total: int


class MongoRecordings(Repository):
    """The recordings of one database. Safe between threads."""

    def of(self, chunk: Chunk) -> Recording | None:
        """Return the recording of a chunk, or None if it has no document.

        Read it anew each time: its model or prompt may be changed meanwhile.
        """
        return None if chunk.recording_id is None else self._read(chunk.recording_id)

    def audio(self, chunk: Chunk) -> bytes:
        """Return the encoded audio of a chunk, from `audio_data` or inline; raise BadAudio."""
        stored = self._db.audio.find_one({"_id": chunk.id}, ["data"])
        if stored is None:
            stored = self._db.chunks.find_one({"_id": chunk.id}, ["data"])
        data = stored.get("data") if stored else None
        if not isinstance(data, bytes) or not data:
            raise BadAudio("the chunk has no audio in audio_data, nor inline in data")
        return data

    def find(self, name: str) -> Recording:
        """Return the recording with this id, file name, or path to such a file.

        By its id also one that only chunks refer to. Raise NotFound with similar names, or
        Ambiguous.
        """
        query: dict[str, object] = {"filename": name}
        if ObjectId.is_valid(name):
            query = {"$or": [query, {"_id": ObjectId(name)}]}
        found = list(self._db.recordings.find(query, _RECORDING_FIELDS).limit(10))
        if len(found) > 1:
            ids = ", ".join(str(document["_id"]) for document in found)
            raise Ambiguous(f"Several sources are called {name!r}; name one by its id: {ids}")
        if found:
            return read_recording(found[0])
        with suppress(NotFound):
            if ObjectId.is_valid(name):
                return self.get(ObjectId(name))
        file_name = Path(name).name
        if file_name not in (name, ""):
            return self.find(file_name)
        known = {recording.filename for recording in self.all()}
        near = get_close_matches(name, known, n=3) or sorted(
            candidate for candidate in known if name.casefold() in candidate.casefold()
        )
        advice = f"Did you mean {' or '.join(map(repr, near[:3]))}?"
        raise NotFound(
            f"No recording is called {name!r}. {advice if near else '`stt status` lists them.'}"
        )

    def all(self) -> Iterator[Recording]:
        """Yield all recordings, oldest first."""
        with self._db.recordings.find({}, _RECORDING_FIELDS).sort("_id") as cursor:
            yield from map(read_recording, cursor)

    def file_stems(self, recordings: Sequence[Recording]) -> list[str]:
        """Return the paths of these recordings' transcripts below a folder, without extensions.

        No other recording of the database has the same; see `stt.transcripts.files.file_stems`.
        """
        known = list(self.all())
        return file_stems([*known, *recordings])[len(known) :]

    def get(self, recording_id: ObjectId) -> Recording:
        """Return the recording with this id, even if only chunks refer to it; raise NotFound."""
        recording = self._read(recording_id)
        if recording is None:
            is_known = self._db.chunks.find_one({"original_id": recording_id}, ["_id"])
            if is_known is None:
                raise _unknown(recording_id)
            return read_recording({"_id": recording_id})
        return recording

    def details(self, recording_id: ObjectId) -> RecordingDetails:
        """Like `get`, with more of the document and the counts of its chunks."""
        self.get(recording_id)
        document = self._db.recordings.find_one({"_id": recording_id}, _DETAIL_FIELDS)
        return self._with_counts([document or {"_id": recording_id}])[0]

    def page(
        self,
        *,
        search: str = "",
        state: ListState = "all",
        after: ObjectId | None = None,
        limit: int = 50,
        oldest_first: bool = False,
    ) -> RecordingList:
        """Return up to `limit` recordings that follow `after`, the last one of the page before.

        `search`: a part of the file name. `state`: open if a chunk is pending, processing or still
        to be cut; failed if one is in quarantine (the recording may be open too); done otherwise.

        Read the ids of all recordings, and the chunks of those on the page. For a `state` other
        than all, read all open or failed chunks too.
        """
        query: Document = {}
        if search := search.replace("\0", ""):
            query = {"filename": {"$regex": re.escape(search), "$options": "i"}}
        with self._db.recordings.find(query, ["ingested_at"]) as cursor:
            found = [read_recording(d) for d in cursor if isinstance(d["_id"], ObjectId)]
        ids = {recording.id for recording in found}
        if state in ("open", "done"):
            is_open = {recording.id for recording in found if recording.is_ingesting}
            is_open |= self._with_chunks(UNFINISHED)
            ids = ids & is_open if state == "open" else ids - is_open
        if state in ("failed", "done"):
            has_failed = self._with_chunks(FAILED)
            ids = ids & has_failed if state == "failed" else ids - has_failed
        rest = sorted(ids, reverse=not oldest_first)
        if after is not None:
            rest = [id_ for id_ in rest if (id_ > after if oldest_first else id_ < after)]
        shown = rest[:limit]
        documents = self._db.recordings.find({"_id": {"$in": shown}}, _DETAIL_FIELDS)
        in_order = sorted(documents, key=lambda document: shown.index(document["_id"]))
        cursor_id = shown[-1] if len(rest) > len(shown) else None
        return RecordingList(tuple(self._with_counts(in_order)), cursor_id, len(ids))

    def change(self, recording_id: ObjectId, changes: Mapping[str, object]) -> None:
        """Set options and `priority` as IngestOptions has them; raise NotFound without a document.

        Set the priority of all chunks that are not transcribed too.
        """
        if changes:
            changed = self._db.recordings.update_one({"_id": recording_id}, {"$set": dict(changes)})
            if not changed.matched_count:
                raise _unknown(recording_id)
        if "priority" in changes:
            self._db.chunks.update_many(
                {"original_id": recording_id, "transcribed_at": None},
                {"$set": {"priority": changes["priority"]}},
            )

    def remove(self, recording_id: ObjectId) -> None:
        """Remove a recording, its chunks and their audio, even while they are processed.

        An ingest that is still cutting it finds the recording gone and removes what it has stored
        since. Raise NotFound.
        """
        self.get(recording_id)
        remove_recording(self._db, recording_id)

    def _with_counts(self, documents: Sequence[Document]) -> list[RecordingDetails]:
        ids = [document["_id"] for document in documents]
        counts = counts_by_recording(self._db, {"original_id": {"$in": ids}}) if ids else {}
        return [
            RecordingDetails(
                **asdict(read_recording(document)),
                sha256=read_text(document.get("sha256")),
                priority=read_count(document.get("priority")),
                created_at=read_time(document.get("created_at")),
                counts=counts.get(document["_id"], StateCounts()),
            )
            for document in documents
        ]

    def _with_chunks(self, query: Document) -> set[ObjectId]:
        found = self._db.chunks.distinct("original_id", query)
        return {recording_id for recording_id in found if isinstance(recording_id, ObjectId)}

    def _read(self, recording_id: ObjectId) -> Recording | None:
        document = self._db.recordings.find_one({"_id": recording_id}, _RECORDING_FIELDS)
        return read_recording(document) if document else None


def recording_names(database: Database, ids: Iterable[Any]) -> dict[Any, str]:
    """Return the file names of these recordings; for one without a document, its id as text."""
    names = {id_: str(id_ or "") for id_ in ids}
    known = [id_ for id_ in names if isinstance(id_, ObjectId)]
    with translated(), database.recordings.find({"_id": {"$in": known}}, ["filename"]) as found:
        return names | {document["_id"]: read_recording(document).filename for document in found}


def remove_recording(database: Database, recording_id: ObjectId, min_chunks: int = 0) -> None:
    """Remove a recording, if there is one, with its chunks and their audio.

    Remove chunks before their audio, so that no chunk lacks its audio, and the recording last, so
    that an interrupted removal can be repeated. `min_chunks`: so many may have been stored, even
    if they are gone. Raise DatabaseUnavailable.
    """
    last = _remove_chunks(database, recording_id)
    with translated():
        document = database.recordings.find_one({"_id": recording_id}, ["chunk_count"]) or {}
    known = max(last + 1, min_chunks, read_count(document.get("chunk_count")))
    indexes = range(known + _AUDIO_WITHOUT_CHUNKS)
    _remove_audio(database, [chunk_id(recording_id, index) for index in indexes])
    with translated():
        database.recordings.delete_one({"_id": recording_id})
    _remove_chunks(database, recording_id)


def _remove_chunks(database: Database, recording_id: ObjectId) -> int:
    """Remove chunks and their audio; return the highest index among them, -1 without any."""
    last = -1
    while True:
        with translated():
            found = database.chunks.find({"original_id": recording_id}, ["index"])
            chunks = list(found.limit(_REMOVE_BATCH))
            ids = [chunk["_id"] for chunk in chunks]
            if not ids:
                return last
            database.chunks.delete_many({"_id": {"$in": ids}})
        _remove_audio(database, ids)
        last = max(last, *(read_count(chunk.get("index")) for chunk in chunks))


def _remove_audio(database: Database, ids: Sequence[ObjectId]) -> None:
    for at in range(0, len(ids), _REMOVE_BATCH):
        with translated():
            database.audio.delete_many({"_id": {"$in": ids[at : at + _REMOVE_BATCH]}})


def _unknown(recording_id: ObjectId) -> NotFound:
    return NotFound(f"There is no recording {recording_id}.")
