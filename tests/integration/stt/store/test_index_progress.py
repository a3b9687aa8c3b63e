"""Indexes that take longer than any other answer of the database."""

import logging
import time
from collections.abc import Iterator
from typing import Any

import mockupdb
import pytest

from stt.store import index_progress
from stt.store.database import Database
from stt.store.indexes import INDEXES
from tests.support.scripted_member import ScriptedMember


@pytest.fixture
def member() -> Iterator[ScriptedMember]:
    member = ScriptedMember()
    member.election = 1
    yield member
    member.stop()


@pytest.fixture
def database(member: ScriptedMember) -> Iterator[Database]:
    url = f"mongodb://{member.host}/?directConnection=true&socketTimeoutMS=2000"
    with Database(url, "stt") as database:
        yield database


def test_a_build_that_takes_longer_than_an_answer_may_is_waited_for_and_shown(
    member: ScriptedMember,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(index_progress, "_FIRST_LOG_SECONDS", 0.5)
    done = mockupdb.go(database.ensure_indexes)
    first = member.receives("createIndexes")
    size = member.receives("count")
    assert size["count"] == "audio_chunks"
    size.ok(n=1_000_000)
    operations: Any = member.receives("aggregate")
    assert "$currentOp" in operations["pipeline"][0]
    building = {"progress": {"done": 340_000, "total": 1_000_000}}
    operations.ok(cursor={"id": 0, "ns": "admin.$cmd.aggregate", "firstBatch": [building]})
    time.sleep(2.5)  # longer than any other answer may take
    with caplog.at_level(logging.WARNING):
        first.ok()
        indexes: Any = {"id": 0, "ns": "stt.any", "firstBatch": []}
        for collection in INDEXES:
            if collection != "audio_chunks":
                member.receives("createIndexes").ok()
            if collection in ("audio_chunks", "source_files"):
                member.receives("listIndexes").ok(cursor=indexes)
        done()
    assert "Building the indexes of audio_chunks: 34 % of 1,000,000 documents" in caplog.text


def test_a_count_may_take_as_long_too(member: ScriptedMember, database: Database) -> None:
    with database.without_time_limit() as patient:
        counted = mockupdb.go(patient.chunks.count_documents, {})
        request: Any = member.receives("aggregate")
        time.sleep(2.5)
        cursor = {"id": 0, "ns": "stt.audio_chunks", "firstBatch": [{"_id": 1, "n": 7}]}
        request.ok(cursor=cursor)
        assert counted() == 7
