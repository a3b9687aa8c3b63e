"""Group chunks into runs."""

from typing import Any

import pytest
from bson import ObjectId

from stt.domain.chunk import Chunk, ChunkRun, chunk_runs, rotated

TALK, DIARY = ObjectId(), ObjectId()


def make(index: int, recording: ObjectId | None = TALK, **fields: Any) -> Chunk:
    return Chunk(ObjectId(), recording, index, **{"duration": 30.0, **fields})


def indexes(chunks: list[Chunk], seconds: float = 300, count: int = 100) -> list[list[int]]:
    return [[chunk.index for chunk in run] for run in chunk_runs(chunks, seconds, count)]


def test_consecutive_chunks_of_one_source_form_a_sequence() -> None:
    assert indexes([make(0), make(1), make(2)]) == [[0, 1, 2]]


def test_a_gap_or_another_source_ends_a_sequence() -> None:
    assert indexes([make(0), make(2), make(3), make(4, DIARY)]) == [[0], [2, 3], [4]]


def test_chunks_without_a_source_never_join() -> None:
    assert indexes([make(0, None), make(1, None)]) == [[0], [1]]


def test_a_sequence_ends_at_its_seconds() -> None:
    chunks = [make(n) for n in range(7)]
    assert indexes(chunks, seconds=90) == [[0, 1, 2], [3, 4, 5], [6]]


def test_a_sequence_ends_at_its_share_of_chunks() -> None:
    chunks = [make(n) for n in range(5)]
    assert indexes(chunks, count=2) == [[0, 1], [2, 3], [4]]


def test_no_seconds_at_all_means_one_chunk_a_sequence() -> None:
    assert indexes([make(0), make(1)], seconds=0) == [[0], [1]]


@pytest.mark.parametrize("mark", [{"attempts": 1}, {"expirations": 1}])
def test_a_chunk_that_failed_before_is_always_alone(mark: dict[str, Any]) -> None:
    marked = make(1, **mark)
    assert indexes([make(0), marked, make(2), make(3)]) == [[0], [1], [2, 3]]


def test_channels_take_turns_in_a_page_and_never_share_a_sequence() -> None:
    left, right = ([make(n, channel=c) for n in range(3 * c - 3, 3 * c)] for c in (1, 2))
    page = [chunk for pair in zip(left, right, strict=True) for chunk in pair]
    assert indexes(page) == [[0, 1, 2], [3, 4, 5]]
    assert indexes([*left, *right]) == [[0, 1, 2], [3, 4, 5]]
    assert indexes(page, seconds=60) == [[0, 1], [3, 4], [2], [5]]


def test_recordings_that_take_turns_in_a_page_keep_their_sequences() -> None:
    page = [make(0), make(5, DIARY), make(1), make(6, DIARY)]
    assert indexes(page) == [[0, 1], [5, 6]]


def test_a_chunk_of_unknown_length_is_taken_for_half_a_minute() -> None:
    chunks = [make(n, duration=None) for n in range(4)]
    assert indexes(chunks, seconds=60) == [[0, 1], [2, 3]]


def single_runs(*priorities: int) -> list[ChunkRun]:
    return [
        (Chunk(ObjectId(), None, number, priority=priority),)
        for number, priority in enumerate(priorities)
    ]


def test_runs_begin_at_a_random_one_of_the_first_priority() -> None:
    runs = single_runs(5, 5, 5, 0, 0)
    found = {tuple(run[0].index for run in rotated(runs, 10)) for _ in range(200)}
    assert found == {(0, 1, 2, 3, 4), (1, 2, 0, 3, 4), (2, 0, 1, 3, 4)}


def test_runs_begin_within_the_window() -> None:
    runs = single_runs(0, 0, 0, 0)
    assert {rotated(runs, 2)[0][0].index for _ in range(100)} == {0, 1}
    assert rotated(runs, 1) == runs
    assert rotated([], 3) == []
