"""The primary steps down, or cannot meet the write concern, in the middle of the claim protocol.

The embedded server does it on demand (`replSetStepDown`, fail points), as one member of a set
of its own name; with STT_TEST_MONGO_URL it is the server there, if that knows these commands.
"""

import threading
import time
from collections.abc import Callable, Iterator

import pymongo.common
import pytest
from pymongo.errors import OperationFailure

from stt.domain.claim import Claim, ClaimRules, Order
from stt.domain.transcript import Segment, Transcript
from stt.errors import DatabaseUnavailable
from stt.store.claims import MongoClaims
from stt.store.database import Database, Document
from tests.support.lossy_link import WRITES, failing
from tests.support.mongo_process import missing
from tests.support.queue_builder import add_chunks, chunk, document

RULES = ClaimRules(lease_seconds=60)

NOT_WRITABLE_PRIMARY, PRIMARY_STEPPED_DOWN, SHUTDOWN_IN_PROGRESS = 10107, 189, 91
WRITE_CONCERN_TIMED_OUT, UNSATISFIABLE_WRITE_CONCERN = 64, 100


def result_of(claim: Claim) -> Transcript:
    return Transcript(segments=(Segment(0.0, 1.0, str(claim.id)),), worker=claim.worker)


WRITES_OF_A_HOLDER: dict[str, Callable[[MongoClaims, Claim], None]] = {
    "renew": lambda claims, claim: claims.renew(claim),
    "complete": lambda claims, claim: claims.complete(claim, result_of(claim)),
    "release": lambda claims, claim: claims.release(claim),
    "fail": lambda claims, claim: claims.fail(claim, "bad_audio", "cannot be decoded"),
}


@pytest.fixture
def admin(mongo_url: str) -> Iterator[pymongo.MongoClient[Document]]:
    with pymongo.MongoClient[Document](mongo_url) as client:
        yield client


@pytest.fixture
def queue(
    mongo_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database]:
    with watchful(mongo_url, database, monkeypatch) as queue:
        yield queue


