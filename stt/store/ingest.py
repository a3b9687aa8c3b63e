"""Cut a file into chunks, encode them and store them, all three at the same time.

What makes it safe to crash, to run twice and to run beside workers:

- The file's sha256 is unique among recordings: the same file is the same recording.
- The id of a chunk is made from its recording and index: cutting a piece twice writes the same
  document twice.
- The audio of a chunk is stored before the chunk, and chunks in order: workers see whole chunks,
  and the chunks of a recording are always its beginning.
- The recording's `ingested_at` is set last. Until then the next run continues after the last chunk,
  with the chunk length that the recording was begun with.
"""

import logging
from collections.abc import Callable, Set
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from stt.domain.chunk import Recording
from stt.errors import RecordingError
from stt.media.audio import SAMPLE_RATE
from stt.media.recording import RecordingFile
from stt.media.recording_path import RecordingPath
from stt.store import recutting
from stt.store.chunk_writer import ChunkWriter, removed_while_ingested
from stt.store.cutting import Progress, cut_channels, cut_mixed, nothing_to_split
from stt.store.database import Database, Document, translated
from stt.store.documents import read_count, read_recording, read_texts
from stt.store.ingest_options import SPEAKER_OPTIONS, IngestOptions

Status = Literal["ingested", "already there", "resumed"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ingested:
    """The result of an ingest; `chunks` counts those of earlier runs too.

    `place` is that of the file that was given now; the recording may have come from another one.
    `warnings`: what is lost of it, and which of several audio tracks was taken.
    """

    recording: Recording
    chunks: int
    status: Status
    place: RecordingPath | None = field(default=None, compare=False)
    warnings: tuple[str, ...] = ()


def ingest(
    database: Database,
    path: Path,
    options: IngestOptions,
    progress: Progress = lambda _done_seconds, _total_seconds: None,
    filename: str | None = None,
    place: RecordingPath | None = None,
    modified_at: datetime | None = None,
    cut_anew: Set[str] = frozenset(),
    begun: Callable[[Recording, bool], None] | None = None,
) -> Ingested:
    """Store a recording and its chunks, in memory independent of its length.

    Return at once for a file that was ingested before, and continue an ingest that was interrupted;
    ignore `options` in both cases. Workers may claim the first chunks meanwhile. `filename` is the
    name of an upload, by default the file's own; `place` is by default that of a file that was
    given itself. `modified_at`: when an upload's file was changed on the machine that it came from.
    `cut_anew`: the options that a person gave, if a file that is there is to be ingested once more
    where one of them needs another cut (`recutting`). `begun` is called with a recording before it
    is cut, and with whether it is new.

    Raise RecordingError for a file that cannot be ingested, and leave nothing of it behind;
    `progress` may raise it to cancel. After DatabaseUnavailable, KeyboardInterrupt or another error
    from `progress`, the next call continues the ingest.
    """
    if place is None:
        place = RecordingPath.sent(filename) if filename else RecordingPath.of_file(path)
    state = _state_of(path)
    with ExitStack() as closing:
        opened = partial(
            RecordingFile, path, filename, strict=options.strict, modified_at=modified_at
        )
        file = closing.enter_context(opened(track=options.track))
        document, is_new, same = _begin(database, file, place, options, cut_anew, progress)
        recording, track = read_recording(document), read_count(document.get("track"))
        # A recording without `chunk_seconds` was written by another program: do not add chunks.
        if recording.ingested_at is not None or "chunk_seconds" not in document:
            recutting.log_differences(file, options, document, same)
            warnings = read_texts(document.get("warnings"))
            for warning in warnings:
                logger.warning("%s: %s", path if filename is None else filename, warning)
            count = recording.chunk_count or 0
            return Ingested(recording, count, "already there", place, warnings)
        if track not in (0, file.track):  # an earlier run began with another one
            file = closing.enter_context(opened(track=track))
        writer = ChunkWriter(database, document)
        if begun is not None:
            begun(recording, is_new)
        try:
            reason = _cut(writer, file, recording, progress)
            if _state_of(path) not in (state, None):
                raise RecordingError(f"{path}: it was changed while it was read; ingest it again")
            warnings = (*file.warnings, *([reason] if reason else []))
            recording = writer.finish(warnings)
            recutting.remove_earlier_work(database, document["sha256"])
        except RecordingError:
            writer.remove()
            recutting.put_back(database, document["sha256"])
            raise
    status: Status = "ingested" if is_new else "resumed"
    return Ingested(recording, writer.chunks, status, place, warnings)


def _cut(
    writer: ChunkWriter, file: RecordingFile, recording: Recording, progress: Progress
) -> str | None:
    """Store the rest of a file; return why its channels are not split, though they should be."""
    reason = None
    if recording.channels == "split":
        stored_seconds = writer.samples / SAMPLE_RATE
        if writer.channel is None:
            reason = nothing_to_split(file, lambda: progress(stored_seconds, file.declared_seconds))
        if reason is None:
            cut_channels(writer, file, progress)
            return None
        logger.warning("%s: %s", file.path, reason)
    cut_mixed(writer, file, progress)
    return reason


def _state_of(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file is written, None if it is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _begin(
    database: Database,
    file: RecordingFile,
    place: RecordingPath,
    options: IngestOptions,
    cut_anew: Set[str],
    progress: Progress,
) -> tuple[Document, bool, str | None]:
    """Do what `_register` does, for a new recording if the one that is there is to be cut anew.

    Return also why its channels are the same, mixed or split.
    """
    sha256 = file.sha256()
    options = recutting.options_of_interrupted(database, sha256, options, cut_anew)
    document, is_new = _register(database, file, sha256, place, options)
    if "chunk_seconds" not in document or document.get("ingested_at") is None:
        return document, is_new, None
    same = recutting.why_not_split(document, file, options, progress)
    given = cut_anew - {"channels"} if same else cut_anew
    if not recutting.is_cut_otherwise(document, options, given):
        return document, is_new, same
    logger.info("%s is cut anew; its earlier text stays until the new one is there", file.path)
    recutting.set_aside(database, document)
    options = recutting.with_stored(document, options, cut_anew)
    return *_register(database, file, sha256, place, options), None


def _register(
    database: Database,
    file: RecordingFile,
    sha256: str,
    place: RecordingPath,
    options: IngestOptions,
) -> tuple[Document, bool]:
    """Return the document of the file's recording, and whether it was created just now."""
    stored = asdict(options)
    del stored["strict"]
    for name in SPEAKER_OPTIONS:
        if stored[name] is None:
            del stored[name]
    stored["track"] = options.track or file.track
    if file.track_count == 1:
        del stored["track"]
    fields = {
        "filename": place.filename,
        "path": place.path,
        "folder": place.folder,
        "sha256": sha256,
        "bytes": file.bytes,
        "duration": None,
        "start": file.start,
        "chunk_count": None,
        **stored,
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
        raise removed_while_ingested(place.filename)
    return known, known["_id"] == recording_id
