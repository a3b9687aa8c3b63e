"""Chunks whose model no server of a worker has wait; others pass them."""

import threading
from pathlib import Path
from typing import Any

import pytest

from stt.domain.claim import ClaimRules
from stt.settings import load_settings
from stt.store.database import Database
from stt.store.workers import MongoRoster
from stt.worker.context import WorkOptions
from stt.worker.worker import Worker
from tests.support.coordinator_app import running_coordinator
from tests.support.pace import until
from tests.support.queue_builder import add_chunks, add_recording, document
from tests.support.remote_member import Member
from tests.support.scripted_server import Answer, ScriptedServer, always, refusal
from tests.support.speech import opus_tone
from tests.support.whisper_stand_in import running

NO_MODEL = refusal(404, "The model does not exist", code="model_not_found")


def settings_of(*urls: str, **flags: Any) -> Any:
    usual = {"required_empty_checks": 1, "sequence_seconds": 0, "max_attempts": 1}
    return load_settings(server_urls=urls, **{**usual, **flags})


def waits(database: Database, *chunk_ids: Any) -> bool:
    """Return whether these chunks are pending without any failure."""
    fields = ("processing_by", "failed_at", "transcribed_at", "not_before")
    found = [document(database, id_) for id_ in chunk_ids]
    return all(
        not any(chunk[field] for field in fields) and not chunk["attempts"] for chunk in found
    )


def test_a_worker_leaves_alone_what_no_server_has_says_so_once_and_ends(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "stt")
    opus = opus_tone()
    picky = add_chunks(
        database, 3, recording_id=add_recording(database, model="huge"), audio=opus, priority=9
    )
    fitting = add_chunks(
        database, 1, recording_id=add_recording(database, model="base"), audio=opus
    )
    plain = add_chunks(database, 3, audio=opus)
    with running() as server:  # our own server, with the model `base`
        worker = Worker.at_database(database, settings_of(server.url), WorkOptions())
        stats = worker.run()
    assert stats.counts["error"] == 0
    assert all(document(database, id_)["transcribed_at"] for id_ in plain + fitting)
    assert waits(database, *picky)
    assert not any(document(database, id_)["claim_id"] for id_ in picky), "none was claimed"
    lines = [line for line in caplog.messages if "huge" in line]
    assert lines == ["3 chunks wait for model huge, which no whisper server of this worker has"]
    assert "Stopping: the queue is empty (1 of 1 checks)" in caplog.messages
    [member] = MongoRoster(database).members()
    assert member.report.missing_models == ("huge",)
    assert member.report.models == ("base",)
    assert member.report.finds_speakers is False


def test_a_node_leaves_alone_what_its_server_does_not_have(
    database: Database, rules: ClaimRules, tmp_path: Path
) -> None:
    picky = add_chunks(
        database, 3, recording_id=add_recording(database, model="huge"), audio=opus_tone()
    )
    plain = add_chunks(database, 2, audio=opus_tone())
    with running_coordinator(database, tmp_path) as coordinator, running() as server:
        member = Member(coordinator, rules)
        queue = member.queue.queue()
        Worker(queue, settings_of(server.url), WorkOptions(), member.worker).run()
        listed = member.session.get(
            "/tasks/pending",
            params={"worker_id": member.worker, "without_model": "huge"},
            timeout=20,
        )
        taken = member.session.get(
            "/tasks/next",
            params={"worker_id": member.worker, "without_model": "huge", "wait": "0"},
            timeout=20,
        )
    assert all(document(database, id_)["transcribed_at"] for id_ in plain)
    assert waits(database, *picky)
    assert listed.json()["chunks"] == []
    assert listed.json()["models"] == ["huge"]
    assert taken.status_code == 204
    [report] = [member.report for member in MongoRoster(database).members()]
    assert report.missing_models == ("huge",)
    assert report.models == ("base",)
    assert report.finds_speakers is False


def test_a_model_that_appears_is_noticed_by_a_worker_that_stays(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stt.whisper.model_lookup._KEEP_SECONDS", 0.1)
    monkeypatch.setattr("stt.worker.stop_conditions.POLL_SECONDS", 0.1)
    [id_] = add_chunks(
        database, 1, recording_id=add_recording(database, model="big"), audio=opus_tone()
    )
    with ScriptedServer(always()).running() as server:
        server.model_answer = lambda path: NO_MODEL
        worker = Worker.at_database(
            database, settings_of(server.url, persistent=True), WorkOptions()
        )
        thread = threading.Thread(target=worker.run)
        thread.start()
        until(lambda: len([path for path in server.asked if "models" in path]) >= 2)
        assert waits(database, id_)
        server.model_answer = lambda path: Answer(body={"id": "big"})
        until(lambda: document(database, id_)["transcribed_at"] is not None)
        worker.stop("the test is over")
        thread.join(60)
    assert server.calls


def test_chunks_whose_server_is_away_keep_a_worker_from_ending(database: Database) -> None:
    [id_] = add_chunks(
        database, 1, recording_id=add_recording(database, model="big"), audio=opus_tone()
    )
    small, big = ScriptedServer(always("small")), ScriptedServer(always("big"))
    small.model_answer = lambda path: NO_MODEL
    big.ready = Answer(500)
    with small.running(), big.running():
        settings = settings_of(small.url, big.url)
        worker = Worker.at_database(database, settings, WorkOptions())
        thread = threading.Thread(target=worker.run)
        thread.start()
        until(lambda: any("models" in path for path in small.asked))
        thread.join(1)
        assert thread.is_alive()
        assert waits(database, id_)
        big.ready = Answer(body={"capacity": 1})
        thread.join(60)
    assert document(database, id_)["transcript"]["server"] == big.url
    assert small.calls == []
