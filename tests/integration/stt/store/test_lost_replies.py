"""Replies that never arrive: what the driver sends again by itself, what the protocol asks then,
and what it believes. First against a scripted replica set, then a real server behind a proxy."""

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import mockupdb
import pymongo.common
import pytest
from bson import ObjectId

from stt.domain.chunk import Chunk
from stt.domain.claim import Claim, ClaimRules
from stt.domain.transcript import Segment, Transcript
from stt.errors import ClaimLost, DatabaseUnavailable
from stt.store.claims import MongoClaims
from stt.store.database import Database
from stt.store.documents import write_transcript
from tests.support.mongo_process import MongoProcess, running_mongo
from tests.support.pace import scaled
from tests.support.queue_builder import add_chunks, chunk, document
from tests.support.scripted_member import ScriptedMember
from tools.chaos_lab.proxy import AnswerTrap, Proxy, ProxyHouse

HELLO = Transcript(segments=(Segment(0.5, 1.5, "hello world"),), language="en", worker="alice_1")
RULES = ClaimRules(lease_seconds=60)
DONE = {"n": 1, "nModified": 1}
NO_MATCH = {"n": 0, "nModified": 0}

# The first field of each command as it goes over the wire, by which the proxy knows it.
FIND_AND_MODIFY = b"\x02findAndModify\x00"
UPDATE = b"\x02update\x00"

ENDINGS: dict[str, Callable[[MongoClaims, Claim], None]] = {
    "complete": lambda claims, claim: claims.complete(claim, HELLO),
    "release": lambda claims, claim: claims.release(claim),
    "fail": lambda claims, claim: claims.fail(claim, "bad_audio", "cannot be decoded"),
}


@pytest.fixture(scope="module")
def members() -> Iterator[list[ScriptedMember]]:
    members = [ScriptedMember(), ScriptedMember()]
    yield members
    with ThreadPoolExecutor() as side_by_side:
        list(side_by_side.map(ScriptedMember.stop, members))


@pytest.fixture
def replica_set(
    members: list[ScriptedMember], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database]:
    """A set of both members, of which the first is the primary."""
    # Half a second between two looks at a server is for networks; the driver's own tests do this.
    monkeypatch.setattr(pymongo.common, "MIN_HEARTBEAT_INTERVAL", 0.05)
    first, second = members
    first.election, second.election = 1, 0
    first.hosts = second.hosts = [first.host, second.host]
    options = "replicaSet=rs&serverSelectionTimeoutMS=3000&heartbeatFrequencyMS=500"
    with Database(f"mongodb://{first.host},{second.host}/?{options}", "stt") as database:
        yield database
    assert [member.unexpected() for member in members] == [[], []]


@pytest.fixture
def primary(members: list[ScriptedMember]) -> ScriptedMember:
    return members[0]


@pytest.fixture
def alice(replica_set: Database) -> MongoClaims:
    return MongoClaims(replica_set, "alice_1", RULES)


@pytest.fixture
def claim() -> Claim:
    """One that alice holds."""
    wanted = Chunk(id=ObjectId(), recording_id=ObjectId(), index=0)
    return Claim(ObjectId(), wanted, "alice_1", time.monotonic() + RULES.trusted_seconds)


def begin(
    member: ScriptedMember, ending: str, alice: MongoClaims, claim: Claim
) -> Callable[[], None]:
    """Lets alice end her claim beside the test, up to the write; returns how to await it."""
    result: Callable[[], None] = mockupdb.go(ENDINGS[ending], alice, claim)
    if ending == "fail":
        member.finds({"_id": claim.chunk.id, "errors": []})
    return result


def claimed(request: Any) -> dict[str, Any]:
    """The document as the claim that was asked for leaves it."""
    return {"_id": request["query"]["_id"], **request["update"]["$set"]}


def write_number(request: Any) -> tuple[Any, int]:
    """What tells a server that a write is one which it has had before."""
    return request["lsid"]["id"], request["txnNumber"]


