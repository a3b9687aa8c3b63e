"""Notifications in a real database: what is recorded, who may deliver it, and when it ends."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from stt.domain.notification import LEASE_SECONDS, DeliveryFailure, Notification
from stt.domain.transcript import Transcript
from stt.notification_settings import EventType
from stt.store import claims as all_claims
from stt.store.claims import MongoClaims
from stt.store.database import Database
from stt.store.notifications import Destination, Outbox
from stt.store.retranscription import transcribe_again
from tests.support.queue_builder import add_chunks, add_recording, chunk, claimed

EVERYTHING: tuple[EventType, ...] = ("recording.done", "recording.failed", "queue.empty")
RECORDINGS: tuple[EventType, ...] = ("recording.done", "recording.failed")


def outbox(
    database: Database, key: str = "webhook:1", events: tuple[EventType, ...] = RECORDINGS
) -> Outbox:
    """A process of its own: it remembers nothing of others."""
    made = Outbox(database, Destination(key, "hooks.example", events))
    made.open()
    made.begin()
    return made


def recorded(database: Database, **query: Any) -> list[dict[str, Any]]:
    """Return what its destination wants, and what is not wanted only if asked for."""
    wanted = {"outcome": {"$ne": "unwanted"}}
    return list(database.notifications.find({**wanted, **query}).sort("created_at", 1))


def types(database: Database) -> list[str]:
    return [document["type"] for document in recorded(database)]


def transcribe(claims: MongoClaims, database: Database, *chunk_ids: ObjectId) -> None:
    for id_ in chunk_ids:
        claims.complete(claimed(claims, chunk(database, id_)), Transcript())


def quarantine(claims: MongoClaims, database: Database, chunk_id: ObjectId) -> None:
    while not database.chunks.find_one({"_id": chunk_id, "failed_at": {"$ne": None}}):
        database.chunks.update_one({"_id": chunk_id}, {"$set": {"not_before": None}})
        claims.fail(claimed(claims, chunk(database, chunk_id)), "bad_audio", "no frames")


def claim_first(box: Outbox) -> Notification:
    [id_, *_] = box.due()
    notification = box.claim(id_)
    assert notification is not None
    return notification


def test_a_recording_is_recorded_once_its_last_chunk_is_written(
    database: Database, alice: MongoClaims
) -> None:
    box = outbox(database)
    first, second = add_chunks(database, 2)
    transcribe(alice, database, first)
    box.record(at_once=True)
    assert recorded(database) == []
    transcribe(alice, database, second)
    for _ in range(3):
        box.record(at_once=True)
    assert types(database) == ["recording.done"]


def test_what_ended_before_it_began_is_not_recorded(database: Database, alice: MongoClaims) -> None:
    transcribe(alice, database, *add_chunks(database, 1))
    outbox(database).record(at_once=True)
    assert recorded(database) == []


def test_an_ending_is_found_after_the_process_that_wrote_it_has_died(
    database: Database, alice: MongoClaims
) -> None:
    """Between the last chunk's write and the event: nothing but the chunk is there."""
    outbox(database)
    transcribe(alice, database, *add_chunks(database, 2))
    later = outbox(database)
    later.record(at_once=True)
    assert types(database) == ["recording.done"]


