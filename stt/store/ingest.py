"""One file → one source with its chunks, streaming: cut, encode and store go on at the same time.

What makes it safe to crash, to run twice and to run beside the workers:

- The file's sha256 is unique among sources: the same file is the same source.
- A chunk's id is made from its source and index, so whoever cuts the same piece again writes the
  same documents again.
- A chunk's audio is stored before the chunk itself, and chunks in their order: what workers see is
  whole, and what is there of a source is its beginning.
- The source's `ingested_at` is set last. Until then the next run goes on after the last chunk
  there, with the length of chunks that the source was begun with.
"""

import itertools
import logging
import re
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from bson import Binary, ObjectId
from pymongo import InsertOne, ReplaceOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, DuplicateKeyError

from stt.domain.chunk import Recording, chunk_id
from stt.errors import ConfigError, RecordingError
from stt.media.audio import SAMPLE_RATE, Samples, encode_opus
from stt.media.recording import RecordingFile, find_recordings
from stt.media.splitting import pieces
from stt.store.database import Database, Document, translated

__all__ = ["IngestOptions", "Ingested", "Progress", "find_recordings", "ingest"]

_MIN_CHUNK_SECONDS, _MAX_CHUNK_SECONDS = 1.0, 600.0
# Encoding costs about as much as decoding, which has the calling thread: two never hold it up.
_ENCODERS = 2
# Stored together: fewer round trips, and still a progress bar that moves.
_BATCH = 4
_DUPLICATE_KEY = 11_000
_MAX_PROMPT = 10_000
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,20}([-_][A-Za-z0-9]{1,8}){0,3}")

Progress = Callable[[float, float | None], None]
"""Called with the seconds stored so far, and the seconds in all where the file tells."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """What a person may say about recordings; `chunk_seconds` is the most that a chunk holds.

    `model` is the one to transcribe them with, None for whatever each worker uses. Raises
    ConfigError for a length of chunks outside 1 to 600 s, for a language or a model that can be
    none, and for a prompt of more than 10,000 characters: it travels with every chunk.
    """

    language: str | None = None
    prompt: str | None = None
    priority: int = 0
    chunk_seconds: float = 30.0
    model: str | None = None

    def __post_init__(self) -> None:
        if not _MIN_CHUNK_SECONDS <= self.chunk_seconds <= _MAX_CHUNK_SECONDS:
            raise ConfigError(
                f"A chunk of {self.chunk_seconds:g} s is not possible: choose a length from"
                f" {_MIN_CHUNK_SECONDS:g} to {_MAX_CHUNK_SECONDS:g} s."
            )
        if self.model is not None and not _MODEL.fullmatch(self.model):
            raise ConfigError(f"{self.model[:20]!r} is no model's name, such as `large-v3-turbo`.")
        if self.language is not None and not _LANGUAGE.fullmatch(self.language):
            raise ConfigError(f"{self.language[:20]!r} is no language's code, such as `en`.")
        if self.prompt is not None and len(self.prompt) > _MAX_PROMPT:
            raise ConfigError(
                f"The prompt has {len(self.prompt)} characters, of {_MAX_PROMPT} at most:"
                " Whisper heeds the last 200 words or so."
            )


@dataclass(frozen=True, slots=True)
class Ingested:
    """How an ingest ended; `chunks` counts all of the source's chunks, whoever cut them."""

    recording: Recording
    chunks: int
    status: Literal["ingested", "already there", "resumed"]


@dataclass(frozen=True, slots=True)
class _Piece:
    """A chunk before it is one; `first` and `count` are in samples of the whole recording."""

    index: int
    first: int
    count: int
    data: bytes


