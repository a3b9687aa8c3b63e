"""Windows of a search match each chunk once, from where it goes on."""

from typing import Any

import pytest
from bson import ObjectId

from stt.store import search_windows
from stt.store.search_windows import Position, place_by, windows, windows_of

IDS = [ObjectId(f"{n:024x}") for n in range(1, 6)]


def position(recording_id: Any, index: int = 7) -> Position:
    return Position(recording_id, index, ObjectId(), 2)


def test_a_position_is_a_chunk_and_a_segment_of_it() -> None:
    at = position(IDS[0])
    assert at.cursor == f"{at.chunk_id}-2"


def test_chosen_recordings_are_read_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_windows, "_RECORDINGS_PER_WINDOW", 2)
    found = [query["original_id"] for query, _ in windows_of(IDS, None)]
    assert found == [{"$in": IDS[:2]}, {"$in": IDS[2:4]}, IDS[4]]


def test_it_goes_on_in_the_recording_and_then_with_those_behind_it() -> None:
    first, *others = [query for query, _ in windows_of(IDS, position(IDS[2]))]
    assert first == {"original_id": IDS[2], "index": {"$gte": 7}}
    assert others == [{"original_id": {"$in": IDS[3:]}}]
    assert list(windows_of(IDS[:2], position(IDS[2]))) == []


def test_all_recordings_are_read_between_borders_and_then_what_has_none() -> None:
    found = [query["original_id"] for query, _ in windows(None, [IDS[1]])]
    nothing = ObjectId(bytes(12))
    assert found == [
        {"$gt": nothing, "$lte": IDS[1]}, {"$gt": IDS[1]}, None, {"$gte": "", "$lt": "\U0010ffff"},
    ]  # fmt: skip
    begun = [query["original_id"] for query, _ in windows(position(IDS[3]), [IDS[1]])]
    assert begun == [IDS[3], {"$gt": IDS[3]}, None, {"$gte": "", "$lt": "\U0010ffff"}]
    assert len(list(windows(position("of another program"), []))) == 1


def test_chunks_are_placed_as_the_database_sorts_them() -> None:
    document = {"_id": IDS[1], "original_id": IDS[0], "index": 4}
    (_, by_position), *_, (_, by_id) = windows(None, [])
    assert place_by(by_position)(document) == (str(IDS[0]), 4)
    assert place_by(by_id)(document) == (str(IDS[1]), 0)
