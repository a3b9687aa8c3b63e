"""What was not delivered, as `stt status` shows it."""

from datetime import timedelta

from stt.domain.notification import DeliveryFailure
from stt.domain.transcript import Transcript
from stt.notification_settings import EventType
from stt.store.claims import MongoClaims
from stt.store.database import Database
from stt.store.notification_status import DestinationStatus, destination_statuses
from stt.store.notifications import Destination, Outbox
from stt.store.status import queue_status
from tests.support.queue_builder import add_chunks, chunk, claimed

RECORDINGS: tuple[EventType, ...] = ("recording.done",)


def outbox_with(database: Database, claims: MongoClaims, count: int) -> Outbox:
    """An outbox with so many notifications."""
    box = Outbox(database, Destination("webhook:1", "hooks.example", RECORDINGS))
    box.open()
    box.begin()
    for _ in range(count):
        [id_] = add_chunks(database, 1)
        claims.complete(claimed(claims, chunk(database, id_)), Transcript())
    box.record(at_once=True)
    return box


def fail_one(box: Outbox, reason: str, *, is_final: bool = False) -> None:
    notification = box.claim(next(iter(box.due())))
    assert notification is not None
    box.failed(notification, DeliveryFailure(reason, is_final=is_final))


def status(database: Database) -> DestinationStatus:
    [found] = destination_statuses(database, database.server_time())
    return found


def test_nothing_is_shown_where_nothing_is_notified(database: Database) -> None:
    assert queue_status(database, 60).notifications == ()
    assert "notifications" not in database.chunks.database.list_collection_names()


def test_what_was_delivered_is_not_shown(database: Database, alice: MongoClaims) -> None:
    box = outbox_with(database, alice, 1)
    notification = box.claim(next(iter(box.due())))
    assert notification is not None
    box.delivered(notification)
    assert destination_statuses(database, database.server_time()) == ()


def test_what_waits_is_counted_with_the_latest_error(
    database: Database, alice: MongoClaims
) -> None:
    box = outbox_with(database, alice, 3)
    assert status(database) == DestinationStatus("hooks.example", 3, 0, None, None, True)
    fail_one(box, "HTTP 500")
    found = queue_status(database, 60).notifications[0]
    assert (found.waiting, found.error, found.next_try_at) == (3, "HTTP 500", None)
    fail_one(box, "HTTP 502")
    fail_one(box, "HTTP 502")
    assert status(database).next_try_at is not None


def test_what_was_given_up_is_shown_for_a_week(database: Database, alice: MongoClaims) -> None:
    box = outbox_with(database, alice, 2)
    fail_one(box, "HTTP 500")
    fail_one(box, "HTTP 410", is_final=True)
    found = status(database)
    assert (found.waiting, found.given_up, found.error) == (1, 1, "HTTP 500")
    long_ago = database.server_time() - timedelta(days=8)
    database.notifications.update_many({"outcome": "given up"}, {"$set": {"ended_at": long_ago}})
    assert status(database).given_up == 0


def test_a_destination_that_no_process_looks_after(database: Database, alice: MongoClaims) -> None:
    outbox_with(database, alice, 1)
    then = database.server_time() - timedelta(minutes=2)
    database.destinations.update_one({}, {"$set": {"since": then}})
    assert not status(database).is_attended
