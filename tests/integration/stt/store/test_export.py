"""Exports from a real database: the places of chunks, what is missing, files that stay inside."""

import json
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from stt.domain.chunk import Recording
from stt.domain.claim import Claims
from stt.domain.transcript import Segment, Transcript
from stt.errors import SttError
from stt.store import claims
from stt.store.database import Database
from stt.store.export import Export, Line
from stt.store.recordings import MongoRecordings
from stt.store.search import Search
from stt.store.search_query import SearchQuery
from stt.store.spans import UntranscribedSpan
from stt.transcripts.cue_splitting import DEFAULT_LIMITS, NO_LIMITS, CueLimits
from stt.transcripts.files import file_name, save
from stt.transcripts.formats import Gap
from tests.support.queue_builder import START, add_chunks, add_recording, chunk, claimed

DONE_AT = datetime(2026, 1, 2, tzinfo=UTC)
NO_TEXT = {"transcribed_at": None, "transcript": None}


def heard(*segments: tuple[float, float, str]) -> dict[str, Any]:
    found = [{"start": start, "end": end, "text": text} for start, end, text in segments]
    return {"transcript": {"segments": found}, "transcribed_at": DONE_AT}


def set_fields(database: Database, chunk_id: ObjectId, **fields: Any) -> None:
    database.chunks.update_one({"_id": chunk_id}, {"$set": fields})


def unset(database: Database, *fields: str) -> None:
    database.chunks.update_many({}, {"$unset": dict.fromkeys(fields, "")})


def export_of(database: Database, recording_id: ObjectId) -> Export:
    return Export(database, MongoRecordings(database).find(str(recording_id)))


def starts(export: Export) -> list[float]:
    return [cue.start for cue in export.cues()]


@pytest.fixture
def recording_id(database: Database) -> ObjectId:
    """Three chunks of 30 s, all done; `word` is said one second into each."""
    recording_id = add_recording(database, filename="talk.mp3", chunk_count=3, duration=90.0)
    add_chunks(database, 3, recording_id=recording_id, **heard((1.0, 2.0, "word")))
    return recording_id


def ids_of(database: Database, recording_id: ObjectId) -> list[ObjectId]:
    return [c["_id"] for c in database.chunks.find({"original_id": recording_id}).sort("index")]


class TestPlaces:
    def test_times_run_over_the_whole_recording(
        self, database: Database, recording_id: ObjectId
    ) -> None:
        export = export_of(database, recording_id)
        assert list(export.cues()) == [
            Segment(1.0, 2.0, "word"), Segment(31.0, 32.0, "word"), Segment(61.0, 62.0, "word"),
        ]  # fmt: skip
        assert export.header.completed_at == DONE_AT
        assert not export.header.is_partial

    def test_chunks_come_by_index_whatever_order_they_were_written_in(
        self, database: Database
    ) -> None:
        recording_id = add_recording(database)
        for index in (2, 0, 1):
            add_chunks(
                database, 1, recording_id=recording_id, index=index, offset=10.0 * index,
                **heard((0, 1, f"word {index}")),
            )  # fmt: skip
        texts = [p.text for p in export_of(database, recording_id).cues() if isinstance(p, Segment)]
        assert texts == ["word 0", "word 1", "word 2"]

    def test_without_offsets_durations_are_added_up(
        self, database: Database, recording_id: ObjectId
    ) -> None:
        unset(database, "offset", "start")
        set_fields(database, ids_of(database, recording_id)[0], duration=12.5)
        assert starts(export_of(database, recording_id)) == [1.0, 13.5, 43.5]

    def test_without_durations_either_the_wall_clock_tells(
        self, database: Database, recording_id: ObjectId
    ) -> None:
        unset(database, "offset", "duration")
        set_fields(database, ids_of(database, recording_id)[1], start=START + timedelta(seconds=10))
        assert starts(export_of(database, recording_id)) == [1.0, 11.0, 61.0]

    def test_without_any_time_a_chunk_lasts_as_long_as_something_is_said(
        self, database: Database, recording_id: ObjectId
    ) -> None:
        unset(database, "offset", "duration", "start")
        assert starts(export_of(database, recording_id)) == [1.0, 3.0, 5.0]

    def test_more_chunks_than_are_read_at_once_all_come(self, database: Database) -> None:
        recording_id = add_recording(database)
        add_chunks(database, 120, recording_id=recording_id, **heard((0, 1, "word")))
        assert starts(export_of(database, recording_id)) == [30.0 * index for index in range(120)]


