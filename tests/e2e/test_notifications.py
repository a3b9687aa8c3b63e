"""Real processes that notify a real receiver: killed at each step, and the receiver fails, hangs
and comes back. Each event gets there, under one id; what is taken twice has the id of the first.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from stt.domain.transcript import Transcript
from stt.store.claims import MongoClaims
from stt.store.database import Database
from tests.support.coordinator_process import running_process
from tests.support.pace import until
from tests.support.queue_builder import add_chunks, add_recording, chunk, claimed
from tests.support.scripted_server import Answer, ScriptedServer, always, heard
from tests.support.speech import opus_tone, write_wav
from tests.support.webhook_receiver import HANG, WebhookReceiver
from tests.support.worker_process import WorkerProcesses, worker_processes

logger = logging.getLogger(__name__)


@pytest.fixture
def workers(mongo_url: str, database: Database) -> Iterator[WorkerProcesses]:
    with worker_processes(mongo_url, database.chunks.database.name) as processes:
        yield processes


@pytest.fixture(scope="module")
def opus() -> bytes:
    return opus_tone(0.5)


def add_recordings(database: Database, opus: bytes, count: int, chunks: int) -> list[ObjectId]:
    ids = [add_recording(database, language="en") for _ in range(count)]
    for recording in ids:
        add_chunks(database, chunks, recording_id=recording, audio=opus)
    return ids


def open_chunks(database: Database) -> int:
    return database.chunks.count_documents({"transcribed_at": None, "failed_at": None})


def history(database: Database) -> list[dict[str, Any]]:
    return list(database.notifications.find().sort("created_at", 1))


def waiting(database: Database) -> list[dict[str, Any]]:
    return [row for row in history(database) if row["ended_at"] is None]


def let_waits_end(database: Database) -> None:
    """Let the leases and rests of all that waits run out."""
    past = datetime.now(UTC) - timedelta(hours=1)
    database.notifications.update_many({"ended_at": None}, {"$set": {"not_before": past}})


def finish(workers: WorkerProcesses, database: Database, server: str, hook: str) -> None:
    """Run workers, as cron would, until nothing is left to transcribe or to notify."""
    until(lambda: _is_finished_by(workers, database, server, hook))


def _is_finished_by(workers: WorkerProcesses, database: Database, server: str, hook: str) -> bool:
    let_waits_end(database)
    worker = workers.start(server, STT_ON_DONE=hook, LEASE_SECONDS="5")
    output = worker.communicate(timeout=180)[0]
    assert worker.returncode == 0, output
    return not open_chunks(database) and not waiting(database)


def log_side_by_side(database: Database, receiver: WebhookReceiver) -> None:
    """`pytest -o log_cli=true --log-cli-level=INFO` shows the queue's history and the log."""
    logger.info("%-37s%-17s%-55s%s", "event", "type", "the queue", "the receiver answered")
    for row in history(database):
        errors = ", ".join(error["message"] for error in row["errors"])
        queue = f"{row['attempts']} tries; {errors or 'no error'}; {row['outcome']}"
        answers = [call.status for call in receiver.calls if call.event_id == row["event_id"]]
        logger.info("%-37s%-17s%-55s%s", row["event_id"], row["type"], queue, answers)


