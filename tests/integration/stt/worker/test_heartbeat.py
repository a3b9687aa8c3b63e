"""Claims that are renewed during a call, and those that are lost."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from bson import ObjectId

from stt.domain.chunk import Chunk
from stt.store.claims import MongoClaims
from stt.store.database import Database
from tests.support.queue_builder import add_chunks, chunk, document
from tests.support.scripted_server import Answer, ScriptedServer, always, heard
from tests.support.speech import opus_tone
from tests.support.workers import make_worker


@pytest.fixture(scope="module")
def opus() -> bytes:
    return opus_tone(2.0)


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


class TestLeases:
    def test_a_long_call_keeps_its_claim_by_renewal(
        self, database: Database, opus: bytes, bob: MongoClaims
    ) -> None:
        [id_] = add_chunks(database, 1, audio=opus)
        slow = lambda number, upload: Answer(body=heard("slow"), delay_seconds=3)  # noqa: E731
        with ScriptedServer(slow).running() as server:
            worker = make_worker(database, server.url, lease_seconds=1)
            thread = threading.Thread(target=worker.run)
            thread.start()
            until(lambda: server.calls)
            for _ in range(5):
                time.sleep(0.4)
                now = database.server_time()
                assert now - document(database, id_)["claimed_at"] < timedelta(seconds=1)
            thread.join()
        assert document(database, id_)["expirations"] == 0
        assert worker.stats.counts["transcribed"] == 1

    def test_a_hung_call_cannot_hold_a_chunk_forever(self, database: Database, opus: bytes) -> None:
        [id_] = add_chunks(database, 1, audio=opus)
        database.chunks.update_one(
            {"_id": id_},
            {
                "$set": {"processing_by": "gone_1", "claim_id": ObjectId()},
                "$currentDate": {"claimed_at": True},
            },
        )
        time.sleep(1.2)
        with ScriptedServer(always()).running() as server:
            make_worker(database, server.url, lease_seconds=1).run()
        done = document(database, id_)
        assert done["transcribed_at"] is not None
        assert done["expirations"] == 1

    def test_a_result_that_comes_after_the_claim_was_lost_is_dropped(
        self, database: Database, opus: bytes, bob: MongoClaims
    ) -> None:
        [id_] = add_chunks(database, 1, audio=opus)

        def script(number: int, upload: bytes) -> Answer:
            free = {"$set": {"processing_by": None, "claimed_at": None}}
            database.chunks.update_one({"_id": id_}, free)
            assert bob.claim(Chunk(id_, None, 0)) is not None
            return Answer(body=heard("too late"))

        with ScriptedServer(script).running() as server:
            stats = make_worker(database, server.url).run()
        held = document(database, id_)
        assert held["processing_by"] == "bob_2"
        assert held["transcript"] is None
        assert stats.counts == {"transcribed": 0, "empty": 0, "error": 0, "skipped": 1}

    def test_draining_finishes_what_is_in_flight_and_leaves_no_claim(
        self, database: Database, opus: bytes
    ) -> None:
        add_chunks(database, 10, audio=opus)
        slow = lambda number, upload: Answer(body=heard("slow"), delay_seconds=1)  # noqa: E731
        with ScriptedServer(slow, Answer(body={"capacity": 2})).running() as server:
            worker = make_worker(database, server.url)
            thread = threading.Thread(target=worker.run)
            thread.start()
            until(lambda: len(server.calls) == 2)
            worker.drain()
            thread.join(timeout=10)
            assert not thread.is_alive()
        assert worker.stats.counts["transcribed"] == 2
        assert database.chunks.count_documents({"processing_by": {"$ne": None}}) == 0

    def test_draining_does_not_wait_for_a_busy_server(
        self, database: Database, opus: bytes
    ) -> None:
        [id_] = add_chunks(database, 1, audio=opus)
        busy = lambda number, upload: Answer(503, {}, {"Retry-After": "30"})  # noqa: E731
        with ScriptedServer(busy).running() as server:
            worker = make_worker(database, server.url)
            thread = threading.Thread(target=worker.run)
            thread.start()
            until(lambda: server.calls)
            worker.drain()
            thread.join(timeout=5)
            assert not thread.is_alive()
        assert document(database, id_)["processing_by"] is None
        assert document(database, id_)["attempts"] == 0

    def test_a_second_signal_releases_what_is_in_flight(
        self, database: Database, opus: bytes
    ) -> None:
        [id_] = add_chunks(database, 1, audio=opus)
        slow = lambda number, upload: Answer(body=heard("slow"), delay_seconds=2)  # noqa: E731
        with ScriptedServer(slow).running() as server:
            worker = make_worker(database, server.url)
            thread = threading.Thread(target=worker.run)
            thread.start()
            until(lambda: server.calls)
            worker.drain()
            worker.drain()
            thread.join(timeout=1.5)
            assert not thread.is_alive()
            assert document(database, id_)["processing_by"] is None
            time.sleep(2)
        assert document(database, id_)["transcribed_at"] is None
        assert not chunk(database, id_).has_failed_before
