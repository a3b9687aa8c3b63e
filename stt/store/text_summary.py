"""What the text of recordings is in and what made it: languages and models."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from stt.store.database import Database, translated
from stt.store.documents import read_hashable, read_text
from stt.store.recording_windows import recording_windows
from stt.store.states import Query
from stt.transcripts.languages import foreign_language


@dataclass(frozen=True, slots=True)
class TextSummary:
    """Spoken languages and models of a recording's text; those of the most chunks first."""

    languages: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


TextSummaries = Mapping[Any, TextSummary]
"""By the recording's id; recordings without text may be missing."""


def summaries_of(database: Database, recording_ids: Iterable[ObjectId]) -> TextSummaries:
    """Sum up the text of these recordings. Raise DatabaseUnavailable."""
    ids = list(recording_ids)
    return _summaries(database, [{"original_id": {"$in": ids}}] if ids else [])


def summaries_of_all(database: Database) -> TextSummaries:
    """Read all chunks, some recordings at a time. Raise DatabaseUnavailable."""
    with translated():
        return _summaries(database, recording_windows(database))


def _summaries(database: Database, queries: Iterable[Query]) -> TextSummaries:
    key = {
        "recording": "$original_id",
        "language": "$transcript.language",
        "model": "$transcript.model",
    }
    group = {"$group": {"_id": key, "chunks": {"$sum": 1}}}
    languages: defaultdict[Any, Counter[str]] = defaultdict(Counter)
    models: defaultdict[Any, Counter[str]] = defaultdict(Counter)
    for query in queries:
        with translated():
            rows = list(database.chunks.aggregate([{"$match": query}, group]))
        for row in rows:
            recording_id = read_hashable(row["_id"].get("recording"))
            if language := foreign_language(row["_id"].get("language")):
                languages[recording_id][language] += int(row["chunks"])
            if model := read_text(row["_id"].get("model")):
                models[recording_id][model] += int(row["chunks"])
    return {
        id_: TextSummary(_ranked(languages[id_]), _ranked(models[id_]))
        for id_ in {**languages, **models}
    }


def _ranked(counts: Counter[str]) -> tuple[str, ...]:
    return tuple(sorted(counts, key=lambda name: (-counts[name], name)))


ReadSummaries = Callable[[], TextSummaries]
"""Return a summary of each recording's text, perhaps as it was some seconds ago."""
