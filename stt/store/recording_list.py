"""List recordings: those that match a filter, in an order, a page at a time."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from bson import ObjectId

from stt.domain.chunk import Recording
from stt.domain.field_types import HexId
from stt.store.database import Database, Document, Repository
from stt.store.documents import read_recording, read_time
from stt.store.recording_names import NAME_FIELDS, folders_of, full_path, spellings
from stt.store.recordings import MongoRecordings, RecordingDetails
from stt.store.states import FAILED, UNFINISHED, Query
from stt.store.text_summary import ReadSummaries, TextSummaries, TextSummary, summaries_of_all

ListState = Literal["all", "open", "done", "failed"]
Sort = Literal[
    "new", "old", "name", "-name", "folder", "-folder", "length", "-length", "recorded",
    "-recorded", "language", "-language", "model", "-model", "state", "-state",
]  # fmt: skip
"""With "-" the largest first; recordings without the value come last in both directions."""

_FIELDS = [
    *NAME_FIELDS, "duration", "start", "created_at", "language", "model", "ingested_at"
]  # fmt: skip
_MAX_KEY = 300
_ID_DIGITS = 24

CURSOR_PATTERN = f"^[0-9a-f]{{{_ID_DIGITS}}}(-|$)"
"""An id, and behind a "-" the recording's key in the order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingFilter:
    """Which recordings are wanted; None and "" leave nothing out. Times are aware.

    `search`: a part of the file name, of its path or of its folder. `state`: open if a chunk is
    pending, processing or still to be cut; failed if one has failed (the recording may be open
    too); done otherwise. `folder`: as `folders_of` names them. `language`: the code of the one that
    most chunks of the text are in, `model`: one that made text of it; without text those that it is
    to have. `recorded` and `added`: from a time on, and before another one. `seconds`: the least
    and the largest length.
    """

    search: str = ""
    state: ListState = "all"
    ids: Sequence[ObjectId] | None = None
    folder: str = ""
    language: str = ""
    model: str = ""
    recorded: tuple[datetime | None, datetime | None] = (None, None)
    added: tuple[datetime | None, datetime | None] = (None, None)
    seconds: tuple[float | None, float | None] = (None, None)


ANY = RecordingFilter()


@dataclass(frozen=True, slots=True)
class RecordingList:
    """A page of recordings, the cursor of the next page, and how many there are on all pages."""

    recordings: tuple[RecordingDetails, ...]
    cursor: str | None
    total: int


@dataclass(frozen=True, slots=True)
class RecordingIds:
    """The recordings that match a filter, in order."""

    ids: tuple[HexId, ...]


@dataclass(frozen=True, slots=True)
class FilterChoice:
    """A value that recordings have, and how many of them."""

    value: str
    recordings: int


@dataclass(frozen=True, slots=True)
class FilterChoices:
    """What recordings can be filtered by, by name; a folder counts those of its subfolders too."""

    folders: tuple[FilterChoice, ...]
    languages: tuple[FilterChoice, ...]
    models: tuple[FilterChoice, ...]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """What a recording is filtered and sorted by."""

    recording: Recording
    added_at: datetime
    folders: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    state: str = field(default="")


class RecordingLister(Repository):
    """Lists recordings of one database. Safe between threads.

    `read_summaries`: reads languages and models of all text, which reads every chunk, for filters,
    orders and choices of these.
    """

    def __init__(self, database: Database, read_summaries: ReadSummaries | None = None) -> None:
        super().__init__(database)
        self._recordings = MongoRecordings(database)
        self._read_summaries = read_summaries or (lambda: summaries_of_all(database))

    def page(
        self,
        wanted: RecordingFilter = ANY,
        *,
        sort: Sort = "new",
        cursor: str | None = None,
        limit: int = 50,
    ) -> RecordingList:
        """Return up to `limit` recordings that follow `cursor`, the end of the page before.

        Read some fields of all recordings, and the chunks of those on the page; for a state all
        open or failed chunks too.
        """
        keys = self._keys(wanted, sort)
        ordered = _ordered(keys, sort)
        begin = 0 if cursor is None else _begin(keys, sort, cursor)
        shown = ordered[begin : begin + limit]
        has_more = len(ordered) > begin + len(shown)
        end = _cursor(shown[-1], keys[shown[-1]]) if shown and has_more else None
        return RecordingList(tuple(self._recordings.details_of(shown)), end, len(ordered))

    def ids(self, wanted: RecordingFilter = ANY, *, sort: Sort = "new") -> RecordingIds:
        """Return the ids of all that match, in order."""
        return RecordingIds(tuple(_ordered(self._keys(wanted, sort), sort)))

    def choices(self) -> FilterChoices:
        """Return the folders, languages and models that there are."""
        folders, languages, models = Counter[str](), Counter[str](), Counter[str]()
        for one in self._candidates(ANY, self._read_summaries()):
            folders.update(one.folders)
            languages.update(one.languages[:1])
            models.update(one.models)
        return FilterChoices(*map(_choices, (folders, languages, models)))

    def _keys(self, wanted: RecordingFilter, sort: Sort) -> dict[ObjectId, str | None]:
        """Return the keys to sort by of all that match; None where the value is unknown."""
        by = sort.lstrip("-")
        needs_summaries = wanted.language or wanted.model or by in ("language", "model")
        found = self._candidates(wanted, self._read_summaries() if needs_summaries else {})
        if wanted.state != "all" or by == "state":
            found = self._with_states(found)
        key = _KEYS.get(by)
        return {
            one.recording.id: key(one) if key else None for one in found if _matches(one, wanted)
        }

    def _candidates(
        self, wanted: RecordingFilter, summaries: TextSummaries
    ) -> Iterator[_Candidate]:
        query: Document = {} if wanted.ids is None else {"_id": {"$in": list(wanted.ids)}}
        if search := wanted.search.replace("\0", ""):
            pattern = "|".join(map(re.escape, sorted(spellings(search))))
            match = {"$regex": pattern, "$options": "i"}
            query["$or"] = [{name: match} for name in NAME_FIELDS]
        with self._db.recordings.find(query, _FIELDS) as cursor:
            for document in cursor:
                if isinstance(document["_id"], ObjectId):
                    yield _candidate(document, summaries.get(document["_id"], TextSummary()))

    def _with_states(self, found: Iterator[_Candidate]) -> Iterator[_Candidate]:
        open_ids, failed_ids = self._with_chunks(UNFINISHED), self._with_chunks(FAILED)
        for one in found:
            id_ = one.recording.id
            is_open = one.recording.is_ingesting or id_ in open_ids
            states = [*(["failed"] if id_ in failed_ids else []), *(["open"] if is_open else [])]
            yield _Candidate(
                one.recording, one.added_at, one.folders, one.languages, one.models,
                " ".join(states) or "done",
            )  # fmt: skip

    def _with_chunks(self, query: Query) -> Collection[ObjectId]:
        found = self._db.chunks.distinct("original_id", query)
        return {recording_id for recording_id in found if isinstance(recording_id, ObjectId)}


