"""Edits of the text: what readers get, what is kept, and who of two is told."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId

from stt.errors import EditConflict, HasEdits, NotFound
from stt.store import claims, edits
from stt.store.database import Database
from stt.store.edits import check_edits, count_edits, edit_segment
from stt.store.export import Export
from stt.store.recordings import MongoRecordings
from stt.store.search import Search
from stt.store.search_query import SearchQuery
from tests.support.queue_builder import document
from tests.support.recordings_in_queue import post_recording, set_chunk, transcribe

WORDS = [
    {"start": float(n), "end": n + 0.5, "word": f" {text}", "probability": 0.9}
    for n, text in enumerate(("I", "am", "Jon"))
]


@pytest.fixture
def chunk(database: Database) -> ObjectId:
    recording_id = post_recording(database, 1)
    chunk = transcribe(database, recording_id, 0, "I am Jon", " Hello. ")
    query = {"_id": chunk}
    database.chunks.update_one(query, {"$set": {"transcript.segments.0.words": WORDS}})
    return chunk


def segment(database: Database, chunk: ObjectId, number: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = document(database, chunk)["transcript"]["segments"][number]
    return found


def export(database: Database, chunk: ObjectId) -> Export:
    recording_id = document(database, chunk)["original_id"]
    return Export(database, MongoRecordings(database).get(recording_id))


def before_the_write(monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> None:
    """Do `work` once between reading a segment and writing it."""

    def update(*arguments: Any) -> Any:
        monkeypatch.setattr(edits, "_update", original)
        work()
        return original(*arguments)

    original = edits._update
    monkeypatch.setattr(edits, "_update", update)


class TestAnEdit:
    def test_readers_get_it_and_what_the_model_wrote_is_kept(
        self, database: Database, chunk: ObjectId
    ) -> None:
        before = document(database, chunk)
        edited = edit_segment(database, chunk, 0, "I am John", before="I am Jon")
        assert (edited.text, edited.model_text) == ("I am John", "I am Jon")
        stored = segment(database, chunk)
        assert (stored["text"], stored["model_text"]) == ("I am John", "I am Jon")
        assert stored["model_words"] == WORDS
        assert [word["word"].strip() for word in stored["words"]] == ["I", "am", "John"]
        assert stored["edited_at"].tzinfo is not None
        after = document(database, chunk)
        assert before.pop("transcript") != after.pop("transcript")
        assert before == after

    def test_exports_in_every_format_and_search_have_it(
        self, database: Database, chunk: ObjectId
    ) -> None:
        edit_segment(database, chunk, 0, "I am John", before="I am Jon")
        for name in ("txt", "srt", "vtt", "tsv", "json"):
            text = "".join(export(database, chunk).pieces(name))
            assert "John" in text
            assert "Jon\n" not in text
        [said, _] = json.loads("".join(export(database, chunk).pieces("json")))["segments"]
        assert said["words"][2]["word"].strip() == "John"
        search = Search(database)
        assert search.find(SearchQuery("John"), limit=5).hits[0].text == "I am John"
        assert search.find(SearchQuery("Jon"), limit=5).hits == ()

    def test_a_line_has_its_number_and_both_texts(
        self, database: Database, chunk: ObjectId
    ) -> None:
        edit_segment(database, chunk, 1, "Hallo.", before="Hello.")
        lines = export(database, chunk).lines(0, 10).lines
        assert [(line.segment, line.text, line.model_text) for line in lines] == [
            (0, "I am Jon", None),
            (1, "Hallo.", "Hello."),
        ]

    def test_it_is_taken_back_by_writing_what_the_model_wrote(
        self, database: Database, chunk: ObjectId
    ) -> None:
        before = document(database, chunk)
        edit_segment(database, chunk, 0, "You", before="I am Jon")
        edit_segment(database, chunk, 0, "", before="You")
        assert segment(database, chunk)["model_text"] == "I am Jon"
        restored = edit_segment(database, chunk, 0, "I am Jon", before="")
        assert restored.model_text is None
        assert document(database, chunk) == before

    def test_the_text_is_stored_on_one_line(self, database: Database, chunk: ObjectId) -> None:
        assert edit_segment(database, chunk, 1, " a\n b\0 ", before="Hello.").text == "a b"


class TestTwoWhoEditAtOnce:
    def test_the_second_is_told_what_it_is_now_and_nothing_is_lost(
        self, database: Database, chunk: ObjectId
    ) -> None:
        edit_segment(database, chunk, 0, "I am John", before="I am Jon")
        with pytest.raises(EditConflict, match="changed by someone else") as told:
            edit_segment(database, chunk, 0, "I am Joan", before="I am Jon")
        assert told.value.current == "I am John"
        assert segment(database, chunk)["text"] == "I am John"

    def test_also_between_reading_and_writing(
        self, database: Database, chunk: ObjectId, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def other() -> None:
            set_ = {"$set": {"transcript.segments.0.text": "Other"}}
            database.chunks.update_one({"_id": chunk}, set_)

        before_the_write(monkeypatch, other)
        with pytest.raises(EditConflict) as told:
            edit_segment(database, chunk, 0, "Mine", before="I am Jon")
        assert told.value.current == "Other"
        assert "model_text" not in segment(database, chunk)

    def test_edits_of_two_lines_of_a_chunk_are_both_kept(
        self, database: Database, chunk: ObjectId, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def other() -> None:
            edit_segment(database, chunk, 1, "Hi.", before="Hello.")

        before_the_write(monkeypatch, other)
        edit_segment(database, chunk, 0, "Mine", before="I am Jon")
        assert [segment(database, chunk, n)["text"] for n in (0, 1)] == ["Mine", "Hi."]

    def test_the_same_edit_again_is_done(self, database: Database, chunk: ObjectId) -> None:
        first = edit_segment(database, chunk, 0, "Mine", before="I am Jon")
        assert edit_segment(database, chunk, 0, "Mine", before="I am Jon") == first


def test_what_is_transcribed_again_cannot_be_edited(database: Database, chunk: ObjectId) -> None:
    claims.reset(database, [chunk])
    with pytest.raises(EditConflict, match="transcribed again"):
        edit_segment(database, chunk, 0, "Mine", before="I am Jon")


def test_a_segment_that_is_not_there_is_not_found(database: Database, chunk: ObjectId) -> None:
    for id_, number in ((chunk, 2), (ObjectId(), 0)):
        with pytest.raises(NotFound, match=f"has no segment {number}"):
            edit_segment(database, id_, number, "Mine", before="")
    empty = set_chunk(database, post_recording(database, 1), 0, transcript="odd")
    with pytest.raises(NotFound):
        edit_segment(database, empty, 0, "Mine", before="")


def test_edits_are_counted_and_said(database: Database, chunk: ObjectId) -> None:
    check_edits(database, {"_id": chunk})
    edit_segment(database, chunk, 0, "Mine", before="I am Jon")
    with pytest.raises(HasEdits, match="1 line was edited"):
        check_edits(database, {"_id": chunk})
    edit_segment(database, chunk, 1, "Mine", before="Hello.")
    assert count_edits(database, {"_id": chunk}) == 2
    assert count_edits(database, {"_id": ObjectId()}) == 0