def ingest(
    database: Database,
    path: Path,
    options: IngestOptions,
    progress: Progress = lambda _done_seconds, _total_seconds: None,
    filename: str | None = None,
) -> Ingested:
    """Stores the recording as a source with its chunks, in memory independent of its length.

    A file that is known already is found again, and one whose ingest broke off is taken up where
    it stopped; `options` then count for nothing. Workers may take the first chunks meanwhile.
    `filename` is the name to show, the file's own if not given.

    Raises RecordingError for a file that cannot be ingested, and then leaves nothing of it behind,
    which is also how `progress` calls it off; any other error that `progress` raises,
    DatabaseUnavailable and KeyboardInterrupt leave a source that the next call takes up again.
    """
    with RecordingFile(path, filename) as file:
        document, is_new = _register(database, file, options)
        recording = Recording.from_document(document)
        # Without a length of chunks it is another program's, and not ours to fill.
        if recording.ingested_at is not None or "chunk_seconds" not in document:
            return Ingested(recording, recording.chunk_count or 0, "already there")
        store = _ChunkStore(database, document)
        try:
            _fill(store, file, progress)
            recording = store.finish()
        except RecordingError:
            store.remove()
            raise
    return Ingested(recording, store.chunks, "ingested" if is_new else "resumed")


def _register(
    database: Database, file: RecordingFile, options: IngestOptions
) -> tuple[Document, bool]:
    """The source of this file, and whether it was made just now."""
    sha256 = file.sha256()
    fields = {
        "filename": file.filename,
        "sha256": sha256,
        "bytes": file.bytes,
        "duration": None,
        "start": file.start,
        "chunk_count": None,
        "chunk_seconds": options.chunk_seconds,
        "language": options.language,
        "prompt": options.prompt,
        "model": options.model,
        "priority": options.priority,
        "ingested_at": None,
    }
    recording_id = ObjectId()
    now = {"$currentDate": {"created_at": True}}
    with translated():
        known = database.recordings.find_one({"sha256": sha256})
        if known is None:
            try:
                database.recordings.update_one(
                    {"_id": recording_id}, {"$set": fields, **now}, upsert=True
                )
            except DuplicateKeyError:
                logger.debug("%s: another ingest has just begun it", file.path)
            known = database.recordings.find_one({"sha256": sha256})
    if known is None:
        raise _removed(file.filename)
    return known, known["_id"] == recording_id


def _fill(store: "_ChunkStore", file: RecordingFile, progress: Progress) -> None:
    total_seconds = file.declared_seconds
    batch: list[_Piece] = []
    progress(store.samples / SAMPLE_RATE, total_seconds)
    rest = pieces(_without_first(file.blocks(), store.samples), store.chunk_seconds)
    with closing(_encoded(rest, store.chunks, store.samples)) as encoded:
        for piece in encoded:
            batch.append(piece)
            # The very first goes alone: a worker may be waiting for it.
            if piece.index == 0 or len(batch) == _BATCH:
                store.add(batch)
                batch = []
                progress(store.samples / SAMPLE_RATE, total_seconds)
    store.add(batch)
    progress(store.samples / SAMPLE_RATE, store.samples / SAMPLE_RATE)


def _without_first(blocks: Iterable[Samples], count: int) -> Iterator[Samples]:
    for block in blocks:
        if count < len(block):
            yield block[count:]
        count = max(0, count - len(block))


def _encoded(cut: Iterator[Samples], index: int, first: int) -> Generator[_Piece, None, None]:
    """Encodes pieces beside the cutting, a few at a time, and hands them on in order."""
    waiting: deque[Future[_Piece]] = deque()
    pool = ThreadPoolExecutor(_ENCODERS, thread_name_prefix="opus")
    try:
        for samples in cut:
            waiting.append(pool.submit(_encode, samples, index, first))
            index, first = index + 1, first + len(samples)
            while waiting and (len(waiting) > _ENCODERS or waiting[0].done()):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _encode(samples: Samples, index: int, first: int) -> _Piece:
    return _Piece(index, first, len(samples), encode_opus(samples))


