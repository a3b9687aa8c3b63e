"""Names of recordings for people: to show them, and to find what a person names."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from stt.domain.chunk import Recording
from stt.store.database import Database, translated
from stt.store.documents import read_recording

NAME_FIELDS = ["filename", "path", "folder"]


@dataclass(frozen=True, slots=True)
class RecordingName:
    """`label`: the file name, with so many of its folders as others of that name make necessary.

    Without a document all are the id as text, and there is no path.
    """

    filename: str
    path: str | None
    label: str


def recording_names(database: Database, ids: Iterable[Any]) -> dict[Any, RecordingName]:
    """Return the names of these recordings. Raise DatabaseUnavailable."""
    names = {id_: RecordingName(str(id_ or ""), None, str(id_ or "")) for id_ in ids}
    known = [id_ for id_ in names if isinstance(id_, ObjectId)]
    with translated():
        with database.recordings.find({"_id": {"$in": known}}, NAME_FIELDS) as documents:
            found = [read_recording(document) for document in documents]
        labels = labels_in(database, found)
    return names | {r.id: RecordingName(r.filename, r.path, labels[r.id]) for r in found}


def labels_in(database: Database, recordings: Sequence[Recording]) -> dict[Any, str]:
    """Return labels of recordings that no other recording of the database has."""
    names = {name for recording in recordings for name in spellings(recording.filename)}
    namesakes: list[Recording] = []
    if names:
        with database.recordings.find({"filename": {"$in": sorted(names)}}, NAME_FIELDS) as found:
            namesakes = [read_recording(document) for document in found]
    return labels_of([*namesakes, *recordings])


def labels_of(recordings: Iterable[Recording]) -> dict[Any, str]:
    """Return labels that tell these recordings apart, by their ids.

    A label is the file name, or as much of the path and the folder before it as no other recording
    has; for recordings that lay in the same place, with the id behind it.
    """
    by_name: defaultdict[str, dict[Any, tuple[str, ...]]] = defaultdict(dict)
    for recording in recordings:
        parts = _parts_of(recording)
        by_name[parts[-1]][recording.id] = parts
    labels = {}
    for places in by_name.values():
        ends = Counter(end for parts in places.values() for end in _ends(parts))
        wholes = Counter(places.values())
        for id_, parts in places.items():
            own = next((end for end in _ends(parts) if ends[end] == 1), parts)
            label = "/".join(own)
            labels[id_] = label if wholes[parts] == 1 else f"{label} ({id_})"
    return labels


def named(name: str, recordings: Iterable[Recording]) -> list[Recording]:
    """Return the recordings that a person may mean by a name, a path, or the end of a path.

    A path may also begin before the folder of the recording. Prefer a whole path to an end.
    """
    wanted = tuple(part for part in _composed(name).split("/") if part not in ("", "."))
    whole, partly = [], []
    for recording in recordings:
        parts = _parts_of(recording)
        if parts == wanted and len(parts) > 1:
            whole.append(recording)
        elif wanted in _ends(parts) or parts in _ends(wanted) or recording.filename == name:
            partly.append(recording)
    return whole or partly


def full_path(recording: Recording) -> str:
    """Return its folder and its path, as far as they are known."""
    return "/".join(_parts_of(recording))


def folders_of(recording: Recording) -> tuple[str, ...]:
    """Return the path of the folder that a file was in, and those of the folders around that one.

    Empty where they are unknown.
    """
    parts = _parts_of(recording)[:-1]
    return tuple("/".join(parts[:count]) for count in range(len(parts), 0, -1))


def spellings(text: str) -> set[str]:
    """Return the forms in which Unicode may write the same letters, and the text as it is."""
    return {text, _composed(text), unicodedata.normalize("NFD", text)}


def _parts_of(recording: Recording) -> tuple[str, ...]:
    """Return the folder and the parts of the path; the file name alone where they are unknown."""
    filename, path = _composed(recording.filename), _composed(recording.path or "")
    *folders, last = path.split("/")
    if last != filename:
        return (filename,)
    return (*([_composed(recording.folder)] if recording.folder else []), *folders, filename)


def _ends(parts: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return the last part, the last two, and so on."""
    return [parts[-count:] for count in range(1, len(parts) + 1)]


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)
