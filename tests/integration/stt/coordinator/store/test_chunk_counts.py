"""The numbers that are read every second, compared with those that are counted whole."""

from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from stt.coordinator.store.chunk_counts import (
    CountDelta,
    FullCount,
    count_delta,
    hourly_throughput,
    take_full_count,
)
from stt.coordinator.store.status import counts_of
from stt.store.counts import sums_by
from stt.store.database import Database
from stt.store.status import queue_status
from tests.support.commands_sent import CommandsSent
from tests.support.queue_builder import START, add_chunks

LEASE_SECONDS = 60.0
SAID = {"segments": [{"start": 0.0, "end": 1.0, "text": "word"}]}
SILENT: dict[str, Any] = {"segments": []}


def full_count_and_delta(database: Database) -> tuple[FullCount, CountDelta]:
    full_count = take_full_count(database)
    return full_count, count_delta(full_count, database, LEASE_SECONDS)


def test_an_empty_queue_has_nothing(database: Database) -> None:
    full_count, delta = full_count_and_delta(database)
    assert (
        full_count.open.chunks,
        full_count.done.chunks,
        full_count.open.audio_seconds,
        full_count.documents,
    ) == (0,) * 4
    assert (delta.done.chunks, delta.failed, delta.processing, delta.documents) == (0,) * 4


def test_both_count_as_the_whole_status_does(database: Database) -> None:
    now = database.server_time()
    minute = timedelta(minutes=1)
    add_chunks(database, 4)
    add_chunks(database, 2, not_before=now + minute)
    add_chunks(database, 3, processing_by="alice_1", claimed_at=now)
    add_chunks(database, 1, processing_by="dead_1", claimed_at=now - 5 * minute)
    add_chunks(database, 1, processing_by="by_hand", claimed_at=None)
    add_chunks(database, 5, transcribed_at=now - minute, transcript=SAID)
    add_chunks(database, 2, transcribed_at=now - minute, transcript=SILENT)
    add_chunks(database, 1, transcribed_at=now - minute, transcript=None)
    add_chunks(database, 2, failed_at=now)
    # By hand, or by a worker of old: what is done is done, whatever else is written there.
    add_chunks(database, 1, transcribed_at=now - minute, failed_at=now, processing_by="alice_1")
    whole = queue_status(database, LEASE_SECONDS)
    full_count, delta = full_count_and_delta(database)
    assert full_count.done.chunks + full_count.open.chunks == whole.counts.total == 22
    assert full_count.done.chunks == whole.counts.transcribed
    assert (delta.processing, delta.failed) == (whole.counts.processing, whole.counts.failed)
    assert (full_count.done.empty, full_count.open.resting, delta.stale) == (
        whole.empty,
        whole.resting,
        whole.stale,
    )
    assert (full_count.done.audio_seconds, full_count.open.audio_seconds) == (9 * 30.0, 13 * 30.0)


def test_what_happens_after_a_full_count_is_in_the_delta_and_not_counted_twice(
    database: Database,
) -> None:
    add_chunks(database, 2, transcribed_at=database.server_time(), transcript=SAID)
    full_count = take_full_count(database)
    later = full_count.at + timedelta(milliseconds=1)
    add_chunks(database, 3, transcribed_at=later, transcript=SILENT)
    add_chunks(database, 1)
    delta = count_delta(full_count, database, LEASE_SECONDS)
    assert (delta.done.chunks, delta.done.empty, delta.done.audio_seconds) == (3, 3, 90.0)
    assert delta.documents - full_count.documents == 4
    assert (
        take_full_count(database).done.chunks
        + count_delta(take_full_count(database), database, LEASE_SECONDS).done.chunks
        == 5
    )


