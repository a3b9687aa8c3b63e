"""Cut a stored recording anew from its file, for options that decide where chunks begin and end.

A file's sha256 names one recording. The earlier one gives it up to the new one, and keeps it in
`earlier_of`. Once the new one is cut, the earlier one loses its chunks without text, so that
nothing is transcribed twice; its text stays until all chunks of the new one are transcribed.
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
from stt.store.edits import count_edits
from stt.store.recordings import MongoRecordings
from stt.store.removal import remove_without_text

if TYPE_CHECKING:
    from stt.store.ingest_options import IngestOptions

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


def options_of_interrupted(
    database: Database, sha256: str, options: "IngestOptions", given: Set[str]
) -> "IngestOptions":
    """Return the options for a file whose recording was set aside, and none came in its place."""
    with translated():
        if database.recordings.find_one({"sha256": sha256}, ["_id"]) is not None:
            return options
        earlier = _latest_earlier(database, sha256)
    return options if earlier is None else with_stored(earlier, options, given)


def put_back(database: Database, sha256: str) -> None:
    """Undo the latest `set_aside`: the file could not be cut anew."""
    query = {"earlier_of": sha256}
    update = {"$set": {"sha256": sha256}, "$unset": {"earlier_of": ""}}
    with translated():
        latest = _latest_earlier(database, sha256)
        if latest is not None:
            database.recordings.update_one({**query, "_id": latest["_id"]}, update)


def remove_earlier_work(database: Database, sha256: str) -> None:
    """Remove what the earlier recordings of a file have without text: it is cut anew."""
    for id_ in _earlier(database, sha256):
        remove_without_text(database, id_)


def remove_earlier(database: Database, recording_id: ObjectId) -> list[ObjectId]:
    """Remove the earlier recordings of a file if this one has all its text; return those that stay.

    One whose text people have edited stays.
    """
    recordings = MongoRecordings(database)
    with translated():
        document = database.recordings.find_one({"_id": recording_id}, ["sha256"]) or {}
    earlier = _earlier(database, document.get("sha256"))
    if not earlier:
        return []
    details = recordings.details(recording_id)
    counts = details.counts
    if details.ingested_at is None or counts.open or counts.failed:
        return earlier
    edited = [id_ for id_ in earlier if count_edits(database, {"original_id": id_})]
    for id_ in set(earlier).difference(edited):
        recordings.remove(id_)
    return edited


def _earlier(database: Database, sha256: object) -> list[ObjectId]:
    if not isinstance(sha256, str):  # a recording of another program
        return []
    with translated():
        found = database.recordings.find({"earlier_of": sha256}, ["_id"])
        return [document["_id"] for document in found]


def _latest_earlier(database: Database, sha256: str) -> Document | None:
    return database.recordings.find_one({"earlier_of": sha256}, sort=[("_id", -1)])


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
