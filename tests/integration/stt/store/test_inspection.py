"""What is known about a database without changing it."""

import pytest
from pymongo import IndexModel

from stt.store.database import Database
from stt.store.indexes import INDEXES
from stt.store.inspection import DatabaseInspector

ALL = [f"{c}.{index.document['name']}" for c, indexes in INDEXES.items() for index in indexes]


@pytest.fixture
def inspector(database: Database) -> DatabaseInspector:
    return DatabaseInspector(database)


def test_the_server_says_its_version_and_time(inspector: DatabaseInspector) -> None:
    server = inspector.server()
    assert server.version[0].isdigit()
    assert server.is_primary
    assert abs(server.clock_seconds_ahead) < 60, "both clocks are this machine's"


def test_indexes_that_are_there_are_neither_missing_nor_wrong(inspector: DatabaseInspector) -> None:
    assert inspector.missing_indexes() == []
    assert inspector.wrong_indexes() == []


def test_missing_indexes_are_named_and_not_made(
    database: Database, inspector: DatabaseInspector
) -> None:
    database.chunks.database.client.drop_database(database.chunks.database.name)
    assert inspector.missing_indexes() == ALL
    assert inspector.missing_indexes() == ALL
    assert database.chunks.database.list_collection_names() == []


@pytest.mark.parametrize("change", ["keys", "unique"])
def test_an_index_of_our_name_that_is_another_one_is_named(
    database: Database, inspector: DatabaseInspector, change: str
) -> None:
    database.chunks.drop_index("place")
    keys = [("index", 1)] if change == "keys" else [("original_id", 1), ("index", 1)]
    database.chunks.create_indexes([IndexModel(keys, name="place", unique=change == "keys")])
    assert inspector.wrong_indexes() == ["audio_chunks.place"]
    assert inspector.missing_indexes() == []


def test_a_server_without_users_does_not_say_who_may_write(inspector: DatabaseInspector) -> None:
    assert inspector.may_write() is None
