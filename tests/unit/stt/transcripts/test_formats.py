"""The writers: legal in each format whatever the text and the times, and honest about gaps."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stt.domain.transcript import Segment, Word
from stt.transcripts.cue_splitting import DEFAULT_LIMITS, NO_LIMITS, CueLimits
from stt.transcripts.formats import WRITERS, Cue, Gap, TranscriptHeader

DONE = TranscriptHeader(
    "6903ce2e", "talk.mp3", 2, completed_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
)
PARTIAL = TranscriptHeader("6903ce2e", "talk.mp3", 9, missing_chunks=(1, 4, 5, 6))
LONG = (
    "We meet again at the station tomorrow, and then we go on together to the old town"
    " by the river."
)
HELLO = Segment(0.0, 1.5, "hello world")


def written(
    format_name: str,
    *cues: Cue,
    header: TranscriptHeader = DONE,
    limits: CueLimits = DEFAULT_LIMITS,
) -> str:
    return "".join(WRITERS[format_name](header, lambda: iter(cues), limits))


class TestText:
    def test_a_line_holds_a_sentence(self) -> None:
        segments = Segment(0, 2, "And so, my fellow"), Segment(3, 5, " citizens,\nask. Ask what ")
        text = written("txt", *segments, Segment(5.5, 6, "you can do."), Segment(6, 7, "Hello."))
        assert text == "And so, my fellow citizens, ask.\nAsk what you can do.\nHello.\n"

    def test_a_partial_text_says_so_at_the_top_and_in_the_place(self) -> None:
        text = written("txt", HELLO, Gap(30, 60), header=PARTIAL)
        assert text == (
            "[Partial transcript: 4 of 9 chunks are missing (1, 4-6)]\n"
            "hello world\n"
            "[not transcribed: 00:00:30.000 to 00:01:00.000]\n"
        )

    def test_a_recording_that_still_grows_is_partial(self) -> None:
        header = TranscriptHeader("id", "talk.mp3", 2, is_growing=True)
        assert written("txt", header=header).startswith("[Partial transcript: the recording is")


class TestSrt:
    def test_cues_are_numbered_and_timed_with_a_comma(self) -> None:
        assert written("srt", HELLO, Segment(59.9996, 3661.25, "bye"), limits=NO_LIMITS) == (
            "1\n00:00:00,000 --> 00:00:01,500\nhello world\n\n"
            "2\n00:01:00,000 --> 01:01:01,250\nbye\n\n"
        )

    def test_hours_may_have_three_digits(self) -> None:
        assert "100:00:00,000 --> 100:00:01,000" in written("srt", Segment(360_000, 360_001, "x"))

    def test_an_arrow_in_the_text_is_not_taken_for_a_time(self) -> None:
        assert written("srt", Segment(0, 1, "a --> b")).count("-->") == 1

    def test_a_silent_segment_takes_no_number(self) -> None:
        text = written("srt", Segment(0, 1, " \n"), HELLO)
        assert text.startswith("1\n")
        assert "2\n" not in text

    def test_a_blank_line_does_not_end_a_cue(self) -> None:
        assert "\none\ntwo\n\n" in written("srt", Segment(0, 1, "one\n \n\ntwo"))

    def test_a_gap_is_a_cue_because_srt_has_no_comments(self) -> None:
        text = written("srt", Gap(30, 60), header=PARTIAL)
        assert text == "1\n00:00:30,000 --> 00:01:00,000\n[not transcribed]\n\n"

    def test_a_long_segment_becomes_cues_of_two_lines(self) -> None:
        assert written("srt", Segment(0, 10, LONG)) == (
            "1\n00:00:00,000 --> 00:00:04,000\nWe meet again at the station tomorrow,\n\n"
            "2\n00:00:04,105 --> 00:00:10,000\n"
            "and then we go on together\nto the old town by the river.\n\n"
        )

    def test_limits_can_be_switched_off(self) -> None:
        assert written("srt", Segment(0, 10, LONG), limits=NO_LIMITS) == (
            f"1\n00:00:00,000 --> 00:00:10,000\n{LONG}\n\n"
        )


class TestVtt:
    def test_it_begins_with_the_magic_word_and_uses_points(self) -> None:
        text = written("vtt", HELLO)
        assert text == "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nhello world\n\n"

    def test_markup_characters_are_escaped(self) -> None:
        text = written("vtt", Segment(0, 1, "<b>R&D</b> --> x"))
        assert "&lt;b&gt;R&amp;D&lt;/b&gt; --&gt; x" in text

    def test_what_is_missing_stands_in_notes_without_an_arrow(self) -> None:
        text = written("vtt", HELLO, Gap(30, 60), header=PARTIAL)
        assert "NOTE Partial transcript: 4 of 9" in text
        assert "NOTE not transcribed: 00:00:30.000 to 00:01:00.000\n\n" in text

    def test_long_segments_are_split_as_in_srt(self) -> None:
        assert written("vtt", Segment(0, 10, LONG)).count("-->") == 2
        assert written("vtt", Segment(0, 10, LONG), limits=NO_LIMITS).count("-->") == 1

    def test_a_cue_before_a_gap_stands_before_its_note(self) -> None:
        text = written("vtt", HELLO, Gap(30, 60), Segment(60, 61, "bye"), header=PARTIAL)
        note = text.index("NOTE not transcribed: 00:00:30.000 to 00:01:00.000")
        assert text.index("hello world") < note < text.index("bye")


class TestTsv:
    def test_times_are_whole_milliseconds(self) -> None:
        assert written("tsv", Segment(0.0004, 1.5, "hello")) == "start\tend\ttext\n0\t1500\thello\n"

    def test_tabs_and_newlines_in_the_text_do_not_make_columns(self) -> None:
        assert written("tsv", Segment(0, 1, "a\tb\nc")).endswith("0\t1000\ta b c\n")

    def test_a_gap_is_a_row(self) -> None:
        assert written("tsv", Gap(30, 60)).endswith("30000\t60000\t[not transcribed]\n")


class TestJson:
    def test_a_translation_and_speech_without_text_are_said_before_what_is_missing(self) -> None:
        header = replace(PARTIAL, task="translate", silent_speech_seconds=80.2)
        found = json.loads(written("json", HELLO, header=header))
        assert list(found)[-4:] == ["task", "silent_speech_seconds", "partial", "missing_chunks"]
        assert (found["task"], found["silent_speech_seconds"]) == ("translate", 80.2)

    def test_it_has_exactly_the_documented_keys_in_their_order(self) -> None:
        found = json.loads(written("json", HELLO, Segment(2, 3, 'the "end"')))
        assert list(found.items()) == [
            ("book_id", "6903ce2e"),
            ("filename", "talk.mp3"),
            ("completed_at", "2026-01-02T03:04:05+00:00"),
            ("total_chunks", 2),
            ("language", None),
            ("model", None),
            ("duration", None),
            (
                "segments",
                [
                    {"start": 0.0, "end": 1.5, "text": "hello world"},
                    {"start": 2.0, "end": 3.0, "text": 'the "end"'},
                ],
            ),
            ("full_text", 'hello world the "end"'),
        ]

    def test_it_names_language_model_and_duration(self) -> None:
        header = replace(DONE, language="de", model="base", duration=61.5)
        found = json.loads(written("json", HELLO, header=header))
        assert (found["language"], found["model"], found["duration"]) == ("de", "base", 61.5)

    def test_a_segment_has_its_language_and_its_words_where_they_are_stored(self) -> None:
        words = (Word(0.1, 0.5, " hello", 0.9), Word(0.5, 1.5, " world", math.nan))
        found = json.loads(written("json", replace(HELLO, language="en", words=words)))
        assert found["segments"] == [
            {
                "start": 0.0, "end": 1.5, "text": "hello world", "language": "en",
                "words": [
                    {"word": " hello", "start": 0.1, "end": 0.5, "probability": 0.9},
                    {"word": " world", "start": 0.5, "end": 1.5},
                ],
            }
        ]  # fmt: skip

    def test_a_partial_one_lists_what_is_missing_at_its_end(self) -> None:
        found = json.loads(written("json", HELLO, Gap(30, 60), header=PARTIAL))
        assert list(found)[-2:] == ["partial", "missing_chunks"]
        assert (found["partial"], found["missing_chunks"]) == (True, [1, 4, 5, 6])
        assert found["completed_at"] is None
        assert len(found["segments"]) == 1

    def test_nothing_said_is_valid_too(self) -> None:
        found = json.loads(written("json"))
        assert (found["segments"], found["full_text"]) == ([], "")

    def test_segments_are_written_before_the_last_one_is_read(self) -> None:
        read: list[int] = []

        def endless() -> Iterator[Segment]:
            for number in range(10**9):
                read.append(number)
                yield Segment(number, number + 1, "word")

        pieces = WRITERS["json"](DONE, endless)
        while '"word"' not in next(pieces):
            pass
        assert len(read) <= 2


ODD_TIMES = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-10, 10_000)
ODD_PASSAGES = st.lists(
    st.builds(Segment, ODD_TIMES, ODD_TIMES, st.text()) | st.builds(Gap, ODD_TIMES, ODD_TIMES),
    max_size=8,
)


def cue_times(text: str) -> list[tuple[float, float]]:
    def seconds(clock: str) -> float:
        hours, minutes, rest = clock.replace(",", ".").split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(rest)

    found = re.findall(r"^([\d:,.]+) --> ([\d:,.]+)$", text, re.MULTILINE)
    return [(seconds(start), seconds(end)) for start, end in found]


@settings(deadline=None, max_examples=60)
@given(ODD_PASSAGES)
@pytest.mark.parametrize("format_name", ["srt", "vtt"])
def test_cues_never_end_before_they_start_nor_start_before_the_last_one_ends(
    format_name: str, cues: list[Cue]
) -> None:
    times = cue_times(written(format_name, *cues, header=PARTIAL))
    assert all(0 <= start < end for start, end in times)
    assert all(end <= following for (_, end), (following, _) in pairwise(times))


@settings(deadline=None, max_examples=60)
@given(ODD_PASSAGES)
def test_every_cue_of_an_srt_is_a_number_a_time_and_lines_without_blanks(
    cues: list[Cue],
) -> None:
    blocks = written("srt", *cues).split("\n\n")[:-1]
    assert [cue.partition("\n")[0] for cue in blocks] == [str(n + 1) for n in range(len(blocks))]
    assert all(" --> " in cue.split("\n")[1] and len(cue.split("\n")) >= 3 for cue in blocks)


@settings(deadline=None, max_examples=60)
@given(ODD_PASSAGES)
def test_json_is_valid_and_both_passes_agree(cues: list[Cue]) -> None:
    found = json.loads(written("json", *cues))
    assert found["full_text"] == " ".join(segment["text"] for segment in found["segments"])


@settings(deadline=None, max_examples=60)
@given(ODD_PASSAGES)
def test_a_tsv_row_has_three_columns(cues: list[Cue]) -> None:
    rows = written("tsv", *cues).split("\n")[:-1]
    assert all(row.count("\t") == 2 for row in rows)
