"""Read, list, change and remove recordings; read the audio of their chunks."""

import hashlib
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from bson import ObjectId
from pydantic import Field

from stt.domain.chunk import Chunk, Recording
from stt.domain.claim import Step
from stt.domain.field_types import HexId, Tenths
from stt.errors import Ambiguous, AudioNotAllowed, BadAudio, NotFound
from stt.store.chunk_audio import ChunkAudio
from stt.store.claim_queries import neighbour_of
from stt.store.counts import RecordingSums, StateCounts, sums_by_recording
from stt.store.database import Document, Repository
from stt.store.documents import read_count, read_recording, read_text, read_texts, read_time
from stt.store.recording_names import NAME_FIELDS, full_path, labels_in, labels_of, named, spellings
from stt.store.removal import remove_recording
from stt.store.states import FAILED, UNFINISHED
from stt.transcripts.files import file_stems

_RECORDING_FIELDS = [field.name for field in fields(Recording)]
_DETAIL_FIELDS = [*_RECORDING_FIELDS, "sha256", "priority", "created_at", "track", "warnings"]
_MAX_LISTED = 10

ListState = Literal["all", "open", "done", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingDetails(Recording):
    """A recording with more of its document; `counts`: its chunks by state.

    `silent_speech_seconds`: speech in what is transcribed that gave no text.
    `duration` and `chunk_count` are None while it is being cut. `start`: when it was recorded.
    `track`: the number of its audio track, if its file has several. `warnings`: which track was
    taken, and what is lost of a truncated or damaged file. `label`: its file name, with so many of
    its folders that no other recording has the same.
    """

    label: str
    sha256: Annotated[str | None, Field(exclude=True)]
    priority: int
    created_at: datetime | None
    counts: StateCounts
    silent_speech_seconds: Tenths
    track: int | None
    warnings: tuple[str, ...]


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
        """Return the encoded audio of a chunk. Raise BadAudio, AudioNotAllowed."""
        return ChunkAudio(self._db).read(chunk.id)

    def neighbour_audio(self, chunk: Chunk, step: Step) -> bytes | None:
        """Return the encoded audio of the chunk before or after a claimed one; None without any."""
        neighbour = neighbour_of(self._db, chunk.id, step)
        with suppress(BadAudio, AudioNotAllowed):
            return self.audio(neighbour) if neighbour else None
        return None

    def find(self, name: str) -> Recording:
        """Return the recording with this id, of this file, or with this name or path.

        By its id also one that only chunks refer to. A file that is there is known by its content
        alone, whatever it is called. Raise NotFound, with similar names, or Ambiguous.
        """
        found = []
        if ObjectId.is_valid(name):
            with suppress(NotFound):
                found.append(self.get(ObjectId(name)))
        if not found and (sha256 := _sha256_of(name)) is not None:
            document = self._db.recordings.find_one({"sha256": sha256}, _RECORDING_FIELDS)
            if document is None:
                raise self._not_ingested(name)
            return read_recording(document)
        last = name.rstrip("/").rpartition("/")[2]
        query = {"filename": {"$in": sorted(spellings(last) | {name})}}
        with self._db.recordings.find(query, _RECORDING_FIELDS) as documents:
            found += named(name, map(read_recording, documents))
        # Letters may be stored in a third form, a mixture.
        found = found or named(name, self.all())
        if len(found) > 1:
            raise Ambiguous(
                f"Several recordings are called {name!r}; name one by its id: {_listed(found)}"
            )
        if not found:
            raise NotFound(f"No recording is called {name!r}. {self._advice(name)}")
        return found[0]

    def _not_ingested(self, name: str) -> NotFound:
        namesakes = named(Path(name).name, self.all())
        others = f" Others of that name: {_listed(namesakes)}." if namesakes else ""
        return NotFound(
            f"{name} is not in the queue; `stt ingest {shlex.quote(name)}` puts it there.{others}"
        )

    def _advice(self, name: str) -> str:
        labels = sorted(set(labels_of(self.all()).values()))
        near = get_close_matches(name, labels, n=3) or [
            label for label in labels if name.casefold() in label.casefold()
        ]
        if not near and "/" in name:
            return self._advice(name.rpartition("/")[2])
        if not near:
            return "`stt status` lists them."
        return f"Did you mean {' or '.join(map(repr, near[:3]))}?"

    def all(self) -> Iterator[Recording]:
        """Yield all recordings, oldest first."""
        with self._db.recordings.find({}, _RECORDING_FIELDS).sort("_id") as cursor:
            yield from map(read_recording, cursor)

    def labels(self, recordings: Sequence[Recording]) -> dict[Any, str]:
        """Return by id the names to show, which no other recording of the database has."""
        return labels_in(self._db, recordings)

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
        ids: Sequence[ObjectId] | None = None,
        after: ObjectId | None = None,
        limit: int = 50,
        oldest_first: bool = False,
    ) -> RecordingList:
        """Return up to `limit` recordings that follow `after`, the last one of the page before.

        `search`: a part of the file name, of its path or of its folder. `state`: open if a chunk is
        pending, processing or still to be cut; failed if one is in quarantine (the recording may be
        open too); done otherwise. `ids`: only these recordings.

        Read the ids of all recordings, and the chunks of those on the page. For a `state` other
        than all, read all open or failed chunks too.
        """
        query: Document = {} if ids is None else {"_id": {"$in": ids}}
        if search := search.replace("\0", ""):
            pattern = "|".join(map(re.escape, sorted(spellings(search))))
            match = {"$regex": pattern, "$options": "i"}
            query["$or"] = [{name: match} for name in NAME_FIELDS]
        with self._db.recordings.find(query, ["ingested_at"]) as cursor:
            found = [read_recording(d) for d in cursor if isinstance(d["_id"], ObjectId)]
        matching = {recording.id for recording in found}
        if state in ("open", "done"):
            is_open = {recording.id for recording in found if recording.is_ingesting}
            is_open |= self._with_chunks(UNFINISHED)
            matching = matching & is_open if state == "open" else matching - is_open
        if state in ("failed", "done"):
            has_failed = self._with_chunks(FAILED)
            matching = matching & has_failed if state == "failed" else matching - has_failed
        rest = sorted(matching, reverse=not oldest_first)
        if after is not None:
            rest = [id_ for id_ in rest if (id_ > after if oldest_first else id_ < after)]
        shown = rest[:limit]
        documents = self._db.recordings.find({"_id": {"$in": shown}}, _DETAIL_FIELDS)
        in_order = sorted(documents, key=lambda document: shown.index(document["_id"]))
        cursor_id = shown[-1] if len(rest) > len(shown) else None
        return RecordingList(tuple(self._with_counts(in_order)), cursor_id, len(matching))

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
        sums = sums_by_recording(self._db, {"original_id": {"$in": ids}}) if ids else {}
        labels = labels_in(self._db, [read_recording(document) for document in documents])
        return [
            RecordingDetails(
                **asdict(read_recording(document)),
                label=labels[document["_id"]],
                sha256=read_text(document.get("sha256")),
                priority=read_count(document.get("priority")),
                created_at=read_time(document.get("created_at")),
                counts=summed.counts,
                silent_speech_seconds=summed.silent_speech_seconds,
                track=read_count(document.get("track")) or None,
                warnings=read_texts(document.get("warnings")),
            )
            for document in documents
            for summed in [sums.get(document["_id"], RecordingSums())]
        ]

    def _with_chunks(self, query: Document) -> set[ObjectId]:
        found = self._db.chunks.distinct("original_id", query)
        return {recording_id for recording_id in found if isinstance(recording_id, ObjectId)}

    def _read(self, recording_id: ObjectId) -> Recording | None:
        document = self._db.recordings.find_one({"_id": recording_id}, _RECORDING_FIELDS)
        return read_recording(document) if document else None


def _listed(recordings: Sequence[Recording]) -> str:
    listed = [f"{r.id} ({full_path(r)})" for r in recordings[:_MAX_LISTED]]
    more = len(recordings) - len(listed)
    return ", ".join(listed) + (f" and {more} more" if more else "")


def _sha256_of(name: str) -> str | None:
    """Return the hash of a file, None if there is none of this name that can be read."""
    try:
        if not Path(name).is_file():  # reading a pipe would wait for its writer
            return None
        with Path(name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):  # a name may hold what no path may
        return None


def _unknown(recording_id: ObjectId) -> NotFound:
    return NotFound(f"There is no recording {recording_id}.")
