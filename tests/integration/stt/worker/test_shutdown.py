"""Signals and outages of the database: what a worker finishes, releases, and never loses."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bson import ObjectId

from stt.domain.chunk import Chunk
from stt.domain.claim import Claim, ClaimRules
from stt.domain.transcript import Transcript
from stt.errors import DatabaseUnavailable
from stt.settings import load_settings
from stt.store.claims import MongoClaims
from stt.store.database import Database
from stt.worker import shutdown
from stt.worker.context import WorkOptions
from stt.worker.heartbeat import REPORT_SECONDS
from stt.worker.worker import Worker
from tests.support.mongo_process import MongoProcess, running_mongo
from tests.support.pace import scaled, until
from tests.support.queue_builder import add_chunks, document
from tests.support.scripted_server import GatedServer, ScriptedServer, always
from tests.support.speech import opus_tone


@pytest.fixture(scope="module")
def opus() -> bytes:
    return opus_tone(1.0)


def make_worker(
    database: Database,
    url: str,
    claims: MongoClaims | None = None,
    *,
    report_seconds: float = REPORT_SECONDS,
    **flags: Any,
) -> Worker:
    usual = {"required_empty_checks": 1, "max_parallel_workers": 1, "sequence_seconds": 300}
    settings = load_settings(server_urls=(url,), **{**usual, **flags})
    return Worker.at_database(
        database, settings, WorkOptions(report_seconds=report_seconds), claims
    )


class Run:
    """A worker at work in a thread."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def ends_within(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self.worker.run()
        except Exception as error:
            self.error = error


def in_work(database: Database) -> int:
    return database.chunks.count_documents({"processing_by": {"$ne": None}})


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[str], int]]:
    """How many messages hold a text."""
    with caplog.at_level(logging.INFO, "stt"):
        yield lambda text: sum(text in message for message in caplog.messages)


@pytest.fixture(scope="module")
def one_mongo() -> Iterator[MongoProcess]:
    quick = "serverSelectionTimeoutMS=300&connectTimeoutMS=300&socketTimeoutMS=1000"
    with running_mongo(options=quick) as mongo:
        yield mongo


