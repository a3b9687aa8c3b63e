"""The claim protocol against a model of it: hypothesis does to a small queue whatever workers,
people and lost replies can do, in any order, and every document must say what the model says.

The clock is the test's own: time passes by moving stored times, and what holders trust, back.
STT_TEST_EXAMPLES=1000 tries that many random examples instead of the same few.
"""

import os
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pymongo import UpdateOne
from pymongo.collection import Collection

from stt.domain import backoff
from stt.domain.chunk import Chunk
from stt.domain.claim import Claim, ClaimRules, Claims, Order
from stt.domain.transcript import Segment, Transcript
from stt.errors import ClaimLost, DatabaseUnavailable
from stt.store import claims as protocol
from stt.store.claims import MongoClaims
from stt.store.database import Database, Document
from tests.support.claim_model import THIEF, Ending, Meanwhile, Model, Row, said
from tests.support.lossy_link import WRITTEN_BUT_UNACKNOWLEDGED, LossyLink
from tests.support.queue_builder import START, add_chunks
from tests.support.remote_claims import remote_claims

RULES = ClaimRules(lease_seconds=500, max_attempts=3, max_expirations=2)
MOST_CHUNKS = 8
WORKERS = ("alice_1", "bob_2", "carol_3")
PENDING = {"processing_by": None, "transcribed_at": None, "failed_at": None}
FREE = {"$set": {"processing_by": None, "claimed_at": None}}
NOT_WRITTEN: Document = {"errorCode": 50}  # MaxTimeMSExpired: the driver does not repeat it itself

a_worker = st.sampled_from(WORKERS)
a_reply = st.sampled_from([None, None, None, WRITTEN_BUT_UNACKNOWLEDGED, NOT_WRITTEN])
an_ending: st.SearchStrategy[Ending] = st.sampled_from(["complete", "complete", "release", "fail"])
an_intrusion: st.SearchStrategy[Meanwhile] = st.sampled_from(
    ["nothing", "freed", "taken", "deleted"]
)


