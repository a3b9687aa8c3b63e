"""What nodes of a chaos run are told: how it is written down, read back, and judged."""

import json
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from bson import ObjectId

from stt.domain.claim import ClaimRules
from stt.store.claims import release_of_node
from stt.store.database import Database
from tests.support.chaos_recording import Recording, recorded
from tests.support.queue_builder import add_chunks, chunk
from tools import chaos
from tools.chaos_lab import http_faults, http_history
from tools.chaos_lab.checker import Fact, Run, WorkerEnd, check
from tools.chaos_lab.history import ACCEPTED, REFUSED, UNCLEAR, EventLog, History, Operation, load
from tools.chaos_lab.http_recorder import HttpRecorder

CHUNK, CLAIM = ObjectId(), ObjectId()
WORKER = "box-1a2b_7"
HELD = {"worker_id": WORKER, "chunk_id": str(CHUNK), "claim_id": str(CLAIM)}


@dataclass
class Tale:
    """One chunk that a node has, by a coordinator; each step takes a tenth of a second there."""

    at_database: list[Operation] = field(default_factory=list)
    at_node: list[Operation] = field(default_factory=list)
    reports: dict[str, list[float]] = field(default_factory=dict)
    document: dict[str, Any] = field(
        default_factory=lambda: {"_id": CHUNK, "attempts": 0, "expirations": 0}
    )
    results: int | None = None

    def step(self, kind: str, at: float, told: str | None = ACCEPTED, **fields: Any) -> None:
        """Asked of the database by a coordinator, and told to the node (unless that is None)."""
        known: dict[str, Any] = {"kind": kind, "chunk": CHUNK, "claim": CLAIM, "worker": WORKER}
        done = {"told": at + 0.1, "outcome": ACCEPTED, **known, **fields}
        self.at_database.append(Operation(actor="coordinator-1", asked=at, **done))
        if told is not None:
            self.tell(kind, at - 0.1, told)

    def tell(self, kind: str, at: float, outcome: str, **fields: Any) -> None:
        """Told to the node, whatever the database knows of it."""
        known: dict[str, Any] = {"kind": kind, "chunk": CHUNK, "claim": CLAIM, "worker": WORKER}
        until = math.inf if outcome == UNCLEAR else at + 0.3
        detail = http_history.LOST if outcome == REFUSED else None
        given = {"told": until, "outcome": outcome, "detail": detail, **known, **fields}
        self.at_node.append(Operation(actor="node-1.1", asked=at, **given))

    def holds_result(self, claim: ObjectId = CLAIM, worker: str = WORKER) -> None:
        text = [{"text": "chunk 7 call c1"}]
        result = {"worker": worker, "server": "http://one", "segments": text}
        self.document |= {"claim_id": claim, "transcribed_at": "now", "transcript": result}

    def run(self) -> Run:
        printed = None if self.results is None else {"transcribed": self.results}
        return Run(
            history=_history(self.at_database, {}),
            documents=[self.document],
            calls=[{"t": 0.5, "server": "one", "call": "c1", "chunk": 7}],
            chunks={CHUNK: Fact(7)},
            ends=[WorkerEnd("node-1.1", 0, printed)],
            lease_seconds=4.0,
            max_attempts=3,
            max_expirations=5,
            chunk_timeout_seconds=60.0,
            nodes=_history(self.at_node, self.reports),
        )

    def broken(self) -> set[str]:
        return {breach.rule for breach in check(self.run()).breaches}


def _history(operations: list[Operation], reports: dict[str, list[float]]) -> History:
    return History(tuple(sorted(operations, key=lambda operation: operation.asked)), reports)


@pytest.fixture
def tale() -> Tale:
    tale = Tale()
    tale.step("claim", 0.0)
    return tale


@pytest.fixture
def done(tale: Tale) -> Tale:
    """The node has transcribed it."""
    tale.step("complete", 2.0)
    tale.holds_result()
    tale.results = 1
    return tale