def test_the_receivers_log_agrees_with_the_queues_history(
    workers: WorkerProcesses, database: Database, opus: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Three workers end the chunks of six recordings; the receiver fails and hangs meanwhile."""
    caplog.set_level(logging.INFO)
    recordings = add_recordings(database, opus, 6, 2)
    receiver = WebhookReceiver(500, 503, HANG, 200, 404)
    with receiver.running(), ScriptedServer(always()).running() as server:
        for worker in [workers.start(server.url, STT_ON_DONE=receiver.url) for _ in range(3)]:
            output = worker.communicate(timeout=180)[0]
            assert worker.returncode == 0, output
        finish(workers, database, server.url, receiver.url)
    log_side_by_side(database, receiver)
    rows = history(database)
    done = [row for row in rows if row["type"] == "recording.done"]
    assert sorted(row["recording"] for row in done) == sorted(recordings)
    assert [row["type"] for row in rows if row not in done] == ["queue.empty"]
    assert {row["outcome"] for row in rows} == {"delivered"}
    for row in rows:
        answers = [call.status for call in receiver.calls if call.event_id == row["event_id"]]
        assert len(answers) == row["attempts"]
        assert [status for status in answers if status == 200] == [200]


def test_a_worker_that_is_killed_after_the_last_chunk_loses_no_event(
    workers: WorkerProcesses, database: Database, opus: bytes
) -> None:
    with WebhookReceiver().running() as receiver, ScriptedServer(always()).running() as server:
        killed = workers.start(server.url, "--watch", STT_ON_DONE=receiver.url)
        until(lambda: database.destinations.find_one({"since": {"$ne": None}}))
        [recording] = add_recordings(database, opus, 1, 3)
        until(lambda: not open_chunks(database))
        killed.kill()
        killed.wait()
        finish(workers, database, server.url, receiver.url)
    [done] = [call for call in receiver.calls if call.json["type"] == "recording.done"]
    assert done.json["data"]["recording"]["id"] == str(recording)


def test_a_worker_that_is_killed_in_the_request_sends_it_again_under_its_id(
    workers: WorkerProcesses, database: Database, opus: bytes
) -> None:
    receiver = WebhookReceiver(HANG)
    with receiver.running(), ScriptedServer(always()).running() as server:
        add_recordings(database, opus, 1, 1)
        killed = workers.start(server.url, "--watch", STT_ON_DONE=receiver.url)
        receiver.wait_for(lambda calls: len(calls) == 1)
        killed.kill()
        killed.wait()
        [row] = waiting(database)
        assert (row["attempts"], row["errors"]) == (1, [])
        finish(workers, database, server.url, receiver.url)
    first, again = (call for call in receiver.calls if call.json["type"] == "recording.done")
    assert (first.event_id, first.body) == (again.event_id, again.body)
    assert [row["attempts"] for row in history(database)] == [2, 1]


def test_workers_that_are_killed_all_the_time_lose_no_event(
    workers: WorkerProcesses, database: Database, opus: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    receiver = WebhookReceiver(*[500, 200, 503, 200] * 5)
    slow = Answer(body=heard("hello"), delay_seconds=0.2)
    with receiver.running(), ScriptedServer(lambda *_: slow).running() as server:
        first = workers.start(server.url, "--watch", STT_ON_DONE=receiver.url)
        until(lambda: database.destinations.find_one({"since": {"$ne": None}}))
        recordings = add_recordings(database, opus, 8, 2)
        for number in range(4):
            until(lambda n=number: open_chunks(database) < 16 - 4 * n)  # type: ignore[misc]
            let_waits_end(database)
            first.kill()
            first.wait()
            first = workers.start(
                server.url, "--watch", STT_ON_DONE=receiver.url, LEASE_SECONDS="5"
            )
        first.kill()
        first.wait()
        finish(workers, database, server.url, receiver.url)
    log_side_by_side(database, receiver)
    taken = [call for call in receiver.accepted if call.json["type"] == "recording.done"]
    told = {call.event_id: call.json["data"]["recording"]["id"] for call in taken}
    assert sorted(told.values()) == sorted(map(str, recordings))
    assert {row["outcome"] for row in history(database)} == {"delivered"}


def test_a_coordinator_notifies_of_what_others_have_written(
    database: Database, alice: MongoClaims, mongo_url: str, tmp_path: Path
) -> None:
    name = database.chunks.database.name
    with WebhookReceiver().running() as receiver:
        page, hook = "https://stt.example", receiver.url
        with running_process(mongo_url, name, tmp_path, STT_ON_DONE=hook, STT_PUBLIC_URL=page):
            until(lambda: database.destinations.find_one({"since": {"$ne": None}}))
            recording = add_recording(database, language="en")
            for id_ in add_chunks(database, 2, recording_id=recording):
                alice.complete(claimed(alice, chunk(database, id_)), Transcript())
            receiver.wait_for(lambda calls: len(calls) >= 1)
    about = receiver.calls[0].json["data"]["recording"]
    assert about["url"] == f"https://stt.example/recordings/{recording}"


def test_transcribe_runs_its_command_once_the_transcript_is_there(
    database: Database, mongo_url: str, tmp_path: Path
) -> None:
    add_recording(database)
    write_wav(_tone(), tmp_path / "talk.wav")
    command = 'echo "$EVENT_TYPE $RECORDING_NAME" >> seen; cp talk.txt copy.txt; echo shown'
    with ScriptedServer(always()).running() as server:

        def transcribe() -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [
                    *(sys.executable, "-m", "stt", "transcribe", "talk.wav"),
                    *("--output", "talk.txt", "--on-done", command),
                ],
                cwd=tmp_path,
                env=os.environ
                | {"MONGO_URL": mongo_url, "DATABASE_NAME": database.chunks.database.name}
                | {"STT_SERVER_URL": server.url},
                capture_output=True,
                text=True,
                timeout=180,
                check=True,
            )

        ended = transcribe()
        assert "shown" in ended.stderr
        assert "shown" not in ended.stdout
        transcribe()
    assert (tmp_path / "seen").read_text() == "recording.done talk.wav\n"
    assert (tmp_path / "copy.txt").read_text() == (tmp_path / "talk.txt").read_text()


def _tone() -> Any:
    from stt.media.audio import decode

    return decode(opus_tone(2.0))


def test_a_command_that_hangs_ends_with_ctrl_c(
    workers: WorkerProcesses, database: Database, opus: bytes, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    with ScriptedServer(always()).running() as server:
        add_recordings(database, opus, 1, 1)
        worker = workers.start(server.url, "--on-done", f"echo $$ > {pid}; exec sleep 600")
        until(pid.exists)
        until(pid.read_text)
        time.sleep(0.1)
        worker.send_signal(signal.SIGINT)
        worker.communicate(timeout=120)
    assert worker.returncode == 130
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