class ClaimMachine(RuleBasedStateMachine):
    """A queue, three workers that forget nothing they ever claimed, and people with shells."""

    chunks: Bundle[ObjectId] = Bundle("chunks")
    claims: Bundle[Claim] = Bundle("claims")

    def __init__(
        self, link: LossyLink, shell: Collection[Document], claims_of: Callable[[str], Claims]
    ) -> None:
        super().__init__()
        shell.delete_many({})
        self.link = link
        self.database = link.database
        self.shell = shell
        self.model = Model(RULES)
        self.workers = {name: claims_of(name) for name in WORKERS}
        self.janitors = {name: MongoClaims(self.database, name, RULES) for name in WORKERS}
        self.recordings: list[ObjectId] = []
        self.held: list[Claim] = []
        self.step_began = self.database.server_time()

    # What comes into the queue.

    @precondition(lambda self: len(self.model.rows) < MOST_CHUNKS)
    @rule(target=chunks, count=st.integers(1, 3), priority=st.sampled_from([0, 0, 5]))
    def ingest(self, count: int, priority: int) -> Any:
        recording_id = ObjectId()
        self.recordings.append(recording_id)
        ids = add_chunks(self.database, count, recording_id=recording_id, priority=priority)
        for index, id_ in enumerate(ids):
            start = START + timedelta(seconds=30 * index)
            self.model.rows[id_] = Row(id_, recording_id, start, priority)
        return multiple(*ids)

    @precondition(lambda self: len(self.model.rows) < MOST_CHUNKS)
    @rule(target=chunks, extra=st.sampled_from([{}, {"start": START}, {"data": b"x"}]))
    def another_program_adds_a_sparse_chunk(self, extra: Document) -> ObjectId:
        document = {"original_id": ObjectId(), "index": 0, **extra}
        id_: ObjectId = self.shell.insert_one(document).inserted_id
        self.model.rows[id_] = Row(id_, document["original_id"], extra.get("start"))
        return id_

    # What workers do.

    @rule(
        worker=a_worker,
        limit=st.sampled_from([1, 2, 100]),
        newest_first=st.booleans(),
        recording=st.none() | st.integers(0, 2),
    )
    def page(self, worker: str, limit: int, newest_first: bool, recording: int | None) -> None:
        named = () if recording is None else tuple(self.recordings[recording : recording + 1])
        order = Order(newest_first, named)
        before = self.database.server_time()
        page = self.workers[worker].page(limit, order)
        after = self.database.server_time()
        assert self.workers[worker].count_pending(order) == len(self.model.pending(order))
        due, some_rest = self.model.page(order, before)
        if (due, some_rest) == self.model.page(order, after):
            assert [chunk.id for chunk in page.chunks] == due[:limit]
            assert page.is_last == (len(due) <= limit)
            assert (page.next_due_seconds is not None) == (page.is_last and some_rest)

    @rule(target=claims, worker=a_worker, chunk=chunks, reply=a_reply, meanwhile=an_intrusion)
    def claim(
        self, worker: str, chunk: ObjectId, reply: Document | None, meanwhile: Meanwhile
    ) -> Any:
        """Of any chunk, as one does whose page is old."""
        thief, claim = self.ask(
            lambda: self.workers[worker].claim(Chunk(id=chunk, recording_id=None, index=0)),
            (reply, meanwhile, chunk),
        )
        claim_id = claim.id if claim else ObjectId()
        is_ours = reply is not NOT_WRITTEN and self.model.claim(chunk, worker, claim_id)
        if reply is not None:
            self.model.meddle(meanwhile, chunk, thief)
            self.model.claim(chunk, worker, claim_id)
            row = self.model.rows.get(chunk)
            is_ours = row is not None and row.claim_id == claim_id and row.is_claimed
        is_ours = is_ours and not self.model.steps_back(chunk)
        assert (claim is not None) == is_ours
        if claim is None:
            return multiple()
        assert claim.chunk.id == chunk
        assert claim.chunk.attempts == self.model.rows[chunk].attempts
        self.held.append(claim)
        return claim

    @rule(claim=claims, reply=a_reply)
    def renew(self, claim: Claim, reply: Document | None) -> None:
        trusted_before = claim.trusted_until
        worker = self.workers[claim.worker]
        _, outcome = self.ask(
            lambda: outcome_of(lambda: worker.renew(claim)), (reply, "nothing", claim.chunk.id)
        )
        renewed = reply is not NOT_WRITTEN and self.model.renew(claim)
        assert outcome == ("unclear" if reply else "accepted" if renewed else "lost")
        assert (claim.trusted_until > trusted_before) == (outcome == "accepted")

    @rule(
        claim=claims,
        ending=an_ending,
        isolated=st.booleans(),
        reply=a_reply,
        meanwhile=an_intrusion,
    )
    def end(
        self,
        claim: Claim,
        ending: Ending,
        isolated: bool,
        reply: Document | None,
        meanwhile: Meanwhile,
    ) -> None:
        trust = claim.trusted_until - time.monotonic()
        if 0 < trust < 30:
            reply = None  # too close to say whether it may still repeat
        thief, outcome = self.ask(
            lambda: outcome_of(lambda: self.write_end(claim, ending, isolated)),
            (reply, meanwhile, claim.chunk.id),
        )
        was_written = reply is not NOT_WRITTEN and self.model.end(claim, ending, isolated=isolated)
        if reply is not None:
            self.model.meddle(meanwhile, claim.chunk.id, thief)
            was_written = trust > 0 and self.model.end(claim, ending, isolated=isolated)
        if reply is not None and trust <= 0:
            assert outcome == "unclear"
        else:
            ended = was_written or self.model.has_ended(claim, ending, isolated=isolated)
            assert outcome == ("accepted" if ended else "lost")

    @rule(worker=a_worker)
    def recover(self, worker: str) -> None:
        self.expect_freed(self.janitors[worker].recover)

    # What time, people and their tools do.

    @rule(seconds=st.sampled_from([10, 200, 540]))
    def time_passes(self, seconds: float) -> None:
        step = timedelta(seconds=seconds)
        shifts = []
        for document in self.shell.find({}, ["claimed_at", "not_before"]):
            times = {f: t - step for f, t in document.items() if isinstance(t, datetime)}
            if times:
                shifts.append(UpdateOne({"_id": document["_id"]}, {"$set": times}))
        if shifts:
            self.shell.bulk_write(shifts)
        self.model.pass_time(seconds)
        for claim in self.held:
            claim.trusted_until -= seconds

    @rule(older_than=st.sampled_from([5, 100, 700]), dry_run=st.booleans())
    def cleanup_by_hand(self, older_than: float, dry_run: bool) -> None:
        self.expect_freed(
            lambda: protocol.recover(self.database, RULES, older_than, dry_run=dry_run),
            older_than,
            dry_run=dry_run,
        )

    @rule()
    def reset_by_shell(self) -> None:
        """The query of the Mongo shell guide: free what has been stuck for ten minutes."""
        now = self.database.server_time()
        oldest = now - timedelta(minutes=10)
        stuck = {"processing_by": {"$ne": None}, "claimed_at": {"$lt": oldest}}
        freed = self.shell.update_many(stuck, FREE).matched_count
        rows = [row for row in self.model.rows.values() if row.claimed_at is not None]
        stale = [row for row in rows if row.is_stale(now, 600, 601)]
        assert freed == len(stale)
        for row in stale:
            row.free_by_shell()

    @rule(chunk=chunks)
    def free_by_shell(self, chunk: ObjectId) -> None:
        self.shell.update_one({"_id": chunk}, FREE)
        self.model.meddle("freed", chunk, ObjectId())

    @rule(chunk=chunks)
    def claim_by_shell(self, chunk: ObjectId) -> None:
        """As a program does that knows neither claim ids nor times."""
        mark = {"$set": {"processing_by": "somebody"}}
        row = self.model.rows.get(chunk)
        is_marked = self.shell.update_one({"_id": chunk, **PENDING}, mark).matched_count == 1
        assert is_marked == (row is not None and row.is_pending)
        if row is not None and is_marked:
            row.holder = "somebody"

    @rule(chunk=chunks)
    def delete_by_shell(self, chunk: ObjectId) -> None:
        self.shell.delete_one({"_id": chunk})
        self.model.rows.pop(chunk, None)

    @rule(chunk=st.none() | chunks)
    def stt_retry(self, chunk: ObjectId | None) -> None:
        rows = [r for r in self.model.rows.values() if chunk in (None, r.id)]
        ids = () if chunk is None else (chunk,)
        assert protocol.retry(self.database, ids) == self.model.retry(rows)

    @rule(chunk=chunks)
    def stt_release(self, chunk: ObjectId) -> None:
        rows = [row for row in self.model.rows.values() if row.id == chunk]
        assert protocol.release(self.database, [chunk]) == self.model.release(rows)

    # What must hold after each step, and at the end.

    @invariant()
    def every_document_says_what_the_model_says(self) -> None:
        documents = {d["_id"]: d for d in self.shell.find()}
        if self.model.is_to_learn:
            self.model.learn(documents, self.step_began, self.database.server_time())
        assert {id_: said(d) for id_, d in documents.items()} == {
            id_: row.says() for id_, row in self.model.rows.items()
        }
        for document in documents.values():
            if document.get("transcribed_at") is not None:
                assert said(document)["result"] == str(document["claim_id"])
        self.step_began = self.database.server_time()

    def teardown(self) -> None:
        """Whatever happened, a patient worker gets everything done."""
        worker = self.workers["alice_1"]
        self.time_passes(10_000)
        self.janitors["alice_1"].recover()
        protocol.retry(self.database)
        while chunks := worker.page(100, Order()).chunks:
            for chunk in chunks:
                claim = worker.claim(chunk)
                assert claim is not None
                worker.complete(claim, result_of(claim))
        assert self.shell.count_documents({"transcribed_at": None}) == 0

    # Tools of the rules.

    def ask(
        self, write: Callable[[], Any], trouble: tuple[Document | None, Meanwhile, ObjectId]
    ) -> tuple[ObjectId, Any]:
        """What `write` returns, and the claim id of whoever took the chunk in between.

        Trouble: the reply to its first write (None: the right one), what somebody else does
        before it writes again, and to which chunk.
        """
        reply, meanwhile, chunk = trouble
        thief = ObjectId()

        def meddle() -> None:
            if meanwhile == "deleted":
                self.shell.delete_one({"_id": chunk})
            elif meanwhile != "nothing":
                self.shell.update_one({"_id": chunk}, FREE)
            if meanwhile == "taken":
                mine = {"processing_by": THIEF, "claim_id": thief}
                update = {"$set": mine, "$currentDate": {"claimed_at": True}}
                self.shell.update_one({"_id": chunk, **PENDING}, update)

        if reply is None:
            return thief, write()
        with self.link.fails_once(reply, meddle):
            return thief, write()

    def write_end(self, claim: Claim, ending: Ending, isolated: bool) -> None:
        worker = self.workers[claim.worker]
        if ending == "complete":
            worker.complete(claim, result_of(claim))
        elif ending == "release":
            worker.release(claim, isolated=isolated)
        else:
            worker.fail(claim, "bad_audio", "cannot be decoded")

    def expect_freed(
        self,
        free: Callable[[], list[Any]],
        older_than: float | None = None,
        *,
        dry_run: bool = False,
    ) -> None:
        before = self.database.server_time()
        freed = {stale.chunk_id: stale for stale in free()}
        after = self.database.server_time()
        rows, lease = self.model.rows.values(), RULES.lease_seconds
        surely = {row.id for row in rows if row.is_stale(before, older_than, lease)}
        perhaps = {row.id for row in rows if row.is_stale(after, older_than, lease)}
        assert surely <= set(freed) <= perhaps
        for id_, stale in freed.items():
            row = self.model.rows[id_]
            assert stale.worker == row.holder
            assert stale.quarantined == (row.expirations + 1 >= RULES.max_expirations)
            if not dry_run:
                self.model.expire(row)


