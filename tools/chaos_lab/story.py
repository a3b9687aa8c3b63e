"""The history of one chunk: who held it from when, and what ended that."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bson.objectid import ObjectId

from tools.chaos_lab.evidence import Breach, Fact, Run
from tools.chaos_lab.history import Operation

_ENDS_A_CLAIM = {"complete", "fail", "release", "recover", "hand_reset", "give_back"}
FENCED = {"complete", "fail", "release", "renew"}
"""What only the holder of a claim may write."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A claim that was certainly made: after `asked`, and before `known`.

    `settled`: by then no try to make it can get through any more.
    """

    claim: ObjectId
    worker: str | None
    actor: str
    asked: float
    known: float
    settled: float


class Story:
    """One chunk in one run."""

    def __init__(self, run: Run, chunk: ObjectId, document: Mapping[str, Any] | None) -> None:
        self.run = run
        self.chunk = chunk
        self.fact: Fact = run.chunks[chunk]
        self.document = document
        self.operations = run.history.of_chunk.get(chunk, ())
        self.at_nodes = run.nodes.of_chunk.get(chunk, ())
        """What nodes asked their coordinators about it, and what they were told."""
        self.calls = run.calls_of.get(self.fact.number, ())

    def of(self, *kinds: str) -> Iterator[Operation]:
        return (operation for operation in self.operations if operation.kind in kinds)

    def told_to_nodes(self, *kinds: str) -> Iterator[Operation]:
        """As `of`, at the edge of the nodes."""
        return (operation for operation in self.at_nodes if operation.kind in kinds)

    def seen_by_holder(self, hold: "Hold") -> tuple[Sequence[Operation], Sequence[float]]:
        """What the holder of a claim asked about it, where it asked, and when its reports came
        through: a node knows what its coordinator told it, and not what that one was told."""
        own = [op for op in self.at_nodes if (op.claim, op.worker) == (hold.claim, hold.worker)]
        if own:
            return own, self.run.nodes.reports.get(hold.worker or "", ())
        own = [op for op in self.operations if (op.claim, op.actor) == (hold.claim, hold.actor)]
        return own, self.run.history.reports.get(hold.actor, ())

    def holder_had_ended(self, recovery: Operation) -> bool:
        """Whether the process that held the claim may have ended before it was freed.

        A live one would have written at least one more line of its history.
        """
        hold = self.hold(recovery.claim)
        last = self.run.history.last_events.get(hold.actor) if hold else None
        return last is not None and last < recovery.told

    @property
    def fenced(self) -> Iterator[Operation]:
        """What only the holder of a claim may write."""
        return self.of(*FENCED)

    @property
    def is_transcribed(self) -> bool:
        return self.document is not None and self.document.get("transcribed_at") is not None

    @property
    def is_quarantined(self) -> bool:
        return self.document is not None and self.document.get("failed_at") is not None

    @property
    def result(self) -> Mapping[str, Any]:
        """The transcript in the database; empty if there is none."""
        return (self.document or {}).get("transcript") or {}

    @property
    def final_claim(self) -> ObjectId | None:
        return self.document.get("claim_id") if self.document else None

    @cached_property
    def holds(self) -> Sequence[Hold]:
        """All claims of which it is certain that they were made, in the order of the asking."""
        tries: dict[ObjectId, list[Operation]] = defaultdict(list)
        proofs: dict[ObjectId, list[float]] = defaultdict(list)
        for operation in self.operations:
            if operation.claim is None:
                continue
            if operation.kind == "claim":
                tries[operation.claim].append(operation)
            if operation.was_accepted:
                proofs[operation.claim].append(operation.told)
        if self.final_claim in tries:
            proofs[self.final_claim].append(math.inf)
        holds = [
            Hold(
                claim=claim,
                worker=tried[0].worker,
                actor=tried[0].actor,
                asked=tried[0].asked,
                known=min(proofs[claim]),
                settled=max(operation.told for operation in tried),
            )
            for claim, tried in tries.items()
            if proofs[claim]
        ]
        return sorted(holds, key=lambda hold: hold.asked)

    def hold(self, claim: ObjectId | None) -> Hold | None:
        return next((hold for hold in self.holds if hold.claim == claim), None)

    def happened(self, operation: Operation) -> bool:
        """True if it certainly took effect: it said so, or the final document does.

        The document says so of an unclear one only if none of the same claim was accepted: a node
        whose answer was lost asks again for what is done already.
        """
        if operation.was_accepted:
            return True
        return (
            operation.kind == "complete"
            and operation.may_have_happened
            and self.is_transcribed
            and operation.claim == self.final_claim
            and (operation in self.at_nodes or self.final_claim not in self._taken)
        )

    @cached_property
    def _taken(self) -> set[ObjectId | None]:
        """The claims whose result the database said that it has."""
        return {op.claim for op in self.of("complete") if op.was_accepted}

    def completions(self) -> set[ObjectId | None]:
        """The claims whose result was certainly accepted."""
        return {op.claim for op in self.of("complete") if self.happened(op)}

    def may_have_ended(self, hold: Hold, by: float) -> bool:
        """Whether anything that ends this claim may have taken effect before `by`."""
        return any(
            op.may_have_happened and op.asked < by and op.told > hold.asked
            for op in self._endings_of(hold)
        )

    def sure_ending(self, hold: Hold, by: float) -> Operation | None:
        """What certainly ended this claim before `by`, if something did."""
        endings = (
            op
            for op in self._endings_of(hold)
            if op.was_accepted and op.asked > hold.settled and op.told < by
        )
        return next(endings, None)

    def newer_hold(self, hold: Hold, by: float) -> Hold | None:
        """A claim that was certainly made after this one, and before `by`."""
        return next((h for h in self.holds if h.asked > hold.known and h.known < by), None)

    def breach(self, rule: str, evidence: str) -> Breach:
        return Breach(rule, self.chunk, f"chunk {self.fact.number}: {evidence}")

    def at(self, moment: float) -> str:
        """A moment, in seconds since the first event of the run."""
        return "never" if math.isinf(moment) else f"{moment - self.run.history.begin:.3f} s"

    def _endings_of(self, hold: Hold) -> Iterator[Operation]:
        return (
            op
            for op in self.of(*_ENDS_A_CLAIM)
            if op.claim == hold.claim or op.kind == "hand_reset" or op.claim is None
        )
