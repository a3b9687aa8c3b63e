"""Queries that stop where an index lets them: the same answers as by a scan, from less."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import ObjectId
from secantus.ordering import sort_docs
from secantus.query import matches
from secantus.storage import Storage

from stt.local.secantus_storage import IndexedStorage
from stt.store.indexes import INDEXES, PAGING_ORDER
from stt.store.states import FAILED, PENDING, PROCESSING, TRANSCRIBED

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PAGE = dict(PAGING_ORDER)
NEWEST = {"priority": -1, "start": -1, "_id": -1}
RECORDINGS = [ObjectId() for _ in range(4)]
MISSING = object()

ANSWERED_BY_AN_INDEX = [
    {**PENDING, "not_before": None},
    {**PENDING, "not_before": {"$ne": None, "$not": {"$gt": NOW}}},
    # Without `$lte`, for which SecantusDB's own way loses those that are equal.
    *({**PENDING, "not_before": {operator: NOW}} for operator in ("$gt", "$gte", "$lt")),
    PENDING,
    PROCESSING,
    FAILED,
    TRANSCRIBED,
    {"original_id": RECORDINGS[0]},
    {},
]
FOUND_IN_RANGES = [
    {**PROCESSING, "attempts": {"$gt": 0}, "_id": {"$ne": ObjectId()}},
    {**TRANSCRIBED, "transcript.segments.0": {"$exists": False}},
    {**FAILED, "attempts": 1},
    {"$nor": [PENDING]},
]
OTHERS = [
    {"original_id": {"$in": RECORDINGS[:2]}, **PENDING, "not_before": None},
    {**PENDING, "not_before": None, "solo": {"$ne": True}},
    {**PENDING, "not_before": {"$type": "string"}},
    {"processing_by": "alice_1", **PENDING},
    {"$nor": [PENDING, FAILED]},
    {"$nor": [PROCESSING]},
    {"$nor": [PENDING], "attempts": 1},
    *FOUND_IN_RANGES,
]


def add(storage: IndexedStorage, *documents: dict[str, Any]) -> None:
    rows = [{k: v for k, v in d.items() if v is not MISSING} for d in documents]
    storage.insert("stt", "audio_chunks", rows)


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[IndexedStorage]:
    with IndexedStorage(str(tmp_path)) as storage:
        for index in INDEXES["audio_chunks"]:
            key = dict(index.document["key"])
            storage.create_index("stt", "audio_chunks", index.document["name"], key)
        yield storage


@pytest.fixture
def filled(storage: IndexedStorage) -> list[dict[str, Any]]:
    """Chunks with all kinds of values, as other programs may write them."""
    rng = random.Random(13)
    times = [NOW + timedelta(seconds=s) for s in range(-9, 10)]
    add(
        storage,
        *(
            {
                "_id": ObjectId(),
                "original_id": rng.choice(RECORDINGS),
                "index": index,
                "transcribed_at": rng.choice([None, None, None, MISSING, NOW]),
                "failed_at": rng.choice([None, None, None, MISSING, NOW]),
                "processing_by": rng.choice([None, None, "alice_1"]),
                "attempts": rng.choice([0, 1, 2]),
                "not_before": rng.choice([None, None, MISSING, "text", 3, True, {"a": 1}, *times]),
                "priority": rng.choice([0, 0, 0, 5, 1.05, 1, -1, -1.5, 10, None, MISSING]),
                "start": rng.choice([None, MISSING, "soon", 3, *times]),
            }
            for index in range(400)
        ),
    )
    found: list[dict[str, Any]] = storage.find_matching("stt", "audio_chunks")
    return found


def keys(documents: list[dict[str, Any]], sort: dict[str, int]) -> list[list[Any]]:
    return [[document.get(field) for field in sort] for document in documents]


@pytest.mark.parametrize(
    "sort", [PAGE, {f: -d for f, d in PAGE.items()}, NEWEST, {"not_before": 1}, {"not_before": -1}]
)
@pytest.mark.parametrize(("skip", "limit"), [(0, 1), (0, 9), (5, 10), (0, 500)])
def test_the_first_in_order_are_those_of_a_scan(
    storage: IndexedStorage,
    filled: list[dict[str, Any]],
    sort: dict[str, int],
    skip: int,
    limit: int,
) -> None:
    for query in [*ANSWERED_BY_AN_INDEX, *OTHERS]:
        found = storage.find_matching(
            "stt", "audio_chunks", query, sort=sort, skip=skip, limit=limit
        )
        expected = sort_docs([d for d in filled if matches(d, query)], sort)[skip : skip + limit]
        assert keys(found, sort) == keys(expected, sort), query


def test_counts_are_those_of_a_scan(
    storage: IndexedStorage, filled: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for query in OTHERS:
        expected = sum(matches(document, query) for document in filled)
        assert storage.count_matching("stt", "audio_chunks", query) == expected
    # These, without a look at a document.
    monkeypatch.delattr(Storage, "_docs_by_recordids")
    monkeypatch.delattr(Storage, "_all_docs")
    for query in ANSWERED_BY_AN_INDEX:
        expected = sum(matches(document, query) for document in filled)
        assert storage.count_matching("stt", "audio_chunks", query) == expected


@pytest.mark.parametrize("query", FOUND_IN_RANGES)
def test_what_is_not_null_is_found_without_a_scan(
    storage: IndexedStorage,
    filled: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    query: dict[str, Any],
) -> None:
    read: list[int] = []
    by_numbers = Storage._docs_by_recordids

    def read_and_note(self: Storage, db: str, coll: str, numbers: list[int]) -> Any:
        read.extend(numbers)
        return by_numbers(self, db, coll, numbers)

    monkeypatch.setattr(Storage, "_docs_by_recordids", read_and_note)
    found = storage.find_matching("stt", "audio_chunks", query)
    expected = [document["_id"] for document in filled if matches(document, query)]
    assert sorted(document["_id"] for document in found) == sorted(expected)
    pending = sum(matches(document, PENDING) for document in filled)
    assert len(expected) <= len(read) <= len(filled) - pending
    storage.update_matching("stt", "audio_chunks", query, {"$set": {"seen": 1}}, multi=True)
    seen = storage.find_matching("stt", "audio_chunks", {"seen": 1})
    assert sorted(document["_id"] for document in seen) == sorted(expected)


def test_a_document_with_a_list_in_an_indexed_field_is_found(storage: IndexedStorage) -> None:
    """Then an index has several entries for a document, and is left to SecantusDB."""
    add(storage, {"_id": 1, "not_before": None, "start": [NOW, NOW]}, {"_id": 2, "start": NOW})
    found = storage.find_matching("stt", "audio_chunks", PENDING, sort=PAGE, limit=5)
    assert sorted(document["_id"] for document in found) == [1, 2]
    assert storage.count_matching("stt", "audio_chunks", PENDING) == 2
    assert storage.count_matching("stt", "audio_chunks", {}) == 2
    add(storage, {"_id": 3, "start": [NOW, NOW], "transcribed_at": NOW})
    assert storage.count_matching("stt", "audio_chunks", TRANSCRIBED) == 1
    assert storage.count_matching("stt", "audio_chunks", {"$nor": [PENDING]}) == 1


@pytest.mark.parametrize("sort", [PAGE, NEWEST])
def test_a_page_reads_no_more_than_a_page_behind_chunks_at_rest(
    storage: IndexedStorage, monkeypatch: pytest.MonkeyPatch, sort: dict[str, int]
) -> None:
    later = NOW + timedelta(hours=1)
    add(
        storage,
        *({"_id": n, "name": "chunk", "start": NOW, "not_before": later} for n in range(500)),
    )
    add(
        storage,
        *({"_id": n, "name": "chunk", "start": NOW, "not_before": None} for n in range(500, 1_000)),
    )
    read: list[bytes] = []
    decode = bson.decode

    def decode_and_note(blob: bytes) -> dict[str, Any]:
        read.append(blob)
        return decode(blob)

    monkeypatch.setattr(bson, "decode", decode_and_note)
    query = {**PENDING, "not_before": None}
    found = storage.find_matching("stt", "audio_chunks", query, sort=sort, limit=10)
    assert len(found) == 10
    assert sum(b"chunk" in blob for blob in read) == 10


def test_a_projection_leaves_the_other_fields_out(storage: IndexedStorage) -> None:
    add(storage, {"_id": 1, "start": NOW, "priority": 3})
    [found] = storage.find_matching(
        "stt", "audio_chunks", PENDING, sort=PAGE, limit=1, projection={"priority": 1}
    )
    assert found == {"_id": 1, "priority": 3}
