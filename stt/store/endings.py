"""Find out which recordings have ended: those whose chunks all are transcribed or have failed.

The queue's own documents are the record of that, so nothing has to be written with the last chunk,
and it does not matter which worker, node or person wrote it. An ending has an id that is made from
its chunks' claims: the same ending has the same id for each process that finds it, however often,
and a recording that was retried or transcribed again ends anew, with another id.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from stt.domain.chunk import Recording
from stt.notification_settings import EventType
from stt.store.database import Database, Document, translated
from stt.store.documents import read_errors, read_hashable, read_number, read_recording
from stt.store.states import FAILED, UNFINISHED, state_of

_STATE_FIELDS = ["claim_id", "transcribed_at", "failed_at", "processing_by"]
_MAX_FAILURES = 5

ChunkEnd = tuple[Any, Any]
"""A chunk and the claim that it ended under."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of all chunks of a recording; `failures` are the first few of those that failed.

    `at`: the server's time of the last step, None if another program has written no times.
    """

    id: str
    at: datetime | None
    recording: Recording
    transcribed: int
    failed: int
    failures: tuple[Mapping[str, Any], ...]

    @property
    def type(self) -> EventType:
        return "recording.failed" if self.failed else "recording.done"


def chunks_ended_since(database: Database, since: datetime) -> Iterator[tuple[Any, ChunkEnd]]:
    """Yield the recording of each chunk that ended since then, and the chunk with its claim.

    It reads an index from that time on. Raise DatabaseUnavailable.
    """
    times: tuple[Document, Document] = (
        {"transcribed_at": {"$gte": since}},
        {"transcribed_at": None, "failed_at": {"$gte": since}},
    )
    with translated():
        for query in times:
            with database.chunks.find(query, ["original_id", "claim_id"]) as cursor:
                for document in cursor:
                    recording_id = read_hashable(document.get("original_id"))
                    if recording_id is not None:
                        claim_id = read_hashable(document.get("claim_id"))
                        yield recording_id, (document["_id"], claim_id)


def read_ending(database: Database, recording_id: Any) -> Ending | Literal["open", "unsettled"]:
    """Return how a recording has ended.

    Return open if a chunk has not, or there is none; unsettled if all have while it is still being
    cut, or they changed while they were read. Read them twice: what was the same both times, with
    claims that are never used again, was so at one moment. Raise DatabaseUnavailable.
    """
    of_recording = {"original_id": recording_id}
    with translated():
        unfinished = {**of_recording, **UNFINISHED}
        # The last ones are the last that are transcribed; so it costs little while many are open.
        if database.chunks.find_one(unfinished, ["_id"], sort=[("index", -1)]) is not None:
            return "open"
        document = database.recordings.find_one({"_id": recording_id}) or {"_id": recording_id}
        recording = read_recording(document)
        if recording.is_ingesting:
            return "unsettled"
        chunks = _chunks(database, recording_id)
        states = [state_of(chunk) for chunk in chunks]
        if not chunks or not {"transcribed", "failed"}.issuperset(states):
            return "open"
        failures = tuple(_failures(database, recording_id)) if "failed" in states else ()
        if _chunks(database, recording_id) != chunks:
            return "unsettled"
    return Ending(
        id=event_id(recording_id, *map(_end_of, chunks)),
        at=max(_times(recording, chunks), default=None),
        recording=recording,
        transcribed=states.count("transcribed"),
        failed=states.count("failed"),
        failures=failures,
    )


def is_queue_empty(database: Database) -> bool:
    """Return whether no chunk is pending or processing. Raise DatabaseUnavailable."""
    with translated():
        # In the order of the index: so the embedded database reads one entry, and not all.
        return database.chunks.find_one(UNFINISHED, ["_id"], sort=[("processing_by", 1)]) is None


def count_failed(database: Database) -> int:
    """Return how many chunks are in quarantine. Raise DatabaseUnavailable."""
    with translated():
        return database.count_chunks(FAILED)


def event_id(*parts: object) -> str:
    """Return an id that is made from these parts alone."""
    return f"evt_{hashlib.sha256(repr(parts).encode(errors='replace')).hexdigest()[:32]}"


def _end_of(chunk: Document) -> tuple[str, ...]:
    """Return what no other ending of this chunk has; other programs may write no `claim_id`."""
    fields = ("_id", "claim_id", "transcribed_at", "failed_at")
    return tuple(str(chunk.get(name)) for name in fields)


def _times(recording: Recording, chunks: list[Document]) -> Iterator[datetime]:
    values = (chunk.get(name) for chunk in chunks for name in ("transcribed_at", "failed_at"))
    yield from (value for value in (*values, recording.ingested_at) if isinstance(value, datetime))


def _chunks(database: Database, recording_id: Any) -> list[Document]:
    found = database.chunks.find({"original_id": recording_id}, _STATE_FIELDS)
    return sorted(found, key=lambda chunk: str(chunk["_id"]))


def _failures(database: Database, recording_id: Any) -> Iterator[Mapping[str, Any]]:
    query = {"original_id": recording_id, **FAILED}
    found = database.chunks.find(query, ["index", "offset", "errors"])
    for chunk in found.sort("index").limit(_MAX_FAILURES):
        errors = read_errors(chunk)
        yield {
            "chunk": str(chunk["_id"]),
            "offset_seconds": read_number(chunk.get("offset")),
            "kind": errors[-1].kind if errors else "unknown",
            "message": errors[-1].message if errors else "",
        }