def test_a_process_that_dies_between_its_writes_leaves_no_gap(
    database: Database, alice: MongoClaims, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The notification is written, and the place until which was looked is not."""
    box = outbox(database)
    transcribe(alice, database, *add_chunks(database, 1))
    with monkeypatch.context() as dying:
        dying.setattr(Outbox, "_record_empty", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            box.record(at_once=True)
    assert types(database) == ["recording.done"]
    transcribe(alice, database, *add_chunks(database, 1))
    outbox(database).record(at_once=True)
    assert types(database) == ["recording.done", "recording.done"]


def test_the_last_chunks_of_many_workers_at_once_are_one_event(
    database: Database, rules: Any
) -> None:
    ids = add_chunks(database, 8)
    boxes = [outbox(database) for _ in ids]
    together = threading.Barrier(len(ids))
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            worker = MongoClaims(database, f"worker_{number}", rules)
            claim = claimed(worker, chunk(database, ids[number]))
            together.wait(60)
            worker.complete(claim, Transcript())
            boxes[number].record(at_once=True)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(ids))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    for box in boxes:
        box.record(at_once=True)
    assert types(database) == ["recording.done"]


def test_a_failed_recording_that_is_retried_ends_again(
    database: Database, alice: MongoClaims
) -> None:
    box = outbox(database)
    recording = add_recording(database, language="en")
    good, bad = add_chunks(database, 2, recording_id=recording)
    transcribe(alice, database, good)
    quarantine(alice, database, bad)
    box.record(at_once=True)
    assert types(database) == ["recording.failed"]
    all_claims.retry(database, [bad])
    box.record(at_once=True)
    quarantine(alice, database, bad)
    box.record(at_once=True)
    assert types(database) == ["recording.failed", "recording.failed"]
    all_claims.retry(database, recording_id=recording)
    transcribe(alice, database, bad)
    box.record(at_once=True)
    assert types(database) == ["recording.failed", "recording.failed", "recording.done"]
    assert len({document["event_id"] for document in recorded(database)}) == 3


def test_a_recording_that_is_transcribed_again_ends_again(
    database: Database, alice: MongoClaims
) -> None:
    box = outbox(database)
    recording = add_recording(database, language="en")
    ids = add_chunks(database, 2, recording_id=recording)
    transcribe(alice, database, *ids)
    box.record(at_once=True)
    transcribe_again(database, recording, {"model": "base"})
    box.record(at_once=True)
    assert types(database) == ["recording.done"]
    transcribe(alice, database, *ids)
    box.record(at_once=True)
    assert types(database) == ["recording.done", "recording.done"]


def test_a_recording_that_is_still_cut_has_not_ended(
    database: Database, alice: MongoClaims
) -> None:
    """Its last chunk may be done before the ingest is."""
    box = outbox(database)
    recording = add_recording(database, language="en", ingested_at=None)
    transcribe(alice, database, *add_chunks(database, 1, recording_id=recording))
    box.record(at_once=True)
    assert recorded(database) == []
    database.recordings.update_one(
        {"_id": recording}, {"$currentDate": {"ingested_at": True}, "$set": {"chunk_count": 1}}
    )
    outbox(database).record(at_once=True)
    assert types(database) == ["recording.done"]


def test_the_queue_is_empty_once_after_the_recordings_that_ended(
    database: Database, alice: MongoClaims
) -> None:
    box = outbox(database, events=("queue.empty",))
    box.record(at_once=True)
    assert recorded(database) == []  # nothing has ended
    first, second = add_chunks(database, 1), add_chunks(database, 1)
    transcribe(alice, database, *first)
    box.record(at_once=True)
    transcribe(alice, database, *second)
    for _ in range(3):
        outbox(database, events=("queue.empty",)).record(at_once=True)
    [empty] = recorded(database)
    assert empty["type"] == "queue.empty"
    transcribe(alice, database, *add_chunks(database, 1))
    box.record(at_once=True)
    assert len(recorded(database)) == 2


def test_many_processes_that_end_together_call_the_queue_empty_once(
    database: Database, rules: Any
) -> None:
    ids = [add_chunks(database, 1)[0] for _ in range(6)]
    boxes = [outbox(database, events=EVERYTHING) for _ in ids]
    together = threading.Barrier(len(ids))

    def work(number: int) -> None:
        worker = MongoClaims(database, f"worker_{number}", rules)
        claim = claimed(worker, chunk(database, ids[number]))
        together.wait(60)
        worker.complete(claim, Transcript())
        for _ in range(3):
            boxes[number].record(at_once=True)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(ids))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(types(database)) == ["queue.empty", *["recording.done"] * 6]


def test_a_process_that_records_an_ending_late_does_not_call_the_queue_empty_again(
    database: Database, alice: MongoClaims
) -> None:
    """Of two that find an ending, the slower one may be the one that records it."""
    box = outbox(database, events=EVERYTHING)
    transcribe(alice, database, *add_chunks(database, 1))
    box.record(at_once=True)
    database.notifications.delete_many({"type": "recording.done"})
    outbox(database, events=EVERYTHING).record(at_once=True)
    assert sorted(types(database)) == ["queue.empty", "recording.done"]


def test_the_queue_is_called_empty_again_after_a_recording_that_was_cut_for_long(
    database: Database, alice: MongoClaims
) -> None:
    """Its chunks were all done, and it was not yet whole, when the queue was called empty."""
    box = outbox(database, events=EVERYTHING)
    slow = add_recording(database, language="en", ingested_at=None)
    transcribe(alice, database, *add_chunks(database, 1, recording_id=slow))
    transcribe(alice, database, *add_chunks(database, 1))
    box.record(at_once=True)
    assert sorted(types(database)) == ["queue.empty", "recording.done"]
    database.recordings.update_one({"_id": slow}, {"$currentDate": {"ingested_at": True}})
    box.record(at_once=True)
    assert sorted(types(database)) == ["queue.empty"] * 2 + ["recording.done"] * 2


def test_a_queue_that_is_empty_for_a_moment_is_not_called_empty(
    database: Database, alice: MongoClaims
) -> None:
    box = outbox(database, events=("queue.empty",))
    transcribe(alice, database, *add_chunks(database, 1))
    set_back(database, seconds=3)
    box.record()
    assert recorded(database, type="queue.empty") == []
    set_back(database, seconds=3)
    earlier = database.server_time() - timedelta(seconds=11)
    database.destinations.update_one({}, {"$set": {"empty_since": earlier}})
    box.record()
    assert len(recorded(database, type="queue.empty")) == 1


def set_back(database: Database, seconds: float) -> None:
    """Let so much time pass since endings were looked for."""
    then = database.server_time() - timedelta(seconds=seconds)
    database.destinations.update_many({}, {"$set": {"since": then}})


def test_processes_share_the_work_of_looking(database: Database, alice: MongoClaims) -> None:
    box, other = outbox(database), outbox(database)
    box.record(at_once=True)
    transcribe(alice, database, *add_chunks(database, 1))
    other.record()
    assert recorded(database) == []
    set_back(database, seconds=3)
    other.record()
    assert types(database) == ["recording.done"]


@pytest.mark.parametrize("days", [1, 400])
def test_a_clock_that_was_set_back_loses_no_ending(
    database: Database, alice: MongoClaims, days: int
) -> None:
    """The chunks have times from before the one until which was looked."""
    box = outbox(database)
    ahead = database.server_time() + timedelta(days=days)
    database.destinations.update_one({}, {"$set": {"since": ahead, "begun_at": ahead}})
    transcribe(alice, database, *add_chunks(database, 1))
    box.record()
    assert types(database) == ["recording.done"]


def test_a_write_that_is_seen_late_is_found(database: Database) -> None:
    """Its time is from before the last search, which did not see it yet."""
    box = outbox(database)
    long_ago = database.server_time() - timedelta(minutes=5)
    database.destinations.update_one({}, {"$set": {"begun_at": long_ago}})
    box.record(at_once=True)
    before = database.server_time() - timedelta(seconds=10)
    add_chunks(database, 1, transcribed_at=before)
    box.record(at_once=True)
    assert types(database) == ["recording.done"]


def test_destinations_are_independent(database: Database, alice: MongoClaims) -> None:
    box = outbox(database)
    transcribe(alice, database, *add_chunks(database, 1))
    box.record(at_once=True)
    late = outbox(database, "webhook:2")
    late.record(at_once=True)
    assert list(late.due()) == []
    [id_] = box.due()
    assert id_.startswith("webhook:1:evt_")


def test_a_notification_has_one_holder_at_a_time(database: Database, alice: MongoClaims) -> None:
    box, other = outbox(database), outbox(database)
    transcribe(alice, database, *add_chunks(database, 1))
    box.record(at_once=True)
    [id_] = other.due()
    held = claim_first(box)
    assert other.claim(id_) is None
    assert list(other.due()) == []
    box.delivered(held)
    let_lease_run_out(database)
    assert list(other.due()) == []
    [document] = recorded(database)
    assert (document["outcome"], document["attempts"]) == ("delivered", 1)


def let_lease_run_out(database: Database, seconds: float = LEASE_SECONDS + 1) -> None:
    past = database.server_time() - timedelta(seconds=seconds)
    database.notifications.update_many({}, {"$set": {"not_before": past}})


def test_a_delivery_whose_process_died_is_made_again_with_the_same_id(
    database: Database, alice: MongoClaims
) -> None:
    box, other = outbox(database), outbox(database)
    transcribe(alice, database, *add_chunks(database, 1))
    box.record(at_once=True)
    dead = claim_first(box)
    let_lease_run_out(database)
    again = claim_first(other)
    assert (again.event_id, again.attempts) == (dead.event_id, 2)
    box.delivered(dead)  # it was only slow
    [document] = recorded(database)
    assert document["outcome"] is None, "its claim was lost"
    other.delivered(again)
    assert recorded(database)[0]["outcome"] == "delivered"


def test_a_claim_that_is_renewed_is_not_taken(database: Database, alice: MongoClaims) -> None:
    box, other = outbox(database), outbox(database)
    transcribe(alice, database, *add_chunks(database, 1))
    box.record(at_once=True)
    held = claim_first(box)
    let_lease_run_out(database)
    [id_] = other.due()
    box.renew(held)
    assert other.claim(id_) is None


class Interrupted:
    """The notifications' collection; `other` comes in between the first look and what follows."""

    def __init__(self, database: Database, other: Callable[[], object]) -> None:
        self._collection = database.notifications
        self._others = [other]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    def find_one(self, *arguments: Any, **options: Any) -> Any:
        found = self._collection.find_one(*arguments, **options)
        if self._others:
            self._others.pop()()
        return found


def test_of_two_that_claim_at_once_one_wins(
    database: Database, alice: MongoClaims, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, other = outbox(database), outbox(database)
    transcribe(alice, database, *add_chunks(database, 1))
    box.record(at_once=True)
    [id_] = box.due()
    won: list[Notification | None] = []
    both = Interrupted(database, lambda: won.append(other.claim(id_)))
    monkeypatch.setattr(database, "notifications", both)
    assert box.claim(id_) is None
    assert won[0] is not None


def test_a_claim_that_is_renewed_while_another_takes_it_stays(
    database: Database, alice: MongoClaims, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, other = outbox(database), outbox(database)
    transcribe(alice, database, *add_chunks(database, 1))
    box.record(at_once=True)
    held = claim_first(box)
    let_lease_run_out(database)
    [id_] = other.due()
    monkeypatch.setattr(database, "notifications", Interrupted(database, lambda: box.renew(held)))
    assert other.claim(id_) is None
    box.delivered(held)
    assert recorded(database)[0]["outcome"] == "delivered"


def test_a_failure_is_put_off_and_given_up_after_three_days(
    database: Database, alice: MongoClaims
) -> None:
    box = outbox(database)
    transcribe(alice, database, *add_chunks(database, 1))
    box.record(at_once=True)
    wait = box.failed(claim_first(box), DeliveryFailure("HTTP 500"))
    assert wait is not None
    assert 4 < wait < 6
    assert list(box.due()) == []
    let_lease_run_out(database)
    days_ago = database.server_time() - timedelta(days=3, seconds=1)
    database.notifications.update_one({}, {"$set": {"created_at": days_ago}})
    # A try that a process died in counts, so that none is made for ever.
    [id_] = box.due()
    assert box.claim(id_) is None
    [document] = recorded(database)
    assert document["outcome"] == "given up"
    assert [error["message"] for error in document["errors"]] == ["HTTP 500"]
    assert list(box.due()) == []


def test_the_last_try_is_within_three_days(database: Database, alice: MongoClaims) -> None:
    box = outbox(database)
    transcribe(alice, database, *add_chunks(database, 1))
    box.record(at_once=True)
    nearly = database.server_time() - timedelta(days=3, seconds=-2)
    database.notifications.update_one({}, {"$set": {"created_at": nearly}})
    assert box.failed(claim_first(box), DeliveryFailure("HTTP 500")) is None
    assert recorded(database)[0]["outcome"] == "given up"


def test_one_that_was_never_tried_is_tried_however_old_it_is(
    database: Database, alice: MongoClaims
) -> None:
    box = outbox(database)
    transcribe(alice, database, *add_chunks(database, 1))
    box.record(at_once=True)
    days_ago = database.server_time() - timedelta(days=10)
    database.notifications.update_one({}, {"$set": {"created_at": days_ago}})
    assert box.failed(claim_first(box), DeliveryFailure("HTTP 500")) is None
    assert recorded(database)[0]["outcome"] == "given up"


def test_a_destination_that_is_gone_is_asked_once(database: Database, alice: MongoClaims) -> None:
    box = outbox(database)
    transcribe(alice, database, *add_chunks(database, 1))
    box.record(at_once=True)
    assert box.failed(claim_first(box), DeliveryFailure("HTTP 410", is_final=True)) is None
    assert recorded(database)[0]["outcome"] == "given up"


def test_some_recordings_alone(database: Database, alice: MongoClaims) -> None:
    box = Outbox(database, Destination("command:1", "--on-done", RECORDINGS))
    box.open()
    mine, other = add_recording(database, language="en"), add_recording(database, language="en")
    unfinished = add_recording(database, language="en")
    for recording in (mine, other):
        transcribe(alice, database, *add_chunks(database, 1, recording_id=recording))
    add_chunks(database, 1, recording_id=unfinished)
    ids = box.record_of([mine, unfinished])
    assert [document["recording"] for document in recorded(database)] == [mine]
    assert list(box.due(ids)) == ids
    assert list(box.due(["another"])) == []