class TestPartial:
    def test_pending_claimed_and_failed_chunks_are_missing_and_touching_gaps_are_one(
        self, database: Database, recording_id: ObjectId
    ) -> None:
        _, second, third = ids_of(database, recording_id)
        set_fields(database, second, **NO_TEXT, processing_by="alice_1")
        set_fields(database, third, **NO_TEXT, failed_at=DONE_AT)
        export = export_of(database, recording_id)
        assert list(export.cues())[1:] == [Gap(30.0, 90.0)]
        assert export.header.missing_chunks == (1, 2)
        assert export.header.completed_at is None
        assert export.failed_chunks == 1

    def test_chunks_that_are_not_there_are_missing(
        self, database: Database, recording_id: ObjectId
    ) -> None:
        first, second, _ = ids_of(database, recording_id)
        database.recordings.update_one({"_id": recording_id}, {"$set": {"chunk_count": 4}})
        database.chunks.delete_many({"_id": {"$in": [first, second]}})
        export = export_of(database, recording_id)
        assert export.header.missing_chunks == (0, 1, 3)
        assert export.header.total_chunks == 4
        assert list(export.cues()) == [
            Gap(0.0, 60.0), Segment(61.0, 62.0, "word"), Gap(90.0, 120.0),
        ]  # fmt: skip

    def test_a_source_that_is_being_ingested_is_partial_though_all_its_chunks_are_done(
        self, database: Database, recording_id: ObjectId
    ) -> None:
        fields = {"ingested_at": None, "chunk_count": None, "duration": None}
        database.recordings.update_one({"_id": recording_id}, {"$set": fields})
        export = export_of(database, recording_id)
        assert export.header.is_growing
        assert "[not transcribed]" in "".join(export.pieces("srt"))

    def test_a_source_of_another_program_that_knows_no_count_is_whole(
        self, database: Database, recording_id: ObjectId
    ) -> None:
        database.recordings.update_one({"_id": recording_id}, {"$unset": {"chunk_count": ""}})
        assert not export_of(database, recording_id).header.is_partial

    def test_both_passes_of_json_see_the_same_chunks_while_workers_go_on(
        self, database: Database, recording_id: ObjectId
    ) -> None:
        last = ids_of(database, recording_id)[-1]
        set_fields(database, last, **NO_TEXT)
        pieces: list[str] = []
        for piece in export_of(database, recording_id).pieces("json"):
            pieces.append(piece)
            if '"full_text"' in piece:
                set_fields(database, last, **heard((1.0, 2.0, "word")))
        found = json.loads("".join(pieces))
        assert found["full_text"] == "word word"
        assert found["missing_chunks"] == [2]


