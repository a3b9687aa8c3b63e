"""Chunks that kill servers, and documents that are full: only they are charged, and it ends."""

import logging
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from bson import BSON, ObjectId

from stt.domain.chunk import Chunk
from stt.domain.claim import Claim, Order
from stt.domain.worker_id import WorkerId
from stt.errors import ServersBroken
from stt.media.audio import encode_opus
from stt.settings import load_settings
from stt.store.claims import MongoClaims, recover, retry
from stt.store.database import Database
from stt.worker.context import WorkOptions
from stt.worker.worker import Worker
from tests.support.mortal_server import Mortal
from tests.support.pace import scaled
from tests.support.queue_builder import add_chunks, add_recording, chunk, document
from tests.support.scripted_server import Answer, ScriptedServer, always, heard
from tests.support.speech import opus_tone, tone

LIMIT_BYTES = 16 * 1024 * 1024


def make_worker(database: Database, url: str, **flags: Any) -> Worker:
    usual = {"lease_seconds": 60, "required_empty_checks": 1, "max_parallel_workers": 2}
    return Worker.at_database(
        database, load_settings(server_urls=(url,), **{**usual, **flags}), WorkOptions()
    )


def claimed(claims: MongoClaims, chunk: Chunk) -> Claim:
    claim = claims.claim(chunk)
    assert claim is not None
    return claim


class TestIsolation:
    """A chunk with which a server died is sent alone.

    Once it has failed so, it is a poison candidate, of which the whole fleet sends one at a time.
    """

    def test_after_the_first_death_it_joins_no_sequence(
        self, database: Database, alice: MongoClaims
    ) -> None:
        first, second = add_chunks(database, 2)
        alice.release(claimed(alice, chunk(database, first)), isolated=True)
        alice.release(claimed(alice, chunk(database, second)), isolated=True)
        assert chunk(database, first).has_failed_before
        assert chunk(database, first).attempts == 0
        assert alice.claim(chunk(database, first)) is not None
        assert alice.claim(chunk(database, second)) is not None

    def test_a_page_holds_one(self, database: Database, alice: MongoClaims) -> None:
        ids = add_chunks(database, 4)
        candidate = {"$set": {"solo": True, "attempts": 1}}
        database.chunks.update_many({"_id": {"$in": [ids[1], ids[2]]}}, candidate)
        page = alice.page(10, Order())
        assert [c.id for c in page.chunks] == [ids[0], ids[1], ids[3]]
        assert page.next_due_seconds is not None

    def test_while_one_is_in_work_another_is_put_off(
        self, database: Database, alice: MongoClaims, bob: MongoClaims
    ) -> None:
        first, second, plain = add_chunks(database, 3)
        candidate = {"$set": {"solo": True, "attempts": 1}}
        database.chunks.update_many({"_id": {"$in": [first, second]}}, candidate)
        held = claimed(alice, chunk(database, first))
        assert [c.id for c in bob.page(10, Order()).chunks] == [plain]
        assert bob.claim(chunk(database, second)) is None
        put_off = document(database, second)
        assert put_off["processing_by"] is None
        assert put_off["not_before"] > database.server_time()
        assert put_off["attempts"] == 1
        alice.release(held)
        assert bob.claim(chunk(database, second)) is not None

    def test_of_many_claimed_at_once_at_most_one_is_in_work(
        self, database: Database, alice: MongoClaims
    ) -> None:
        ids = add_chunks(database, 8, solo=True, attempts=1)
        barrier = threading.Barrier(8)
        won: list[Claim] = []

        def contend(id_: ObjectId) -> None:
            barrier.wait()
            if claim := alice.claim(Chunk(id_, None, 0)):
                won.append(claim)

        threads = [threading.Thread(target=contend, args=(id_,)) for id_ in ids]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) <= 1
        assert database.chunks.count_documents({"processing_by": {"$ne": None}}) == len(won)

    def test_its_errors_name_the_servers_and_retry_by_hand_clears_it(
        self, database: Database, alice: MongoClaims
    ) -> None:
        [id_] = add_chunks(database, 1, solo=True, attempts=2)
        claim = claimed(alice, chunk(database, id_))
        alice.fail(claim, "server_died", "it died", server="http://gpu-box:8081")
        assert document(database, id_)["failed_at"] is not None
        assert chunk(database, id_).failed_on == {"http://gpu-box:8081"}
        assert retry(database, [id_]) == 1
        assert not chunk(database, id_).has_failed_before


