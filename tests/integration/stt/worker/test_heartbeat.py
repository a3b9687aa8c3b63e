"""Claims that are renewed during a call, and those that are lost."""

import threading
import time
from datetime import timedelta

import pytest
from bson import ObjectId

from stt.store.claims import MongoClaims
from stt.store.database import Database
from tests.support.pace import scaled, until
from tests.support.queue_builder import add_chunks, chunk, document
from tests.support.scripted_server import Answer, GatedServer, ScriptedServer, always, heard
from tests.support.speech import opus_tone
from tests.support.workers import make_worker


@pytest.fixture(scope="module")
def opus() -> bytes:
    return opus_tone(2.0)


class TestLeases:
    def test_a_long_call_keeps_its_claim_by_renewal(
        self, database: Database, opus: bytes, bob: MongoClaims
    ) -> None:
        [id_] = add_chunks(database, 1, audio=opus)
        lease_seconds = scaled(1)
        with GatedServer(capacity=1).running() as server:
            worker = make_worker(database, server.url, lease_seconds=lease_seconds)
            thread = threading.Thread(target=worker.run)
            thread.start()
            until(lambda: server.calls)
            for _ in range(5):
                time.sleep(0.4 * lease_seconds)
                now = database.server_time()
                age = now - document(database, id_)["claimed_at"]
                assert age < timedelta(seconds=lease_seconds)
            server.gate.set()
            thread.join()
        assert document(database, id_)["expirations"] == 0
        assert worker.stats.counts["transcribed"] == 1

    def test_a_vanished_workers_chunk_is_done_by_another(
        self, database: Database, opus: bytes, bob: MongoClaims
    ) -> None:
        [id_] = add_chunks(database, 1, audio=opus)
        assert bob.claim(chunk(database, id_)) is not None
        long_ago = database.server_time() - timedelta(seconds=61)
        database.chunks.update_one({"_id": id_}, {"$set": {"claimed_at": long_ago}})
        with ScriptedServer(always()).running() as server:
            make_worker(database, server.url, lease_seconds=60).run()
        done = document(database, id_)
        assert done["transcribed_at"] is not None
        assert done["expirations"] == 1

    def test_a_result_that_comes_after_the_claim_was_lost_is_dropped(
        self, database: Database, opus: bytes
    ) -> None:
        [id_] = add_chunks(database, 1, audio=opus)

        def script(number: int, upload: bytes) -> Answer:
            # In one write: the worker would claim a chunk again that is free for a moment.
            another = {"processing_by": "bob_2", "claim_id": ObjectId()}
            database.chunks.update_one({"_id": id_}, {"$set": another})
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
        with GatedServer(capacity=2).running() as server:
            worker = make_worker(database, server.url)
            thread = threading.Thread(target=worker.run)
            thread.start()
            until(lambda: len(server.calls) == 2)
            until(lambda: worker.progress().expected_seconds > 0)
            worker.drain()
            until(lambda: worker.progress().is_ending)
            server.gate.set()
            thread.join(timeout=60)
            assert not thread.is_alive()
        assert worker.stats.counts["transcribed"] == 2
        assert worker.stats.call_audio_seconds == worker.stats.seconds
        assert database.chunks.count_documents({"processing_by": {"$ne": None}}) == 0

    def test_draining_does_not_wait_for_a_busy_server(
        self, database: Database, opus: bytes
    ) -> None:
        [id_] = add_chunks(database, 1, audio=opus)
        busy = lambda number, upload: Answer(503, {}, {"Retry-After": "300"})  # noqa: E731
        with ScriptedServer(busy).running() as server:
            worker = make_worker(database, server.url)
            thread = threading.Thread(target=worker.run)
            thread.start()
            until(lambda: server.calls)
            worker.drain()
            thread.join(timeout=60)
            assert not thread.is_alive()
        assert document(database, id_)["processing_by"] is None
        assert document(database, id_)["attempts"] == 0

    def test_a_second_signal_releases_what_is_in_flight(
        self, database: Database, opus: bytes
    ) -> None:
        [id_] = add_chunks(database, 1, audio=opus)
        with GatedServer(capacity=1).running() as server:
            worker = make_worker(database, server.url)
            thread = threading.Thread(target=worker.run)
            thread.start()
            until(lambda: server.calls)
            worker.drain()
            worker.drain()
            thread.join(timeout=60)
            assert not thread.is_alive()
            assert document(database, id_)["processing_by"] is None
            server.gate.set()
            until(lambda: not any(call.is_alive() for call in worker._threads))
        assert document(database, id_)["transcribed_at"] is None
        assert not chunk(database, id_).has_failed_before
