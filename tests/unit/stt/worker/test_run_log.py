"""The lines of `--verbose` about a run, in the form that scripts of other workers search for."""

import logging

import pytest
from bson import ObjectId

from stt.domain.chunk import Chunk
from stt.domain.transcript import Segment, Transcript
from stt.settings import load_settings
from stt.worker.run_log import RunLog
from stt.worker.stats import Stats

SPOKEN = Transcript((Segment(0.0, 4.0, "x" * 1_200), Segment(4.0, 5.0, "y" * 45)))


def chunk() -> Chunk:
    return Chunk(ObjectId(), ObjectId(), 0)


@pytest.fixture(autouse=True)
def _all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def test_each_chunk_is_logged_with_its_number_time_and_length(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stats = Stats()
    log = RunLog(stats, lambda: 60)
    for _ in range(12):
        stats.succeeded(chunk(), "transcribed")
    log.completed(SPOKEN, 8.23)
    log.progress()
    log.progress()  # another thread, which has finished none since
    assert caplog.messages == ["[12/60] completed in 8.2 s: 1245 chars", "Progress: 12/60 (20.0 %)"]


def test_without_a_total_there_is_no_percent(caplog: pytest.LogCaptureFixture) -> None:
    stats = Stats()
    log = RunLog(stats, lambda: None)
    stats.succeeded(chunk(), "empty")
    log.completed(Transcript(), 0.04)
    log.progress()
    assert caplog.messages == ["[1] completed in 0.0 s: 0 chars", "Progress: 1"]


def test_the_success_rate_counts_a_chunk_once_however_often_it_was_tried(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stats = Stats()
    log = RunLog(stats, lambda: 60)
    later_well, bad = chunk(), chunk()
    for _ in range(58):
        stats.succeeded(chunk(), "transcribed")
    for failed in (later_well, bad, bad):
        stats.failed(failed)
    stats.succeeded(later_well, "empty")
    log.ended()
    log.progress()  # a thread that was abandoned
    assert caplog.messages == ["Success rate: 98.3 % (59/60)"]


def test_a_run_that_tried_nothing_has_no_success_rate(caplog: pytest.LogCaptureFixture) -> None:
    RunLog(Stats(), lambda: 0).ended()
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("flags", "calls", "line"),
    [
        ({}, 4, "Mode: parallel, 4 call(s) at once, any recording(s) at once, model of the server"),
        (
            {"max_concurrent_jobs": 2, "model": "base"},
            1,
            "Mode: one at a time, 1 call(s) at once, 2 recording(s) at once, model base",
        ),
    ],
)
def test_the_mode_is_logged_at_the_start(
    caplog: pytest.LogCaptureFixture, flags: dict[str, object], calls: int, line: str
) -> None:
    RunLog(Stats(), lambda: None).started(load_settings(**flags), calls, "http://gpu-box:8081")
    assert caplog.messages == [f"{line}, http://gpu-box:8081"]
