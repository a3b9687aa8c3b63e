"""Whisper's tokens, cut at their timestamps."""

import pytest

from whisper_server.engines.segments import (
    finite,
    split_at_timestamps,
    within,
    without_broken_tail,
)

FIRST_TIMESTAMP = 100


def at(seconds: float) -> int:
    return FIRST_TIMESTAMP + round(seconds * 50)


def draft(start: float, end: float, *tokens: int) -> dict[str, object]:
    return {"seek": 0, "start": start, "end": end, "tokens": list(tokens)}


def test_pairs_of_timestamps_part_the_segments() -> None:
    tokens = [at(0), 1, 2, at(1.5), at(2), 3, at(3)]
    split = split_at_timestamps(tokens, FIRST_TIMESTAMP, 10.0)
    assert split.drafts == [
        draft(0.0, 1.5, at(0), 1, 2, at(1.5)),
        draft(2.0, 3.0, at(2), 3, at(3)),
    ]
    assert split.undecoded_from is None


@pytest.mark.parametrize("before", [[], [at(0), 1, at(1)]], ids=["alone", "behind another"])
def test_text_without_a_closing_stamp_lasts_to_the_windows_end(before: list[int]) -> None:
    split = split_at_timestamps([*before, at(2), 7, 8], FIRST_TIMESTAMP, 9.5)
    assert split.drafts[-1] == draft(2.0, 9.5, at(2), 7, 8)
    assert split.undecoded_from is None


def test_text_without_any_stamp_is_one_segment() -> None:
    assert split_at_timestamps([7, 8], FIRST_TIMESTAMP, 4.0).drafts == [draft(0.0, 4.0, 7, 8)]


def test_an_empty_last_segment_tells_from_where_nothing_was_heard() -> None:
    split = split_at_timestamps([at(0), 1, at(7.5), at(8)], FIRST_TIMESTAMP, 10.0)
    assert split.drafts == [draft(0.0, 7.5, at(0), 1, at(7.5))]
    assert split.undecoded_from == 8.0


def test_a_segment_that_takes_no_time_is_left_out() -> None:
    split = split_at_timestamps([at(1), 5, at(1), at(1), 6, at(2)], FIRST_TIMESTAMP, 10.0)
    assert split.drafts == [draft(1.0, 2.0, at(1), 6, at(2))]


@pytest.mark.parametrize("tokens", [[], [at(0)], [at(0), at(0)], [at(0), at(3)]])
def test_no_text_is_no_segment(tokens: list[int]) -> None:
    assert split_at_timestamps(tokens, FIRST_TIMESTAMP, 10.0).drafts == []


def test_text_that_broke_off_is_heard_again_from_where_its_last_segment_opens() -> None:
    whole = [at(0), 1, at(1), at(1), 2, at(7), at(8)]
    tokens = without_broken_tail([*whole, 3, 4, 5], FIRST_TIMESTAMP)
    assert tokens == whole
    assert split_at_timestamps(tokens, FIRST_TIMESTAMP, 30.0).undecoded_from == 8.0


@pytest.mark.parametrize(
    "tokens",
    [[], [at(0), 1, 1, 1], [at(0), at(0), 1], [at(0), 1, at(1), at(1), 2, at(3)]],
    ids=["empty", "no segment closed", "no time went by", "the last one closed"],
)
def test_text_stays_whole_where_there_is_nothing_to_gain(tokens: list[int]) -> None:
    assert without_broken_tail(tokens, FIRST_TIMESTAMP) == tokens


def test_times_stay_within_the_audio_and_in_order() -> None:
    assert within(-0.1, 1.23456, 10.0) == (0.0, 1.235)
    assert within(9.0, 29.9, 10.0) == (9.0, 10.0)
    assert within(11.0, 12.0, 10.0) == (10.0, 10.0)
    assert within(3.0, 2.0, 10.0) == (3.0, 3.0)


def test_numbers_that_json_does_not_know_become_zero() -> None:
    assert [finite(number) for number in (float("nan"), float("-inf"), -0.5)] == [0.0, 0.0, -0.5]