class TestTheDriverWritesAgain:
    """A server that has the write on record answers the second time what it answered the first."""

    def test_a_claim_whose_reply_was_lost_is_the_same_write_again(
        self, primary: ScriptedMember, alice: MongoClaims
    ) -> None:
        wanted = Chunk(id=ObjectId(), recording_id=None, index=0)
        result = mockupdb.go(alice.claim, wanted)
        first = primary.receives("findAndModify")
        first.hangup()
        second = primary.receives("findAndModify")
        assert write_number(second) == write_number(first)
        assert second["update"] == first["update"]
        second.ok(value=claimed(first))
        assert result().id == first["update"]["$set"]["claim_id"]

    @pytest.mark.parametrize("ending", ENDINGS)
    def test_an_ending_whose_reply_was_lost_is_the_same_write_again(
        self, primary: ScriptedMember, alice: MongoClaims, claim: Claim, ending: str
    ) -> None:
        result = begin(primary, ending, alice, claim)
        first = primary.receives("update")
        first.hangup()
        second = primary.receives("update")
        assert write_number(second) == write_number(first)
        assert second["updates"] == first["updates"]
        second.ok(**DONE)
        result()

    def test_a_renewal_whose_reply_was_lost_counts_from_before_it_was_first_asked(
        self, primary: ScriptedMember, alice: MongoClaims, claim: Claim
    ) -> None:
        claim.trusted_until = 0.0
        began = time.monotonic()
        result = mockupdb.go(alice.renew, claim)
        first = primary.receives("update")
        asked = time.monotonic()
        first.hangup()
        second = primary.receives("update")
        assert write_number(second) == write_number(first)
        second.ok(**DONE)
        result()
        assert began <= claim.trusted_until - RULES.trusted_seconds <= asked


class TestTheServerHasForgotten:
    """It was killed after the write and before its reply, and kept the write but no record of it:
    the driver's second try matches nothing, and only the claim id can tell what happened."""

    def test_a_claim_that_was_made_is_found_again(
        self, primary: ScriptedMember, alice: MongoClaims
    ) -> None:
        result = mockupdb.go(alice.claim, Chunk(id=ObjectId(), recording_id=None, index=0))
        first = primary.receives("findAndModify")
        first.hangup()
        primary.receives("findAndModify").ok(value=None)
        mine = claimed(first)
        assert primary.finds(mine).items() <= mine.items()  # by the fence alone
        assert result().id == mine["claim_id"]

    @pytest.mark.parametrize("ending", ENDINGS)
    def test_an_ending_that_was_written_is_not_taken_for_lost(
        self, primary: ScriptedMember, alice: MongoClaims, claim: Claim, ending: str
    ) -> None:
        result = begin(primary, ending, alice, claim)
        primary.receives("update").hangup()
        primary.receives("update").ok(**NO_MATCH)
        asked = primary.finds({"_id": claim.chunk.id})
        assert asked["claim_id"] == claim.id
        result()

    @pytest.mark.parametrize("ending", ENDINGS)
    def test_an_ending_of_which_nothing_is_found_was_not_written(
        self, primary: ScriptedMember, alice: MongoClaims, claim: Claim, ending: str
    ) -> None:
        result = begin(primary, ending, alice, claim)
        primary.receives("update").hangup()
        primary.receives("update").ok(**NO_MATCH)
        primary.finds()
        with pytest.raises(ClaimLost):
            result()

    def test_a_result_is_written_anew_when_the_drivers_second_try_fails_too(
        self, primary: ScriptedMember, alice: MongoClaims, claim: Claim
    ) -> None:
        result = begin(primary, "complete", alice, claim)
        first = primary.receives("update")
        first.hangup()
        primary.receives("update").hangup()
        ours = primary.receives("update")
        assert write_number(ours) != write_number(first)
        assert ours["updates"] == first["updates"]
        ours.ok(**DONE)
        result()


class TestThePrimarySteppedDown:
    @pytest.mark.parametrize("old_one_knows", [True, False])
    def test_the_write_goes_to_the_newer_primary_even_if_the_old_one_thinks_that_it_still_is(
        self,
        members: list[ScriptedMember],
        replica_set: Database,
        alice: MongoClaims,
        claim: Claim,
        old_one_knows: bool,
    ) -> None:
        old, new = members
        result = begin(old, "complete", alice, claim)
        first = old.receives("update")
        new.election = 2
        if old_one_knows:
            old.election = 0
        client = replica_set.chunks.database.client
        mockupdb.wait_until(lambda: client.primary == new.address, "hear of the election")
        first.hangup()
        second = new.receives("update")
        assert write_number(second) == write_number(first)
        second.ok(**DONE)
        result()
        renewal = mockupdb.go(alice.renew, claim)
        new.receives("update").ok(**DONE)
        renewal()
        assert old.unexpected() == []

    def test_a_result_that_the_new_primary_does_not_have_is_written_again(
        self, members: list[ScriptedMember], alice: MongoClaims, claim: Claim
    ) -> None:
        """It was rolled back: no majority had it, and nobody was told that it was written."""
        old, new = members
        result = begin(old, "complete", alice, claim)
        request = old.receives("update")
        old.election, new.election = 0, 2
        concern = {"code": 189, "errmsg": "stepped down while waiting for a majority"}
        request.ok(**DONE, writeConcernError=concern)
        written = new.receives("update")
        assert written["updates"][0]["q"]["claim_id"] == claim.id
        written.ok(**DONE)
        result()

    @pytest.mark.parametrize("write", ["claim", "renew", "complete"])
    def test_without_a_primary_nothing_is_assumed_and_the_lease_is_the_limit(
        self, members: list[ScriptedMember], claim: Claim, write: str
    ) -> None:
        primary, _ = members
        impatient = ClaimRules(lease_seconds=1)
        options = "replicaSet=rs&serverSelectionTimeoutMS=200&heartbeatFrequencyMS=500"
        primary.election = 1
        primary.hosts = [primary.host]
        with Database(f"mongodb://{primary.host}/?{options}", "stt") as database:
            alice = MongoClaims(database, "alice_1", impatient)
            claim.trusted_until = trusted_until = time.monotonic() + impatient.trusted_seconds
            if write == "claim":
                result = mockupdb.go(alice.claim, claim.chunk)
            elif write == "renew":
                result = mockupdb.go(alice.renew, claim)
            else:
                result = begin(primary, write, alice, claim)
            request = primary.receives("findAndModify" if write == "claim" else "update")
            primary.election = 0
            request.hangup()
            with pytest.raises(DatabaseUnavailable):
                result()
        assert claim.trusted_until == trusted_until
        assert time.monotonic() < trusted_until + scaled(3)  # and not for as long as a socket waits
        assert primary.unexpected() == []


