"""Each deliberate break of the protocol, in the smallest story that shows it: the checker sees it.

Every story is told twice, whole and broken, over a real database and a recorded driver.
"""

import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path

import pymongo
import pytest

from stt.domain.claim import Claim, ClaimRules, WorkerReport
from stt.errors import ClaimLost, DatabaseUnavailable
from stt.store.claims import MongoClaims
from stt.store.database import Database
from stt.store.workers import MongoRoster
from stt.system.process_identity import ProcessIdentity
from stt.worker.heartbeat import Heartbeat
from stt.worker.outage import Outage
from tests.support.chaos_recording import Recording
from tests.support.pace import scaled
from tests.support.queue_builder import add_chunks, chunk
from tools.chaos_lab import mutations
from tools.chaos_lab.checker import WorkerEnd, check

pytestmark = pytest.mark.faults

LEASE_SECONDS = scaled(1.0)
RULES = ClaimRules(lease_seconds=LEASE_SECONDS, max_attempts=3, max_expirations=5)


class Stage:
    """Alice and Bob, one chunk, and what becomes of it."""

    def __init__(self, recording: Recording, database: Database, url: str) -> None:
        self.recording = recording
        self.url = url
        [self.chunk_id] = add_chunks(database, 1)
        self.chunk = chunk(database, self.chunk_id)
        self.results = {"alice": 0, "bob": 0}

    def lease_runs_out(self) -> None:
        time.sleep(LEASE_SECONDS + 0.1)

    def complete(self, claims: MongoClaims, claim: Claim | None, name: str) -> None:
        if claim is None:
            return
        try:
            claims.complete(claim, self.recording.hear(claim, 0))
        except (ClaimLost, DatabaseUnavailable):
            return
        self.results[name] += 1

    def broken_rules(self) -> set[str]:
        ends = [
            WorkerEnd(name, 0, {"transcribed": count, "empty": 0, "error": 0})
            for name, count in self.results.items()
        ]
        run = self.recording.run([self.chunk_id], ends)
        return {breach.rule for breach in check(run).breaches}


@pytest.fixture
def stage(mongo_url: str, database: Database, tmp_path: Path) -> Stage:
    return Stage(Recording(mongo_url, database, tmp_path, RULES), database, mongo_url)


def a_worker_sleeps_past_its_lease(stage: Stage) -> None:
    with stage.recording.worker("alice") as (alice, _), stage.recording.worker("bob") as (bob, _):
        slept = alice.claim(stage.chunk)
        stage.lease_runs_out()
        bob.recover()
        taken = bob.claim(stage.chunk)
        stage.complete(alice, slept, "alice")
        stage.complete(bob, taken, "bob")


def two_workers_want_one_chunk(stage: Stage) -> None:
    with stage.recording.worker("alice") as (alice, _), stage.recording.worker("bob") as (bob, _):
        first, second = alice.claim(stage.chunk), bob.claim(stage.chunk)
        stage.complete(bob, second, "bob")
        stage.complete(alice, first, "alice")


def a_call_takes_longer_than_a_lease(stage: Stage) -> None:
    with (
        stage.recording.worker("alice") as (alice, seen),
        stage.recording.worker("bob") as (bob, _),
    ):
        fleet = MongoRoster(seen)
        report = WorkerReport("host", 1, "0", "http://one", "working", 1, (), {})
        claim = alice.claim(stage.chunk)
        assert claim is not None
        report_alice = partial(fleet.report, "host_alice", report)
        # Twice as quick as it need be, so that a busy machine does not change the story.
        heartbeat = Heartbeat(alice, LEASE_SECONDS / 2, 60, report_alice, Outage())
        heartbeat.start()
        heartbeat.hold([claim])
        stage.lease_runs_out()
        bob.recover()
        heartbeat.stop(5)
        taken = bob.claim(stage.chunk)
        stage.complete(alice, claim, "alice")
        stage.complete(bob, taken, "bob")


