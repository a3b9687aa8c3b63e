"""Count chunks by state, and sum up their audio. Every function raises DatabaseUnavailable."""

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from stt.store.database import Database, Document, translated
from stt.store.documents import read_count, read_hashable, read_positive, read_time
from stt.store.states import PENDING, STATE_EXPRESSION, Query

# As an expression: null and missing come before every other value.
_IS_SILENT = {
    "$or": [{"$eq": ["$transcript.segments", []]}, {"$lte": ["$transcript.segments", None]}]
}

_CHUNKS_PER_COUNT = 50
"""So many chunks are summed up in the time that the embedded database takes for one count."""


@dataclass(frozen=True, slots=True)
class StateCounts:
    """The number of chunks in each state."""

    pending: int = 0
    processing: int = 0
    transcribed: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        return self.pending + self.processing + self.transcribed + self.failed

    @property
    def open(self) -> int:
        """Chunks that are pending or processing."""
        return self.pending + self.processing


def state_of_recording(counts: StateCounts, *, is_ingesting: bool) -> str:
    """Return the word for a recording with these chunks, as the glossary has it."""
    if is_ingesting:
        return "preparing"
    if counts.open:
        return "transcribing" if counts.processing else "waiting"
    if not counts.failed:
        return "done"
    return "partly failed" if counts.transcribed else "failed"


@dataclass(frozen=True, slots=True)
class RecordingSums:
    """The chunks of a recording by state, and the seconds of speech in them that gave no text."""

    counts: StateCounts = StateCounts()
    silent_speech_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over some chunks: `empty` have no words, `resting` wait after a failure.

    `audio_seconds` are those of the recordings: channels that are transcribed one by one last as
    long together as each of them. `first_at`: when the first chunk was transcribed, None if
    none was.
    """

    chunks: int = 0
    audio_seconds: float = 0.0
    empty: int = 0
    resting: int = 0
    first_at: datetime | None = None

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(
            self.chunks + other.chunks,
            self.audio_seconds + other.audio_seconds,
            self.empty + other.empty,
            self.resting + other.resting,
            min(filter(None, (self.first_at, other.first_at)), default=None),
        )


def sums_of_all(database: Database) -> dict[Any, RecordingSums]:
    """Sum up all chunks by recording, each once."""
    found = _sums_by_index(database) if database.counts_by_index else None
    return sums_by_recording(database, {}) if found is None else found


def _sums_by_index(database: Database) -> dict[Any, RecordingSums] | None:
    """Sum up the chunks that are not pending, and count all of each recording in an index.

    Return None if chunks have no recording, some came or went meanwhile, or it would take longer.
    """
    with translated():
        total = database.count_chunks({})
        ids = [document["_id"] for document in database.recordings.find({}, ["_id"])]
        if len(ids) * _CHUNKS_PER_COUNT > total:
            return None
        # In one read: a chunk that changes its state meanwhile is counted in one of them.
        others = sums_by_recording(database, {"$nor": [PENDING]})
        totals = {id_: database.count_chunks({"original_id": id_}) for id_ in ids}
    if sum(totals.values()) != total or not others.keys() <= totals.keys():
        return None
    found: dict[Any, RecordingSums] = {}
    for id_, chunks in totals.items():
        sums = others.get(id_, RecordingSums())
        pending = chunks - sums.counts.total
        if pending < 0:
            return None
        if chunks:
            found[id_] = replace(sums, counts=replace(sums.counts, pending=pending))
    return found


def sums_by_recording(database: Database, query: Query) -> dict[Any, RecordingSums]:
    """Sum up the chunks that match by recording, each once."""
    key = {"recording": "$original_id", "state": STATE_EXPRESSION}
    silent = {"$sum": "$transcript.silent_speech_seconds"}  # of numbers; others count as 0
    group = {"$group": {"_id": key, "chunks": {"$sum": 1}, "silent": silent}}
    counts: defaultdict[Any, Counter[str]] = defaultdict(Counter)
    silent_seconds: defaultdict[Any, float] = defaultdict(float)
    with translated():
        for row in database.chunks.aggregate([{"$match": query}, group]):
            recording_id = read_hashable(row["_id"].get("recording"))
            counts[recording_id][row["_id"]["state"]] += int(row["chunks"])
            silent_seconds[recording_id] += read_positive(row["silent"]) or 0.0
    return {id_: RecordingSums(StateCounts(**counts[id_]), silent_seconds[id_]) for id_ in counts}


def sum_up(database: Database, query: Query, now: datetime) -> Totals:
    """Read each chunk that matches once; one that rests is pending until after `now`."""
    return sum(sums_by(database, query, now, None).values(), Totals())


def sums_by(database: Database, query: Query, now: datetime, key: Any) -> dict[Any, Totals]:
    """Like `sum_up`, by the values of `key`, an expression."""
    group: Document = {
        "_id": {"channels": "$channels", "key": key},
        "chunks": {"$sum": 1},
        "audio": {"$sum": "$duration"},
        "empty": {"$sum": {"$cond": [_IS_SILENT, 1, 0]}},
        "resting": {"$sum": {"$cond": [{"$gt": ["$not_before", now]}, 1, 0]}},
        "first": {"$min": "$transcribed_at"},
    }
    found: defaultdict[Any, Totals] = defaultdict(Totals)
    with translated():
        for row in database.chunks.aggregate([{"$match": query}, {"$group": group}]):
            seconds = read_positive(row.get("audio")) or 0.0
            found[row["_id"].get("key")] += Totals(
                chunks=read_count(row.get("chunks")),
                audio_seconds=seconds / max(read_count(row["_id"].get("channels")), 1),
                empty=read_count(row.get("empty")),
                resting=read_count(row.get("resting")),
                first_at=read_time(row.get("first")),
            )
    return dict(found)
