"""Edits of a transcript's text by people: what a segment says, while what the model wrote stays.

A segment that was edited has what the model wrote in `model_text`, its words in `model_words`, and
`edited_at`. Exports, pages and the search read `text`, so they need to know nothing of edits. No
edit changes the state of a chunk, and only one that is transcribed can be edited: the earlier text
of a chunk that is transcribed again would be replaced.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from stt.domain.transcript import Segment
from stt.errors import EditConflict, HasEdits, NotFound
from stt.store.chunk_key import key_of
from stt.store.database import Database, Document, translated
from stt.store.documents import (
    read_chunk,
    read_list,
    read_mapping,
    read_segment,
    read_text,
    write_segment,
)
from stt.store.states import EDITED, TRANSCRIBED, Query
from stt.transcripts.cues import one_line
from stt.transcripts.edited_text import with_text

_FIELDS = ["original_id", "transcribed_at", "transcript.segments"]
_TRIES = 3
_MARKS = ("model_text", "model_words", "edited_at")


@dataclass(frozen=True, slots=True)
class EditedText:
    """The text of a segment, and what the model wrote; None where that is the same."""

    text: str
    model_text: str | None


def edit_segment(
    database: Database, chunk_id: ObjectId, number: int, text: str, *, before: str
) -> EditedText:
    """Change what segment `number` of a chunk says, if it still says `before`.

    To write what the model wrote takes the edit back. Raise NotFound, EditConflict.
    """
    text = one_line(text)
    for _ in range(_TRIES):
        document, stored = _segment(database, chunk_id, number)
        current = (read_text(stored.get("text")) or "").strip()
        if document.get("transcribed_at") is None:
            raise EditConflict("This part is being transcribed again: edit its new text.", current)
        if current == text:  # also by a try of ours whose answer was lost
            return EditedText(text, read_text(stored.get("model_text")))
        if current != before.strip():
            break
        place = f"transcript.segments.{number}."
        update, edited = _update(stored, text, place)
        as_read = {f"{place}{name}": stored.get(name) for name in ("start", "text")}
        query = {**key_of(read_chunk(document)), **TRANSCRIBED, **as_read}
        with translated():
            if database.chunks.update_one(query, update).matched_count:
                return edited
    raise EditConflict("This line was changed by someone else in the meantime.", current)


def _segment(
    database: Database, chunk_id: ObjectId, number: int
) -> tuple[Document, Mapping[str, Any]]:
    """Return a chunk's document and one of its segments as stored; raise NotFound."""
    with translated():
        document = database.chunks.find_one({"_id": chunk_id}, _FIELDS) or {}
    segments = read_list(read_mapping(document.get("transcript")).get("segments"))
    if number >= len(segments):
        raise NotFound(f"Chunk {chunk_id} has no segment {number}.")
    return document, read_mapping(segments[number])


def count_edits(database: Database, query: Query) -> int:
    """Return how many segments of the chunks that match were edited."""
    fields = ["transcript.segments.model_text"]
    with translated(), database.chunks.find({**query, **EDITED}, fields) as found:
        return sum(len(read_model_texts(document)) for document in found)


def check_edits(database: Database, query: Query) -> None:
    """Raise HasEdits if any segment of the chunks that match was edited."""
    if count := count_edits(database, query):
        lines = "line was" if count == 1 else "lines were"
        raise HasEdits(f"{count} {lines} edited: to transcribe again would drop that.")


def read_model_texts(document: Mapping[str, Any]) -> dict[int, str]:
    """Return what the model wrote in the edited segments of a chunk's document, by number."""
    segments = read_list(read_mapping(document.get("transcript")).get("segments"))
    found = ((n, read_text(read_mapping(s).get("model_text"))) for n, s in enumerate(segments))
    return {number: text for number, text in found if text is not None}


def _update(stored: Mapping[str, Any], text: str, place: str) -> tuple[Document, EditedText]:
    """Return the update that gives a stored segment this text; `place`: the path of its fields."""
    by_model = _by_model(stored)
    if text == by_model.text:
        words = {"words": stored["model_words"]} if "model_words" in stored else {}
        fields = {"text": text, **words}
        gone = {f"{place}{name}": "" for name in _MARKS if name in stored}
        update: Document = {"$set": {f"{place}{name}": value for name, value in fields.items()}}
        return update | ({"$unset": gone} if gone else {}), EditedText(text, None)
    written = write_segment(with_text(by_model, text))
    fields = {"text": text, "model_text": by_model.text}
    if by_model.words:
        fields["words"] = written.get("words", [])
        fields["model_words"] = stored.get("model_words", stored.get("words"))
    update = {
        "$set": {f"{place}{name}": value for name, value in fields.items()},
        "$currentDate": {f"{place}edited_at": True},
    }
    return update, EditedText(text, by_model.text)


def _by_model(stored: Mapping[str, Any]) -> Segment:
    names = {"text": "model_text", "words": "model_words"}
    kept = {name: stored[source] for name, source in names.items() if source in stored}
    return read_segment({**stored, **kept})
