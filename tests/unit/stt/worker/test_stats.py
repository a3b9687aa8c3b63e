"""Counts of chunks, and whether any failure was not made good."""

from bson import ObjectId

from stt.worker.stats import Stats


def test_endings_are_counted() -> None:
    stats = Stats()
    for ending in ("transcribed", "empty", "skipped"):
        stats.add(ending)
    stats.failed(ObjectId())
    assert stats.counts == {"transcribed": 1, "empty": 1, "error": 1, "skipped": 1}
    assert (stats.done, stats.errors) == (3, 1)


def test_a_chunk_that_failed_and_then_succeeded_is_no_failure() -> None:
    stats, id_, other = Stats(), ObjectId(), ObjectId()
    stats.failed(id_)
    stats.failed(other)
    stats.succeeded(id_, "transcribed")
    assert stats.has_failures
    stats.succeeded(other, "empty")
    assert not stats.has_failures
    assert stats.errors == 2
