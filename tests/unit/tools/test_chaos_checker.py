"""The judge of the chaos runs: each rule with a small history that breaks it, and one that does
not."""

import math
from dataclasses import replace
from typing import Any

import pytest
from bson import ObjectId

from tools.chaos_lab.checker import Fact, Report, Run, WorkerEnd, check
from tools.chaos_lab.history import ACCEPTED, REFUSED, UNCLEAR, History, Operation

CHUNK = ObjectId()
LEASE_SECONDS = 4.0
REAL = "http://real:8081"


class Tale:
    """A run with one chunk, told step by step; each step took effect in a tenth of a second."""

    def __init__(self, poison: str | None = None) -> None:
        self.operations: list[Operation] = []
        self.reports: dict[str, list[float]] = {}
        self.calls: list[dict[str, Any]] = []
        self.stats: dict[str, dict[str, int] | None] = {}
        self.fact = Fact(7, poison)
        self.document: dict[str, Any] | None = {"_id": CHUNK, "attempts": 0, "expirations": 0}

    def add(self, kind: str, actor: str, at: float, **fields: Any) -> None:
        known = {"told": at + 0.1, "outcome": ACCEPTED, "actor": actor, **fields}
        self.operations.append(Operation(kind=kind, chunk=CHUNK, asked=at, **known))
        self.stats.setdefault(actor, None)

    def claim(self, actor: str, at: float, **fields: Any) -> ObjectId:
        claim = ObjectId()
        self.add("claim", actor, at, claim=claim, worker=f"host_{actor}", **fields)
        return claim

    def complete(self, actor: str, claim: ObjectId, at: float, **fields: Any) -> None:
        """Accepted, unless `fields` say otherwise: then the document holds it from now on."""
        self.add("complete", actor, at, claim=claim, **fields)
        if fields.get("outcome", ACCEPTED) == ACCEPTED:
            self.holds_result_of(actor, claim, called_at=at - 0.5)

    def holds_result_of(self, actor: str, claim: ObjectId, *, called_at: float) -> None:
        assert self.document is not None
        call = f"c{len(self.calls)}"
        self.calls.append({"t": called_at, "server": "one", "call": call, "chunk": 7})
        segments = [{"text": f"chunk 7 call {call}"}]
        result = {"worker": f"host_{actor}", "server": "http://one", "segments": segments}
        self.document |= {"claim_id": claim, "transcribed_at": "now", "transcript": result}

    def fail(self, actor: str, claim: ObjectId, at: float, kind: str, **fields: Any) -> None:
        assert self.document is not None
        self.document["attempts"] += 1
        if fields.get("quarantines"):
            self.document["failed_at"] = "now"
        self.add("fail", actor, at, claim=claim, detail=kind, **fields)

    def recover(self, actor: str, claim: ObjectId, at: float, **fields: Any) -> None:
        assert self.document is not None
        self.document["expirations"] += 1
        self.add("recover", actor, at, claim=claim, **fields)

    def run(self, **fields: Any) -> Run:
        operations = tuple(sorted(self.operations, key=lambda operation: operation.asked))
        known: dict[str, Any] = {
            "history": History(operations, self.reports),
            "documents": [self.document] if self.document is not None else [],
            "calls": self.calls,
            "chunks": {CHUNK: self.fact},
            "ends": [
                WorkerEnd(actor, None if stats is None else 0, stats)
                for actor, stats in self.stats.items()
            ],
            "lease_seconds": LEASE_SECONDS,
            "max_attempts": 3,
            "max_expirations": 5,
            "chunk_timeout_seconds": 12.0,
        }
        return Run(**known | fields)

    def verdict(self, **fields: Any) -> Report:
        return check(self.run(**fields))

    def broken(self, **fields: Any) -> set[str]:
        return {breach.rule for breach in self.verdict(**fields).breaches}


@pytest.fixture
def tale() -> Tale:
    return Tale()


def test_a_chunk_that_is_claimed_and_transcribed_breaks_no_rule(tale: Tale) -> None:
    claim = tale.claim("alice", 0)
    tale.add("renew", "alice", 1, claim=claim)
    tale.complete("alice", claim, 2)
    report = tale.verdict()
    assert report.breaches == ()
    assert (report.summary["claims"], report.summary["results"]) == (1, 1)