def _candidate(document: Document, summary: TextSummary) -> _Candidate:
    recording = read_recording(document)
    asked = [(recording.language,), (recording.model,)]
    languages, models = (
        tuple(filter(None, found or asked_for))
        for found, asked_for in zip((summary.languages, summary.models), asked, strict=True)
    )
    added_at = read_time(document.get("created_at")) or document["_id"].generation_time
    return _Candidate(recording, added_at, folders_of(recording), languages, models)


def _matches(one: _Candidate, wanted: RecordingFilter) -> bool:
    recording = one.recording
    return (
        (wanted.state == "all" or wanted.state in one.state.split())
        and (not wanted.folder or wanted.folder in one.folders)
        and (not wanted.language or wanted.language in one.languages[:1])
        and (not wanted.model or wanted.model in one.models)
        and _is_within(recording.start, wanted.recorded)
        and _is_within(one.added_at, wanted.added)
        and _has_length(recording.duration, wanted.seconds)
    )


def _is_within(at: datetime | None, bounds: tuple[datetime | None, datetime | None]) -> bool:
    begin, end = bounds
    if at is None:
        return begin is None and end is None
    return (begin is None or at >= begin) and (end is None or at < end)


def _has_length(seconds: float | None, bounds: tuple[float | None, float | None]) -> bool:
    least, most = bounds
    if seconds is None:
        return least is None and most is None
    return (least is None or seconds >= least) and (most is None or seconds <= most)


def _natural(text: str) -> str:
    """Return a key by which "part 2" comes before "part 10"."""
    return re.sub(r"\d+", lambda digits: digits[0].zfill(10), text.casefold())


_KEYS: Mapping[str, Callable[[_Candidate], str | None]] = {
    "name": lambda one: _natural(f"{one.recording.filename}/{full_path(one.recording)}"),
    "folder": lambda one: (
        _natural(f"{one.folders[0]}\t{one.recording.filename}") if one.folders else None
    ),
    "length": lambda one: (
        None if one.recording.duration is None else f"{one.recording.duration:015.3f}"
    ),
    "recorded": lambda one: (
        one.recording.start.astimezone(UTC).isoformat() if one.recording.start else None
    ),
    "language": lambda one: next(iter(one.languages), None),
    "model": lambda one: next(iter(one.models), None),
    "state": lambda one: str(["done", "open", "failed"].index(one.state.split()[0])),
}
"""By what is sorted by; recordings with equal keys are sorted by age."""


def _ordered(keys: Mapping[ObjectId, str | None], sort: Sort) -> list[ObjectId]:
    is_descending = sort == "new" or sort.startswith("-")
    known = sorted(((key[:_MAX_KEY], id_) for id_, key in keys.items() if key is not None),
                   reverse=is_descending)  # fmt: skip
    unknown = sorted((id_ for id_, key in keys.items() if key is None), reverse=is_descending)
    return [id_ for _, id_ in known] + unknown


def _cursor(id_: ObjectId, key: str | None) -> str:
    return str(id_) if key is None else f"{id_}-{key[:_MAX_KEY]}"


def _begin(keys: Mapping[ObjectId, str | None], sort: Sort, cursor: str) -> int:
    """Return where the page begins that follows a recording, which may be gone or changed."""
    last, has_key = ObjectId(cursor[:_ID_DIGITS]), len(cursor) > _ID_DIGITS
    key = cursor[_ID_DIGITS + 1 :] if has_key else None
    return _ordered({**keys, last: key}, sort).index(last) + (last in keys)


def _choices(found: Counter[str]) -> tuple[FilterChoice, ...]:
    return tuple(FilterChoice(value, found[value]) for value in sorted(found, key=_natural))
