"""What a command notifies of while it works, and at its end."""

import time
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from stt.domain.transcript import Transcript
from stt.errors import DatabaseUnavailable
from stt.notifications import courier
from stt.notifications.notifier import Notifier, deliverers_of
from stt.settings import Settings, load_settings
from stt.store.claims import MongoClaims
from stt.store.database import Database
from stt.store.notifications import Outbox
from tests.support.queue_builder import add_chunks, add_recording, chunk, claimed
from tests.support.webhook_receiver import WebhookReceiver


def settings(**flags: Any) -> Settings:
    return load_settings(**flags)


def end_recording(database: Database, claims: MongoClaims) -> ObjectId:
    recording = add_recording(database, language="en")
    [id_] = add_chunks(database, 1, recording_id=recording)
    claims.complete(claimed(claims, chunk(database, id_)), Transcript())
    return recording


def test_what_ended_last_is_delivered_before_the_command_ends(
    database: Database, alice: MongoClaims
) -> None:
    receiver = WebhookReceiver()
    with receiver.running(), Notifier(database, settings(on_done=receiver.url)):
        end_recording(database, alice)
    assert receiver.types == ["recording.done", "queue.empty"]


def test_a_destination_that_is_set_twice_gets_each_event_once(
    database: Database, alice: MongoClaims
) -> None:
    receiver = WebhookReceiver()
    with receiver.running():
        twice = settings(on_done=f"{receiver.url},{receiver.url},slack+{receiver.url}")
        assert len(deliverers_of(twice)) == 2
        with Notifier(database, twice):
            end_recording(database, alice)
    assert len(receiver.calls) == 4


def test_events_that_are_not_wanted_are_not_sent(database: Database, alice: MongoClaims) -> None:
    receiver = WebhookReceiver()
    with receiver.running():
        wanted = settings(on_done=receiver.url, on_done_events="queue.empty")
        with Notifier(database, wanted):
            end_recording(database, alice)
    assert receiver.types == ["queue.empty"]


def test_a_command_that_breaks_off_leaves_the_rest_to_the_next(
    database: Database, alice: MongoClaims, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "RECORD_SECONDS", 1_000.0)
    receiver = WebhookReceiver()
    with receiver.running():
        wanted = settings(on_done=receiver.url)

        def break_off() -> None:
            with Notifier(database, wanted):
                end_recording(database, alice)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            break_off()
        assert receiver.calls == []
        with Notifier(database, wanted):
            pass
    assert receiver.types == ["recording.done", "queue.empty"]


def test_one_that_need_not_finish_ends_at_once(
    database: Database, alice: MongoClaims, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a coordinator, which is soon started again."""
    monkeypatch.setattr(courier, "RECORD_SECONDS", 1_000.0)
    receiver = WebhookReceiver()
    wanted = settings(on_done=receiver.url)
    with receiver.running(), Notifier(database, wanted, finishes=False):
        end_recording(database, alice)
    assert receiver.calls == []


def test_a_database_that_is_away_at_the_start_stops_nothing(
    database: Database, alice: MongoClaims, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, failures = Outbox.open, [DatabaseUnavailable("away")]

    def fail_first(outbox: Outbox) -> None:
        if failures:
            raise failures.pop()
        opened(outbox)

    monkeypatch.setattr(Outbox, "open", fail_first)
    receiver = WebhookReceiver()
    with receiver.running(), Notifier(database, settings(on_done=receiver.url)):
        while database.destinations.find_one({"since": {"$ne": None}}) is None:
            time.sleep(0.05)
        end_recording(database, alice)
    assert receiver.types == ["recording.done", "queue.empty"]


def test_a_command_for_some_recordings_is_run_for_these_alone(
    database: Database, alice: MongoClaims, tmp_path: Path
) -> None:
    before = end_recording(database, alice)
    file = tmp_path / "seen"
    command = settings(on_done_command=f'echo "$EVENT_TYPE $RECORDING_ID" >> {file}')
    mine, another = end_recording(database, alice), end_recording(database, alice)
    with Notifier(database, command, [before, mine]):
        pass
    assert sorted(file.read_text().splitlines()) == sorted(
        f"recording.done {recording}" for recording in (before, mine)
    )
    with Notifier(database, command, [before, mine, another]):  # each ending once
        pass
    assert file.read_text().splitlines()[2:] == [f"recording.done {another}"]