def test_a_takeover_breaks_no_rule_and_is_counted_with_the_write_that_was_fenced(
    tale: Tale,
) -> None:
    first = tale.claim("alice", 0)
    tale.recover("carol", first, 5)
    second = tale.claim("bob", 6)
    tale.add("renew", "alice", 6.2, claim=first, outcome=REFUSED)
    tale.complete("alice", first, 6.5, outcome=REFUSED)
    tale.complete("bob", second, 7)
    report = tale.verdict()
    assert report.breaches == ()
    assert (report.summary["takeovers"], report.summary["fenced writes"]) == (1, 2)


def test_a_renewal_that_crosses_its_own_completion_is_no_fenced_write(tale: Tale) -> None:
    claim = tale.claim("alice", 0)
    tale.complete("alice", claim, 1)
    tale.add("renew", "alice", 1.05, claim=claim, outcome=REFUSED)
    assert tale.verdict().summary["fenced writes"] == 0


class TestHowAChunkEnds:
    def test_a_lost_document_is_a_breach(self, tale: Tale) -> None:
        tale.document = None
        assert tale.broken() == {"ends"}

    def test_a_chunk_that_is_still_pending_is_a_breach(self, tale: Tale) -> None:
        assert tale.broken() == {"ends"}

    def test_a_chunk_that_is_still_in_work_is_a_breach(self, tale: Tale) -> None:
        tale.claim("alice", 0)
        assert tale.document is not None
        tale.document["processing_by"] = "host_alice"
        [breach] = tale.verdict().breaches
        assert "stuck in the hands of host_alice" in breach.evidence

    def test_a_document_that_nobody_put_there_is_a_breach(self, tale: Tale) -> None:
        tale.complete("alice", tale.claim("alice", 0), 1)
        assert tale.broken(documents=[tale.document, {"_id": ObjectId()}]) == {"ends"}

    def test_an_innocent_chunk_in_quarantine_is_a_breach(self, tale: Tale) -> None:
        quarantine(tale, "server_fault")
        assert "ends" in tale.broken()

    @pytest.mark.parametrize(
        ("poison", "kind"),
        [
            ("audio", "bad_audio"),
            ("refused", "refused"),
            ("fault", "server_fault"),
            ("killer", "server_died"),
        ],
    )
    def test_a_poisonous_chunk_in_quarantine_is_right(self, poison: str, kind: str) -> None:
        tale = Tale(poison)
        quarantine(tale, kind)
        assert tale.broken() == set()

    def test_a_poisonous_chunk_may_be_transcribed_by_a_real_server_only(self) -> None:
        tale = Tale("killer")
        tale.complete("alice", tale.claim("alice", 0), 1)
        assert tale.broken() == {"ends"}
        assert tale.document is not None
        tale.document["transcript"] |= {"server": REAL, "segments": []}
        assert tale.broken(real_servers=frozenset({REAL})) == set()


