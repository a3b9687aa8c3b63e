"""From the logs of a chaos run to operations: what was asked, when, and what came of it."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from stt.domain.claim import ClaimRules
from stt.store.claims import release
from stt.store.database import Database
from tests.support.chaos_recording import Recording
from tests.support.queue_builder import add_chunks, chunk
from tools.chaos_lab.checker import WorkerEnd, check
from tools.chaos_lab.history import ACCEPTED, REFUSED, UNCLEAR, EventLog, History, load

CHUNK, CLAIM = ObjectId(), ObjectId()
FENCE = {"_id": CHUNK, "processing_by": "host_1", "claim_id": CLAIM}
RENEW = {"$currentDate": {"claimed_at": True}}
FREE = {"processing_by": None, "claimed_at": None}


@pytest.fixture
def log(tmp_path: Path) -> EventLog:
    return EventLog(tmp_path / "worker-1.jsonl", "worker-1")


def ask(log: EventLog, seq: int, update: dict[str, Any], **fields: Any) -> None:
    known = {"op": "update", "filter": FENCE, "update": update, "multi": False, "thread": 1}
    log.write(phase="asked", seq=seq, **known | fields)


class TestPairing:
    def test_an_answer_makes_an_operation_accepted_or_refused(
        self, log: EventLog, tmp_path: Path
    ) -> None:
        ask(log, 1, RENEW)
        ask(log, 2, RENEW)
        log.write(phase="told", seq=2, n=0)
        log.write(phase="told", seq=1, n=1)
        first, second = load(tmp_path).operations
        assert (first.outcome, second.outcome) == (ACCEPTED, REFUSED)
        assert first.asked < second.asked < second.told < first.told
        assert (first.kind, first.chunk, first.claim) == ("renew", CHUNK, CLAIM)

    @pytest.mark.parametrize(
        "answer",
        [
            {"phase": "failed", "why": "connection closed"},
            {"phase": "told", "n": 1, "writeConcernError": "waiting for replication timed out"},
            None,
        ],
    )
    def test_without_a_plain_answer_it_is_unclear(
        self, log: EventLog, tmp_path: Path, answer: dict[str, Any] | None
    ) -> None:
        ask(log, 1, RENEW)
        if answer is not None:
            log.write(seq=1, **answer)
        [operation] = load(tmp_path).operations
        assert operation.outcome == UNCLEAR

    def test_what_the_driver_repeats_is_one_operation(self, log: EventLog, tmp_path: Path) -> None:
        ask(log, 1, RENEW, retry="session/1")
        log.write(phase="failed", seq=1, why="connection closed")
        ask(log, 2, RENEW, retry="session/1")
        log.write(phase="told", seq=2, n=1)
        [operation] = load(tmp_path).operations
        assert operation.outcome == ACCEPTED

    def test_a_repetition_that_finds_nothing_may_have_been_done_before(
        self, log: EventLog, tmp_path: Path
    ) -> None:
        ask(log, 1, RENEW, retry="session/1")
        log.write(phase="failed", seq=1, why="connection closed")
        ask(log, 2, RENEW, retry="session/1")
        log.write(phase="told", seq=2, n=0)
        [operation] = load(tmp_path).operations
        assert operation.outcome == UNCLEAR
        assert operation.told < math.inf


class TestKinds:
    @pytest.mark.parametrize(
        ("kind", "update"),
        [
            ("claim", {"$set": {"processing_by": "host_1", "claim_id": CLAIM}, **RENEW}),
            ("renew", RENEW),
            ("complete", {"$set": {**FREE, "transcript": {}}}),
            ("fail", {"$set": {**FREE, "attempts": 1, "errors": [{"kind": "bad_audio"}]}}),
            ("recover", {"$set": {**FREE, "expirations": 1, "errors": [{"kind": "expired"}]}}),
            ("release", {"$set": {**FREE, "solo": True}}),
            ("retry", {"$set": {"failed_at": None, "attempts": 0, "expirations": 0}}),
            ("other", {"$set": {"not_before": None}}),
        ],
    )
    def test_the_update_says_what_was_done(
        self, log: EventLog, tmp_path: Path, kind: str, update: dict[str, Any]
    ) -> None:
        ask(log, 1, update)
        [operation] = load(tmp_path).operations
        assert operation.kind == kind

    def test_a_write_that_names_no_claim_is_of_the_writers_last_one(
        self, log: EventLog, tmp_path: Path
    ) -> None:
        ask(log, 1, {"$set": {"processing_by": "host_1", "claim_id": CLAIM}}, filter={"_id": CHUNK})
        log.write(phase="told", seq=1, n=1)
        ask(log, 2, RENEW, filter={"_id": CHUNK})
        assert load(tmp_path).operations[1].claim == CLAIM

    def test_a_reset_by_hand_may_have_freed_each_chunk_that_it_names(
        self, log: EventLog, tmp_path: Path
    ) -> None:
        log.write(phase="told", op="hand_reset", chunks=[CHUNK], asked=0.0, threshold_seconds=4)
        [operation] = load(tmp_path).operations
        assert (operation.kind, operation.outcome) == ("hand_reset", UNCLEAR)


class TestFiles:
    def test_the_torn_last_line_of_a_killed_process_is_left_out(
        self, log: EventLog, tmp_path: Path
    ) -> None:
        ask(log, 1, RENEW)
        with (tmp_path / "worker-1.jsonl").open("a") as file:
            file.write('{"t": 1.5, "phase": "to')
        assert len(load(tmp_path).operations) == 1

    def test_any_other_broken_line_is_named(self, log: EventLog, tmp_path: Path) -> None:
        ask(log, 1, RENEW)
        with (tmp_path / "worker-1.jsonl").open("a") as file:
            file.write("{oh\n")
        ask(log, 2, RENEW)
        with pytest.raises(ValueError, match=r"worker-1\.jsonl, line 2"):
            load(tmp_path)

    def test_events_that_are_not_about_the_queue_are_passed_over(
        self, log: EventLog, tmp_path: Path
    ) -> None:
        log.write(fault="database killed", phase="begin")
        log.write(call="c1", chunk=7, outcome="ok")
        assert load(tmp_path) == History()
        assert load(tmp_path / "nothing") == History()


class TestRecording:
    """Round trips: real commands over the wire, into the log, and back."""

    @pytest.fixture
    def recording(self, mongo_url: str, database: Database, tmp_path: Path) -> Recording:
        return Recording(
            mongo_url,
            database,
            tmp_path,
            ClaimRules(lease_seconds=60, max_attempts=3, max_expirations=5),
        )

    def test_a_run_is_recorded_and_judged(self, recording: Recording, database: Database) -> None:
        done, taken = add_chunks(database, 2)
        with recording.worker("alice") as (alice, _), recording.worker("bob") as (bob, _):
            first = alice.claim(chunk(database, done))
            assert first is not None
            assert bob.claim(chunk(database, done)) is None
            alice.renew(first)
            alice.complete(first, recording.hear(first, 0))
            second = alice.claim(chunk(database, taken))
            assert second is not None
            alice.fail(second, "server_died", "gone", server="http://one")
            third = bob.claim(chunk(database, taken))
            assert third is not None
            bob.complete(third, recording.hear(third, 1))
        ends = [
            WorkerEnd("alice", 0, {"transcribed": 1, "empty": 0, "error": 1}),
            WorkerEnd("bob", 0, {"transcribed": 1, "empty": 0, "error": 0}),
        ]
        run = recording.run([done, taken], ends)
        writes = [op for op in run.history.operations if op.kind != "lookup"]
        assert [(op.actor, op.kind, op.outcome) for op in writes] == [
            ("alice", "claim", ACCEPTED),
            ("bob", "claim", REFUSED),
            ("alice", "renew", ACCEPTED),
            ("alice", "complete", ACCEPTED),
            ("alice", "claim", ACCEPTED),
            ("alice", "fail", ACCEPTED),
            ("bob", "claim", ACCEPTED),
            ("bob", "complete", ACCEPTED),
        ]
        assert writes[5].server == "http://one"
        report = check(run)
        assert report.breaches == ()
        assert (report.summary["misses"], report.summary["innocent charged"]) == (1, 1)

    def test_of_many_renewals_each_is_recorded_with_its_own_outcome(
        self, recording: Recording, database: Database, tmp_path: Path
    ) -> None:
        ids = add_chunks(database, 3)
        with recording.worker("alice") as (alice, _):
            claims = [claim for id_ in ids if (claim := alice.claim(chunk(database, id_)))]
            alice.renew_all(claims)
            release(database, [ids[1]])
            alice.renew_all(claims)
        renewals = [op for op in load(tmp_path).operations if op.kind == "renew"]
        assert [(op.chunk, op.claim, op.lease_seconds) for op in renewals] == 2 * [
            (claim.chunk.id, claim.id, 60) for claim in claims
        ]
        outcomes = [op.outcome for op in renewals]
        assert outcomes == [ACCEPTED, ACCEPTED, ACCEPTED, ACCEPTED, REFUSED, ACCEPTED]

    def test_cleanup_is_recorded_with_the_time_that_it_was_told(
        self, mongo_url: str, recording: Recording, database: Database, tmp_path: Path
    ) -> None:
        [id_] = add_chunks(database, 1)
        with recording.worker("alice") as (alice, _):
            claim = alice.claim(chunk(database, id_))
        assert claim is not None
        name = database.chunks.database.name
        flags = ["--older-than", "0.01s", "--mongo-url", mongo_url, "--database", name]
        cleanup = launched(tmp_path, "cleanup-1", *flags)
        assert (cleanup.returncode, "Freed 1 chunk" in cleanup.stdout) == (0, True)
        recovery = load(tmp_path).operations[-1]
        assert (recovery.kind, recovery.actor, recovery.claim) == ("recover", "cleanup-1", claim.id)
        assert recovery.threshold_seconds == 0.01

    def test_a_tools_exit_code_comes_through(self, tmp_path: Path) -> None:
        assert launched(tmp_path, "cleanup-1", "--older-than", "soon").returncode == 2


def launched(folder: Path, actor: str, *flags: str) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "tools.chaos_lab.worker", "--tool", "cleanup"]
    log = ["--history", str(folder / f"{actor}.jsonl"), "--actor", actor]
    return subprocess.run([*launcher, *log, "--", *flags], capture_output=True, text=True)