class _ChunkStore:
    """The chunks of one source that is being filled. Raises DatabaseUnavailable."""

    def __init__(self, database: Database, recording: Document) -> None:
        self._db = database
        self._recording = recording
        self._mine = {"original_id": recording["_id"]}
        self.chunk_seconds: float = recording["chunk_seconds"]
        self.chunks = 0
        """Chunks stored without a gap from the first on, by this run or an earlier one."""
        self.samples = 0
        """How much of the recording they hold."""
        fields = ["index", "offset", "duration"]
        with translated(), database.chunks.find(self._mine, fields).sort("index") as cursor:
            for chunk in cursor:
                if chunk["index"] != self.chunks:
                    break
                self.chunks += 1
                self.samples = round((chunk["offset"] + chunk["duration"]) * SAMPLE_RATE)

    def add(self, batch: Sequence[_Piece]) -> None:
        """Stores the next pieces; those that another ingest of this file stored first are fine."""
        if not batch:
            return
        chunks = [self._chunk(piece) for piece in batch]
        audio = [
            {"_id": chunk["_id"], "data": Binary(piece.data)}
            for chunk, piece in zip(chunks, batch, strict=True)
        ]
        # An earlier run may have stored audio without its chunk, and cut it otherwise.
        _write(self._db.audio, [ReplaceOne({"_id": a["_id"]}, a, upsert=True) for a in audio])
        _write(self._db.chunks, [InsertOne(chunk) for chunk in chunks])
        self.chunks = batch[-1].index + 1
        self.samples = batch[-1].first + batch[-1].count

    def finish(self) -> Recording:
        """Marks the source as whole. Raises RecordingError if somebody removed it meanwhile."""
        with translated():
            whole = {"duration": self.samples / SAMPLE_RATE, "chunk_count": self.chunks}
            self._db.recordings.update_one(
                {"_id": self._recording["_id"], "ingested_at": None},
                {"$set": whole, "$currentDate": {"ingested_at": True}},
            )
            document = self._db.recordings.find_one({"_id": self._recording["_id"]})
            if document is None:
                raise _removed(self._recording["filename"])
            priority = document.get("priority")
            if priority != self._recording["priority"]:  # somebody changed it meanwhile
                self._db.chunks.update_many(
                    {**self._mine, "transcribed_at": None}, {"$set": {"priority": priority}}
                )
        return Recording.from_document(document)

    def remove(self) -> None:
        """Takes the source out of the queue: chunks, then audio, so that no chunk lacks its own."""
        with translated():
            last = self._db.chunks.find_one(self._mine, ["index"], sort=[("index", -1)])
            known = max(self.chunks, last["index"] + 1 if last else 0)
            self._db.chunks.delete_many(self._mine)
            # One batch more: audio may have been stored whose chunks were not.
            ids = (self._chunk_id(index) for index in range(known + _BATCH))
            while some := list(itertools.islice(ids, 1_000)):
                self._db.audio.delete_many({"_id": {"$in": some}})
            self._db.recordings.delete_one({"_id": self._recording["_id"]})

    def _chunk_id(self, index: int) -> ObjectId:
        return chunk_id(self._recording["_id"], index)

    def _chunk(self, piece: _Piece) -> Document:
        offset_seconds = piece.first / SAMPLE_RATE
        start: datetime = self._recording["start"]
        return {
            "_id": self._chunk_id(piece.index),
            **self._mine,
            "index": piece.index,
            "start": start + timedelta(seconds=offset_seconds),
            "offset": offset_seconds,
            "duration": piece.count / SAMPLE_RATE,
            "format": "opus",
            "priority": self._recording["priority"],
            "processing_by": None,
            "claimed_at": None,
            "claim_id": None,
            "attempts": 0,
            "expirations": 0,
            "not_before": None,
            "transcribed_at": None,
            "transcript": None,
            "failed_at": None,
            "errors": [],
        }


def _write(collection: Collection[Document], operations: Sequence[Any]) -> None:
    """Writes all of them but those that are there already, which are as good."""
    with translated():
        try:
            collection.bulk_write(operations, ordered=False)
        except BulkWriteError as error:
            errors = error.details.get("writeErrors", [])
            if error.details.get("writeConcernErrors") or any(
                fault["code"] != _DUPLICATE_KEY for fault in errors
            ):
                raise


def _removed(name: str) -> RecordingError:
    return RecordingError(f"{name}: it was removed from the queue while it was being ingested")
