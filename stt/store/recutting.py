"""Cut a stored recording anew from its file, for options that decide where chunks begin and end.

A file's sha256 names one recording. The earlier one gives it up to the new one, and keeps it in
`earlier_of`; it stays, with its text, until all chunks of the new one are transcribed.
"""

import logging
from collections.abc import Set
from contextlib import ExitStack
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from bson import ObjectId

from stt.media.recording import RecordingFile
from stt.store.cutting import ONE_CHANNEL, SAME_SOUND, Progress, nothing_to_split
from stt.store.database import Database, Document, translated
from stt.store.documents import read_count, read_recording, read_texts
from stt.store.recordings import MongoRecordings

if TYPE_CHECKING:
    from stt.store.ingest import IngestOptions

logger = logging.getLogger(__name__)


def why_not_split(
    document: Document, file: RecordingFile, options: "IngestOptions", progress: Progress
) -> str | None:
    """Return why a stored recording is the same with its channels mixed or split, as wanted.

    None if it is not, and if its channels are stored as wanted. Raise RecordingError.
    """
    stored = read_recording(document).channels
    if options.channels == stored:
        return None
    if stored == "split":
        warnings = read_texts(document.get("warnings"))
        return next((text for text in warnings if text in (ONE_CHANNEL, SAME_SOUND)), None)
    with ExitStack() as closing:
        track = read_count(document.get("track"))
        if track not in (0, file.track):
            file = closing.enter_context(RecordingFile(file.path, file.filename, track=track))
        return nothing_to_split(file, lambda: progress(0.0, file.declared_seconds))


def is_cut_otherwise(document: Document, options: "IngestOptions", given: Set[str]) -> bool:
    """Return whether these options, of which a person has `given` some, need another cut."""
    other_channels = options.channels != read_recording(document).channels
    return ("channels" in given and other_channels) or (
        "track" in given and read_count(document.get("track")) not in (0, options.track)
    )


def with_stored(document: Document, options: "IngestOptions", given: Set[str]) -> "IngestOptions":
    """Return the options of the stored recording, with those that were `given` in their place."""
    names = {field.name for field in fields(options)} & document.keys() - set(given)
    return replace(options, **{name: document[name] for name in names})


def set_aside(database: Database, document: Document) -> None:
    """Let a recording give up the file's sha256."""
    sha256 = document["sha256"]
    update = {"$set": {"earlier_of": sha256}, "$unset": {"sha256": ""}}
    with translated():
        database.recordings.update_one({"_id": document["_id"], "sha256": sha256}, update)


def put_back(database: Database, sha256: str) -> None:
    """Undo the latest `set_aside`: the file could not be cut anew."""
    query = {"earlier_of": sha256}
    update = {"$set": {"sha256": sha256}, "$unset": {"earlier_of": ""}}
    with translated():
        latest = database.recordings.find_one(query, ["_id"], sort=[("_id", -1)])
        if latest is not None:
            database.recordings.update_one({**query, "_id": latest["_id"]}, update)


def remove_earlier(database: Database, recording_id: ObjectId) -> list[ObjectId]:
    """Remove the earlier recordings of a file if this one has all its text, else return them."""
    recordings = MongoRecordings(database)
    with translated():
        document = database.recordings.find_one({"_id": recording_id}, ["sha256"]) or {}
        query = {"earlier_of": document.get("sha256") or recording_id}
        earlier = [found["_id"] for found in database.recordings.find(query, ["_id"])]
    if not earlier:
        return []
    details = recordings.details(recording_id)
    counts = details.counts
    if details.ingested_at is None or counts.open or counts.failed:
        return earlier
    for id_ in earlier:
        recordings.remove(id_)
    return []


def log_differences(
    file: RecordingFile, options: "IngestOptions", document: Document, same: str | None
) -> None:
    """Say what is not as `options` want it in a recording that is in the queue already.

    `same`: what `why_not_split` returned.
    """
    track = read_count(document.get("track"))
    if options.channels == "split" and read_recording(document).channels == "mix":
        if same:
            logger.warning("%s: %s", file.path, same)
        else:
            logger.warning(
                "%s is in the queue with its channels mixed: to split them, use"
                " `stt transcribe FILE --channels split`",
                file.path,
            )
    if options.track is not None and track not in (0, options.track):
        logger.warning(
            "%s is in the queue with audio track %d: to take another, use"
            " `stt transcribe FILE --track %d`",
            file.path,
            track,
            options.track,
        )
