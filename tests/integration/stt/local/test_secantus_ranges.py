"""Ranges of an index: which encoded values are in them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from secantus.query import matches

from stt.local.secantus_ranges import AFTER_ALL_VALUES, Range, is_plain, prefix_of, ranges_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
VALUES: list[Any] = [
    None, False, True, -3.5, 0, 7, "", "text", ObjectId(), {"a": 1},
    *(NOW + timedelta(seconds=s) for s in (-1, 0, 1)),
]  # fmt: skip
PREFIX = b"before"


def are_in(value: Any, ranges: list[Range]) -> bool:
    entry = PREFIX + prefix_of({"field": value}, ["field"], {"field": 1}) + b"number"
    return any(begin <= entry < end for begin, end in ranges)


@pytest.mark.parametrize(
    "wanted",
    [
        {"$ne": None},
        {"$gt": NOW},
        {"$gte": NOW},
        {"$lt": NOW},
        {"$ne": None, "$not": {"$gt": NOW}},
        {"$gte": NOW, "$lt": NOW + timedelta(seconds=1)},
    ],
    ids=str,
)
def test_ranges_hold_exactly_the_values_that_match(wanted: dict[str, Any]) -> None:
    ranges, is_exact = ranges_of(PREFIX, wanted, 1)
    assert is_exact
    for value in VALUES:
        assert are_in(value, ranges) == matches({"field": value}, {"field": wanted}), value


@pytest.mark.parametrize(
    "wanted", [{"$gt": 3}, {"$exists": True}, {"$ne": 3}, {"$not": {"$lt": 3}}], ids=str
)
def test_other_conditions_leave_all_values_in_the_ranges(wanted: dict[str, Any]) -> None:
    ranges, is_exact = ranges_of(PREFIX, wanted, 1)
    assert (ranges, is_exact) == ([(PREFIX, PREFIX + AFTER_ALL_VALUES)], False)


def test_a_condition_is_not_one_value() -> None:
    query: dict[str, Any] = {"a": 1, "b": None, "c": {"$gt": 1}, "d": [1]}
    assert [field for field in (*query, "e") if is_plain(query, field)] == ["a", "b"]