def watchful(url: str, database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The same database, by a driver that looks often who is primary.

    The embedded server does not tell it of its own accord, as MongoDB does: it would learn by the
    next heartbeat, ten seconds later.
    """
    monkeypatch.setattr(pymongo.common, "MIN_HEARTBEAT_INTERVAL", 0.05)
    options = "serverMonitoringMode=poll&heartbeatFrequencyMS=500"
    joint = "&" if "?" in url else "?"
    return Database(f"{url}{joint}{options}", database.chunks.database.name)


def step_down(admin: pymongo.MongoClient[Document], seconds: int) -> None:
    try:
        admin.admin.command({"replSetStepDown": seconds, "force": True})
    except OperationFailure as refused:
        if refused.code != NOT_WRITABLE_PRIMARY:  # it has stepped down already
            missing(f"replSetStepDown: {refused}")


def claimed(claims: MongoClaims, database: Database) -> Claim:
    [id_] = add_chunks(database, 1)
    claim = claims.claim(chunk(database, id_))
    assert claim is not None
    return claim


def expect_once(database: Database, claim: Claim, write: str) -> None:
    """The write is in the document, and only once."""
    written = document(database, claim.chunk.id)
    assert written["claim_id"] == claim.id
    assert (written["processing_by"] is None) == (write != "renew")
    assert written["attempts"] == len(written["errors"]) == (write == "fail")
    assert written["expirations"] == 0
    assert (written["transcribed_at"] is not None) == (write == "complete")


class TestStepDown:
    @pytest.mark.parametrize("by", ["one server", "a set"])
    def test_claims_and_endings_wait_for_the_next_primary(
        self,
        admin: pymongo.MongoClient[Document],
        mongo_url: str,
        database: Database,
        monkeypatch: pytest.MonkeyPatch,
        by: str,
    ) -> None:
        """Whether the URL names one server, which is a secondary meanwhile, or a set."""
        if by == "a set":
            set_name = admin.admin.command("hello").get("setName")
            if set_name is None:
                missing("a replica set")
            mongo_url = mongo_url.replace("directConnection=true", f"replicaSet={set_name}")
        with watchful(mongo_url, database, monkeypatch) as queue:
            alice = MongoClaims(queue, "alice_1", RULES)
            held = {write: claimed(alice, queue) for write in ("complete", "release", "fail")}
            [wanted] = add_chunks(queue, 1)
            step_down(admin, 1)
            late = alice.claim(chunk(database, wanted))
            step_down(admin, 1)
            for write, claim in held.items():
                WRITES_OF_A_HOLDER[write](alice, claim)
                expect_once(queue, claim, write)
        assert late is not None
        assert document(database, wanted)["claim_id"] == late.id

    def test_a_renewal_in_vain_changes_neither_the_lease_nor_the_trust_in_it(
        self, admin: pymongo.MongoClient[Document], queue: Database
    ) -> None:
        """The heartbeat comes again soon enough: a renewal does not wait for a primary."""
        alice = MongoClaims(queue, "alice_1", RULES)
        claim = claimed(alice, queue)
        before, trusted_until = document(queue, claim.chunk.id), claim.trusted_until
        step_down(admin, 1)
        with pytest.raises(DatabaseUnavailable):
            alice.renew(claim)
        assert document(queue, claim.chunk.id) == before
        assert claim.trusted_until == trusted_until
        alice.complete(claim, result_of(claim))
        expect_once(queue, claim, "complete")

    def test_a_fleet_under_one_step_down_after_another_writes_each_result_once(
        self, admin: pymongo.MongoClient[Document], queue: Database
    ) -> None:
        ids = add_chunks(queue, 24)
        accepted: dict[object, object] = {}

        def work(name: str) -> None:
            worker = MongoClaims(queue, name, RULES)
            while chunks := worker.page(4, Order()).chunks:
                for wanted in chunks:
                    if claim := worker.claim(wanted):
                        worker.complete(claim, result_of(claim))
                        assert claim.chunk.id not in accepted
                        accepted[claim.chunk.id] = str(claim.id)

        workers = [threading.Thread(target=work, args=(f"w_{n}",)) for n in range(3)]
        for worker in workers:
            worker.start()
        step_downs = 0
        while any(worker.is_alive() for worker in workers) and step_downs < 2:
            step_down(admin, 1)
            step_downs += 1
            time.sleep(1.1)
        for worker in workers:
            worker.join()
        assert set(accepted) == set(ids)
        for id_ in ids:
            written = document(queue, id_)
            assert written["transcript"]["segments"][0]["text"] == accepted[id_]
            assert written["attempts"] == written["expirations"] == 0


class TestRefusals:
    """The server says that it cannot, before it has done anything."""

    @pytest.mark.parametrize(
        "code", [NOT_WRITABLE_PRIMARY, PRIMARY_STEPPED_DOWN, SHUTDOWN_IN_PROGRESS]
    )
    def test_every_write_survives_more_refusals_than_the_driver_repeats(
        self, admin: pymongo.MongoClient[Document], queue: Database, code: int
    ) -> None:
        alice = MongoClaims(queue, "alice_1", RULES)
        for write in ("complete", "release", "fail"):
            with failing(admin, {"times": 3}, failCommands=WRITES, errorCode=code):
                claim = claimed(alice, queue)
            with failing(admin, {"times": 3}, failCommands=WRITES, errorCode=code):
                WRITES_OF_A_HOLDER[write](alice, claim)
            expect_once(queue, claim, write)


class TestWriteConcerns:
    """The server has written, but says that no majority has acknowledged it."""

    @pytest.mark.parametrize("write", ["complete", "release", "fail"])
    def test_a_majority_that_is_away_is_waited_for_and_the_write_happens_once(
        self, admin: pymongo.MongoClient[Document], queue: Database, write: str
    ) -> None:
        alice = MongoClaims(queue, "alice_1", RULES)
        stopped = {"code": UNSATISFIABLE_WRITE_CONCERN, "errmsg": "no majority"}
        with failing(admin, {"times": 2}, failCommands=WRITES, writeConcernError=stopped):
            claim = claimed(alice, queue)
        with failing(admin, {"times": 2}, failCommands=WRITES, writeConcernError=stopped):
            WRITES_OF_A_HOLDER[write](alice, claim)
        expect_once(queue, claim, write)

    def test_the_driver_repeats_what_a_stepped_down_primary_wrote_and_it_happens_once(
        self, admin: pymongo.MongoClient[Document], queue: Database
    ) -> None:
        alice = MongoClaims(queue, "alice_1", RULES)
        stopped = {"code": SHUTDOWN_IN_PROGRESS, "errmsg": "going down"}
        for write, act in WRITES_OF_A_HOLDER.items():
            claim = claimed(alice, queue)
            with failing(
                admin,
                {"times": 1},
                failCommands=WRITES,
                writeConcernError=stopped,
                errorLabels=["RetryableWriteError"],
            ):
                act(alice, claim)
            expect_once(queue, claim, write)

    @pytest.mark.parametrize("code", [WRITE_CONCERN_TIMED_OUT, UNSATISFIABLE_WRITE_CONCERN])
    def test_without_a_majority_nothing_is_assumed_and_the_lease_is_the_limit(
        self, admin: pymongo.MongoClient[Document], queue: Database, code: int
    ) -> None:
        impatient = ClaimRules(lease_seconds=0.5)
        alice = MongoClaims(queue, "alice_1", impatient)
        claim = claimed(MongoClaims(queue, "alice_1", RULES), queue)
        trusted_until = claim.trusted_until = time.monotonic() + 0.5
        [wanted] = add_chunks(queue, 1)
        stopped = {"code": code, "errmsg": "no majority"}
        with failing(admin, "alwaysOn", failCommands=WRITES, writeConcernError=stopped):
            with pytest.raises(DatabaseUnavailable):
                alice.renew(claim)
            assert claim.trusted_until == trusted_until
            with pytest.raises(DatabaseUnavailable):
                alice.complete(claim, result_of(claim))
            with pytest.raises(DatabaseUnavailable):
                alice.claim(chunk(queue, wanted))
        assert queue.chunks.count_documents({"attempts": {"$gt": 0}}) == 0
        time.sleep(impatient.lease_seconds)  # each claim is judged by its own lease
        [stale] = MongoClaims(queue, "bob_2", ClaimRules(lease_seconds=0.1)).recover()
        assert stale.chunk_id == wanted
