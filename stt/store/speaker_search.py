"""Whose lines a search is for: what a speaker is called, in each recording.

The segments of chunks name local speakers only. `recording_speakers` has what people call them, in
an index; so a name leads to the recordings in which a speaker has it now, and no chunk changes when
it does.
"""

from collections.abc import Sequence
from typing import Any

from bson import ObjectId

from stt.domain.chunk import Recording
from stt.domain.speakers import ID_PATTERN, RecordingSpeakers, name_key
from stt.store import recording_speakers
from stt.store.database import Database, Document, translated
from stt.store.documents import read_mappings, read_recording, read_text
from stt.store.search_query import BadQuery

_FIELDS = ["speakers.id", "speakers.seconds", "speakers.name", "speakers.into", "of_local"]
"""Without embeddings, which are most of a document."""


class SpeakerSearch:
    """Finds what one speaker says, or all do without a `name`. For one search, and one thread.

    It goes by the speakers as stored. To join them reads all chunks of a recording: that is done
    only for a call of which nothing is stored, and once for each recording.
    """

    def __init__(self, database: Database, name: str | None) -> None:
        self._db = database
        self.name = name_key(name) or None
        self._recording_id: Any = None  # hits come by recording
        self._recording: Recording | None = None  # None without speakers
        self._is_joined = False
        self._speakers = RecordingSpeakers()
        self._calls: set[str] = set()
        self._meant: frozenset[str] = frozenset()

    def recordings(self, ids: Sequence[ObjectId] | None) -> Sequence[ObjectId] | None:
        """Return those of these recordings, None for all, in which a speaker may be called so.

        Raise BadQuery for the id of a speaker in several recordings.
        """
        if self.name is None or (ids is not None and len(ids) <= 1):
            return ids
        # Documents from before `names` have none: compare the names of their speakers.
        query = {"names": {"$in": [self.name, None]}}
        with translated(), self._db.speakers.find(query, ["speakers.name"]) as found:
            named = {document["_id"] for document in found if self._is_named_in(document)}
        if not named and ID_PATTERN.fullmatch(self.name):
            raise BadQuery(
                f"{self.name.upper()} is another speaker in each recording: choose one recording,"
                " or search for a name."
            )
        return list(named if ids is None else named.intersection(ids))

    def _is_named_in(self, document: Document) -> bool:
        speakers = read_mappings(document.get("speakers"))
        return any(name_key(read_text(one.get("name"))) == self.name for one in speakers)

    def says(self, recording_id: Any, local_ids: Sequence[str | None]) -> list[bool]:
        """Return of which of these local speakers' segments the text is searched."""
        if self.name is None:
            return [True] * len(local_ids)
        self._read(recording_id, local_ids)
        return [id_ in self._meant for id_ in local_ids]

    def label(self, recording_id: Any, local_id: str | None) -> str | None:
        """Return what a local speaker is called; None if that is not known."""
        if not local_id:
            return None
        self._read(recording_id, [local_id])
        return self._speakers.label(local_id)

    def _read(self, recording_id: Any, local_ids: Sequence[str | None]) -> None:
        """Read the speakers of a recording; join them if these are of a call that is new."""
        if self._recording_id != recording_id:
            self._recording_id = recording_id
            self._read_stored(recording_id)
        calls = {_call_of(id_) for id_ in local_ids if id_}
        if self._recording and not self._is_joined and not calls <= self._calls:
            self._is_joined = True
            self._use(recording_speakers.read(self._db, self._recording))

    def _read_stored(self, recording_id: Any) -> None:
        query = {"_id": recording_id}
        with translated():
            document = self._db.recordings.find_one(query)
            recording = None if document is None else read_recording(document)
            is_asked_for = recording is not None and recording.speakers is not None
            self._recording = recording if is_asked_for else None
            stored = self._db.speakers.find_one(query, _FIELDS) if is_asked_for else None
        self._is_joined = False
        self._use(recording_speakers.read_document(stored or {}))

    def _use(self, speakers: RecordingSpeakers) -> None:
        self._speakers = speakers
        self._calls = {_call_of(id_) for id_ in speakers.of_local}
        self._meant = speakers.local_ids(self.name) if self.name else frozenset()


def _call_of(local_id: str) -> str:
    return local_id.partition(":")[0]