class TestTheResult:
    def test_two_accepted_results_are_a_breach(self, tale: Tale) -> None:
        claim = tale.claim("alice", 0)
        tale.complete("alice", claim, 1)
        tale.complete("alice", claim, 1.05)
        assert "one-result" in tale.broken()

    def test_an_unclear_write_that_the_document_holds_is_the_result(self, tale: Tale) -> None:
        claim = tale.claim("alice", 0)
        tale.complete("alice", claim, 1, outcome=UNCLEAR, told=math.inf)
        tale.holds_result_of("alice", claim, called_at=0.5)
        report = tale.verdict()
        assert report.breaches == ()
        assert report.summary["unclear, and had happened"] == 1

    def test_a_result_that_no_history_knows_is_a_breach(self, tale: Tale) -> None:
        tale.holds_result_of("alice", tale.claim("alice", 0), called_at=0.5)
        assert "one-result" in tale.broken()

    def test_a_result_under_another_workers_claim_is_a_breach(self, tale: Tale) -> None:
        tale.complete("alice", tale.claim("alice", 0), 1)
        assert tale.document is not None
        tale.document["transcript"]["worker"] = "host_mallory"
        assert tale.broken() == {"holder"}

    def test_a_text_that_names_another_chunk_is_a_breach(self, tale: Tale) -> None:
        tale.complete("alice", tale.claim("alice", 0), 1)
        assert tale.broken(chunks={CHUNK: Fact(8)}) == {"text"}

    def test_an_empty_text_is_a_breach(self, tale: Tale) -> None:
        tale.complete("alice", tale.claim("alice", 0), 1)
        assert tale.document is not None
        tale.document["transcript"]["segments"] = []
        assert tale.broken() == {"text"}

    @pytest.mark.parametrize("came_at", [-1.0, 9.0])
    def test_a_text_from_a_call_outside_its_claim_is_a_breach(
        self, tale: Tale, came_at: float
    ) -> None:
        tale.complete("alice", tale.claim("alice", 0), 1)
        tale.calls[0]["t"] = came_at
        assert tale.broken() == {"text"}

    def test_a_text_from_a_call_that_no_server_had_is_a_breach(self, tale: Tale) -> None:
        tale.complete("alice", tale.claim("alice", 0), 1)
        tale.calls.clear()
        assert tale.broken() == {"text"}

    def test_an_accepted_result_that_is_gone_at_the_end_is_a_breach(self, tale: Tale) -> None:
        tale.complete("alice", tale.claim("alice", 0), 1)
        assert tale.document is not None
        tale.document |= {"transcribed_at": None, "transcript": None}
        assert "durable" in tale.broken()

    def test_a_result_refused_while_its_claim_was_valid_is_a_breach(self, tale: Tale) -> None:
        claim = tale.claim("alice", 0)
        tale.complete("alice", claim, 1, outcome=REFUSED)
        tale.complete("alice", claim, 2)
        assert tale.broken() == {"refusal"}
        tale.operations[-1] = replace(tale.operations[-1], asked=1.05)
        assert tale.broken() == set()  # this one may have been the first


class TestTheFence:
    def test_a_write_after_a_newer_claim_is_a_breach(self, tale: Tale) -> None:
        first = tale.claim("alice", 0)
        tale.recover("carol", first, 5)
        second = tale.claim("bob", 6)
        tale.add("renew", "alice", 7, claim=first)
        tale.complete("bob", second, 8)
        assert tale.broken() == {"fence"}

    @pytest.mark.parametrize("ended_by", ["recover", "release"])
    def test_a_write_after_its_claim_had_ended_is_a_breach(self, tale: Tale, ended_by: str) -> None:
        claim = tale.claim("alice", 0)
        if ended_by == "recover":
            tale.recover("carol", claim, 5)
        else:
            tale.add("release", "alice", 5, claim=claim)
        tale.complete("alice", claim, 6)
        assert tale.broken() == {"fence"}

    def test_a_write_that_may_have_come_before_the_newer_claim_is_none(self, tale: Tale) -> None:
        first = tale.claim("alice", 0)
        tale.add("renew", "alice", 4.9, told=6.5, claim=first)  # slow, but it may have been first
        tale.recover("carol", first, 5)
        tale.complete("bob", tale.claim("bob", 6), 7)
        assert "fence" not in tale.broken()

    def test_a_write_by_somebody_who_never_held_the_chunk_is_a_breach(self, tale: Tale) -> None:
        tale.complete("alice", tale.claim("alice", 0), 1)
        tale.add("renew", "mallory", 0.5, claim=ObjectId())
        assert tale.broken() == {"fence"}


class TestClaims:
    def test_two_claims_with_nothing_between_are_a_breach(self, tale: Tale) -> None:
        tale.claim("alice", 0)
        tale.complete("bob", tale.claim("bob", 1), 2)
        assert tale.broken() == {"one-claim"}

    @pytest.mark.parametrize("ending", ["release", "hand_reset"])
    def test_an_unclear_ending_between_two_claims_excuses_the_second(
        self, tale: Tale, ending: str
    ) -> None:
        claim = None if ending == "hand_reset" else tale.claim("alice", 0)
        if claim is None:
            tale.claim("alice", 0)
        tale.add(ending, "alice", 0.5, claim=claim, outcome=UNCLEAR, told=math.inf)
        tale.complete("bob", tale.claim("bob", 1), 2)
        assert tale.broken() == set()

    def test_two_claims_asked_at_once_are_in_turn_if_something_ended_one(self, tale: Tale) -> None:
        first = tale.claim("alice", 0, told=2.0)
        second = tale.claim("bob", 0.5, told=0.6)
        tale.add("release", "bob", 0.7, claim=second)
        tale.complete("alice", first, 3)
        assert tale.broken() == set()

    def test_a_claim_that_was_found_by_its_id_counts_as_made(self, tale: Tale) -> None:
        lost = tale.claim("alice", 0, outcome=UNCLEAR, told=math.inf)
        tale.add("lookup", "alice", 0.5, claim=lost)
        tale.complete("bob", tale.claim("bob", 1), 2)
        assert tale.broken() == {"one-claim"}

    def test_a_claim_on_what_is_done_is_a_breach(self, tale: Tale) -> None:
        claim = tale.claim("alice", 0)
        tale.complete("alice", claim, 1)
        tale.add("release", "bob", 3, claim=tale.claim("bob", 2))
        assert "one-claim" in tale.broken()


