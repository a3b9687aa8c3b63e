"""Chunks of recordings that want a model."""

import pytest
from bson import ObjectId

from stt.domain.chunk import SPEAKERS
from stt.domain.claim import Order, Pending, WorkerReport
from stt.store.database import Database
from stt.store.model_routing import (
    WaitingChunks,
    count_pending,
    read_page,
    waiting_chunks,
    wanted_models,
    with_length,
)
from stt.store.status import queue_status
from stt.store.workers import MongoRoster
from tests.support.queue_builder import add_chunks, add_recording


@pytest.fixture
def big(database: Database) -> ObjectId:
    """A recording of the highest priority, whose three chunks want the model `big`."""
    recording_id = add_recording(database, model="big")
    add_chunks(database, 3, recording_id=recording_id, priority=5)
    return recording_id


def report(database: Database, worker: str, *missing: str, **more: object) -> None:
    fields = {"slots": 2, "missing_models": missing, **more}
    MongoRoster(database).report(worker, WorkerReport(**fields))  # type: ignore[arg-type]


def test_a_page_leaves_out_what_waits_for_a_model_and_is_full_all_the_same(
    database: Database, big: ObjectId
) -> None:
    plain = add_chunks(database, 4, recording_id=add_recording(database))
    page = read_page(database, 3, Order())
    assert [chunk.recording_id for chunk in page.chunks] == [big] * 3
    assert page.models == ("big",)
    page = read_page(database, 4, Order(without_models=("big", "huge")))
    assert [chunk.id for chunk in page.chunks] == plain
    assert page.is_last
    assert len(read_page(database, 10, Order(without_models=("huge",))).chunks) == 7


def test_recordings_with_speakers_wait_for_a_server_that_finds_them(database: Database) -> None:
    plain = add_chunks(database, 2, recording_id=add_recording(database))
    wanting = add_chunks(database, 3, recording_id=add_recording(database, speakers=0), priority=5)
    page = read_page(database, 10, Order())
    assert [chunk.id for chunk in page.chunks] == [*wanting, *plain]
    assert page.models == (SPEAKERS,)
    page = read_page(database, 10, Order(without_models=(SPEAKERS,)))
    assert [chunk.id for chunk in page.chunks] == plain
    assert count_pending(database, Order(models=(SPEAKERS,))) == 3


def test_chunks_are_counted_by_the_model_that_they_want(database: Database, big: ObjectId) -> None:
    other = add_recording(database, model="big")
    add_chunks(database, 1, recording_id=other)
    add_chunks(database, 2, recording_id=add_recording(database))
    assert count_pending(database, Order()) == 6
    assert count_pending(database, Order(models=("big",))) == 4
    assert count_pending(database, Order(models=("big",), recordings=(big,))) == 3
    assert count_pending(database, Order(models=("huge",))) == 0
    assert with_length(database, Order(models=("big",)), 4) == Pending(4, 120.0)


def test_the_models_that_are_wanted_are_listed_once_without_odd_values(database: Database) -> None:
    for model in ("tiny", "big", "big", None, "", 7):
        add_recording(database, model=model)
    assert wanted_models(database) == ("big", "tiny")


class TestWaiting:
    def test_what_no_living_worker_has_waits_and_the_status_says_so(
        self, database: Database, big: ObjectId
    ) -> None:
        assert waiting_chunks(database) == (), "without a worker nothing is known"
        report(database, "a_1", "big", "huge")
        assert waiting_chunks(database) == (WaitingChunks("big", 3),)
        assert queue_status(database, 60).missing_models == (WaitingChunks("big", 3),)
        report(database, "b_2")  # it may have every model
        assert waiting_chunks(database) == ()
        report(database, "b_2", state="stopped")
        assert waiting_chunks(database) == (WaitingChunks("big", 3),)

    def test_workers_that_have_ended_and_nodes_without_one_count_only_as_far_as_they_know(
        self, database: Database, big: ObjectId
    ) -> None:
        report(database, "a_1", "big", state="stopped")
        report(database, "b_2", slots=0, state="paused")
        assert waiting_chunks(database) == (WaitingChunks("big", 3),)
