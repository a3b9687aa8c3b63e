"""Deliberate breaks of the protocol behind a coordinator: the checker sees what nodes are told.

As in test_chaos_mutations.py every story is told twice, whole and broken; here Alice and Bob are
nodes, which reach the queue through a coordinator alone.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pymongo
import pytest
import requests

from stt.domain.claim import Claim, ClaimRules, Order
from stt.errors import ClaimLost, DatabaseUnavailable
from stt.remote.queue import RemoteQueue
from stt.store import claims
from stt.store.database import Database
from tests.support.chaos_recording import Recording, recorded
from tests.support.lossy_link import failing
from tests.support.pace import until
from tests.support.queue_builder import add_chunks, chunk
from tests.support.remote_claims import remote_claims
from tools.chaos_lab import http_history, mutations
from tools.chaos_lab.checker import WorkerEnd, check
from tools.chaos_lab.history import EventLog
from tools.chaos_lab.http_recorder import HttpRecorder

pytestmark = pytest.mark.faults

RULES = ClaimRules(lease_seconds=2.0, max_attempts=3, max_expirations=5)


class Stage:
    """Two nodes, one chunk, a coordinator between them and the database."""

    def __init__(self, mongo_url: str, database: Database, seen: Database, folder: Path) -> None:
        self.mongo_url = mongo_url
        self.seen = seen
        self.folder = folder
        self.recording = Recording(mongo_url, database, folder / "history", RULES)
        [chunk_id] = add_chunks(database, 1)
        self.chunk = chunk(database, chunk_id)
        self.results = 0
        self.alice: RemoteQueue
        self.bob: RemoteQueue

    def is_up(self) -> bool:
        try:
            self.alice.count_pending(Order())
        except DatabaseUnavailable:
            return False
        return True

    def others_take_over(self) -> Claim | None:
        """The lease runs out, the coordinator frees the chunk, Bob claims it."""
        time.sleep(RULES.lease_seconds + 0.1)
        claims.recover(self.seen, RULES, RULES.lease_seconds)
        return self.bob.claim(self.chunk)

    def complete(self, node: RemoteQueue, claim: Claim | None) -> None:
        if claim is None:
            return
        with contextlib.suppress(ClaimLost, DatabaseUnavailable):
            node.complete(claim, self.recording.hear(claim, 0))
            self.results += 1

    def broken_rules(self) -> set[str]:
        ends = [WorkerEnd("nodes", 0, {"transcribed": self.results})]
        run = self.recording.run([self.chunk.id], ends)
        told = http_history.load(self.folder / "nodes")
        return {breach.rule for breach in check(replace(run, nodes=told)).breaches}


@pytest.fixture
def stage(
    mongo_url: str, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stage]:
    for name in ("history", "nodes"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(requests.Session, "send", requests.Session.send)  # and back at the end
    HttpRecorder(EventLog(tmp_path / "nodes" / "nodes.jsonl", "nodes"), "http://127.0.0.1").listen()
    name, log = database.chunks.database.name, tmp_path / "history" / "coordinator.jsonl"
    with (
        recorded(mongo_url, name, log) as seen,
        remote_claims(seen, RULES, tmp_path / "data") as claims_of,
    ):
        stage = Stage(mongo_url, database, seen, tmp_path)
        stage.alice, stage.bob = claims_of("alice_1"), claims_of("bob_2")
        until(stage.is_up)  # the first answer takes long, on a busy machine
        yield stage


def a_node_is_cut_off_for_longer_than_its_lease(stage: Stage) -> None:
    slept = stage.alice.claim(stage.chunk)
    taken = stage.others_take_over()
    stage.complete(stage.alice, slept)
    stage.complete(stage.bob, taken)


def the_database_goes_while_a_result_is_written(stage: Stage) -> None:
    claim = stage.alice.claim(stage.chunk)
    with (
        pymongo.MongoClient[dict[str, object]](stage.mongo_url) as client,
        failing(client, "alwaysOn", failCommands=["update"], closeConnection=True),
    ):
        stage.complete(stage.alice, claim)
    stage.complete(stage.bob, stage.others_take_over())


def a_node_renews_its_claim(stage: Stage) -> None:
    claim = stage.alice.claim(stage.chunk)
    assert claim is not None
    stage.alice.renew(claim)
    stage.complete(stage.alice, claim)


Story = Callable[[Stage], None]
STORIES: list[tuple[str, Story, set[str]]] = [
    ("no-fence", a_node_is_cut_off_for_longer_than_its_lease, {"fence", "told-taken"}),
    ("no-lookup", the_database_goes_while_a_result_is_written, {"told-taken"}),
    ("no-renewal", a_node_renews_its_claim, {"told-renewed"}),
]


@pytest.mark.parametrize(("mutation", "story", "rules"), STORIES)
def test_the_checker_catches_a_coordinator_that_breaks_the_protocol(
    mutation: str, story: Story, rules: set[str], stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutations.MUTATIONS[mutation].replace_with(monkeypatch.setattr)
    story(stage)
    assert rules <= stage.broken_rules()


@pytest.mark.parametrize("story", [story for _, story, _ in STORIES])
def test_the_checker_has_nothing_against_one_that_keeps_it(story: Story, stage: Stage) -> None:
    story(stage)
    assert stage.broken_rules() == set()
