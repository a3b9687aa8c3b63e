"""What the claim protocol promises, in plain Python: the state machine compares every document."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from bson import ObjectId

from stt.domain.backoff import backoff_seconds
from stt.domain.claim import Claim, ClaimRules, Order
from stt.store.database import Document

Ending = Literal["complete", "release", "fail"]
Meanwhile = Literal["nothing", "freed", "taken", "deleted"]

ERRORS_KEPT = 5
MILLISECOND = timedelta(milliseconds=1)  # what the database rounds times down to
THIEF = "thief_9"


@dataclass(frozen=True)
class After:
    """A time that the server will set, so many seconds after its now. See `Model.learn`."""

    least: float = 0
    most: float = 0


STEPPED_BACK = After(1, 3)


@dataclass
class Row:
    """What the document of one chunk must say."""

    id: ObjectId
    source_id: ObjectId
    start: datetime | None = None
    priority: int | None = None
    holder: str | None = None
    claim_id: ObjectId | None = None
    claimed_at: datetime | After | None = None
    lease_seconds: float | None = None
    attempts: int = 0
    expirations: int = 0
    not_before: datetime | After | None = None
    is_quarantined: bool = False
    isolated: bool = False
    failed_by: ObjectId | None = None
    result: str | None = None
    errors: list[str] = field(default_factory=list)

    @property
    def is_poison_candidate(self) -> bool:
        return self.isolated and self.attempts > 0

    @property
    def is_pending(self) -> bool:
        return self.holder is None and self.result is None and not self.is_quarantined

    @property
    def is_claimed(self) -> bool:
        return self.holder is not None

    def is_held_by(self, claim: Claim) -> bool:
        return self.holder == claim.worker and self.claim_id == claim.id

    def is_stale(self, now: datetime, older_than: float | None, default: float) -> bool:
        """Whether its claim has run out, by its own lease or by what a person says."""
        assert not isinstance(self.claimed_at, After)
        if not self.is_claimed or self.claimed_at is None:
            return self.is_claimed
        lease = self.lease_seconds or older_than or default
        if older_than is not None:
            lease = older_than if older_than < default else max(lease, older_than)
        return self.claimed_at < now - timedelta(seconds=lease)

    def free(self) -> None:
        self.holder = self.claimed_at = self.lease_seconds = None

    def free_by_shell(self) -> None:
        """As a person does who knows of no leases."""
        self.holder = self.claimed_at = None

    def blame(self, kind: str) -> None:
        self.errors = [*self.errors, kind][-ERRORS_KEPT:]

    def says(self) -> dict[str, Any]:
        return {
            "processing_by": self.holder,
            "claimed_at": self.claimed_at,
            "lease_seconds": self.lease_seconds,
            "claim_id": self.claim_id,
            "not_before": self.not_before,
            "attempts": self.attempts,
            "expirations": self.expirations,
            "failed": self.is_quarantined,
            "solo": self.isolated,
            "result": self.result,
            "errors": self.errors,
        }


def said(document: Document) -> dict[str, Any]:
    """The same, out of the database."""
    result = None
    if document.get("transcribed_at") is not None:
        [segment] = document["transcript"]["segments"]
        result = segment["text"]
    return {
        **{f: document.get(f) for f in ("processing_by", "claimed_at", "claim_id", "not_before")},
        "lease_seconds": document.get("lease_seconds"),
        **{f: document.get(f, 0) for f in ("attempts", "expirations")},
        "failed": document.get("failed_at") is not None,
        "solo": document.get("solo", False),
        "result": result,
        "errors": [error["kind"] for error in document.get("errors", [])],
    }


class Model:
    """All chunks. Each transition returns whether the database must have accepted it."""

    def __init__(self, rules: ClaimRules) -> None:
        self.rows: dict[ObjectId, Row] = {}
        self._rules = rules

    def claim(self, chunk_id: ObjectId, worker: str, claim_id: ObjectId) -> bool:
        row = self.rows.get(chunk_id)
        if row is None or not row.is_pending:
            return False
        row.holder, row.claim_id, row.claimed_at = worker, claim_id, After()
        if worker != THIEF:
            row.lease_seconds = self._rules.lease_seconds
        return True

    def steps_back(self, chunk_id: ObjectId) -> bool:
        """The second step of a claim: of poison candidates one is processed at a time."""
        row = self.rows[chunk_id]
        others = [r for r in self.rows.values() if r is not row]
        if not row.is_poison_candidate or not any(
            r.is_poison_candidate and r.is_claimed for r in others
        ):
            return False
        row.free()
        row.not_before = STEPPED_BACK
        return True

    def renew(self, claim: Claim) -> bool:
        row = self.rows.get(claim.chunk.id)
        if row is None or not row.is_held_by(claim):
            return False
        row.claimed_at, row.lease_seconds = After(), self._rules.lease_seconds
        return True

    def end(self, claim: Claim, ending: Ending, *, isolated: bool) -> bool:
        row = self.rows.get(claim.chunk.id)
        if row is None or not row.is_held_by(claim):
            return False
        row.free()
        if ending == "complete":
            row.result, row.not_before = str(claim.id), None
        elif ending == "fail":
            row.attempts += 1
            row.failed_by = claim.id
            row.blame("bad_audio")
            row.is_quarantined = row.attempts >= self._rules.max_attempts
            rest = backoff_seconds(row.attempts)
            row.not_before = None if row.is_quarantined else After(rest, rest)
        else:
            row.isolated |= isolated
        return True

    def has_ended(self, claim: Claim, ending: Ending, *, isolated: bool) -> bool:
        """Whether one who asks later must learn that this claim has ended so.

        Results and failures must be the claim's own; of a release it matters only that the chunk
        is as free as it was to be, whatever freed it.
        """
        row = self.rows.get(claim.chunk.id)
        if row is None or row.claim_id != claim.id or row.is_claimed:
            return False
        if ending == "complete":
            return row.result == str(claim.id)
        if ending == "fail":
            return row.failed_by == claim.id
        return row.is_pending and (row.isolated or not isolated)

    def meddle(self, meanwhile: Meanwhile, chunk_id: ObjectId, thief_claim: ObjectId) -> None:
        """What another program does to a chunk between a write and its repeat."""
        row = self.rows.get(chunk_id)
        if row is None or meanwhile == "nothing":
            return
        if meanwhile == "deleted":
            del self.rows[chunk_id]
            return
        row.free_by_shell()
        if meanwhile == "taken":
            self.claim(chunk_id, THIEF, thief_claim)

    def expire(self, row: Row) -> None:
        row.free()
        row.expirations += 1
        row.blame("expired")
        row.is_quarantined = row.expirations >= self._rules.max_expirations

    def retry(self, rows: Iterable[Row]) -> int:
        failed = [row for row in rows if row.is_quarantined]
        for row in failed:
            row.is_quarantined = row.isolated = False
            row.attempts = row.expirations = 0
            row.not_before = row.failed_by = None
        return len(failed)

    def release(self, rows: Iterable[Row]) -> int:
        claimed = [row for row in rows if row.is_claimed]
        for row in claimed:
            row.free()
        return len(claimed)

    def pass_time(self, seconds: float) -> None:
        for row in self.rows.values():
            for name in ("claimed_at", "not_before"):
                if isinstance(time := getattr(row, name), datetime):
                    setattr(row, name, time - timedelta(seconds=seconds))

    @property
    def is_to_learn(self) -> bool:
        rows = self.rows.values()
        return any(isinstance(t, After) for row in rows for t in (row.claimed_at, row.not_before))

    def learn(self, documents: dict[ObjectId, Document], began: datetime, ended: datetime) -> None:
        """Takes the times that the server set, which must lie between two readings of its clock."""
        for id_, row in self.rows.items():
            if row.not_before is STEPPED_BACK:  # under a claim of which no worker got an answer
                row.claim_id = documents[id_]["claim_id"]
            for name in ("claimed_at", "not_before"):
                expected = getattr(row, name)
                if isinstance(expected, After):
                    time = documents[id_][name]
                    earliest = began + timedelta(seconds=expected.least) - MILLISECOND
                    latest = ended + timedelta(seconds=expected.most)
                    assert earliest <= time <= latest, name
                    setattr(row, name, time)

    def pending(self, order: Order) -> list[Row]:
        """In claim order; whatever another program left out comes as the lowest value."""
        rows = [
            row
            for row in self.rows.values()
            if row.is_pending and (not order.recordings or row.source_id in order.recordings)
        ]
        rows.sort(
            key=lambda row: (row.start is not None, row.start, row.id), reverse=order.newest_first
        )
        rows.sort(key=lambda row: (row.priority is None, -(row.priority or 0)))
        return rows

    def page(self, order: Order, now: datetime) -> tuple[list[ObjectId], bool]:
        """What is due at `now`, in claim order, and whether something pending is not."""
        may_hold = not any(r.is_poison_candidate and r.is_claimed for r in self.rows.values())
        pending = self.pending(order)
        due = []
        for row in pending:
            assert not isinstance(row.not_before, After)
            rests = row.not_before is not None and row.not_before > now
            if not rests and (may_hold or not row.is_poison_candidate):
                due.append(row.id)
                may_hold = may_hold and not row.is_poison_candidate
        return due, len(due) < len(pending)