def test_a_chunk_that_kills_servers_is_quarantined_and_no_neighbour_with_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = add_chunks(database, 4, audio=opus_tone(1.0))
    others = [
        add_chunks(database, 1, recording_id=add_recording(database), audio=opus_tone(1.0))[0]
        for _ in range(4)
    ]
    killer = joined[1]
    loud = encode_opus((tone(1.0) * 8).astype("int16"))
    database.audio.update_one({"_id": killer}, {"$set": {"data": loud}})
    done = threading.Event()

    def rests_are_short() -> None:
        soon = {"attempts": {"$gt": 0}, "not_before": {"$ne": None}}
        while not done.wait(0.1):
            database.chunks.update_many(soon, {"$set": {"not_before": None}})

    with Mortal().running() as server:
        workers = []
        for name in ("one_1", "two_2"):
            monkeypatch.setattr(WorkerId, "of_this_process", lambda name=name: WorkerId(name))
            workers.append(make_worker(database, server.url))
        threads = [threading.Thread(target=worker.run) for worker in workers]
        threads.append(threading.Thread(target=rests_are_short))
        for thread in threads:
            thread.start()
        for thread in threads[:-1]:
            thread.join(300)
        done.set()
        threads[-1].join()
        assert not any(thread.is_alive() for thread in threads)
        deaths = server.deaths
    failed = [d["_id"] for d in database.chunks.find({"failed_at": {"$ne": None}})]
    assert failed == [killer]
    errors = document(database, killer)["errors"]
    assert [(e["kind"], e["server"]) for e in errors] == [("server_died", server.url)] * 3
    assert deaths == 4  # once in company, three times in a call of its own
    innocent = [id_ for id_ in (*joined, *others) if id_ != killer]
    assert all(document(database, id_)["transcribed_at"] for id_ in innocent)
    assert max(document(database, id_)["attempts"] for id_ in innocent) <= 1


def test_a_server_that_dies_of_anything_charges_no_chunk_and_ends_the_worker(
    database: Database,
) -> None:
    broken_off = Answer(body=heard("hello"), cut=0)

    def dies(number: int, upload: bytes) -> Answer:
        server.ready = Answer(body={"capacity": 2, "instance": f"after {number}"})
        return broken_off

    ready = Answer(body={"capacity": 2, "instance": "first"})
    ids = add_chunks(database, 3, audio=opus_tone(1.0))
    with ScriptedServer(dies, ready, canary=broken_off).running() as server:
        for _ in range(2):  # the next run of cron finds it no better
            with pytest.raises(ServersBroken):
                make_worker(database, server.url, max_attempts=1, max_consecutive_failures=1).run()
    assert {document(database, id_)["attempts"] for id_ in ids} == {0}
    assert database.chunks.count_documents({"processing_by": {"$ne": None}}) == 0


class TestFullDocuments:
    """A document may hold 16 MB, and other programs keep what they like in it."""

    @staticmethod
    def fill(database: Database, id_: ObjectId, but: int) -> None:
        """Leave `but` bytes of room in the document."""
        size = len(BSON.encode(document(database, id_)))
        filling = b"x" * (LIMIT_BYTES - but - size - 20)
        database.chunks.update_one({"_id": id_}, {"$set": {"note": filling}})

    @pytest.mark.parametrize(
        ("words", "kind"), [(50_000, "database_refused"), (3_500_000, "server_fault")]
    )
    def test_a_transcript_that_does_not_fit_counts_against_its_chunk(
        self, database: Database, words: int, kind: str
    ) -> None:
        """Into its document, or as 17 MB into any."""
        [id_] = add_chunks(database, 1, audio=opus_tone(1.0))
        self.fill(database, id_, but=100_000)
        with ScriptedServer(always("word " * words)).running() as server:
            make_worker(database, server.url, max_attempts=1).run()
        failed = document(database, id_)
        assert failed["failed_at"] is not None
        assert failed["errors"][0]["kind"] == kind

    def test_a_nearly_full_document_gives_its_history_for_the_last_error(
        self, database: Database, alice: MongoClaims
    ) -> None:
        now = database.server_time()
        old = [{"at": now, "worker": "w", "kind": "refused", "message": "x" * 400}] * 2
        [id_] = add_chunks(database, 1, errors=old)
        self.fill(database, id_, but=120)
        alice.fail(claimed(alice, chunk(database, id_)), "refused", "y" * 1000)
        failed = document(database, id_)
        assert failed["attempts"] == 1
        assert [e["message"] for e in failed["errors"]] == ["y" * 80]

    def test_one_that_can_take_neither_is_released_logged_once_and_excluded(
        self, database: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        [full] = add_chunks(database, 1, audio=opus_tone(1.0))
        [good] = add_chunks(database, 1, recording_id=add_recording(database), audio=opus_tone(1.0))
        self.fill(database, full, but=60)
        long = Answer(body=heard("many words " * 100))
        with ScriptedServer(lambda n, u: long).running() as server:
            started = time.monotonic()
            make_worker(database, server.url).run()
            assert time.monotonic() - started < scaled(20)
        assert document(database, good)["transcribed_at"] is not None
        left = document(database, full)
        assert (left["processing_by"], left["attempts"], left["failed_at"]) == (None, 0, None)
        errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
        assert len(errors) == 1
        assert str(full) in errors[0]

    def test_its_stale_claim_is_recovered_all_the_same(
        self, database: Database, alice: MongoClaims
    ) -> None:
        full, other = add_chunks(database, 2)
        for id_ in (full, other):
            claimed(alice, chunk(database, id_))
        self.fill(database, full, but=0)
        then = database.server_time() - timedelta(seconds=100)
        database.chunks.update_many({}, {"$set": {"claimed_at": then}})
        freed = recover(database, alice._rules, 60)
        assert {stale.chunk_id for stale in freed} == {full, other}
        assert document(database, full)["processing_by"] is None
