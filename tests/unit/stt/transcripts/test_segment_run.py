"""Segments that belong together, and those that do not."""

import pytest

from stt.domain.transcript import Segment
from stt.transcripts.segment_run import SegmentRun
from stt.transcripts.timed_text import text_of, timed_units


def runs_of(*segments: Segment, max_pause_ms: int = 300) -> list[str]:
    run = SegmentRun(max_pause_ms)
    texts = []
    for segment in segments:
        units = timed_units(segment)
        if not run.add(units):
            texts.append(text_of(run.take()))
            run.add(units)
    return [*texts, text_of(run.take())]


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        ("one part of it", "and the other", True),
        ("and then", "I'll go home", True),
        ("On Monday,", "John Dashwood came", True),
        ("我们明天在", "车站见面。", True),
        ("One sentence.", "two sentences.", True),
        ("One sentence.", "Two sentences.", False),
        ("one line of a song", "Another line of it", False),
        ("one line of a song", "Indeed a line of it", False),
        ("Well", "[Channel 2] yes", False),
        ("Well", "- Yes", False),
    ],
)
def test_what_is_within_a_sentence_is_joined(first: str, second: str, joined: bool) -> None:
    found = runs_of(Segment(0, 2, first), Segment(2, 4, second))
    assert len(found) == (1 if joined else 2)
    assert "".join(found).replace(" ", "") == (first + second).replace(" ", "")


def test_a_pause_ends_a_run_that_allows_no_longer_ones() -> None:
    segments = Segment(0, 2, "one part of it"), Segment(2.5, 4, "after a pause")
    assert runs_of(*segments) == ["one part of it", "after a pause"]
    assert runs_of(*segments, max_pause_ms=600) == ["one part of it after a pause"]


def test_a_run_without_any_mark_ends_after_half_a_minute() -> None:
    endless = [Segment(2 * at, 2 * at + 2, "and so it goes on") for at in range(60)]
    assert len(runs_of(*endless)) == 4


def test_the_first_unit_of_a_segment_that_was_joined_says_so() -> None:
    run = SegmentRun(300)
    assert run.add(timed_units(Segment(0, 2, "one part")))
    assert run.add(timed_units(Segment(2, 4, "and another")))
    assert [unit.begins_segment for unit in run.take()] == [False, False, True, False]
    assert run.take() == []