def a_hasty_worker_recovers_beside_a_patient_one(stage: Stage) -> None:
    with stage.recording.worker("alice") as (alice, _), stage.recording.worker("bob") as (_, seen):
        bob = MongoClaims(seen, "host_bob", ClaimRules(lease_seconds=LEASE_SECONDS / 6))
        claim = alice.claim(stage.chunk)
        assert claim is not None
        time.sleep(LEASE_SECONDS / 2)
        bob.recover()
        taken = bob.claim(stage.chunk)
        stage.complete(bob, taken, "bob")
        stage.complete(alice, claim, "alice")


def a_worker_starts_beside_one_that_lives(stage: Stage) -> None:
    host, mine = socket.gethostname(), ProcessIdentity.of_this_process()
    assert mine is not None
    theirs = replace(mine, pid=os.getppid(), start="")
    with stage.recording.worker("alice") as (_, seen), stage.recording.worker("bob") as (_, other):
        alice = MongoClaims(seen, f"{host}_{theirs.pid}", RULES, theirs)
        bob = MongoClaims(other, f"{host}_{mine.pid}", RULES, mine)
        claim = alice.claim(stage.chunk)
        bob.recover_orphaned()
        stage.complete(bob, bob.claim(stage.chunk), "bob")
        stage.complete(alice, claim, "alice")


def a_worker_recovers_with_its_clock_an_hour_ahead(stage: Stage) -> None:
    with stage.recording.worker("alice") as (alice, _), stage.recording.worker("bob") as (bob, _):
        claim = alice.claim(stage.chunk)
        bob.recover()
        taken = bob.claim(stage.chunk)
        stage.complete(alice, claim, "alice")
        stage.complete(bob, taken, "bob")


def a_result_is_written_while_the_connection_breaks(stage: Stage) -> None:
    with stage.recording.worker("alice") as (alice, _), stage.recording.worker("bob") as (bob, _):
        claim = alice.claim(stage.chunk)
        with pymongo.MongoClient[dict[str, object]](stage.url) as client:
            data = {"failCommands": ["update"], "closeConnection": True}
            point = {"configureFailPoint": "failCommand"}
            client.admin.command({**point, "mode": "alwaysOn", "data": data})
            try:
                stage.complete(alice, claim, "alice")
            finally:
                client.admin.command({**point, "mode": "off"})
        stage.lease_runs_out()
        bob.recover()
        stage.complete(bob, bob.claim(stage.chunk), "bob")


Story = Callable[[Stage], None]
STORIES: list[tuple[str, Story, str]] = [
    ("no-fence", a_worker_sleeps_past_its_lease, "fence"),
    ("no-compare-and-set", two_workers_want_one_chunk, "one-claim"),
    ("own-lease", a_hasty_worker_recovers_beside_a_patient_one, "early-recovery"),
    ("live-process", a_worker_starts_beside_one_that_lives, "early-recovery"),
    ("no-renewal", a_call_takes_longer_than_a_lease, "renewal"),
    ("client-clock", a_worker_recovers_with_its_clock_an_hour_ahead, "early-recovery"),
    ("no-lookup", a_result_is_written_while_the_connection_breaks, "stats"),
]


@pytest.fixture
def an_hour_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Ahead":
            return cls.fromtimestamp(time.time() + 3600, tz)

    monkeypatch.setattr(mutations, "datetime", Ahead)


@pytest.mark.usefixtures("an_hour_ahead")
@pytest.mark.parametrize(("mutation", "story", "rule"), STORIES)
def test_the_checker_catches_the_broken_protocol(
    mutation: str, story: Story, rule: str, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutations.MUTATIONS[mutation].replace_with(monkeypatch.setattr)
    story(stage)
    assert rule in stage.broken_rules()


@pytest.mark.parametrize("story", [story for _, story, _ in STORIES])
def test_the_checker_has_nothing_against_the_whole_protocol(story: Story, stage: Stage) -> None:
    story(stage)
    assert stage.broken_rules() == set()


def test_a_mutation_whose_name_is_gone_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("stt.store.claims._fence")
    with pytest.raises(AttributeError, match="_fence"):
        mutations.MUTATIONS["no-fence"].apply()
