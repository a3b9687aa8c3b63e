"""Reading documents of any origin, and writing transcripts."""

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from stt.domain.chunk import Chunk, RecordedError
from stt.domain.transcript import Segment, Transcript, Word
from stt.errors import SttError
from stt.store.documents import (
    read_chunk,
    read_errors,
    read_recording,
    read_transcript,
    write_transcript,
)

ID = ObjectId()
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_full_chunk_is_read() -> None:
    document: dict[str, Any] = {
        "_id": ObjectId(), "original_id": ID, "index": 3, "start": NOW, "offset": 90,
        "duration": 29.5, "format": "opus", "vad": {"has_speech": True}, "attempts": 1,
        "expirations": 2, "not_before": NOW,
    }  # fmt: skip
    expected = Chunk(document["_id"], ID, 3, NOW, 90.0, 29.5, "opus", True, 1, 2, NOW)
    assert read_chunk(document) == expected


@pytest.mark.parametrize("nonsense", ["text", [], {}, True, float("nan"), 3])
def test_a_field_of_the_wrong_type_counts_as_missing(nonsense: object) -> None:
    fields = ("not_before", "start", "vad", "errors", "solo", "format")
    numbers = () if nonsense == 3 else ("duration", "offset", "attempts")
    document = {"_id": ID, **dict.fromkeys((*fields, *numbers), nonsense)}
    chunk = read_chunk(document)
    assert chunk == Chunk(ID, None, 0, format=chunk.format, isolated=nonsense is True)
    assert chunk.format == (nonsense if isinstance(nonsense, str) else None)


def test_an_unhashable_recording_id_counts_as_missing() -> None:
    assert read_chunk({"_id": ID, "original_id": {"a": 1}}).recording_id is None


def test_the_servers_of_earlier_errors_are_known() -> None:
    errors = [{"server": "http://a"}, "odd", {"server": 3}, {"server": "http://b"}]
    assert read_chunk({"_id": ID, "errors": errors}).failed_on == {"http://a", "http://b"}


def test_a_recording_without_a_name_is_called_by_its_id() -> None:
    assert read_recording({"_id": ID}).filename == str(ID)


@pytest.mark.parametrize(
    ("stored", "language"),
    [("German", "de"), ("auto", None), ("", None), (None, None), (7, None), ("klingon", "klingon")],
)
def test_a_language_that_another_program_wrote_is_read_as_its_code(
    stored: object, language: str | None
) -> None:
    assert read_recording({"_id": ID, "language": stored}).language == language


@pytest.mark.parametrize("stored", ["transcribe", None, "sing", 7])
def test_anything_but_translate_is_transcribed(stored: object) -> None:
    assert read_recording({"_id": ID, "task": stored}).task == "transcribe"
    assert read_recording({"_id": ID, "task": "translate"}).task == "translate"


def test_only_null_means_that_chunks_are_still_being_cut() -> None:
    assert read_recording({"_id": 1, "ingested_at": None}).is_ingesting
    assert not read_recording({"_id": 1, "ingested_at": NOW}).is_ingesting
    assert not read_recording({"_id": 1}).is_ingesting


def test_odd_entries_among_the_errors_are_left_out() -> None:
    errors = [{"at": NOW, "kind": "fault", "message": "out of memory", "worker": "a_1"}, 7, {}]
    assert read_errors({"errors": errors}) == (
        RecordedError(NOW, "fault", "out of memory", "a_1", None),
        RecordedError(None, "unknown", "", "", None),
    )
    assert read_errors({"errors": "many"}) == read_errors({}) == ()


def test_a_transcript_is_read_as_it_was_written() -> None:
    words = (Word(0.0, 0.4, "hello", 0.9), Word(0.4, 1.0, "you", None))
    segments = (Segment(0.0, 1.0, "hello you", -0.2, 0.01, words, "en"), Segment(1.0, 2.0, "yes"))
    transcript = Transcript(segments, "en", 0.98, "tiny", "http://a", "a_1", 1.5, 0.7, "translate")
    written = write_transcript(transcript)
    assert read_transcript({"_id": ID, "transcript": written}) == transcript
    assert not {"words", "language"} & written["segments"][1].keys()


@pytest.mark.parametrize("odd", ["soon", -1.0, float("nan"), None])
def test_speech_without_text_is_0_where_a_document_does_not_count_it(odd: object) -> None:
    stored: list[dict[str, object]] = [{"segments": []}, {"silent_speech_seconds": odd}]
    for transcript in stored:
        assert read_transcript({"_id": ID, "transcript": transcript}) == Transcript()


def test_no_transcript_at_all_is_silence() -> None:
    assert read_transcript({"_id": ID}) == Transcript()


@pytest.mark.parametrize("odd", ["text", {"segments": [3]}, {"segments": [{"start": "soon"}]}])
def test_a_transcript_that_cannot_be_read_names_its_chunk(odd: object) -> None:
    with pytest.raises(SttError, match=f"The transcript of chunk {ID} cannot be read"):
        read_transcript({"_id": ID, "transcript": odd})


@pytest.mark.parametrize("path", ["/Users/me/Audio/talk.m4a", "C:\\Audio\\talk.m4a", "talk.m4a"])
def test_a_recording_without_a_name_is_called_by_its_path(path: str) -> None:
    assert read_recording({"_id": ID, "path": path}).filename == "talk.m4a"
    assert read_recording({"_id": ID, "path": path, "filename": "b.wav"}).filename == "b.wav"
    assert read_recording({"_id": ID, "path": 5}).filename == str(ID)