class TestEarlierText:
    """A chunk that is transcribed again shows its earlier text until the new one replaces it."""

    def test_all_formats_show_it_and_say_so(
        self, database: Database, recording_id: ObjectId
    ) -> None:
        assert claims.reset(database, recording_id=recording_id) == 3
        export = export_of(database, recording_id)
        assert export.header.is_partial
        assert (export.header.missing_chunks, export.header.earlier_chunks) == ((), (0, 1, 2))
        found = json.loads("".join(export.pieces("json")))
        assert found["full_text"] == "word word word"
        assert (found["partial"], found["missing_chunks"]) == (True, [])
        assert (found["earlier_chunks"], found["completed_at"]) == ([0, 1, 2], None)
        first_line, *rest = "".join(export.pieces("txt")).splitlines()
        assert "3 of 3 chunks have their earlier text" in first_line
        assert "word" in rest[0]
        assert "not transcribed" not in "".join(export.pieces("srt"))
        assert [line.text for line in export.lines(0, 10).lines] == ["word"] * 3

    def test_each_new_text_takes_its_place_and_the_last_one_ends_it(
        self, database: Database, recording_id: ObjectId, alice: Claims
    ) -> None:
        claims.reset(database, recording_id=recording_id)
        *others, last = ids_of(database, recording_id)
        new = Transcript((Segment(1.0, 2.0, "new"),))
        for id_ in others:
            alice.complete(claimed(alice, chunk(database, id_)), new)
        cues = export_of(database, recording_id).cues()
        assert [cue.text for cue in cues if isinstance(cue, Segment)] == ["new", "new", "word"]
        alice.complete(claimed(alice, chunk(database, last)), new)
        assert not export_of(database, recording_id).header.is_partial

    def test_a_failed_or_lost_try_leaves_it_also_after_a_second_reset(
        self, database: Database, recording_id: ObjectId, alice: Claims
    ) -> None:
        first, second, third = ids_of(database, recording_id)
        for _ in range(2):
            claims.reset(database, recording_id=recording_id)
        for _ in range(3):
            set_fields(database, first, not_before=None)
            alice.fail(claimed(alice, chunk(database, first)), "bad_audio", "broken")
        alice.release(claimed(alice, chunk(database, second)))
        claimed(alice, chunk(database, third))
        set_fields(database, third, claimed_at=START)
        assert [stale.chunk_id for stale in alice.recover()] == [third]
        export = export_of(database, recording_id)
        assert export.failed_chunks == 1
        assert export.header.earlier_chunks == (0, 1, 2)
        assert len(list(export.cues())) == 3
        claims.retry(database)
        assert export_of(database, recording_id).header.earlier_chunks == (0, 1, 2)

    def test_who_made_it_is_said_and_it_is_found(
        self, database: Database, recording_id: ObjectId
    ) -> None:
        database.chunks.update_many({}, {"$set": {"transcript.model": "base"}})
        claims.reset(database, recording_id=recording_id)
        [made_by] = export_of(database, recording_id).contributors()
        assert (made_by.model, made_by.chunks) == ("base", 3)
        assert len(Search(database).find(SearchQuery("word"), limit=10).hits) == 3

    def test_a_transcript_of_another_program_without_our_fields_is_one(
        self, database: Database, recording_id: ObjectId
    ) -> None:
        database.chunks.update_many({}, {"$set": {"transcript": {"segments": []}}})
        claims.reset(database, recording_id=recording_id)
        assert export_of(database, recording_id).header.earlier_chunks == (0, 1, 2)


class TestFacts:
    def test_the_language_is_the_one_with_the_most_speech_and_the_model_that_of_most_chunks(
        self, database: Database, recording_id: ObjectId
    ) -> None:
        first, second, third = ids_of(database, recording_id)
        for chunk_id, start, language, model in (
            (first, 0.0, "english", "base"),
            (second, 0.0, "en", "tiny"),
            (third, 20.0, "en", "tiny"),
        ):
            spoken = [{"start": start, "end": 29.0, "text": "word"}]
            transcript = {"segments": spoken, "language": language, "model": model}
            set_fields(database, chunk_id, transcript=transcript)
        set_fields(database, second, **{"transcript.segments.0.language": "de"})
        found = json.loads("".join(export_of(database, recording_id).pieces("json")))
        assert [s["language"] for s in found["segments"]] == ["en", "de", "en"]
        assert (found["language"], found["model"], found["duration"]) == ("en", "tiny", 90.0)

    def test_a_translation_and_speech_without_text_are_said(
        self, database: Database, recording_id: ObjectId
    ) -> None:
        for chunk_id in ids_of(database, recording_id)[:2]:
            set_fields(database, chunk_id, **{"transcript.silent_speech_seconds": 1.25})
        database.recordings.update_one({"_id": recording_id}, {"$set": {"task": "translate"}})
        found = json.loads("".join(export_of(database, recording_id).pieces("json")))
        assert (found["task"], found["silent_speech_seconds"]) == ("translate", 2.5)

    def test_nothing_is_made_up_where_nothing_is_known(
        self, database: Database, recording_id: ObjectId
    ) -> None:
        database.recordings.update_one({"_id": recording_id}, {"$set": {"duration": None}})
        found = json.loads("".join(export_of(database, recording_id).pieces("json")))
        assert (found["language"], found["model"], found["duration"]) == (None, None, 90.0)
        assert not {"task", "silent_speech_seconds"} & found.keys()

    def test_words_are_exported_with_times_of_the_recording_where_they_are_stored(
        self, database: Database, recording_id: ObjectId
    ) -> None:
        second = ids_of(database, recording_id)[1]
        words = [{"start": 1.0, "end": 1.4, "word": " good", "probability": 0.5},
                 {"start": 1.4, "end": 9.0, "word": " word."}]  # fmt: skip
        segment = {"start": 1.0, "end": 9.0, "text": "good word.", "words": words}
        set_fields(database, second, transcript={"segments": [segment]})
        export = export_of(database, recording_id)
        found = json.loads("".join(export.pieces("json")))
        assert found["segments"][1]["words"] == [
            {"word": " good", "start": 31.0, "end": 31.4, "probability": 0.5},
            {"word": " word.", "start": 31.4, "end": 39.0},
        ]
        assert "words" not in found["segments"][0]
        srt = "".join(export.pieces("srt"))
        assert "00:00:31,000 --> 00:00:31,900\ngood word." in srt

    def test_subtitles_keep_the_limits_that_are_given(
        self, database: Database, recording_id: ObjectId
    ) -> None:
        spoken = [{"start": 0.0, "end": 20.0, "text": "one two three four " * 10}]
        set_fields(database, ids_of(database, recording_id)[0], transcript={"segments": spoken})
        export = export_of(database, recording_id)
        counts = ["".join(export.pieces("srt", limits)).count("-->") for limits in (
            DEFAULT_LIMITS, CueLimits(max_lines=1), NO_LIMITS,
        )]  # fmt: skip
        assert counts == [5, 7, 3]