def result_of(claim: Claim) -> Transcript:
    """A result that names the claim under which it was made."""
    return Transcript(segments=(Segment(0.0, 1.0, str(claim.id)),), worker=claim.worker)


def outcome_of(write: Callable[[], None]) -> str:
    try:
        write()
    except ClaimLost:
        return "lost"
    except DatabaseUnavailable:
        return "unclear"
    return "accepted"


@pytest.fixture
def link(
    mongo_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LossyLink]:
    monkeypatch.setattr(backoff, "_RETRY_WAITS_SECONDS", (0.0,))
    link = LossyLink(mongo_url, database.chunks.database.name)
    with link.database:
        yield link


@pytest.fixture
def new_machine(link: LossyLink, database: Database) -> Callable[[], ClaimMachine]:
    """Its workers are at the database."""
    return lambda: ClaimMachine(
        link, database.chunks, lambda worker: MongoClaims(link.database, worker, RULES)
    )


@pytest.fixture
def new_remote_machine(
    link: LossyLink, database: Database, tmp_path: Path
) -> Iterator[Callable[[], ClaimMachine]]:
    """Its workers reach the queue through a coordinator, whose database loses replies."""
    with remote_claims(link.database, RULES, tmp_path) as claims_of:
        yield lambda: ClaimMachine(link, database.chunks, claims_of)


