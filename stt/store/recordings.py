"""Read, list, change and remove recordings; read the audio of their chunks."""

import hashlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from bson import ObjectId
from pydantic import Field

from stt.domain.chunk import Chunk, Recording
from stt.domain.claim import Step
from stt.domain.field_types import Tenths
from stt.errors import Ambiguous, AudioNotAllowed, BadAudio, ChannelsSplit, NotFound
from stt.store.chunk_audio import ChunkAudio
from stt.store.claim_queries import neighbour_of
from stt.store.counts import RecordingSums, StateCounts, sums_by_recording
from stt.store.database import Document, Repository
from stt.store.documents import read_count, read_recording, read_text, read_texts, read_time
from stt.store.recording_names import (
    folders_of,
    full_path,
    labels_in,
    labels_of,
    named,
    spellings,
)
from stt.store.removal import remove_recording
from stt.store.text_summary import TextSummary, summaries_of
from stt.transcripts.files import file_stems

_RECORDING_FIELDS = [field.name for field in fields(Recording)]
_DETAIL_FIELDS = [*_RECORDING_FIELDS, "sha256", "priority", "created_at", "track", "warnings"]
_MAX_LISTED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingDetails(Recording):
    """A recording with more of its document; `counts`: its chunks by state.

    `silent_speech_seconds`: speech in what is transcribed that gave no text.
    `text_languages` and `text_models`: those of its text, of the most chunks first. `full_folder`:
    the folder that was given and those below it, None where unknown.
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
    full_folder: str | None
    text_languages: tuple[str, ...]
    text_models: tuple[str, ...]


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

    def several(self, recording_ids: Sequence[ObjectId]) -> list[Recording]:
        """Return these recordings in this order; leave out those without a document."""
        place = {id_: number for number, id_ in enumerate(recording_ids)}
        found = self._db.recordings.find({"_id": {"$in": list(place)}}, _RECORDING_FIELDS)
        return sorted(map(read_recording, found), key=lambda recording: place[recording.id])

    def labels(self, recordings: Sequence[Recording]) -> dict[Any, str]:
        """Return by id the names to show, which no other recording of the database has."""
        return labels_in(self._db, recordings)

    def file_stems(self, recordings: Sequence[Recording], *, in_folders: bool = False) -> list[str]:
        """Return the paths of these recordings' transcripts below a folder, without extensions.

        No other recording of the database has the same; see `stt.transcripts.files.file_stems`.
        `in_folders`: each in the folder that was given, too.
        """
        known = [*self.all(), *recordings]
        if in_folders:
            known = [replace(each, path=full_path(each), folder=None) for each in known]
        return file_stems(known)[len(known) - len(recordings) :]

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

    def details_of(self, recording_ids: Sequence[ObjectId]) -> list[RecordingDetails]:
        """Return these recordings in this order; leave out those without a document."""
        place = {id_: number for number, id_ in enumerate(recording_ids)}
        documents = self._db.recordings.find({"_id": {"$in": list(place)}}, _DETAIL_FIELDS)
        return self._with_counts(sorted(documents, key=lambda document: place[document["_id"]]))

    def check(self, recording_id: ObjectId, changes: Mapping[str, object]) -> None:
        """Raise ChannelsSplit and NotFound as `change` does."""
        if self.get(recording_id).channels == "split" and changes.get("speakers") is not None:
            raise ChannelsSplit("Each of its channels is a speaker already: no others are found.")

    def change(self, recording_id: ObjectId, changes: Mapping[str, object]) -> None:
        """Set options and `priority` as IngestOptions has them; raise NotFound without a document.

        Set the priority of all chunks that are not transcribed too. Raise ChannelsSplit if speakers
        are to be found where each channel is transcribed by itself.
        """
        self.check(recording_id, changes)
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
        recordings = [read_recording(document) for document in documents]
        labels, summaries = labels_in(self._db, recordings), summaries_of(self._db, ids)
        return [
            RecordingDetails(
                **asdict(recording),
                label=labels[document["_id"]],
                sha256=read_text(document.get("sha256")),
                priority=read_count(document.get("priority")),
                created_at=read_time(document.get("created_at")),
                counts=summed.counts,
                silent_speech_seconds=summed.silent_speech_seconds,
                track=read_count(document.get("track")) or None,
                warnings=read_texts(document.get("warnings")),
                full_folder=next(iter(folders_of(recording)), None),
                text_languages=summary.languages,
                text_models=summary.models,
            )
            for document, recording in zip(documents, recordings, strict=True)
            for summed in [sums.get(document["_id"], RecordingSums())]
            for summary in [summaries.get(document["_id"], TextSummary())]
        ]

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