class TestOddTranscripts:
    def test_a_done_chunk_without_a_transcript_said_nothing(
        self, database: Database, recording_id: ObjectId
    ) -> None:
        set_fields(database, ids_of(database, recording_id)[1], transcript=None)
        assert starts(export_of(database, recording_id)) == [1.0, 61.0]

    @pytest.mark.parametrize(
        "transcript", ["text", {"segments": [7]}, {"segments": [{"start": "x"}]}]
    )
    def test_a_garbled_transcript_names_its_chunk(
        self, database: Database, recording_id: ObjectId, transcript: object
    ) -> None:
        second = ids_of(database, recording_id)[1]
        set_fields(database, second, transcript=transcript)
        with pytest.raises(SttError, match=str(second)):
            list(export_of(database, recording_id).cues())


class TestFiles:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("talk.mp3", "talk.srt"),
            ("v1.2 final talk.mp3", "v1.2 final talk.srt"),
            ("no extension", "no extension.srt"),
            ("../../etc/passwd", "passwd.srt"),
            ("..\\..\\boot.ini", "boot.srt"),
            ("a\x00b\n.wav", "a_b_.srt"),
            ("..", "6903ce2e3006e94c81d59b3f.srt"),
            ("sub/", "6903ce2e3006e94c81d59b3f.srt"),
            (".hidden.mp3", "hidden.srt"),
            ("nul.mp3", "nul_6903ce2e3006e94c81d59b3f.srt"),
        ],
    )
    def test_a_name_from_the_database_becomes_one_file_in_the_folder(
        self, name: str, expected: str
    ) -> None:
        recording = Recording(ObjectId("6903ce2e3006e94c81d59b3f"), filename=name)
        assert file_name(recording, "srt") == expected

    def test_a_name_of_any_length_fits_a_file_system(self, tmp_path: Path) -> None:
        name = file_name(Recording(ObjectId(), filename="ü" * 4000 + ".mp3"), "json")
        save(["text"], tmp_path / name)
        assert (tmp_path / name).read_text() == "text"

    def test_an_export_that_breaks_off_leaves_what_was_there(self, tmp_path: Path) -> None:
        def broken() -> Iterator[str]:
            yield "half"
            raise SttError("the database went away")

        target = tmp_path / "talk.txt"
        target.write_text("before")
        with pytest.raises(SttError, match="went away"):
            save(broken(), target)
        assert [path.name for path in tmp_path.iterdir()] == ["talk.txt"]
        assert target.read_text() == "before"

    def test_a_link_stays_a_link_and_a_device_a_device(self, tmp_path: Path) -> None:
        target, link = tmp_path / "target.txt", tmp_path / "link.txt"
        target.write_text("before")
        link.symlink_to(target)
        save(["after"], link)
        save(["nowhere"], Path(os.devnull))
        assert link.is_symlink()
        assert target.read_text() == "after"
        assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)

    def test_a_folder_that_is_missing_is_made(self, tmp_path: Path) -> None:
        save(["text"], tmp_path / "new" / "talk.txt")
        assert (tmp_path / "new" / "talk.txt").read_text() == "text"

    def test_a_place_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(SttError, match=r"Cannot write .*talk\.txt"):
            save(["text"], tmp_path / "file" / "talk.txt")


