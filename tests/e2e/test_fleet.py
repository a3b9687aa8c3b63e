"""Real worker processes on one queue: killed, stopped, interrupted. Nothing is lost or doubled."""

import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from bson import ObjectId

from stt.store.database import Database
from tests.support.pace import scaled, until
from tests.support.queue_builder import add_chunks, document
from tests.support.scripted_server import Answer, GatedServer, ScriptedServer, always, heard
from tests.support.speech import opus_tone
from tests.support.worker_process import WorkerProcesses, interrupt, stats_in, worker_processes

OFTEN = {"NODE_EMPTY_QUEUE_WAIT": "0.2", "NODE_REQUIRED_EMPTY_CHECKS": "100000"}
"""Settings of a worker that stays, and checks an empty queue more often than one that watches."""

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


@pytest.fixture
def fleet(mongo_url: str, database: Database) -> Iterator[WorkerProcesses]:
    with worker_processes(mongo_url, database.chunks.database.name) as processes:
        yield processes


@pytest.fixture(scope="module")
def opus() -> bytes:
    return opus_tone(0.5)


def done(database: Database) -> int:
    return database.chunks.count_documents({"transcribed_at": {"$ne": None}})


def in_work(database: Database) -> int:
    return database.chunks.count_documents({"processing_by": {"$ne": None}})


def test_four_workers_do_each_chunk_exactly_once(
    fleet: WorkerProcesses, database: Database, opus: bytes
) -> None:
    add_chunks(database, 150, audio=opus)
    with ScriptedServer(always()).running() as server:
        workers = [fleet.start(server.url) for _ in range(4)]
        outputs = [worker.communicate(timeout=180)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0, 0]
    assert len(server.calls) == 150
    assert done(database) == 150
    assert sum(stats_in(output)["transcribed"] for output in outputs) == 150


def test_the_lines_that_people_grep_for(
    fleet: WorkerProcesses, database: Database, opus: bytes
) -> None:
    ids = add_chunks(database, 2, audio=opus)
    with ScriptedServer(always(), Answer(body={"capacity": 3})).running() as server:
        worker = fleet.start(server.url, "--limit", "1")
        output = worker.communicate(timeout=180)[0]
    assert re.search(rf"^{TIME}  Worker ID: \S+_{worker.pid}$", output, re.MULTILINE)
    assert re.search(rf"^{TIME}  Total pending chunks: 2$", output, re.MULTILINE)
    assert re.search(rf"^{TIME}  Using 3 parallel worker\(s\)$", output, re.MULTILINE)
    assert stats_in(output) == {"transcribed": 1, "empty": 0, "error": 0, "skipped": 0}
    assert document(database, ids[0])["transcript"]["worker"].endswith(f"_{worker.pid}")


def test_a_killed_workers_chunks_come_back_after_the_lease_and_are_done_by_others(
    fleet: WorkerProcesses, database: Database, opus: bytes
) -> None:
    add_chunks(database, 120, audio=opus)
    slow = Answer(body=heard("hello"), delay_seconds=0.1)
    with ScriptedServer(lambda number, upload: slow).running() as server:
        flags = ("--lease-seconds", f"{scaled(3)}", "--workers", "2")
        workers = [fleet.start(server.url, *flags, **OFTEN) for _ in range(4)]
        victim = workers[0]

        orphans: set[ObjectId] = set()

        def held() -> set[ObjectId]:
            by_victim = {"processing_by": {"$regex": f"_{victim.pid}$"}}
            return {d["_id"] for d in database.chunks.find(by_victim)}

        def is_stopped_in_work() -> bool:
            if done(database) <= 20:
                return False
            victim.send_signal(signal.SIGSTOP)
            time.sleep(0.5)  # a write that it had sent may still be on its way
            orphans.update(held())
            if not orphans:
                victim.send_signal(signal.SIGCONT)
            return bool(orphans)

        until(is_stopped_in_work)
        victim.kill()
        victim.wait()
        until(lambda: done(database) == 120)
        for worker in workers[1:]:
            worker.send_signal(signal.SIGTERM)
        outputs = [worker.communicate(timeout=180)[0] for worker in workers[1:]]
    orphans = {id_ for id_ in orphans if not _is_done_by(victim.pid, document(database, id_))}
    assert orphans
    by_worker = Counter(d["transcript"]["worker"] for d in database.chunks.find())
    assert sum(by_worker.values()) == 120
    for id_ in orphans:
        assert document(database, id_)["expirations"] == 1
    for worker, output in zip(workers[1:], outputs, strict=True):
        [name] = re.findall(r"  Worker ID: (\S+)$", output, re.MULTILINE)
        assert stats_in(output)["transcribed"] == by_worker[name]
        assert worker.returncode == 130


def _is_done_by(pid: int, saved: dict[str, Any]) -> bool:
    """True of a write that was on its way when the worker was stopped."""
    return bool(saved["transcript"]["worker"].endswith(f"_{pid}"))