class TestLeases:
    @pytest.mark.parametrize(("freed_at", "broken"), [(3.0, {"early-recovery"}), (6.0, set())])
    def test_a_claim_may_be_freed_a_lease_after_its_last_renewal(
        self, tale: Tale, freed_at: float, broken: set[str]
    ) -> None:
        claim = tale.claim("alice", 0)
        tale.add("renew", "alice", 1.5, claim=claim)
        tale.recover("carol", claim, freed_at)
        tale.complete("bob", tale.claim("bob", 7), 8)
        assert tale.broken() == broken

    def test_a_tool_may_free_it_when_it_was_told_to(self, tale: Tale) -> None:
        claim = tale.claim("alice", 0)
        tale.recover("cleanup", claim, 2.5, threshold_seconds=2.0)
        tale.complete("bob", tale.claim("bob", 7), 8)
        assert tale.broken() == set()

    @pytest.mark.parametrize(
        ("reports", "broken"), [([1, 2, 3], {"renewal"}), ([4.5, 4.6, 4.7], set()), ([], set())]
    )
    def test_a_claim_that_a_live_worker_lets_run_out_is_a_breach(
        self, tale: Tale, reports: list[float], broken: set[str]
    ) -> None:
        claim = tale.claim("alice", 0)
        tale.reports["alice"] = reports
        tale.recover("carol", claim, 4.2)
        tale.complete("bob", tale.claim("bob", 5), 6)
        assert tale.broken() == broken

    def test_a_claim_that_could_not_be_released_may_run_out(self, tale: Tale) -> None:
        claim = tale.claim("alice", 0)
        tale.add("release", "alice", 0.5, claim=claim, outcome=UNCLEAR, told=math.inf)
        tale.reports["alice"] = [1, 2, 3]
        tale.recover("carol", claim, 4.2)
        tale.complete("bob", tale.claim("bob", 5), 6)
        assert tale.broken() == set()

    def test_a_claim_of_which_its_holder_never_heard_may_run_out(self, tale: Tale) -> None:
        claim = tale.claim("alice", 0, outcome=UNCLEAR, told=math.inf)
        tale.reports["alice"] = [1, 2, 3]
        tale.recover("carol", claim, 4.2)
        tale.complete("bob", tale.claim("bob", 5), 6)
        assert tale.broken() == set()

    def test_a_call_that_hangs_is_left_to_its_lease(self, tale: Tale) -> None:
        claim = tale.claim("alice", 0)
        for at in range(1, 12):
            tale.add("renew", "alice", at, claim=claim)
        tale.reports["alice"] = [12, 13, 14, 15]
        tale.recover("carol", claim, 16)
        tale.complete("bob", tale.claim("bob", 17), 18)
        assert tale.broken() == set()


