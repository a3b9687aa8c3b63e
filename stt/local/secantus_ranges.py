"""Ranges of an index of SecantusDB that hold what a query asks for.

An entry of an index is the values of its fields, encoded so that bytes sort like values, one behind
the other, and then the number of the document (`secantus.storage._pack_entry`). The first byte of
a value is the rank of its type.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import bson
from secantus.sortkey import (
    COMPOUND_SEP,
    RANK_DATE,
    RANK_NULL,
    encode_value,
    encode_value_directed,
)
from secantus.storage import _escape_kb

AFTER_ALL_VALUES = b"\xff"
_PLAIN = (type(None), bool, int, float, str, bson.ObjectId, datetime)

Document = dict[str, Any]
Range = tuple[bytes, bytes]
"""Entries of an index from the first key on, and before the second."""


def is_plain(query: Document, field: str) -> bool:
    """Return whether the filter asks for one value, which an index has as it is."""
    return field in query and isinstance(query[field], _PLAIN)


def prefix_of(query: Document, fields: list[str], key: Mapping[str, int]) -> bytes:
    """Return how entries with these values begin; the values end with a separator."""
    return b"".join(
        _escape_kb(encode_value_directed(query[field], key[field]) + COMPOUND_SEP)
        for field in fields
    )


def ranges_of(prefix: bytes, wanted: Any, direction: int) -> tuple[list[Range], bool]:
    """Return the ranges that hold all entries of which the next value is `wanted`, in order.

    Return too whether they hold no others. `wanted` is what a filter asks of a field: bounds that
    are times, and that the value is not null.
    """
    ranges = [(prefix, prefix + AFTER_ALL_VALUES)]
    if not isinstance(wanted, Mapping) or direction != 1:
        return ranges, False
    is_exact = True
    for operator, bound in wanted.items():
        if operator == "$not" and isinstance(bound, Mapping) and len(bound) == 1:
            ((inner, time),) = bound.items()
            without = _range_of_times(prefix, inner, time)
        elif operator == "$ne" and bound is None:
            without = (prefix + bytes([RANK_NULL]), prefix + bytes([RANK_NULL + 1]))
        elif within := _range_of_times(prefix, operator, bound):
            ranges = [
                (max(begin, within[0]), min(end, within[1]))
                for begin, end in ranges
                if begin < within[1] and end > within[0]
            ]
            continue
        else:
            without = None
        if without is None:
            is_exact = False
            continue
        ranges = [
            part
            for begin, end in ranges
            for part in ((begin, min(end, without[0])), (max(begin, without[1]), end))
            if part[0] < part[1]
        ]
    return ranges, is_exact


def _range_of_times(prefix: bytes, operator: str, bound: Any) -> Range | None:
    """Return the range of the times that a comparison lets through; None for other comparisons."""
    if not isinstance(bound, datetime):
        return None
    at = prefix + _escape_kb(encode_value(bound))
    # All encoded times have one length, so what follows that of `bound` is a separator.
    times, after_bound = prefix + bytes([RANK_DATE]), at + b"\x00" + AFTER_ALL_VALUES * 2
    end = prefix + bytes([RANK_DATE + 1])
    found = {
        "$gt": (after_bound, end),
        "$gte": (at, end),
        "$lt": (times, at),
        "$lte": (times, after_bound),
    }
    return found.get(operator)