@pytest.fixture(scope="module")
def server() -> Iterator[MongoProcess]:
    with running_mongo() as server:
        yield server


class TestARealServer:
    """It acts, and a proxy loses its answer."""

    @pytest.fixture
    def proxy(self, server: MongoProcess) -> Iterator[Proxy]:
        with ProxyHouse().running() as house:
            yield house.open("database", server.port)

    @pytest.fixture(params=[FIND_AND_MODIFY, UPDATE])
    def claiming(self, request: pytest.FixtureRequest) -> bytes:
        """The command by which a chunk is claimed."""
        command: bytes = request.param
        return command

    @pytest.fixture
    def behind(self, proxy: Proxy, claiming: bytes) -> Iterator[Database]:
        """The database, seen through the proxy."""
        url = f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true"
        with Database(url, f"stt_test_{uuid.uuid4().hex[:12]}") as database:
            database.is_secantus = claiming == UPDATE
            yield database

    @pytest.mark.parametrize("ending", ENDINGS)
    def test_claims_and_endings_whose_answers_are_lost_happen_once(
        self, proxy: Proxy, behind: Database, claiming: bytes, ending: str
    ) -> None:
        alice = MongoClaims(behind, "alice_1", RULES)
        [id_] = add_chunks(behind, 1)
        proxy.trap = AnswerTrap((claiming,), left=1)
        claim = alice.claim(chunk(behind, id_))
        assert claim is not None
        assert proxy.trap.caught == 1
        proxy.trap = AnswerTrap((UPDATE,), left=1)
        ENDINGS[ending](alice, claim)
        assert proxy.trap.caught == 1
        written = document(behind, id_)
        assert written["claim_id"] == claim.id
        assert written["processing_by"] is None
        assert written["attempts"] == len(written["errors"]) == (ending == "fail")
        assert (written["transcribed_at"] is not None) == (ending == "complete")

    def test_a_result_that_a_killed_server_wrote_but_did_not_acknowledge_counts(
        self, server: MongoProcess, proxy: Proxy, behind: Database
    ) -> None:
        alice = MongoClaims(behind, "alice_1", RULES)
        [id_] = add_chunks(behind, 1)
        claim = alice.claim(chunk(behind, id_))
        assert claim is not None
        proxy.trap = AnswerTrap((UPDATE,), left=1)
        result = mockupdb.go(alice.complete, claim, HELLO)
        mockupdb.wait_until(lambda: proxy.trap.caught, "lose the answer")
        server.kill()
        server.start()
        result()
        assert document(behind, id_)["transcript"] == write_transcript(HELLO)

    def test_a_claim_that_a_killed_server_made_but_did_not_acknowledge_is_ours(
        self, server: MongoProcess, proxy: Proxy, behind: Database, claiming: bytes
    ) -> None:
        alice = MongoClaims(behind, "alice_1", RULES)
        [id_] = add_chunks(behind, 1)
        proxy.trap = AnswerTrap((claiming,), left=1)
        result = mockupdb.go(alice.claim, chunk(behind, id_))
        mockupdb.wait_until(lambda: proxy.trap.caught, "lose the answer")
        server.kill()
        server.start()
        claim = result()
        alice.complete(claim, HELLO)
        assert document(behind, id_)["claim_id"] == claim.id
