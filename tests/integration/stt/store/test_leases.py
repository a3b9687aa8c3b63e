"""Which claims are stale: each by its own lease, by indexes alone, by a clock that may be set."""

import logging
import math
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pymongo
import pytest
from bson import ObjectId
from pymongo import monitoring

from stt.domain.claim import Claim, ClaimRules
from stt.store.claims import MongoClaims, recover
from stt.store.database import Database, Document
from stt.store.indexes import INDEXES
from stt.store.leases import LeaseWatch, count_stale
from stt.system.process_identity import ProcessIdentity
from tests.support.queue_builder import add_chunks, chunk, claimed, document

LONG, SHORT = ClaimRules(lease_seconds=300), ClaimRules(lease_seconds=1)


@pytest.fixture
def patient(database: Database) -> MongoClaims:
    return MongoClaims(database, "patient_1", LONG)


@pytest.fixture
def hasty(database: Database) -> MongoClaims:
    return MongoClaims(database, "hasty_2", SHORT)


def claim_of(claims: MongoClaims, database: Database, seconds_ago: float) -> Claim:
    """A claim that was last renewed so long ago, on a chunk of its own."""
    [id_] = add_chunks(database, 1)
    claim = claimed(claims, chunk(database, id_))
    then = database.server_time() - timedelta(seconds=seconds_ago)
    database.chunks.update_one({"_id": id_}, {"$set": {"claimed_at": then}})
    return claim