EXAMPLES = int(os.environ.get("STT_TEST_EXAMPLES", "0"))
SETTINGS = settings(
    max_examples=EXAMPLES or 30,
    stateful_step_count=40 if EXAMPLES else 30,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)


def test_no_order_of_events_loses_a_chunk_or_writes_one_twice(
    new_machine: Callable[[], ClaimMachine],
) -> None:
    run_state_machine_as_test(new_machine, settings=SETTINGS)  # type: ignore[arg-type]


def test_neither_does_one_through_a_coordinator(
    new_remote_machine: Callable[[], ClaimMachine],
) -> None:
    few = settings(SETTINGS, max_examples=EXAMPLES or 6)
    run_state_machine_as_test(new_remote_machine, settings=few)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("stt.store.claims._fence", lambda claim: {"_id": claim.chunk.id}),
        ("stt.store.states.PENDING", {"transcribed_at": None, "failed_at": None}),
        ("stt.store.states.UNCLAIMED", {"processing_by": None}),
    ],
    ids=["no fence", "no compare-and-set", "a time without a claim"],
)
def test_a_broken_protocol_is_found_out(
    new_machine: Callable[[], ClaimMachine],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    broken: object,
) -> None:
    monkeypatch.setattr(name, broken)
    # It ends with the first failure: more examples cost time only where none was found.
    soon = settings(SETTINGS, max_examples=EXAMPLES or 300, phases=[Phase.generate])
    with pytest.raises(AssertionError):
        run_state_machine_as_test(new_machine, settings=soon)  # type: ignore[arg-type]
