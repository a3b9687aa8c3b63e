"""Write the chunks of one recording, and their audio."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from pymongo import InsertOne

from stt.domain.chunk import Recording, chunk_id
from stt.errors import RecordingError
from stt.media.audio import SAMPLE_RATE
from stt.store import chunk_audio, growing_recordings
from stt.store.database import Database, Document, Repository
from stt.store.documents import read_recording
from stt.store.removal import remove_recording
from stt.store.states import NEW

WRITE_BATCH = 4
"""Chunks to write together: fewer round trips, and a progress bar that still moves."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The encoded audio of a chunk; `first` and `count` are samples of the whole recording.

    `is_silent`: nothing can be heard in it, so that no server need be asked.
    """

    index: int
    first: int
    count: int
    data: bytes
    is_silent: bool = False


class ChunkWriter(Repository):
    """The chunks of a recording that is being ingested."""

    def __init__(self, database: Database, recording: Document) -> None:
        super().__init__(database)
        self._recording = recording
        self._audio = chunk_audio.ChunkAudio(database)
        self._of_recording = {"original_id": recording["_id"]}
        self.chunk_seconds: float = recording["chunk_seconds"]
        self.chunks = 0
        """Chunks stored without a gap from the first, by this run or an earlier one."""
        self.samples = 0
        """Samples of the recording in these chunks, of those of `channel` if they have one."""
        self.channel: int | None = None
        """The channel that is being cut, counted from 1; None where all are mixed."""
        self._channels = 0
        self.declared_seconds: float | None = None
        """The length of each channel by the file's header, None if it does not say."""
        fields = ["index", "offset", "duration", "channel"]
        with database.chunks.find(self._of_recording, fields).sort("index") as cursor:
            for chunk in cursor:
                if chunk["index"] != self.chunks:
                    break
                self.chunks += 1
                self.samples = round((chunk["offset"] + chunk["duration"]) * SAMPLE_RATE)
                self.channel = chunk.get("channel")

    def begin_channel(self, channel: int, channels: int) -> None:
        """Store chunks of this one of `channels` from now on: from its start, if it is another."""
        if channel != self.channel:
            self.samples = 0
        self.channel, self._channels = channel, channels

    def add(self, batch: Sequence[Piece]) -> None:
        """Store the next pieces; skip those that another ingest of this file has stored."""
        if not batch:
            return
        self._note_expected(batch)
        chunks = [self._chunk(piece) for piece in batch]
        audio = {c["_id"]: piece.data for c, piece in zip(chunks, batch, strict=True)}
        urls = self._audio.write(self._recording["_id"], audio)
        for chunk in chunks:
            if chunk["_id"] in urls:
                chunk["audio_url"] = urls[chunk["_id"]]
        chunk_audio.write_unless_there(self._db.chunks, [InsertOne(chunk) for chunk in chunks])
        self.chunks = batch[-1].index + 1
        self.samples = batch[-1].first + batch[-1].count

    def finish(self, warnings: Sequence[str] = ()) -> Recording:
        """Mark the recording as ingested, with `warnings` about its file if there are any.

        Raise RecordingError if it was removed meanwhile.
        """
        whole: Document = {"duration": self.samples / SAMPLE_RATE, "chunk_count": self.chunks}
        if warnings:
            whole["warnings"] = list(warnings)
        self._db.recordings.update_one(
            {"_id": self._recording["_id"], "ingested_at": None},
            {
                "$set": whole,
                "$currentDate": {"ingested_at": True},
                "$unset": {growing_recordings.FIELD: ""},
            },
        )
        document = self._db.recordings.find_one({"_id": self._recording["_id"]})
        if document is None:
            raise removed_while_ingested(self._recording["filename"])
        priority = document.get("priority")
        if priority != self._recording["priority"]:  # changed meanwhile
            self._db.chunks.update_many(
                {**self._of_recording, "transcribed_at": None}, {"$set": {"priority": priority}}
            )
        return read_recording(document)

    def remove(self) -> None:
        """Remove the recording with what was stored of it."""
        remove_recording(self._db, self._recording["_id"], self.chunks)

    def _note_expected(self, batch: Sequence[Piece]) -> None:
        """Note, before workers see them, that more chunks follow these, and about how many."""
        expected = None
        if self.declared_seconds is not None:
            end = batch[-1].first + batch[-1].count
            samples = max(0.0, self.declared_seconds * SAMPLE_RATE - end)
            if self.channel:
                channels_left = self._channels - self.channel
                samples += channels_left * self.declared_seconds * SAMPLE_RATE
            mean = max(1.0, sum(piece.count for piece in batch) / len(batch))
            expected = batch[-1].index + 1 + ceil(samples / mean)
        growing_recordings.note(self._db, self._recording["_id"], expected)

    def _chunk(self, piece: Piece) -> Document:
        offset_seconds = piece.first / SAMPLE_RATE
        start: datetime = self._recording["start"]
        return {
            "_id": chunk_id(self._recording["_id"], piece.index),
            **self._of_recording,
            "index": piece.index,
            "start": start + timedelta(seconds=offset_seconds),
            "offset": offset_seconds,
            "duration": piece.count / SAMPLE_RATE,
            "format": "opus",
            "priority": self._recording["priority"],
            **({"channel": self.channel, "channels": self._channels} if self.channel else {}),
            **({"vad": {"has_speech": False, "prob": 0.0}} if piece.is_silent else {}),
            **NEW,
        }


def removed_while_ingested(name: str) -> RecordingError:
    return RecordingError(f"{name}: it was removed from the queue while it was being ingested")