class TestRules:
    def test_what_a_node_is_told_and_what_is_done_agree(self, done: Tale) -> None:
        done.step("renew", 1.0)
        done.tell("audio", 0.3, ACCEPTED, claim=None)
        report = check(done.run())
        assert report.breaches == ()
        assert report.summary["nodes told: result taken"] == 1

    def test_a_result_that_is_not_there_was_not_taken(self, tale: Tale) -> None:
        tale.tell("complete", 2.0, ACCEPTED)
        assert "told-taken" in tale.broken()

    def test_nor_was_one_if_the_database_holds_anothers(self, done: Tale) -> None:
        done.holds_result(claim=ObjectId())
        assert "told-taken" in done.broken()

    def test_a_result_that_is_there_was_not_refused(self, tale: Tale) -> None:
        tale.step("complete", 2.0, told=REFUSED)
        tale.holds_result()
        assert "told-lost" in tale.broken()

    def test_a_result_is_not_refused_while_its_claim_is_valid(self, tale: Tale) -> None:
        tale.tell("complete", 2.0, REFUSED)
        assert "told-lost" in tale.broken()

    def test_it_is_when_the_claim_has_run_out(self, tale: Tale) -> None:
        tale.step("recover", 5.0, told=None)
        tale.tell("complete", 6.0, REFUSED)
        assert not tale.broken() & {"told-lost", "refusal"}

    def test_a_claim_that_nobody_made_is_not_granted(self, done: Tale) -> None:
        done.tell("claim", 3.0, ACCEPTED, claim=ObjectId())
        assert done.broken() == {"told-claimed"}

    def test_a_claim_is_not_granted_to_another_node(self, done: Tale) -> None:
        done.at_node[0] = replace(done.at_node[0], worker="other-3c4d_8")
        assert done.broken() == {"told-claimed"}

    def test_a_lease_is_not_renewed_by_words_alone(self, done: Tale) -> None:
        done.tell("renew", 1.0, ACCEPTED)
        assert done.broken() == {"told-renewed"}

    @pytest.mark.parametrize("ending", ["fail", "release"])
    def test_an_ending_is_not_confirmed_unasked(self, done: Tale, ending: str) -> None:
        done.tell(ending, 1.0, ACCEPTED)
        assert "told-ended" in done.broken()

    def test_a_chunk_that_is_pending_again_counts_as_released(self, done: Tale) -> None:
        done.step("recover", 0.5, told=None)
        done.tell("release", 1.0, ACCEPTED)
        assert "told-ended" not in done.broken()

    def test_audio_is_not_for_a_node_whose_claim_has_ended(self, done: Tale) -> None:
        done.tell("audio", 3.0, ACCEPTED, claim=None)
        assert done.broken() == {"audio"}

    def test_a_node_counts_what_it_was_told_and_not_what_its_coordinator_was(
        self, tale: Tale
    ) -> None:
        tale.step("complete", 2.0, told=UNCLEAR)
        tale.holds_result()
        tale.results = 0
        assert tale.broken() == set()
        tale.results = 2
        assert tale.broken() == {"stats"}

    def test_a_result_that_is_offered_again_need_not_be_written_again(self, done: Tale) -> None:
        done.step("complete", 2.5, told=UNCLEAR, outcome=UNCLEAR)
        assert done.broken() == set()

    def test_a_node_that_reports_and_never_renews_breaks_a_rule(self, tale: Tale) -> None:
        tale.reports[WORKER] = [1.0, 2.0, 3.0, 4.0]
        tale.step("recover", 4.5, told=None)
        assert "renewal" in tale.broken()

    def test_one_that_got_no_answer_may_have_let_go(self, tale: Tale) -> None:
        tale.reports[WORKER] = [1.0, 2.0, 3.0, 4.0]
        tale.tell("release", 1.5, UNCLEAR, chunk=ObjectId())
        tale.step("recover", 4.5, told=None)
        assert "renewal" not in tale.broken()

    def test_one_whose_coordinator_was_away_does_not(self, tale: Tale) -> None:
        tale.step("recover", 4.5, told=None)
        assert "renewal" not in tale.broken()


