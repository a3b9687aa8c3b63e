"""Whose lines a search is for: what a speaker is called, in each recording.

The segments of chunks name local speakers only. `recording_speakers` has what people call them, in
an index; so a name leads to the recordings in which a speaker has it now, and no chunk changes when
it does.
"""

import re
from collections.abc import Sequence
from typing import Any

from bson import ObjectId

from stt.domain.speakers import RecordingSpeakers, name_key
from stt.store import recording_speakers
from stt.store.database import Database, Document, translated
from stt.store.documents import read_mappings, read_recording, read_text
from stt.store.search_query import BadQuery

_ID = re.compile(r"speaker_[0-9]+")


class SpeakerSearch:
    """Finds what one speaker says, or all do without a `name`. For one search, and one thread."""

    def __init__(self, database: Database, name: str | None) -> None:
        self._db = database
        self.name = name_key(name) or None
        self._recording_id: Any = None  # hits come by recording
        self._speakers = RecordingSpeakers()
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
        if not named and _ID.fullmatch(self.name):
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
        self._read(recording_id)
        return [id_ in self._meant for id_ in local_ids]

    def label(self, recording_id: Any, local_id: str | None) -> str | None:
        """Return what a local speaker is called; None if that is not known."""
        if not local_id:
            return None
        self._read(recording_id)
        return self._speakers.label(local_id)

    def _read(self, recording_id: Any) -> None:
        if recording_id == self._recording_id:
            return
        with translated():
            document = self._db.recordings.find_one({"_id": recording_id})
        found = RecordingSpeakers()
        if document is not None:
            found = recording_speakers.read(self._db, read_recording(document))
        self._recording_id, self._speakers = recording_id, found
        self._meant = found.local_ids(self.name) if self.name else frozenset()