class TestBlame:
    @pytest.mark.parametrize("kind", ["bad_audio", "refused", "database_refused"])
    def test_an_innocent_chunk_is_never_charged_with_what_only_poison_does(
        self, tale: Tale, kind: str
    ) -> None:
        tale.fail("alice", tale.claim("alice", 0), 1, kind)
        tale.complete("alice", tale.claim("alice", 2), 3)
        assert tale.broken() == {"blame"}

    def test_a_broken_server_may_cost_an_innocent_chunk_a_try(self, tale: Tale) -> None:
        tale.calls.append({"t": 0.5, "server": "one", "call": "x", "chunk": 7})
        tale.fail("alice", tale.claim("alice", 0), 1, "server_fault")
        tale.complete("alice", tale.claim("alice", 2), 3)
        report = tale.verdict()
        assert report.breaches == ()
        assert report.summary["innocent charged"] == 1

    def test_a_server_that_never_had_the_chunk_cannot_have_broken_on_it(self, tale: Tale) -> None:
        tale.fail("alice", tale.claim("alice", 0), 1, "server_fault")
        tale.complete("alice", tale.claim("alice", 2), 3)
        assert tale.broken() == {"blame"}

    def test_nor_can_one_that_had_it_among_its_neighbours_only(self, tale: Tale) -> None:
        for number in (7, 8):
            tale.calls.append({"t": 0.5, "server": "one", "call": "both", "chunk": number})
        tale.fail("alice", tale.claim("alice", 0), 1, "server_fault")
        tale.complete("alice", tale.claim("alice", 2), 3)
        assert tale.broken() == {"blame"}

    def test_but_a_call_that_was_swallowed_may_outlast_its_time(self, tale: Tale) -> None:
        tale.fail("alice", tale.claim("alice", 0), 13, "server_fault")
        tale.complete("alice", tale.claim("alice", 14), 15)
        assert tale.broken() == set()

    def test_two_failures_are_too_few_for_quarantine(self) -> None:
        tale = Tale("audio")
        quarantine(tale, "bad_audio", failures=2)
        assert tale.broken() == {"blame"}

    def test_an_attempt_that_no_history_knows_is_a_breach(self, tale: Tale) -> None:
        tale.complete("alice", tale.claim("alice", 0), 1)
        assert tale.document is not None
        tale.document["attempts"] = 1
        assert tale.broken() == {"durable"}

    def test_a_forgotten_attempt_is_a_breach(self) -> None:
        tale = Tale("audio")
        quarantine(tale, "bad_audio")
        assert tale.document is not None
        tale.document["attempts"] = 2
        assert tale.broken() == {"durable"}


class TestStats:
    def printed(self, tale: Tale, transcribed: int, errors: int = 0) -> set[str]:
        tale.stats["alice"] = {"transcribed": transcribed, "empty": 0, "error": errors}
        return tale.broken()

    def test_what_a_worker_printed_is_what_it_was_told(self, tale: Tale) -> None:
        tale.complete("alice", tale.claim("alice", 0), 1)
        assert self.printed(tale, 1) == set()
        assert self.printed(tale, 0) == {"stats"}
        assert self.printed(tale, 2) == {"stats"}
        assert self.printed(tale, 1, errors=1) == {"stats"}

    def test_an_unclear_result_that_was_written_may_be_counted_or_not(self, tale: Tale) -> None:
        claim = tale.claim("alice", 0)
        tale.complete("alice", claim, 1, outcome=UNCLEAR, told=math.inf)
        tale.holds_result_of("alice", claim, called_at=0.5)
        assert self.printed(tale, 1) == set()
        assert self.printed(tale, 0) == set()
        assert self.printed(tale, 2) == {"stats"}

    def test_an_unclear_result_that_was_not_written_must_not_be_counted(self, tale: Tale) -> None:
        lost = tale.claim("alice", 0)
        tale.complete("alice", lost, 1, outcome=UNCLEAR, told=math.inf)
        tale.recover("carol", lost, 6)
        tale.complete("bob", tale.claim("bob", 7), 8)
        assert self.printed(tale, 0) == set()
        assert self.printed(tale, 1) == {"stats"}

    def test_workers_that_were_killed_count_with_their_history(self, tale: Tale) -> None:
        tale.complete("alice", tale.claim("alice", 0), 1)
        assert tale.broken(ends=[]) == {"stats"}
        assert tale.broken(ends=[WorkerEnd("alice", None, None)]) == set()


def quarantine(tale: Tale, kind: str, failures: int = 3) -> None:
    for n in range(failures):
        tale.calls.append({"t": 10 * n + 1, "server": "one", "call": f"q{n}", "chunk": 7})
        claim = tale.claim("alice", 10 * n)
        tale.fail("alice", claim, 10 * n + 2, kind, quarantines=n == failures - 1)