@pytest.mark.parametrize("finished", [False, True])
def test_what_comes_while_all_are_counted_is_counted_once(
    database: Database, monkeypatch: pytest.MonkeyPatch, finished: bool
) -> None:
    add_chunks(database, 1)
    windows = 0

    def grow(*arguments: Any) -> Any:
        """Read a window; before the first one a chunk comes, and behind it one that is not read."""
        nonlocal windows
        windows += 1
        end: dict[str, Any] = {"transcribed_at": database.server_time()} if finished else {}
        if windows == 1:
            add_chunks(database, 1, recording_id=ObjectId(), **end)
        found = sums_by(*arguments)
        if windows == 1:
            add_chunks(database, 1, recording_id=ObjectId(bytes(11) + b"\x01"), **end)
        return found

    monkeypatch.setattr("stt.coordinator.store.chunk_counts.sums_by", grow)
    full_count = take_full_count(database)
    add_chunks(database, 1)
    counts = counts_of(full_count, count_delta(full_count, database, LEASE_SECONDS))
    assert windows > 1
    assert counts.total == database.chunks.count_documents({}) == 4
    assert counts.transcribed == (2 if finished else 0)


def test_the_chunks_of_some_recordings_are_read_at_a_time(
    mongo_url: str, database: Database
) -> None:
    """A page that asks meanwhile waits for some of them, and not for all."""
    for _ in range(12):
        add_chunks(database, 1, transcribed_at=START, transcript=SAID)
    database.chunks.insert_many({"original_id": id_} for id_ in (None, "a text", 7))
    sent = CommandsSent(mongo_url, database.chunks.database.name)
    with sent.database:
        full_count = take_full_count(sent.database)
    assert (full_count.done.chunks, full_count.open.chunks) == (12, 3)
    matches = [c["pipeline"][0]["$match"] for c in sent.commands if "pipeline" in c]
    reads = [match for match in matches if "errors.at" not in match]
    assert len(reads) > 4
    assert all("original_id" in read or "$nor" in read for read in reads)


def test_chunks_with_an_error_in_the_last_hour_are_counted_whatever_became_of_them(
    database: Database,
) -> None:
    now = database.server_time()
    hour = timedelta(hours=1)
    fresh, old = [{"at": now, "kind": "bad_audio"}], [{"at": now - 2 * hour, "kind": "bad_audio"}]
    add_chunks(database, 1, errors=fresh)
    add_chunks(database, 1, errors=fresh + old, failed_at=now)
    add_chunks(database, 1, errors=old + fresh, transcribed_at=now)
    add_chunks(database, 5, errors=old, transcribed_at=now)
    add_chunks(database, 5, errors=old, failed_at=now - 2 * hour)
    add_chunks(database, 5, errors="garbled")
    assert take_full_count(database).with_errors == 3


@pytest.mark.parametrize("duration", [None, "long", float("nan"), float("inf"), -5.0])
def test_a_length_that_is_none_does_not_spoil_the_sum(database: Database, duration: Any) -> None:
    add_chunks(database, 1, duration=duration, transcribed_at=database.server_time())
    full_count, delta = full_count_and_delta(database)
    total = full_count.done.audio_seconds + delta.done.audio_seconds
    assert (total, full_count.done.chunks + delta.done.chunks) == (0.0, 1)


def test_odd_documents_are_survived(database: Database) -> None:
    now = database.server_time()
    add_chunks(database, 1, transcribed_at=now, transcript="text")
    add_chunks(database, 1, transcribed_at=now, transcript={"segments": "text"})
    add_chunks(database, 1, processing_by=17, claimed_at="yesterday")
    database.chunks.insert_one({"data": b"x"})
    full_count = take_full_count(database)
    assert full_count.done.chunks + full_count.open.chunks == 4


def test_an_hour_has_what_was_done_and_what_failed_in_it(database: Database) -> None:
    begin = database.server_time().replace(minute=0, second=0, microsecond=0)
    hour = timedelta(hours=1)
    add_chunks(database, 2, transcribed_at=begin)
    add_chunks(database, 1, transcribed_at=begin + hour - timedelta(milliseconds=1))
    add_chunks(database, 4, transcribed_at=begin + hour)
    add_chunks(database, 4, transcribed_at=begin - timedelta(milliseconds=1))
    add_chunks(database, 3, failed_at=begin + hour / 2)
    found = hourly_throughput(database, begin)
    assert (found.at, found.chunks, found.audio_seconds, found.failed) == (begin, 3, 90.0, 3)