class Coordinator(BaseHTTPRequestHandler):
    """Answers with the status that the request's path ends with a query of."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(int(self.path.partition("?")[2] or 200))
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def coordinator() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Coordinator) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class TestRecording:
    @pytest.fixture
    def recorder(
        self, coordinator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> HttpRecorder:
        monkeypatch.setattr(requests.Session, "send", requests.Session.send)  # and back at the end
        recorder = HttpRecorder(EventLog(tmp_path / "node-1.1.jsonl", "node-1.1"), coordinator)
        recorder.listen()
        return recorder

    def ask(self, url: str, **body: object) -> None:
        with requests.Session() as session:
            session.trust_env = False
            session.post(url, json=HELD | body, timeout=60)

    @pytest.mark.usefixtures("recorder")
    @pytest.mark.parametrize(
        ("status", "outcome", "detail"),
        [(200, ACCEPTED, None), (204, REFUSED, None), (409, REFUSED, "claim lost"),
         (503, UNCLEAR, None)],
    )  # fmt: skip
    def test_a_transition_is_what_its_status_says(
        self, coordinator: str, tmp_path: Path, status: int, outcome: str, detail: str | None
    ) -> None:
        self.ask(f"{coordinator}/tasks/renew?{status}")
        [operation] = http_history.load(tmp_path).operations
        assert (operation.kind, operation.outcome) == ("renew", outcome)
        assert (operation.chunk, operation.claim, operation.worker) == (CHUNK, CLAIM, WORKER)
        assert operation.detail == detail
        assert (operation.told < math.inf) == (outcome != UNCLEAR)

    def test_a_renewal_of_many_says_which_claim_is_lost_if_it_has_one_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answer = requests.Response()
        answer.status_code = 200
        answer._content = json.dumps({"lost": [str(CHUNK)]}).encode()
        monkeypatch.setattr(requests.Session, "send", lambda *_, **__: answer)
        HttpRecorder(EventLog(tmp_path / "node-1.1.jsonl", "node-1.1"), "http://node").listen()
        self.ask("http://node/tasks/renew", others=[])
        [operation] = http_history.load(tmp_path).operations
        assert (operation.outcome, operation.detail) == (REFUSED, "claim lost")

    @pytest.mark.usefixtures("recorder")
    def test_reports_are_kept_by_worker_and_other_requests_are_passed_over(
        self, coordinator: str, tmp_path: Path
    ) -> None:
        self.ask(f"{coordinator}/api/nodes/box-1a2b/heartbeat")
        self.ask(f"{coordinator}/api/nodes/box-1a2b/restarted")
        history = http_history.load(tmp_path)
        assert (list(history.reports), len(history.reports[WORKER])) == ([WORKER], 1)
        assert history.operations == ()

    def test_an_answer_that_never_came_leaves_it_unclear(self, tmp_path: Path) -> None:
        log = EventLog(tmp_path / "node-1.1.jsonl", "node-1.1")
        known = {"op": "complete", "worker": WORKER, "chunk": CHUNK, "claim": CLAIM, "thread": 1}
        log.write(phase="asked", seq=1, **known)
        log.write(phase="asked", seq=2, **known)
        log.write(phase="failed", seq=2, why="timed out")
        assert [op.outcome for op in http_history.load(tmp_path).operations] == [UNCLEAR] * 2


def test_claims_that_a_node_gives_back_are_known_by_its_worker(
    mongo_url: str, database: Database, tmp_path: Path
) -> None:
    rules = ClaimRules(lease_seconds=60, max_attempts=3, max_expirations=5)
    recording = Recording(mongo_url, database, tmp_path, rules)
    first, second = add_chunks(database, 2)
    with recording.worker("1") as (before, _), recording.worker("2") as (now, _):
        lost, kept = before.claim(chunk(database, first)), now.claim(chunk(database, second))
    assert lost is not None
    assert kept is not None
    name = database.chunks.database.name
    with recorded(mongo_url, name, tmp_path / "coordinator-1.jsonl") as seen:
        assert release_of_node(seen, "host", except_worker="host_2") == 1
    back = [op for op in load(tmp_path).operations if op.kind == "give_back"]
    assert [(op.claim, op.outcome) for op in back] == [(lost.id, UNCLEAR)]


def test_over_http_most_workers_know_a_coordinator_alone() -> None:
    plan = chaos.plan_of(["--over-http", "--workers", "8"])
    assert (plan.fleet.workers, plan.fleet.nodes, plan.fleet.coordinators) == (2, 6, 2)
    assert http_faults.KINDS.keys() <= set(plan.kinds)
