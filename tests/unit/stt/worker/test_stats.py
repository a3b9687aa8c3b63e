"""Counts of chunks, and whether any failure was not made good."""

import pytest
from bson import ObjectId

from stt.domain.chunk import Chunk
from stt.worker.stats import Stats


def chunk(**fields: object) -> Chunk:
    return Chunk(ObjectId(), fields.pop("recording_id", None), 0, **fields)  # type: ignore[arg-type]


def test_endings_are_counted() -> None:
    stats = Stats()
    for ending in ("transcribed", "empty", "skipped"):
        stats.add(ending)
    stats.failed(chunk())
    assert stats.counts == {"transcribed": 1, "empty": 1, "error": 1, "skipped": 1}
    assert (stats.done, stats.errors) == (3, 1)


def test_a_chunk_that_failed_and_then_succeeded_is_no_failure() -> None:
    stats, one, other = Stats(), chunk(), chunk()
    stats.failed(one)
    stats.failed(other)
    stats.succeeded(one, "transcribed")
    assert stats.has_failures
    stats.succeeded(other, "empty")
    assert not stats.has_failures
    assert stats.errors == 2


def test_only_what_is_not_tried_again_is_finished_and_channels_share_their_audio() -> None:
    stats, call, talk = Stats(), ObjectId(), ObjectId()
    for channel in (1, 2):
        stats.succeeded(
            chunk(recording_id=call, duration=30.0, channel=channel, channels=2), "empty"
        )
    stats.failed(chunk(recording_id=talk, duration=12.0))
    assert (stats.finished, stats.seconds, stats.recordings) == (2, 30.0, {call})
    stats.failed(chunk(recording_id=talk, duration=12.0), is_last_try=True)
    both = stats.plus(stats)
    assert (both.finished, both.set_aside, both.recordings) == (6, 2, {call, talk})
    assert both.seconds == pytest.approx(84.0)
