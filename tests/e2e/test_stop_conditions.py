"""Each reason for which a worker process stops, with its line in the log and its exit code."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from stt.store.database import Database
from tests.support.mongo_process import MongoProcess, free_port, running_mongo
from tests.support.pace import scaled, until
from tests.support.queue_builder import add_chunks, document
from tests.support.scripted_server import Answer, ScriptedServer, always, heard, refusal
from tests.support.speech import opus_tone
from tests.support.worker_process import WorkerProcesses, interrupt, stats_in, worker_processes

NEVER = datetime(2100, 1, 1, tzinfo=UTC)
BROKEN = refusal(500, "the GPU is gone")
NOWHERE = f"http://127.0.0.1:{free_port()}"


@pytest.fixture
def workers(mongo_url: str, database: Database) -> Iterator[WorkerProcesses]:
    with worker_processes(mongo_url, database.chunks.database.name) as processes:
        yield processes


@pytest.fixture(scope="module")
def opus() -> bytes:
    return opus_tone(0.5)


def stop_of(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Return why the process stopped, as it was logged, and all its output."""
    output = process.communicate(timeout=180)[0]
    reasons = re.findall(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  Stopping: (.*)$", output, re.MULTILINE)
    assert len(reasons) == 1, output
    return reasons[0], output


def in_work(database: Database) -> int:
    return database.chunks.count_documents({"processing_by": {"$ne": None}})


def test_an_empty_queue_is_checked_again_before_it_ends_a_worker(
    workers: WorkerProcesses, database: Database, opus: bytes
) -> None:
    add_chunks(database, 1, audio=opus)
    checks = {"NODE_REQUIRED_EMPTY_CHECKS": "2", "NODE_EMPTY_QUEUE_WAIT": "0.5"}
    with ScriptedServer(always()).running() as server:
        worker = workers.start(server.url, **checks)
        reason, output = stop_of(worker)
    assert reason == "the queue is empty (2 of 2 checks)"
    assert "The queue is empty (1 of 2): checks again in 0.5 s; --required-empty-checks 1" in output
    assert worker.returncode == 0
    assert stats_in(output)["transcribed"] == 1


def test_a_chunk_that_comes_between_two_checks_is_done(
    workers: WorkerProcesses, database: Database, opus: bytes
) -> None:
    checks = {"NODE_REQUIRED_EMPTY_CHECKS": "2", "NODE_EMPTY_QUEUE_WAIT": f"{scaled(1)}"}
    with ScriptedServer(always()).running() as server:
        worker = workers.start(server.url, **checks)
        assert worker.stdout is not None
        seen = [next(line for line in worker.stdout if "(1 of 2)" in line)]
        add_chunks(database, 1, audio=opus)
        seen += worker.stdout
        worker.wait(timeout=180)
    output = "".join(seen)
    assert output.count("(1 of 2)") == 2
    assert stats_in(output)["transcribed"] == 1
    assert worker.returncode == 0


def test_an_idle_worker_stops_though_chunks_rest(
    workers: WorkerProcesses, database: Database, opus: bytes
) -> None:
    add_chunks(database, 1, audio=opus, not_before=NEVER)
    with ScriptedServer(always()).running() as server:
        worker = workers.start(server.url, NODE_IDLE_TIMEOUT_MINUTES="0.02")
        reason, _ = stop_of(worker)
    assert reason == "nothing to do for 0.02 min (--idle-timeout-minutes)"
    assert worker.returncode == 0


def test_work_in_flight_is_not_idle(
    workers: WorkerProcesses, database: Database, opus: bytes
) -> None:
    add_chunks(database, 1, audio=opus)
    slow = Answer(body=heard("hello"), delay_seconds=1.5)
    with ScriptedServer(lambda number, upload: slow).running() as server:
        worker = workers.start(server.url, NODE_IDLE_TIMEOUT_MINUTES="0.01")
        _, output = stop_of(worker)
    assert worker.returncode == 0
    assert stats_in(output)["transcribed"] == 1


def test_servers_that_stay_away_stop_a_worker(
    workers: WorkerProcesses, database: Database, opus: bytes
) -> None:
    add_chunks(database, 1, audio=opus)
    worker = workers.start(NOWHERE, NODE_SERVER_UNREACHABLE_MINUTES="0.02")
    reason, output = stop_of(worker)
    assert reason.startswith("No whisper server has answered for 0.02 minutes: ")
    assert output.count(reason) == 1
    assert "gives up after 0.02 min (--server-unreachable-minutes)" in output
    assert worker.returncode == 5
    assert in_work(database) == 0


def test_broken_servers_stop_a_worker_before_they_eat_the_queue(
    workers: WorkerProcesses, database: Database, opus: bytes
) -> None:
    add_chunks(database, 6, audio=opus)
    with ScriptedServer(lambda number, upload: BROKEN, canary=BROKEN).running() as server:
        worker = workers.start(server.url, NODE_MAX_CONSECUTIVE_FAILURES="2")
        reason, _ = stop_of(worker)
    assert "2 times in a row a whisper server failed" in reason
    assert worker.returncode == 5
    assert {chunk["attempts"] for chunk in database.chunks.find()} == {0}
    assert in_work(database) == 0


def test_at_the_time_limit_what_is_in_flight_is_finished_and_nothing_else_begun(
    workers: WorkerProcesses, database: Database, opus: bytes
) -> None:
    add_chunks(database, 8, audio=opus)
    limit = scaled(4)
    slow = Answer(body=heard("hello"), delay_seconds=limit + 1)
    ready = Answer(body={"capacity": 2})
    with ScriptedServer(lambda number, upload: slow, ready).running() as server:
        worker = workers.start(server.url, NODE_MAX_MINUTES=f"{limit / 60:g}")
        reason, output = stop_of(worker)
        assert len(server.calls) == 2
    assert reason == f"the time limit of {limit / 60:g} min is reached (--max-minutes)"
    assert worker.returncode == 0
    assert stats_in(output)["transcribed"] == 2
    assert in_work(database) == 0


def test_the_limit_stops_a_worker(
    workers: WorkerProcesses, database: Database, opus: bytes
) -> None:
    add_chunks(database, 4, audio=opus)
    with ScriptedServer(always()).running() as server:
        worker = workers.start(server.url, NODE_LIMIT="2")
        reason, output = stop_of(worker)
    assert reason == "the limit of 2 chunks is reached (--limit)"
    assert worker.returncode == 0
    assert stats_in(output)["transcribed"] == 2
    assert in_work(database) == 0


def test_a_persistent_worker_outlasts_all_of_them(
    workers: WorkerProcesses, database: Database, opus: bytes
) -> None:
    add_chunks(database, 1, audio=opus)
    hasty = {
        "NODE_IDLE_TIMEOUT_MINUTES": "0.01",
        "NODE_SERVER_UNREACHABLE_MINUTES": "0",
        "NODE_MAX_CONSECUTIVE_FAILURES": "1",
    }
    server = ScriptedServer(lambda number, upload: BROKEN, canary=BROKEN)
    with server.running():
        both = f"{NOWHERE},{server.url}"
        worker = workers.start(both, NODE_PERSISTENT="1", **hasty)
        until(lambda: server.canaries >= 2)
        assert worker.poll() is None
        server.canary = Answer(body=heard("anything"))
        server.script = always()
        until(lambda: database.chunks.find_one({"transcribed_at": {"$ne": None}}))
        time.sleep(1)  # the queue is empty now, and the worker idle
        assert worker.poll() is None
        worker.send_signal(signal.SIGTERM)
        reason, _ = stop_of(worker)
    assert reason == "interrupted"
    assert worker.returncode == 130


@pytest.fixture(scope="module")
def mongo() -> Iterator[MongoProcess]:
    """Start a database server of this module's own, which it may pause and kill."""
    with running_mongo(options="serverSelectionTimeoutMS=500") as mongo:
        yield mongo


class TestWithoutADatabase:
    @pytest.fixture
    def mortal(self, mongo: MongoProcess, opus: bytes) -> Iterator[Database]:
        with Database(mongo.url, "stt") as database:
            database.ensure_indexes()
            database.chunks.delete_many({})
            add_chunks(database, 1, audio=opus)
            yield database

    def test_the_second_ctrl_c_ends_it_though_the_database_hangs(
        self, mongo: MongoProcess, mortal: Database
    ) -> None:
        def script(number: int, upload: bytes) -> Answer:
            mongo.pause()
            return Answer(body=heard("hello"))

        with (
            ScriptedServer(script).running() as server,
            worker_processes(mongo.url, "stt") as workers,
        ):
            worker = workers.start(server.url, "--watch")
            until(lambda: server.calls)
            time.sleep(scaled(0.5))
            interrupt(worker)
            assert worker.poll() is None
            interrupt(worker)
            started = time.monotonic()
            reason, output = stop_of(worker)
            assert time.monotonic() - started < scaled(20)  # of a lease of 300
            mongo.resume()
        assert reason == "interrupted"
        assert "Writing 1 finished result(s), for 5 s at most" in output
        assert worker.returncode == 130

    def test_a_database_that_stays_away_stops_a_worker_after_a_lease(
        self, mongo: MongoProcess, mortal: Database
    ) -> None:
        slow = Answer(body=heard("hello"), delay_seconds=scaled(10))
        with (
            ScriptedServer(lambda number, upload: slow).running() as server,
            worker_processes(mongo.url, "stt") as workers,
        ):
            worker = workers.start(server.url, LEASE_SECONDS=f"{scaled(1.5)}")
            until(lambda: server.calls)
            mongo.kill()
            started = time.monotonic()
            reason, output = stop_of(worker)
            assert time.monotonic() - started < scaled(9)
        assert reason.startswith("The database does not answer")
        assert "left to their lease" in output
        assert worker.returncode == 4
        mongo.start()
        held = mortal.chunks.find_one({})
        assert held is not None
        assert document(mortal, held["_id"])["processing_by"] is not None
