"""Coordinators: one for all tests of a module, one for a single test, one without a database."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pymongo
import pytest

from stt.store.database import Database
from tests.support.coordinator_app import CoordinatorThread, running_coordinator

AWAY = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300&directConnection=true"


@pytest.fixture(scope="module")
def shared(mongo_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CoordinatorThread]:
    """For tests of which none disturbs another: they try no wrong key."""
    name = f"stt_test_{uuid.uuid4().hex[:12]}"
    with Database(mongo_url, name) as database:
        database.ensure_indexes()
        with running_coordinator(database, tmp_path_factory.mktemp("data")) as running:
            yield running
    with pymongo.MongoClient[dict[str, object]](mongo_url) as client:
        client.drop_database(name)


@pytest.fixture
def coordinator(database: Database, tmp_path: Path) -> Iterator[CoordinatorThread]:
    """For tests whose failures count."""
    with running_coordinator(database, tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CoordinatorThread]:
    """Return a coordinator whose database does not answer."""
    with (
        Database(AWAY, "stt") as database,
        running_coordinator(database, tmp_path_factory.mktemp("data")) as running,
    ):
        yield running
