"""What the threads of a worker share: chunks given back, and who says so in the log."""

from unittest.mock import Mock

import pytest
from bson import ObjectId

from stt.domain.chunk import Chunk
from stt.domain.claim import Claim, Order, Queue
from stt.errors import ClaimLost, DatabaseRefused, DatabaseUnavailable
from stt.settings import load_settings
from stt.worker.context import WorkerContext, WorkOptions

HELD = [Claim(ObjectId(), Chunk(ObjectId(), None, n), "box_1", 0.0) for n in range(3)]


@pytest.fixture
def context() -> WorkerContext:
    queue = Queue(claims=Mock(), recordings=Mock(), roster=Mock())
    settings = load_settings(server_urls=("http://127.0.0.1:1",), max_attempts=4)
    return WorkerContext("box_1", queue, settings, WorkOptions(), Mock())


def released(context: WorkerContext, *outcomes: Exception | None) -> int:
    release: Mock = context.claims.release  # type: ignore[assignment]
    release.side_effect = outcomes
    return context.release(HELD)


def test_all_are_released_and_counted(context: WorkerContext) -> None:
    assert released(context, None, None, None) == 3


def test_isolated_chunks_are_released_as_such(context: WorkerContext) -> None:
    context.release(HELD[:1], isolated=True)
    context.claims.release.assert_called_once_with(HELD[0], isolated=True)  # type: ignore[attr-defined]


def test_a_claim_that_is_lost_already_is_no_error(
    context: WorkerContext, caplog: pytest.LogCaptureFixture
) -> None:
    assert released(context, ClaimLost("taken"), None, None) == 2
    assert not caplog.records


def test_a_chunk_that_the_database_refuses_is_left_to_its_lease_and_the_others_are_not(
    context: WorkerContext, caplog: pytest.LogCaptureFixture
) -> None:
    assert released(context, None, DatabaseRefused("too large"), None) == 2
    [message] = caplog.messages
    assert message == f"chunk {HELD[1].chunk.id} is left to its lease: too large"


def test_a_database_that_is_away_is_asked_once_and_the_log_says_how_many_are_left(
    context: WorkerContext, caplog: pytest.LogCaptureFixture
) -> None:
    assert released(context, None, DatabaseUnavailable("away"), None) == 1
    assert caplog.messages == ["2 chunk(s) left to their lease: away"]
    assert context.claims.release.call_count == 2  # type: ignore[attr-defined]


def test_a_thread_that_was_abandoned_says_nothing_after_the_workers_last_line(
    context: WorkerContext, caplog: pytest.LogCaptureFixture
) -> None:
    context.is_over.set()
    assert released(context, DatabaseUnavailable("away")) == 0
    assert not caplog.records


def test_the_parts_are_made_from_the_settings(context: WorkerContext) -> None:
    assert (context.worker, context.max_attempts) == ("box_1", 4)
    assert not context.stop.is_set()


def test_a_run_without_options_takes_all_recordings_oldest_first() -> None:
    recordings = (ObjectId(),)
    assert WorkOptions().order == Order()
    options = WorkOptions(newest_first=True, recordings=recordings)
    assert options.order == Order(newest_first=True, recordings=recordings)
