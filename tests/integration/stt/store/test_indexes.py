"""Indexes of earlier versions are dropped once those that replace them are there."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bson import ObjectId
from pymongo import IndexModel
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from stt.domain.claim import ClaimRules, Order
from stt.store.claims import MongoClaims
from stt.store.database import Database
from tests.support.queue_builder import add_chunks, add_recording

EARLIER = {
    "audio_chunks": [
        IndexModel(
            [
                ("transcribed_at", 1), ("failed_at", 1), ("processing_by", 1),
                ("priority", -1), ("start", 1), ("_id", 1),
            ],
            name="paging",
        ),
        IndexModel([("original_id", 1), ("index", 1)], name="place", unique=True),
        IndexModel([("processing_by", 1), ("claimed_at", 1)], name="claims"),
    ],
    "source_files": [
        IndexModel([("sha256", 1)], name="sha256", unique=True),
        IndexModel([("filename", 1)], name="filename"),
    ],
}  # fmt: skip
"""What the version before made at each start of a worker."""


def collections(database: Database) -> tuple[Collection[dict[str, Any]], ...]:
    return database.chunks, database.recordings


def names(database: Database) -> set[str]:
    return {name for each in collections(database) for name in each.index_information()}


@pytest.fixture
def earlier(database: Database) -> Database:
    """A database as the version before left it."""
    for collection in collections(database):
        collection.drop_indexes()
        collection.create_indexes(EARLIER[collection.name])
    return database


def test_all_are_dropped_once_their_replacements_are_there(earlier: Database) -> None:
    assert {"paging", "claims", "sha256"} <= names(earlier)
    earlier.ensure_indexes()
    assert names(earlier) == {
        "_id_", "pages", "place", "leases", "sha256_of_file", "earlier_of_file", "filename",
        "model", "with_speakers",
    }  # fmt: skip


def test_they_are_dropped_where_chunks_share_a_place_too(earlier: Database) -> None:
    earlier.chunks.drop_index("place")
    place = {"original_id": ObjectId(), "index": 0}
    earlier.chunks.insert_many([dict(place), dict(place)])
    earlier.ensure_indexes()
    assert set(earlier.chunks.index_information()) == {"_id_", "pages", "places", "leases"}


def test_many_processes_start_at_once(earlier: Database, mongo_url: str) -> None:
    name, barrier = earlier.chunks.database.name, threading.Barrier(4)

    def start() -> None:
        with Database(mongo_url, name) as own:
            barrier.wait()
            own.ensure_indexes()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(start) for _ in range(4)]:
            done.result()
    assert not {"paging", "claims", "sha256"} & names(earlier)


def test_workers_of_two_versions_start_side_by_side(
    earlier: Database, mongo_url: str, rules: ClaimRules
) -> None:
    """Neither fails, whatever the other drops or makes meanwhile, and both find their work."""
    recording_id = add_recording(earlier, sha256="a")
    add_chunks(earlier, 20, recording_id=recording_id)
    name = earlier.chunks.database.name

    def start_earlier(own: Database) -> None:
        for collection in collections(own):
            collection.create_indexes(EARLIER[collection.name])

    def start(starts: Any) -> None:
        with Database(mongo_url, name) as own:
            for _ in range(10):
                starts(own)

    with ThreadPoolExecutor(4) as pool:
        starts = [start_earlier, Database.ensure_indexes] * 2
        for done in [pool.submit(start, each) for each in starts]:
            done.result()
    earlier.ensure_indexes()
    assert not {"paging", "claims", "sha256"} & names(earlier)
    assert earlier.chunks.count_documents({"original_id": recording_id}) == 20
    assert len(MongoClaims(earlier, "alice_1", rules).page(5, Order()).chunks) == 5


def test_a_user_who_may_not_drop_indexes_works_with_them(
    earlier: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OperationFailure("not authorized on stt to execute dropIndexes", 13)

    monkeypatch.setattr(Collection, "drop_index", refuse)
    earlier.ensure_indexes()
    assert {"paging", "pages", "claims", "leases"} <= names(earlier)