class TestAMortalDatabase:
    """Its server is the tests' own, and they may kill it and start it again."""

    @pytest.fixture
    def mongo(self, one_mongo: MongoProcess) -> MongoProcess:
        if not one_mongo.is_running:  # as the test before has left it
            one_mongo.start()
        return one_mongo

    @pytest.fixture
    def mortal(self, mongo: MongoProcess) -> Iterator[Database]:
        with Database(mongo.url, f"stt_{ObjectId()}") as database:
            database.ensure_indexes()
            yield database

    def test_two_signals_lose_no_result_that_a_database_could_still_take(
        self,
        mongo: MongoProcess,
        mortal: Database,
        opus: bytes,
        log: Callable[[str], int],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(shutdown, "_WAIT_SECONDS", 120.0)  # as long as a start may take
        ids = add_chunks(mortal, 3, audio=opus)
        with GatedServer(capacity=1).running() as server:
            run = Run(make_worker(mortal, server.url))
            until(lambda: server.calls)
            mongo.kill()
            server.gate.set()
            until(lambda: run.worker.results_to_write)
            run.worker.drain()
            run.worker.drain()
            until(lambda: log("Writing 3 finished result(s), for 120 s at most"))
            mongo.start()
            assert run.ends_within(60)
        assert [document(mortal, id_)["transcribed_at"] is not None for id_ in ids] == [True] * 3
        assert run.worker.stats.done == 3
        assert in_work(mortal) == 0

    def test_two_signals_end_it_in_bounded_time_and_nothing_is_logged_after_the_last_line(
        self,
        mongo: MongoProcess,
        mortal: Database,
        opus: bytes,
        caplog: pytest.LogCaptureFixture,
        log: Callable[[str], int],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(shutdown, "_WAIT_SECONDS", 1.0)
        add_chunks(mortal, 1, audio=opus)
        with GatedServer(capacity=1).running() as server:
            run = Run(make_worker(mortal, server.url))
            until(lambda: server.calls)
            mongo.kill()
            server.gate.set()
            until(lambda: run.worker.results_to_write)
            for _ in range(2):
                run.worker.drain()
            assert run.ends_within(scaled(10))  # of a lease of 300
        assert run.error is None
        assert run.worker.was_interrupted
        assert run.worker.stats.done == 0
        mortal.close()  # as the command does; the thread that still writes finds that out
        time.sleep(1)
        assert log("1 finished result(s) dropped") == 1
        assert caplog.messages[-1].startswith("Completed processing")

    def test_one_signal_is_enough_while_there_is_only_a_claim_to_lose(
        self, mongo: MongoProcess, mortal: Database, opus: bytes
    ) -> None:
        add_chunks(mortal, 3, audio=opus)
        killed = threading.Event()

        class Claims(MongoClaims):
            """The database goes away between the page and the first claim."""

            def claim(self, chunk: Chunk, claim_id: ObjectId | None = None) -> Claim | None:
                if not killed.is_set():
                    mongo.kill()
                    killed.set()
                return super().claim(chunk, claim_id)

        claims = Claims(mortal, "late_3", ClaimRules())
        with ScriptedServer(always()).running() as server:
            run = Run(make_worker(mortal, server.url, claims))
            until(killed.is_set)
            assert not run.ends_within(0.5)
            run.worker.drain()
            assert run.ends_within(scaled(5))
        assert run.error is None

    def test_an_outage_shorter_than_the_lease_is_sat_out_and_logged_once(
        self, mongo: MongoProcess, mortal: Database, opus: bytes, log: Callable[[str], int]
    ) -> None:
        add_chunks(mortal, 4, audio=opus)
        with GatedServer(capacity=1).running() as server:
            # Its reports show what the database does long before its lease has run out.
            run = Run(make_worker(mortal, server.url, report_seconds=0.5, sequence_seconds=0))
            until(lambda: server.calls)
            mongo.kill()
            until(lambda: log("waiting for it"))
            mongo.start()
            until(lambda: log("The database answers again"))
            server.gate.set()
            assert run.ends_within(60)
        assert run.error is None
        assert run.worker.stats.counts["transcribed"] == 4
        assert log("waiting for it") == log("The database answers again") == 1

    def test_a_database_that_stays_away_ends_the_worker_after_a_lease(
        self, mongo: MongoProcess, mortal: Database, opus: bytes, log: Callable[[str], int]
    ) -> None:
        [id_] = add_chunks(mortal, 1, audio=opus)
        lease_seconds = scaled(1.5)
        with GatedServer(capacity=1).running() as server:
            run = Run(make_worker(mortal, server.url, lease_seconds=lease_seconds))
            until(lambda: server.calls)
            mongo.kill()
            killed_at = time.monotonic()
            assert run.ends_within(60)
            assert lease_seconds * 2 / 3 < time.monotonic() - killed_at < lease_seconds + scaled(4)
            server.gate.set()
        assert isinstance(run.error, DatabaseUnavailable)
        assert log("Stopping: The database does not answer") == 1
        assert log("left to their lease") == 1
        mongo.start()
        assert document(mortal, id_)["processing_by"] == run.worker.id

    def test_a_persistent_worker_waits_on(
        self, mongo: MongoProcess, mortal: Database, opus: bytes
    ) -> None:
        [id_] = add_chunks(mortal, 1)
        mortal.audio.insert_one({"_id": id_, "data": opus})
        with ScriptedServer(always()).running() as server:
            run = Run(make_worker(mortal, server.url, lease_seconds=1, persistent=True))
            until(lambda: server.calls)
            mongo.kill()
            until(lambda: run.worker._context.outage.seconds > 1.2)  # longer than the lease
            assert not run.ends_within(0.5)
            mongo.start()
            [late] = add_chunks(mortal, 1, audio=opus)
            until(lambda: document(mortal, late)["transcribed_at"])
            run.worker.drain()
            assert run.ends_within(60)


class SlowToComplete(MongoClaims):
    """Writes the first result once `go` is set."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, "slow_1", ClaimRules())
        self.began = threading.Event()
        self.go = threading.Event()

    def complete(self, claim: Claim, transcript: Transcript) -> None:
        self.began.set()
        self.go.wait(180)
        super().complete(claim, transcript)


def test_results_that_wait_behind_one_another_are_not_released(
    database: Database, opus: bytes, log: Callable[[str], int]
) -> None:
    ids = add_chunks(database, 3, audio=opus)
    claims = SlowToComplete(database)
    with ScriptedServer(always()).running() as server:
        run = Run(make_worker(database, server.url, claims))
        until(claims.began.is_set)
        run.worker.drain()
        run.worker.drain()
        until(lambda: log("Writing 3 finished result(s)"))
        claims.go.set()
        assert run.ends_within(60)
    assert len(server.calls) == 1
    assert all(document(database, id_)["transcribed_at"] for id_ in ids)
    assert (run.worker.stats.done, run.worker.stats.counts["skipped"]) == (3, 0)


def test_a_call_that_ends_after_its_claims_were_released_writes_and_counts_nothing(
    database: Database, opus: bytes, log: Callable[[str], int]
) -> None:
    ids = add_chunks(database, 3, audio=opus)
    with GatedServer(capacity=1).running() as server:
        run = Run(make_worker(database, server.url))
        until(lambda: server.calls)
        run.worker.drain()
        run.worker.drain()
        assert run.ends_within(60)
        assert log("Released 3 chunk(s) of unfinished calls") == 1
        server.gate.set()
        until(lambda: not any(thread.is_alive() for thread in run.worker._threads))
    for id_ in ids:
        left = document(database, id_)
        assert (left["processing_by"], left["transcribed_at"], left["attempts"]) == (None, None, 0)
    assert run.worker.stats.counts == {"transcribed": 0, "empty": 0, "error": 0, "skipped": 0}


@pytest.mark.parametrize("signals", [1, 2])
def test_a_claim_that_is_made_while_the_worker_stops_is_released(
    database: Database, opus: bytes, signals: int
) -> None:
    add_chunks(database, 4, audio=opus)
    claimed: list[ObjectId] = []

    class Claims(MongoClaims):
        def claim(self, chunk: Chunk, claim_id: ObjectId | None = None) -> Claim | None:
            if claimed:
                for _ in range(signals):
                    run.worker.drain()
                time.sleep(0.3)
            claimed.append(chunk.id)
            return super().claim(chunk, claim_id)

    with GatedServer(capacity=1).running() as server:
        run = Run(make_worker(database, server.url, Claims(database, "late_3", ClaimRules())))
        assert run.ends_within(60)
        assert not server.calls
    assert len(claimed) >= 2
    assert in_work(database) == 0
    assert database.chunks.count_documents({"transcribed_at": None, "expirations": 0}) == 4


def test_an_unforeseen_error_in_a_thread_ends_the_worker_and_releases_what_it_holds(
    database: Database, opus: bytes, log: Callable[[str], int]
) -> None:
    add_chunks(database, 3, audio=opus)

    class Claims(MongoClaims):
        def complete(self, claim: Claim, transcript: Transcript) -> None:
            raise ZeroDivisionError("odd")

    with ScriptedServer(always()).running() as server:
        run = Run(make_worker(database, server.url, Claims(database, "odd_1", ClaimRules())))
        assert run.ends_within(60)
    assert isinstance(run.error, ZeroDivisionError)
    assert log("Stopping: odd") == 1
    assert in_work(database) == 0