class TestOwnLease:
    def test_one_hasty_worker_quarantines_nothing_of_patient_ones(
        self, database: Database, patient: MongoClaims, hasty: MongoClaims
    ) -> None:
        claims = [claim_of(patient, database, seconds_ago=75) for _ in range(12)]
        for _ in range(LONG.max_expirations):
            assert hasty.recover() == []
        assert patient.renew_all(claims) == []
        assert database.chunks.count_documents({"expirations": {"$gt": 0}}) == 0

    def test_each_runs_out_in_its_own_time_whoever_frees_it(
        self, database: Database, patient: MongoClaims, hasty: MongoClaims
    ) -> None:
        fresh = claim_of(patient, database, seconds_ago=290)
        long = claim_of(patient, database, seconds_ago=310)
        short = claim_of(hasty, database, seconds_ago=10)
        assert count_stale(database, 300, database.server_time()) == 2
        assert {c.chunk_id for c in patient.recover()} == {long.chunk.id, short.chunk.id}
        assert patient.renew_all([fresh]) == []

    def test_a_claim_that_names_no_lease_is_judged_by_ours(
        self, database: Database, patient: MongoClaims, hasty: MongoClaims
    ) -> None:
        then = database.server_time() - timedelta(seconds=100)
        add_chunks(database, 1, processing_by="older_3", claimed_at=then)
        assert patient.recover() == []
        assert [stale.worker for stale in hasty.recover()] == ["older_3"]

    def test_a_renewal_writes_the_lease_anew_and_an_ending_clears_it(
        self, database: Database, patient: MongoClaims
    ) -> None:
        claim = claim_of(patient, database, seconds_ago=0)
        database.chunks.update_one({"_id": claim.chunk.id}, {"$set": {"lease_seconds": 5}})
        patient.renew(claim)
        assert document(database, claim.chunk.id)["lease_seconds"] == 300
        patient.release(claim)
        assert document(database, claim.chunk.id)["lease_seconds"] is None

    def test_a_tool_frees_nothing_before_the_claims_own_lease(
        self, database: Database, patient: MongoClaims, hasty: MongoClaims
    ) -> None:
        claim_of(patient, database, seconds_ago=100)
        short = claim_of(hasty, database, seconds_ago=100)
        assert recover(database, SHORT, 110) == []
        assert [stale.chunk_id for stale in recover(database, SHORT, 60)] == [short.chunk.id]

    @pytest.mark.parametrize("lease", [0, -5, math.inf, math.nan, "300", "", True, False])
    def test_a_lease_that_can_be_none_counts_as_missing(
        self, database: Database, patient: MongoClaims, lease: object
    ) -> None:
        now = database.server_time()
        for seconds, id_ in ((310, "odd_3"), (290, "odd_4")):
            then = now - timedelta(seconds=seconds)
            add_chunks(database, 1, processing_by=id_, claimed_at=then, lease_seconds=lease)
        assert count_stale(database, 300, now) == 1
        assert [stale.worker for stale in patient.recover()] == ["odd_3"]

    @pytest.mark.parametrize(
        ("holder", "claimed_at"),
        [
            ("a_1", None), (17, None), (True, None), (math.nan, None),
            ("a_1", 5), ("a_1", "noon"), ("a_1", ""), ("a_1", math.nan), ("a_1", False),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("lease", [None, 300.0, "300"])
    def test_a_claim_without_a_time_is_stale_whatever_stands_in_its_place(
        self,
        database: Database,
        patient: MongoClaims,
        holder: object,
        claimed_at: object,
        lease: object,
    ) -> None:
        add_chunks(database, 1, processing_by=holder, claimed_at=claimed_at, lease_seconds=lease)
        assert [stale.worker for stale in patient.recover()] == [str(holder)]

    def test_a_holder_that_was_left_on_a_finished_chunk_is_no_claim(
        self, database: Database, patient: MongoClaims
    ) -> None:
        now = database.server_time()
        add_chunks(database, 1, transcribed_at=now, processing_by="a_1", claimed_at=None)
        add_chunks(database, 1, failed_at=now, processing_by="a_1", claimed_at=now)
        assert patient.recover() == []

    def test_a_worker_says_once_that_others_have_another_lease(
        self,
        database: Database,
        patient: MongoClaims,
        hasty: MongoClaims,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        claim_of(patient, database, seconds_ago=0)
        with caplog.at_level(logging.WARNING):
            patient.recover()
            assert caplog.messages == []
            hasty.recover()
            hasty.recover()
        [said] = caplog.messages
        assert "LEASE_SECONDS is 1 here and 300 in claims of others" in said


def test_a_recovery_asks_by_index_alone(
    mongo_url: str, database: Database, patient: MongoClaims
) -> None:
    database.ensure_indexes()
    claim_of(patient, database, seconds_ago=0)
    claim_of(patient, database, seconds_ago=400)
    [leases] = [i.document for i in INDEXES["audio_chunks"] if i.document["name"] == "leases"]
    with heard(mongo_url, database) as commands:
        assert len(recover(database, LONG)) == 1
    finds = [c for c in commands if "find" in c]
    assert finds
    for command in finds:
        query = dict(command["filter"])
        equal = {f: query.pop(f) for f in ("lease_seconds", "transcribed_at", "failed_at")}
        assert not any(isinstance(value, dict) for value in equal.values())
        first, *rest = [f for f in leases["key"] if f not in equal]
        assert first in query  # a range on the next field, or an equality and one behind it
        assert set(query) <= {first, *rest}
    distinct = [c for c in commands if "distinct" in c]
    assert distinct
    for command in distinct:
        assert list(command["query"]) == [command["key"]] == [next(iter(leases["key"]))]


def test_every_lease_in_the_queue_is_found(database: Database, patient: MongoClaims) -> None:
    then = database.server_time() - timedelta(days=1)
    leases = [300, 300.0, 1, 0.5, 0, -1, 7.25, 600, math.inf, -math.inf, 2**31, 299.999]
    for lease in leases:
        add_chunks(database, 2, processing_by="a_1", claimed_at=then, lease_seconds=lease)
    database.chunks.delete_many({"lease_seconds": 2**31})  # the longest is not over yet
    assert len(patient.recover()) == 2 * (len(leases) - 1)


class TestClock:
    @pytest.fixture
    def step(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, timedelta]:
        """By what the database's clock is set; what it wrote before stays."""
        told = {"by": timedelta()}
        right = Database.server_time
        monkeypatch.setattr(Database, "server_time", lambda self: right(self) + told["by"])
        return told

    @pytest.mark.parametrize("hours", [1, -1])
    def test_a_clock_that_was_set_frees_no_live_claim_and_the_dead_ones_a_round_later(
        self,
        database: Database,
        patient: MongoClaims,
        step: dict[str, timedelta],
        hours: int,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        live = claim_of(patient, database, seconds_ago=10)
        dead = claim_of(MongoClaims(database, "dead_3", LONG), database, seconds_ago=10)
        assert patient.recover() == []
        step["by"] = timedelta(hours=hours)
        with caplog.at_level(logging.WARNING):
            assert patient.recover() == []
        assert "The clock of the database was set" in caplog.text
        renewed_at = database.server_time()  # as the server would write it now
        database.chunks.update_one({"_id": live.chunk.id}, {"$set": {"claimed_at": renewed_at}})
        assert [stale.chunk_id for stale in patient.recover()] == [dead.chunk.id]
        assert document(database, live.chunk.id)["expirations"] == 0

    def test_a_step_counts_one_expiration_at_most_for_those_that_just_began(
        self, database: Database, patient: MongoClaims, step: dict[str, timedelta]
    ) -> None:
        claim = claim_of(patient, database, seconds_ago=10)
        step["by"] = timedelta(hours=1)
        freed = [MongoClaims(database, f"new_{n}", LONG).recover() for n in range(9)]
        assert sum(map(len, freed)) == 1
        assert document(database, claim.chunk.id)["failed_at"] is None

    def test_a_small_step_delays_only_leases_that_are_short_beside_it(
        self,
        database: Database,
        patient: MongoClaims,
        hasty: MongoClaims,
        step: dict[str, timedelta],
    ) -> None:
        long = claim_of(patient, database, seconds_ago=310)
        short = claim_of(hasty, database, seconds_ago=10)
        watch = LeaseWatch(database)
        watch.stale(300)
        step["by"] = timedelta(seconds=20)
        assert [d["_id"] for d in watch.stale(300)] == [long.chunk.id]
        assert {d["_id"] for d in watch.stale(300)} == {long.chunk.id, short.chunk.id}

    def test_a_claim_from_the_future_is_not_held_for_ever(
        self, database: Database, patient: MongoClaims
    ) -> None:
        soon = claim_of(patient, database, seconds_ago=-100)
        late = claim_of(patient, database, seconds_ago=-310)
        assert [stale.chunk_id for stale in patient.recover()] == [late.chunk.id]
        assert document(database, soon.chunk.id)["processing_by"] == "patient_1"

    def test_a_claim_made_while_this_process_was_paused_is_not_one_from_the_future(
        self, database: Database, hasty: MongoClaims, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        right = Database.server_time

        def late(self: Database) -> datetime:
            now = right(self)
            time.sleep(SHORT.lease_seconds + 0.5)
            claim_of(hasty, database, seconds_ago=0)
            return now

        watch = LeaseWatch(database)
        with monkeypatch.context() as paused:
            paused.setattr(LeaseWatch, "_server_time", lambda self: (late(self._db), 0.0))
            assert watch.stale(SHORT.lease_seconds) == []


class TestOrphans:
    """Claims of processes of this machine."""

    def worker(self, database: Database, process: ProcessIdentity) -> MongoClaims:
        name = f"{socket.gethostname()}_{process.pid}"
        return MongoClaims(database, name, LONG, process)

    @pytest.fixture
    def me(self, database: Database) -> MongoClaims:
        process = ProcessIdentity.of_this_process()
        assert process is not None
        return self.worker(database, process)

    def test_the_claim_of_a_killed_process_is_freed_at_once_and_counted(
        self, database: Database, me: MongoClaims
    ) -> None:
        with other_process() as other:
            claim = claim_of(self.worker(database, other), database, seconds_ago=0)
            assert me.recover_orphaned() == []
        assert me.recover() == []
        [freed] = me.recover_orphaned()
        assert (freed.chunk_id, freed.quarantined) == (claim.chunk.id, False)
        assert document(database, claim.chunk.id)["expirations"] == 1
        assert document(database, claim.chunk.id)["holder_process"] is None

    def test_a_chunk_that_lost_a_worker_before_waits_for_its_lease(
        self, database: Database, me: MongoClaims
    ) -> None:
        with other_process() as other:
            claim = claim_of(self.worker(database, other), database, seconds_ago=0)
        database.chunks.update_one({"_id": claim.chunk.id}, {"$set": {"expirations": 1}})
        assert me.recover_orphaned() == []

    def test_a_claim_that_a_dead_process_left_its_mark_on_is_not_its(
        self, database: Database, me: MongoClaims
    ) -> None:
        """As when a worker of an earlier version claims the chunk after it."""
        with other_process() as other:
            claim = claim_of(self.worker(database, other), database, seconds_ago=0)
        later = f"{socket.gethostname()}_{other.pid + 1}"
        database.chunks.update_one({"_id": claim.chunk.id}, {"$set": {"processing_by": later}})
        assert me.recover_orphaned() == []

    def test_without_proof_nothing_is_freed(self, database: Database, me: MongoClaims) -> None:
        with other_process() as other:
            elsewhere = ProcessIdentity("another machine", other.pid, other.start)
            claim_of(self.worker(database, elsewhere), database, seconds_ago=0)
            name = f"{socket.gethostname()}_{other.pid}"
            claim_of(MongoClaims(database, name, LONG), database, seconds_ago=0)
        assert me.recover_orphaned() == []
        assert MongoClaims(database, "box_1", LONG).recover_orphaned() == []


@contextmanager
def other_process() -> Iterator[ProcessIdentity]:
    """A process that is killed at the end, and has been waited for then."""
    script = (
        "from stt.system.process_identity import ProcessIdentity as P\n"
        "print(P.of_this_process(), flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        identity = ProcessIdentity.parse(process.stdout.readline().strip())
        assert identity is not None
        assert identity.pid == process.pid
        try:
            yield identity
        finally:
            process.kill()


@contextmanager
def heard(url: str, database: Database) -> Iterator[list[Document]]:
    """The commands about chunks that the database is asked meanwhile."""
    commands: list[Document] = []

    class Listener(monitoring.CommandListener):
        def started(self, event: monitoring.CommandStartedEvent) -> None:
            command: Any = event.command
            if command.get(event.command_name) == "audio_chunks":
                commands.append(dict(command))

        def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

        def failed(self, event: monitoring.CommandFailedEvent) -> None: ...

    own = database.chunks
    with pymongo.MongoClient[Document](url, event_listeners=[Listener()]) as client:
        options = own.codec_options, None, own.write_concern
        database.chunks = client.get_database(own.database.name, *options)["audio_chunks"]
        try:
            yield commands
        finally:
            database.chunks = own


class TestRenewals:
    def test_any_number_is_one_request(
        self, mongo_url: str, database: Database, patient: MongoClaims
    ) -> None:
        claims = [claim_of(patient, database, seconds_ago=100) for _ in range(20)]
        with heard(mongo_url, database) as commands:
            renewing = MongoClaims(database, "patient_1", LONG)
            assert renewing.renew_all(claims) == []
        assert [next(iter(command)) for command in commands] == ["update"]
        oldest = database.server_time() - timedelta(seconds=60)
        assert database.chunks.count_documents({"claimed_at": {"$gt": oldest}}) == 20
        assert renewing.renew_all([]) == []
        assert all(c.trusted_until <= time.monotonic() + LONG.trusted_seconds for c in claims)

    def test_those_that_are_lost_are_named_and_trusted_no_longer_than_before(
        self, database: Database, patient: MongoClaims
    ) -> None:
        kept, freed, gone, taken = (claim_of(patient, database, seconds_ago=9) for _ in range(4))
        before = {claim.id: claim.trusted_until for claim in (freed, gone, taken)}
        database.chunks.update_one({"_id": freed.chunk.id}, {"$set": {"processing_by": None}})
        database.chunks.delete_one({"_id": gone.chunk.id})
        other = {"claim_id": ObjectId(), "claimed_at": datetime(2020, 1, 1)}  # noqa: DTZ001
        database.chunks.update_one({"_id": taken.chunk.id}, {"$set": other})
        trusted = kept.trusted_until
        time.sleep(0.01)
        assert patient.renew_all([freed, kept, gone, taken]) == [freed, gone, taken]
        assert kept.trusted_until > trusted
        assert {claim.id: claim.trusted_until for claim in (freed, gone, taken)} == before
        assert document(database, taken.chunk.id)["claimed_at"].year == 2020
