"""Threads that deliver to a real HTTP server, which fails, hangs, goes away and comes back."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from stt.domain.notification import DeliveryFailure, Notification
from stt.domain.transcript import Transcript
from stt.errors import DatabaseUnavailable
from stt.notification_settings import EventType
from stt.notifications import courier, webhook
from stt.notifications.courier import Courier, Deliverer
from stt.notifications.webhook import Webhook
from stt.store import notifications
from stt.store.claims import MongoClaims
from stt.store.database import Database
from stt.store.notifications import Destination, Outbox
from tests.support.queue_builder import add_chunks, chunk, claimed
from tests.support.webhook_receiver import HANG, WebhookReceiver

logger = logging.getLogger(__name__)

EVENTS: tuple[EventType, ...] = ("recording.done", "recording.failed")


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "RECORD_SECONDS", 0.05)
    monkeypatch.setattr(notifications, "RECORD_SECONDS", 0.02)
    monkeypatch.setattr(notifications, "retry_seconds", lambda *_: 0.1)
    monkeypatch.setattr(courier, "_MAX_REST_SECONDS", 0.1)
    monkeypatch.setattr(courier, "_RETRY_SECONDS", 0.05)
    monkeypatch.setattr(webhook, "_TOTAL_SECONDS", 1.0)


@contextmanager
def delivering(database: Database, deliverer: Deliverer) -> Iterator[Courier]:
    outbox = Outbox(database, Destination(deliverer.key, deliverer.name, EVENTS))
    thread = Courier(outbox, deliverer)
    thread.open()
    thread.start()
    try:
        yield thread
    finally:
        thread.close()
        thread.join(60)


def end_recording(database: Database, claims: MongoClaims) -> None:
    [id_] = add_chunks(database, 1)
    claims.complete(claimed(claims, chunk(database, id_)), Transcript())


def history(database: Database) -> list[dict[str, Any]]:
    return list(database.notifications.find({"type": {"$ne": "queue.empty"}}).sort("created_at", 1))


def wait_until_ended(database: Database, receiver: WebhookReceiver) -> None:
    receiver.wait_for(lambda _: all(document["ended_at"] for document in history(database)))


def test_the_receivers_log_agrees_with_the_queues_history(
    database: Database, alice: MongoClaims, caplog: pytest.LogCaptureFixture
) -> None:
    """It fails, hangs and comes back: each event is taken once, none is lost.

    `pytest -o log_cli=true --log-cli-level=INFO` shows both side by side.
    """
    receiver = WebhookReceiver(500, HANG, 429, 404, 200, 503)
    with receiver.running(), delivering(database, Webhook("json", receiver.url)):
        for _ in range(4):
            end_recording(database, alice)
        receiver.wait_for(lambda _: len(receiver.accepted) >= 4)
        wait_until_ended(database, receiver)
    rows = history(database)
    caplog.set_level(logging.INFO)
    logger.info("%-40s%-60s%s", "event", "the queue: tries, errors, outcome", "the receiver")
    for row in rows:
        answers = [call.status for call in receiver.calls if call.event_id == row["event_id"]]
        errors = ", ".join(error["message"] for error in row["errors"])
        queue = f"{row['attempts']}; {errors or '-'}; {row['outcome']}"
        logger.info("%-40s%-60s%s", row["event_id"], queue, answers)
        assert len(answers) == row["attempts"] == len(row["errors"]) + 1
        assert answers[-1] == 200
    assert [row["outcome"] for row in rows] == ["delivered"] * 4
    assert sorted(call.event_id for call in receiver.accepted) == sorted(
        row["event_id"] for row in rows
    )


def test_a_receiver_that_is_away_gets_all_once_it_is_back(
    database: Database, alice: MongoClaims, caplog: pytest.LogCaptureFixture
) -> None:
    with WebhookReceiver().running() as receiver:
        hook = Webhook("json", receiver.url)
    with delivering(database, hook), caplog.at_level(logging.WARNING):
        for _ in range(3):
            end_recording(database, alice)
        receiver.wait_for(lambda _: sum(row["attempts"] for row in history(database)) >= 3)
        back = WebhookReceiver(port=receiver.port)
        with back.running():
            back.wait_for(lambda _: len(back.accepted) >= 3)
            wait_until_ended(database, back)
    assert len({call.event_id for call in back.calls}) == len(back.calls) == 3
    assert "Connection refused" in caplog.text
    assert "s3cret-path" not in caplog.text


def test_a_receiver_that_refuses_for_ever_is_given_up(
    database: Database, alice: MongoClaims, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = WebhookReceiver(*[500] * 1_000)
    with receiver.running(), delivering(database, Webhook("json", receiver.url)):
        end_recording(database, alice)
        receiver.wait_for(lambda calls: len(calls) >= 2)
        days_ago = database.server_time() - timedelta(days=4)
        database.notifications.update_many({}, {"$set": {"created_at": days_ago}})
        wait_until_ended(database, receiver)
        calls = len(receiver.calls)
        end_recording(database, alice)
        receiver.wait_for(lambda all_calls: len(all_calls) > calls)
    assert history(database)[0]["outcome"] == "given up"
    assert "is given up" in caplog.text


def test_a_failure_at_the_end_of_a_command_promises_no_time(
    database: Database, alice: MongoClaims, caplog: pytest.LogCaptureFixture
) -> None:
    with WebhookReceiver().running() as receiver:
        hook = Webhook("json", receiver.url)
    thread = Courier(Outbox(database, Destination(hook.key, hook.name, EVENTS)), hook)
    thread.open()
    end_recording(database, alice)
    thread.finish()
    with caplog.at_level(logging.WARNING):
        thread.start()
        thread.wait(60)
    assert "tried again by the next worker or command that notifies" in caplog.text


def test_two_processes_deliver_each_once(database: Database, alice: MongoClaims) -> None:
    with WebhookReceiver().running() as receiver:
        hook = Webhook("json", receiver.url)
        with delivering(database, hook), delivering(database, hook), delivering(database, hook):
            for _ in range(20):
                end_recording(database, alice)
            receiver.wait_for(lambda calls: len(calls) >= 20)
            wait_until_ended(database, receiver)
    assert len({call.event_id for call in receiver.calls}) == len(receiver.calls) == 20


class Slow:
    """A deliverer that takes as long as a test wants."""

    key, name, rests = "command:slow", "--on-done", False

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.held = True

    def deliver(
        self, notification: Notification, hold: Callable[[], bool]
    ) -> DeliveryFailure | None:
        self.begun.set()
        while self.held and not self.may_end.wait(0.02):
            self.held = hold()
        return None if self.held else DeliveryFailure("it was ended")


def test_a_long_delivery_keeps_its_claim(
    database: Database, alice: MongoClaims, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "_RENEW_SECONDS", 0.05)
    slow = Slow()
    with delivering(database, slow):
        end_recording(database, alice)
        assert slow.begun.wait(60)
        [first] = history(database)
        deadline = threading.Event()
        while history(database)[0]["not_before"] <= first["not_before"]:
            assert not deadline.wait(0.05)
        slow.may_end.set()
        while history(database)[0]["outcome"] is None:
            assert not deadline.wait(0.05)
    assert history(database)[0]["attempts"] == 1


def test_one_that_is_ended_is_left_to_the_next_process(
    database: Database, alice: MongoClaims
) -> None:
    slow = Slow()
    with delivering(database, slow):
        end_recording(database, alice)
        assert slow.begun.wait(60)
    assert not slow.held
    [row] = history(database)
    assert (row["outcome"], row["errors"][0]["message"]) == (None, "it was ended")


def test_a_database_that_is_away_at_the_outcome_is_asked_again(
    database: Database, alice: MongoClaims, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what was delivered would be delivered again."""
    delivered, failures = Outbox.delivered, [DatabaseUnavailable("away")] * 3

    def fail_first(outbox: Outbox, notification: Notification) -> None:
        if failures:
            raise failures.pop()
        delivered(outbox, notification)

    monkeypatch.setattr(Outbox, "delivered", fail_first)
    receiver = WebhookReceiver()
    with receiver.running(), delivering(database, Webhook("json", receiver.url)):
        end_recording(database, alice)
        receiver.wait_for(lambda calls: len(calls) >= 1)
        wait_until_ended(database, receiver)
    assert (len(receiver.calls), failures) == (1, [])