def test_what_a_killed_worker_held_is_done_at_once_by_the_next_one_on_this_machine(
    fleet: WorkerProcesses, database: Database, opus: bytes
) -> None:
    """Long before its lease, which is five minutes, is over."""
    [id_] = add_chunks(database, 1, audio=opus)
    with GatedServer(capacity=1).running() as server:
        victim = fleet.start(server.url, "--limit", "1")
        until(lambda: server.calls)
        victim.kill()
        victim.wait()
        assert document(database, id_)["lease_seconds"] == 300
        server.gate.set()
        assert fleet.start(server.url, "--limit", "1").wait(timeout=180) == 0
    saved = document(database, id_)
    assert saved["transcribed_at"] is not None
    assert saved["expirations"] == 1


def test_a_worker_stopped_past_its_lease_and_resumed_writes_nothing(
    fleet: WorkerProcesses, database: Database, opus: bytes
) -> None:
    [id_] = add_chunks(database, 1, audio=opus)

    def script(number: int, upload: bytes) -> Answer:
        return Answer(body=heard(f"call {number}"), delay_seconds=1 if number == 1 else 0)

    with ScriptedServer(script).running() as server:
        sleeper = fleet.start(server.url, "--lease-seconds", f"{scaled(1)}")
        until(lambda: server.calls)
        sleeper.send_signal(signal.SIGSTOP)
        other = fleet.start(server.url, "--lease-seconds", f"{scaled(1)}", **OFTEN)
        until(lambda: done(database) == 1)
        after_takeover = document(database, id_)
        sleeper.send_signal(signal.SIGCONT)
        output = sleeper.communicate(timeout=180)[0]
        other.send_signal(signal.SIGTERM)
        other.communicate(timeout=180)
    assert after_takeover["transcript"]["segments"][0]["text"] == "call 2"
    assert after_takeover["transcript"]["worker"].endswith(f"_{other.pid}")
    assert document(database, id_) == after_takeover
    assert stats_in(output)["transcribed"] == 0
    assert stats_in(output)["skipped"] == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_worker_finishes_what_is_in_flight_and_leaves_no_claim(
    fleet: WorkerProcesses, database: Database, opus: bytes, number: signal.Signals
) -> None:
    add_chunks(database, 20, audio=opus)
    slow = Answer(body=heard("hello"), delay_seconds=1)
    with ScriptedServer(lambda n, upload: slow).running() as server:
        worker = fleet.start(server.url, "--workers", "2")
        until(lambda: len(server.calls) == 2)
        worker.send_signal(number)
        output = worker.communicate(timeout=180)[0]
    assert worker.returncode == 130
    assert stats_in(output)["transcribed"] == 2
    assert done(database) == 2
    assert in_work(database) == 0


def test_a_second_ctrl_c_releases_what_is_in_flight_and_goes(
    fleet: WorkerProcesses, database: Database, opus: bytes
) -> None:
    add_chunks(database, 4, audio=opus)
    hang = Answer(body=heard("hello"), delay_seconds=scaled(10))
    with ScriptedServer(lambda n, upload: hang).running() as server:
        worker = fleet.start(server.url, "--workers", "2")
        until(lambda: len(server.calls) == 2)
        interrupt(worker, times=2)
        started = time.monotonic()
        worker.communicate(timeout=180)
        assert time.monotonic() - started < scaled(5)
    assert worker.returncode == 130
    assert in_work(database) == 0
    assert {d["attempts"] for d in database.chunks.find()} == {0}


def test_a_chunk_that_fails_makes_the_exit_code_one(
    fleet: WorkerProcesses, database: Database, opus: bytes
) -> None:
    add_chunks(database, 1, audio=opus)
    refuse = Answer(400, {"error": {"message": "cannot be decoded"}})
    with ScriptedServer(lambda n, upload: refuse).running() as server:
        worker = fleet.start(server.url, "--max-attempts", "1")
        output = worker.communicate(timeout=180)[0]
    assert worker.returncode == 1
    assert stats_in(output)["error"] == 1


def test_a_wrong_key_makes_the_exit_code_three_and_is_not_printed(
    fleet: WorkerProcesses, database: Database, opus: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_chunks(database, 1, audio=opus)
    monkeypatch.setenv("STT_API_KEY", "not-the-key")
    with ScriptedServer(lambda n, upload: Answer(401, {})).running() as server:
        worker = fleet.start(server.url)
        output = worker.communicate(timeout=180)[0]
    assert worker.returncode == 3
    assert "STT_API_KEY" in output
    assert "not-the-key" not in output
    assert in_work(database) == 0


def test_a_terminal_of_eighty_columns_is_no_condition(
    fleet: WorkerProcesses, database: Database, opus: bytes
) -> None:
    """Lines that people grep for are not wrapped, whatever COLUMNS says."""
    add_chunks(database, 1, audio=opus)
    with ScriptedServer(always()).running() as server:
        output = fleet.start(server.url, COLUMNS="20").communicate(timeout=180)[0]
    assert stats_in(output)["transcribed"] == 1
