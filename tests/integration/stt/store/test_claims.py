"""The claim protocol against a real server: what each transition writes, and what it must not.

Workers reach it at the database, or through a coordinator: every test here holds for both.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import ClassVar

import pymongo
import pytest
from pymongo.errors import OperationFailure

from stt.domain.claim import Claim, ClaimRules, Claims, Order
from stt.domain.transcript import Segment, Transcript
from stt.errors import ClaimLost, DatabaseUnavailable
from stt.store import claims as claim_protocol
from stt.store.claims import MongoClaims
from stt.store.database import Database
from stt.store.documents import write_transcript
from tests.support.mongo_process import missing
from tests.support.queue_builder import add_chunks, chunk, claimed, document

HELLO = Transcript(segments=(Segment(0.5, 1.5, "hello world"),), language="en", worker="alice_1")


@pytest.fixture
def alice(reach: Callable[[str], Claims]) -> Claims:
    return reach("alice_1")


@pytest.fixture
def bob(reach: Callable[[str], Claims]) -> Claims:
    return reach("bob_2")


@pytest.fixture
def janitor(database: Database, rules: ClaimRules) -> MongoClaims:
    """Who frees stale claims: a worker at the database, or the coordinator itself."""
    return MongoClaims(database, "janitor_3", rules)


def age_claim(database: Database, claim: Claim, seconds: float) -> None:
    """Makes the claim look `seconds` old, as if its worker had slept."""
    then = database.server_time() - timedelta(seconds=seconds)
    database.chunks.update_one({"_id": claim.chunk.id}, {"$set": {"claimed_at": then}})


class TestClaiming:
    def test_a_claim_names_its_worker_its_time_and_itself(
        self, database: Database, alice: Claims
    ) -> None:
        [id_] = add_chunks(database, 1)
        before = database.server_time()
        claim = claimed(alice, chunk(database, id_))
        written = document(database, id_)
        assert written["processing_by"] == "alice_1"
        assert written["claim_id"] == claim.id
        assert before <= written["claimed_at"] <= database.server_time()
        assert claim.is_trusted

    def test_the_second_claim_of_a_chunk_misses(
        self, database: Database, alice: Claims, bob: Claims
    ) -> None:
        [id_] = add_chunks(database, 1)
        claimed(alice, chunk(database, id_))
        assert bob.claim(chunk(database, id_)) is None
        assert document(database, id_)["processing_by"] == "alice_1"

    def test_of_many_workers_at_once_exactly_one_gets_each_chunk(
        self, database: Database, rules: ClaimRules
    ) -> None:
        ids = add_chunks(database, 12)
        winners: list[tuple[str, object]] = []
        authenticator = threading.Barrier(6)

        def contend(name: str) -> None:
            claims = MongoClaims(database, name, rules)
            authenticator.wait()
            winners.extend((name, id_) for id_ in ids if claims.claim(chunk(database, id_)))

        threads = [threading.Thread(target=contend, args=(f"w_{n}",)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(str(id_) for _, id_ in winners) == sorted(map(str, ids))
        for name, id_ in winners:
            assert document(database, id_)["processing_by"] == name  # type: ignore[arg-type]


class TestFence:
    def test_a_result_is_written_once_and_frees_the_chunk(
        self, database: Database, alice: Claims
    ) -> None:
        [id_] = add_chunks(database, 1)
        claim = claimed(alice, chunk(database, id_))
        alice.complete(claim, HELLO)
        done = document(database, id_)
        assert done["transcript"] == write_transcript(HELLO)
        assert done["transcribed_at"] is not None
        assert done["processing_by"] is None
        assert done["claimed_at"] is None
        alice.complete(claim, Transcript())  # as after a lost reply: it learns that it is done
        assert document(database, id_) == done
        for write in (alice.release, alice.renew):
            with pytest.raises(ClaimLost):
                write(claim)
        with pytest.raises(ClaimLost):
            alice.fail(claim, "bad_audio", "after the result")
        assert document(database, id_) == done

    @pytest.mark.parametrize("ending", ["complete", "release", "fail", "renew"])
    def test_a_worker_that_lost_its_claim_writes_nothing(
        self, database: Database, janitor: MongoClaims, alice: Claims, bob: Claims, ending: str
    ) -> None:
        [id_] = add_chunks(database, 1)
        lost = claimed(alice, chunk(database, id_))
        age_claim(database, lost, 61)
        assert len(janitor.recover()) == 1
        claimed(bob, chunk(database, id_))
        before = document(database, id_)
        write: dict[str, Callable[[], None]] = {
            "complete": lambda: alice.complete(lost, HELLO),
            "release": lambda: alice.release(lost),
            "fail": lambda: alice.fail(lost, "bad_audio", "cannot be decoded"),
            "renew": lambda: alice.renew(lost),
        }
        with pytest.raises(ClaimLost):
            write[ending]()
        assert document(database, id_) == before

    def test_the_shell_reset_of_the_readme_fences_the_old_holder_even_if_it_claims_again(
        self, database: Database, alice: Claims
    ) -> None:
        [id_] = add_chunks(database, 1)
        first = claimed(alice, chunk(database, id_))
        free = {"$set": {"processing_by": None, "claimed_at": None}}
        database.chunks.update_one({"_id": id_}, free)
        second = claimed(alice, chunk(database, id_))
        with pytest.raises(ClaimLost):
            alice.complete(first, Transcript())
        alice.complete(second, HELLO)
        assert document(database, id_)["transcript"] == write_transcript(HELLO)


class TestFailing:
    def test_a_failure_rests_the_chunk_and_the_third_quarantines_it(
        self, database: Database, alice: Claims
    ) -> None:
        [id_] = add_chunks(database, 1)
        for attempt in (1, 2, 3):
            database.chunks.update_one({"_id": id_}, {"$set": {"not_before": None}})
            alice.fail(claimed(alice, chunk(database, id_)), "bad_audio", f"try {attempt}")
            written = document(database, id_)
            assert written["attempts"] == attempt
            assert written["processing_by"] is None
            assert (written["not_before"] is None) == (attempt == 3)
            assert (written["failed_at"] is not None) == (attempt == 3)
        assert [error["message"] for error in written["errors"]] == ["try 1", "try 2", "try 3"]
        assert {e["kind"] for e in written["errors"]} == {"bad_audio"}
        assert {e["worker"] for e in written["errors"]} == {"alice_1"}
        assert alice.claim(chunk(database, id_)) is None

    def test_only_the_last_five_errors_are_kept_even_where_there_was_no_list(
        self, database: Database
    ) -> None:
        patient = MongoClaims(database, "alice_1", ClaimRules(max_attempts=100))
        [id_] = add_chunks(database, 1, errors=None, attempts=None)
        for attempt in range(7):
            patient.fail(claimed(patient, chunk(database, id_)), "refused", f"try {attempt}")
        assert [e["message"][-1] for e in document(database, id_)["errors"]] == list("23456")

    def test_retry_gives_a_quarantined_chunk_a_clean_record(
        self, database: Database, alice: Claims
    ) -> None:
        now = database.server_time()
        [bad] = add_chunks(database, 1, failed_at=now, attempts=3, expirations=2)
        [done] = add_chunks(database, 1, transcribed_at=now)
        assert claim_protocol.retry(database) == 1
        assert [c.id for c in alice.page(10, Order()).chunks] == [bad]
        assert not chunk(database, bad).has_failed_before
        assert document(database, done)["transcribed_at"] == now


class TestRenewal:
    def test_many_are_renewed_at_once_and_those_that_are_lost_are_named(
        self, database: Database, alice: Claims, rules: ClaimRules
    ) -> None:
        first, kept, last = (
            claimed(alice, chunk(database, id_)) for id_ in add_chunks(database, 3)
        )
        for claim in (first, kept, last):
            age_claim(database, claim, 50)
        trusted = kept.trusted_until
        time.sleep(0.01)
        assert alice.renew_all([first, kept, last]) == []
        assert kept.trusted_until > trusted
        claim_protocol.release(database, [first.chunk.id, last.chunk.id])
        age_claim(database, kept, 50)
        assert alice.renew_all([first, kept, last]) == [first, last]
        age = database.server_time() - document(database, kept.chunk.id)["claimed_at"]
        assert age < timedelta(seconds=50)
        assert document(database, kept.chunk.id)["lease_seconds"] == rules.lease_seconds
        assert alice.renew_all([first]) == [first]
        assert alice.renew_all([]) == []


class TestRecovery:
    def test_a_fresh_claim_is_left_alone(
        self, database: Database, janitor: MongoClaims, alice: Claims
    ) -> None:
        [id_] = add_chunks(database, 1)
        claimed(alice, chunk(database, id_))
        assert janitor.recover() == []
        assert document(database, id_)["processing_by"] == "alice_1"

    def test_a_claim_past_its_lease_is_freed_and_counted(
        self, database: Database, janitor: MongoClaims, alice: Claims, bob: Claims
    ) -> None:
        [id_] = add_chunks(database, 1)
        age_claim(database, claimed(alice, chunk(database, id_)), 61)
        [stale] = janitor.recover()
        assert (stale.chunk_id, stale.worker, stale.quarantined) == (id_, "alice_1", False)
        freed = document(database, id_)
        assert freed["processing_by"] is None
        assert freed["expirations"] == 1
        assert freed["attempts"] == 0
        assert freed["errors"][0]["kind"] == "expired"
        assert chunk(database, id_).has_failed_before

    def test_a_renewal_starts_the_lease_anew(
        self, database: Database, janitor: MongoClaims, alice: Claims, bob: Claims
    ) -> None:
        [id_] = add_chunks(database, 1)
        claim = claimed(alice, chunk(database, id_))
        age_claim(database, claim, 61)
        trusted_before = claim.trusted_until
        time.sleep(0.01)
        alice.renew(claim)
        assert janitor.recover() == []
        assert claim.trusted_until > trusted_before

    def test_the_fifth_expiration_quarantines_the_likely_killer(
        self, database: Database, janitor: MongoClaims, alice: Claims, bob: Claims
    ) -> None:
        [id_] = add_chunks(database, 1, expirations=4)
        age_claim(database, claimed(alice, chunk(database, id_)), 61)
        [stale] = janitor.recover()
        assert stale.quarantined
        assert document(database, id_)["failed_at"] is not None
        assert alice.claim(chunk(database, id_)) is None

    def test_a_claim_without_a_time_is_stale(
        self, database: Database, janitor: MongoClaims, alice: Claims
    ) -> None:
        add_chunks(database, 1, processing_by="somebody", claimed_at=None)
        assert [stale.worker for stale in janitor.recover()] == ["somebody"]

    def test_a_dry_run_frees_nothing(
        self, database: Database, alice: Claims, rules: ClaimRules
    ) -> None:
        [id_] = add_chunks(database, 1)
        age_claim(database, claimed(alice, chunk(database, id_)), 61)
        stale = claim_protocol.recover(database, rules, 60, dry_run=True)
        assert [s.chunk_id for s in stale] == [id_]
        assert document(database, id_)["processing_by"] == "alice_1"

    def test_of_two_recoveries_at_once_only_one_counts_the_expiration(
        self, database: Database, janitor: MongoClaims, alice: Claims, bob: Claims
    ) -> None:
        ids = add_chunks(database, 8)
        for id_ in ids:
            age_claim(database, claimed(alice, chunk(database, id_)), 61)
        authenticator = threading.Barrier(2)
        freed: list[object] = []

        def free() -> None:
            authenticator.wait()
            freed.extend(stale.chunk_id for stale in janitor.recover())

        threads = [threading.Thread(target=free) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(map(str, freed)) == sorted(map(str, ids))
        assert {document(database, id_)["expirations"] for id_ in ids} == {1}

    def test_releasing_by_hand_takes_the_chunk_from_its_worker(
        self, database: Database, alice: Claims
    ) -> None:
        [id_] = add_chunks(database, 1)
        claim = claimed(alice, chunk(database, id_))
        assert claim_protocol.release(database, [id_]) == 1
        with pytest.raises(ClaimLost):
            alice.complete(claim, HELLO)
        assert document(database, id_)["transcribed_at"] is None


class TestUnclearOutcomes:
    """The server acts, but the worker is told of a failure: fail points of the server do that."""

    @contextmanager
    def failing(self, mongo_url: str, times: int, **data: object) -> Iterator[None]:
        with pymongo.MongoClient[dict[str, object]](mongo_url) as client:
            point = {"configureFailPoint": "failCommand", "mode": {"times": times}, "data": data}
            try:
                client.admin.command(point)
            except OperationFailure as refused:
                missing(f"fail points: {refused}")
            try:
                yield
            finally:
                client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})

    WRITTEN_BUT_UNACKNOWLEDGED: ClassVar = {
        "writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}
    }

    def test_a_claim_that_was_made_but_not_acknowledged_is_found_again(
        self, mongo_url: str, database: Database, alice: Claims
    ) -> None:
        [id_] = add_chunks(database, 1)
        with self.failing(
            mongo_url,
            1,
            failCommands=["findAndModify", "update"],
            **self.WRITTEN_BUT_UNACKNOWLEDGED,
        ):
            claim = claimed(alice, chunk(database, id_))
        assert document(database, id_)["claim_id"] == claim.id
        alice.complete(claim, HELLO)

    @pytest.mark.parametrize("ending", ["complete", "release", "fail"])
    def test_an_ending_that_was_written_but_not_acknowledged_is_not_taken_for_lost(
        self, mongo_url: str, database: Database, alice: Claims, ending: str
    ) -> None:
        [id_] = add_chunks(database, 1)
        claim = claimed(alice, chunk(database, id_))
        with self.failing(mongo_url, 1, failCommands=["update"], **self.WRITTEN_BUT_UNACKNOWLEDGED):
            if ending == "complete":
                alice.complete(claim, HELLO)
            elif ending == "release":
                alice.release(claim)
            else:
                alice.fail(claim, "bad_audio", "cannot be decoded")
        written = document(database, id_)
        assert written["processing_by"] is None
        assert written["attempts"] == (1 if ending == "fail" else 0)
        assert (written["transcribed_at"] is not None) == (ending == "complete")

    def test_connections_that_break_again_and_again_only_delay_the_result(
        self, mongo_url: str, database: Database, alice: Claims
    ) -> None:
        [id_] = add_chunks(database, 1)
        claim = claimed(alice, chunk(database, id_))
        with self.failing(mongo_url, 5, failCommands=["update"], closeConnection=True):
            alice.complete(claim, HELLO)
        assert document(database, id_)["transcript"] == write_transcript(HELLO)

    def test_a_result_is_given_up_when_the_database_outlasts_the_lease(
        self, mongo_url: str, database: Database, alice: Claims
    ) -> None:
        [id_] = add_chunks(database, 1)
        claim = claimed(alice, chunk(database, id_))
        claim.trusted_until = time.monotonic() + 0.5
        with (
            self.failing(mongo_url, 1000, failCommands=["update"], closeConnection=True),
            pytest.raises(DatabaseUnavailable),
        ):
            alice.complete(claim, HELLO)
        assert document(database, id_)["transcribed_at"] is None