class TestLines:
    """Parts of a transcript, each up to the end of a chunk."""

    def test_together_they_have_every_line_and_every_gap_once(
        self, database: Database, recording_id: ObjectId
    ) -> None:
        first, middle, _ = ids_of(database, recording_id)
        database.chunks.delete_one({"_id": middle})
        lines: list[tuple[ObjectId, float]] = []
        gaps: list[UntranscribedSpan] = []
        index = 0
        while True:
            part = export_of(database, recording_id).lines(index, 1)
            lines += [(line.chunk_id, line.start) for line in part.lines]
            gaps += part.gaps
            if part.next_index is None:
                break
            index = part.next_index
        last = ids_of(database, recording_id)[-1]
        assert lines == [(first, 1.0), (last, 61.0)]
        assert gaps == [UntranscribedSpan(30.0, 60.0, "missing")]

    def test_a_transcript_that_cannot_be_read_is_a_gap(
        self, database: Database, recording_id: ObjectId
    ) -> None:
        set_fields(database, ids_of(database, recording_id)[1], transcript="nonsense")
        part = export_of(database, recording_id).lines(0, 100)
        assert [line.start for line in part.lines] == [1.0, 61.0]
        assert part.gaps == (UntranscribedSpan(30.0, 60.0, "unreadable"),)
        assert part.next_index is None


class TestChannels:
    """Two channels of 60 s, transcribed one by one."""

    @pytest.fixture
    def call(self, database: Database) -> ObjectId:
        recording_id = add_recording(database, filename="call.wav", chunk_count=4, duration=60.0)
        said = [
            (0.0, 1, ((1.0, 2.0, "Hello."), (9.0, 11.0, "It is me."))),
            (25.0, 1, ((6.0, 7.0, "Yes."),)),
            (0.0, 2, ((4.0, 5.0, "Who is it?"), (28.0, 29.0, "Really?"))),
            (30.0, 2, ((20.0, 21.0, "Well."),)),
        ]
        for index, (offset, channel, segments) in enumerate(said):
            place: dict[str, Any] = {
                "index": index,
                "offset": offset,
                "channel": channel,
                "channels": 2,
            }
            add_chunks(database, 1, recording_id=recording_id, **place, **heard(*segments))
        return recording_id

    def test_segments_of_all_channels_are_merged_by_their_times(
        self, database: Database, call: ObjectId
    ) -> None:
        cues = list(export_of(database, call).cues())
        assert [(c.start, c.text, c.channel) for c in cues if isinstance(c, Segment)] == [
            (1.0, "Hello.", 1), (4.0, "Who is it?", 2), (9.0, "It is me.", 1),
            (28.0, "Really?", 2), (31.0, "Yes.", 1), (50.0, "Well.", 2),
        ]  # fmt: skip
        assert len(cues) == 6

    def test_the_formats_say_who_speaks(self, database: Database, call: ObjectId) -> None:
        export = export_of(database, call)
        assert "".join(export.pieces("txt")).splitlines() == [
            "[Channel 1] Hello.", "[Channel 2] Who is it?", "[Channel 1] It is me.",
            "[Channel 2] Really?", "[Channel 1] Yes.", "[Channel 2] Well.",
        ]  # fmt: skip
        for name in ("srt", "vtt", "tsv"):
            assert "[Channel 2] Who is it?" in "".join(export.pieces(name))
        found = json.loads("".join(export.pieces("json")))
        assert [s["channel"] for s in found["segments"]] == [1, 2, 1, 2, 1, 2]
        assert found["segments"][1]["text"] == "Who is it?"

    def test_pages_of_lines_have_every_line_and_gap_once(
        self, database: Database, call: ObjectId
    ) -> None:
        export = export_of(database, call)
        for count in (1, 2, 3, 100):
            lines: list[Line] = []
            index = 0
            while True:
                part = export.lines(index, count)
                lines += part.lines
                assert part.gaps == ()
                if part.next_index is None:
                    break
                index = part.next_index
            assert sorted((line.start, line.channel) for line in lines) == [
                (1.0, 1), (4.0, 2), (9.0, 1), (28.0, 2), (31.0, 1), (50.0, 2),
            ]  # fmt: skip

    def test_what_is_missing_of_a_channel_is_a_gap(
        self, database: Database, call: ObjectId
    ) -> None:
        _, second, third, fourth = ids_of(database, call)
        set_fields(database, third, **NO_TEXT)
        database.chunks.delete_many({"_id": {"$in": [second, fourth]}})
        export = export_of(database, call)
        assert export.header.missing_chunks == (1, 2, 3)
        assert [c for c in export.cues() if isinstance(c, Gap)] == [Gap(0.0, 30.0), Gap(30.0, 60.0)]
        assert {gap.state for gap in export.lines(0, 100).gaps} == {"missing", "pending"}
