"""The claim protocol over HTTP: what `stt.store` does at the database, done by a coordinator.

Every transition names the claim's id, which is made here, and the coordinator does it at the
database with the same fence. So a request can be repeated when its answer did not come: nothing is
done twice, and the outcome of an earlier request is found. A finished result is offered again for
as long as its claim can be trusted, whatever is restarted meanwhile.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import asdict
from typing import Any, NamedTuple, TypeVar

from bson import ObjectId
from pydantic import TypeAdapter, ValidationError

from stt.domain.backoff import retry_until_lease_expires
from stt.domain.chunk import Chunk, Recording
from stt.domain.claim import (
    Claim,
    ClaimRules,
    Order,
    Page,
    Pending,
    Queue,
    StaleClaim,
    Step,
    WorkerReport,
)
from stt.domain.transcript import Transcript
from stt.errors import BadAudio, ClaimLost, DatabaseRefused, DatabaseUnavailable, NotFound
from stt.remote import messages
from stt.remote.client import read_answer
from stt.remote.membership import Membership

logger = logging.getLogger(__name__)

T = TypeVar("T")

LONG_POLL_SECONDS = 25.0
_MAX_FAILED_POLLS = 2
_CHECK_SECONDS = 0.05
_MAX_MESSAGE_LENGTH = 2_000
_PAGE = TypeAdapter(messages.PageMessage)


class _Claimed(NamedTuple):
    """What a claim's answer holds beside the chunk."""

    recording: Recording | None
    audio_path: str


class RemoteQueue:
    """The queue as one worker of a node sees it: claims, recordings and roster in one.

    With `long_poll`, a request for a page of an empty queue is answered when a chunk comes. Raises
    DatabaseUnavailable while the coordinator, or its database, is away; KeyRejected, NodeRemoved.
    Safe between threads.
    """

    def __init__(self, membership: Membership, worker: str, *, long_poll: bool) -> None:
        self._membership = membership
        self._ask = membership.ask
        self._rules = ClaimRules(membership.settings.rules.lease_seconds)
        self._lease: dict[str, Any] = {"lease_seconds": self._rules.lease_seconds}
        self._worker = worker
        self._failed_polls = 0 if long_poll else _MAX_FAILED_POLLS
        self._was_empty = False
        self._slots_alive = 1
        self._claimed: dict[ObjectId, _Claimed] = {}  # by claim: a chunk may be claimed anew here
        self._retries_stopped = threading.Event()

    def queue(self) -> Queue:
        """Return it in the form that `Worker` takes."""
        return Queue(claims=self, recordings=self, roster=self, place="coordinator")

    def count_pending(self, order: Order) -> int:
        query = {**_recordings_of(order), **({"model": order.models} if order.models else {})}
        return int(self._ask("GET", "/tasks/count", query=query)["pending"])

    def pending(self, order: Order) -> Pending:
        answer = self._ask("GET", "/tasks/count", query=_recordings_of(order))
        seconds = answer.get("audio_seconds")  # an older coordinator does not say
        return Pending(int(answer["pending"]), None if seconds is None else float(seconds))

    def page(self, limit: int, order: Order) -> Page:
        """Return pending chunks, read only; after an empty page the next request may wait."""
        query = {
            "worker_id": self._worker,
            "limit": limit,
            "newest_first": order.newest_first,
            **_recordings_of(order),
            **({"without_model": order.without_models} if order.without_models else {}),
        }
        if order.recordings:  # no wait: chunks of others may be pending
            return read_answer(_PAGE, self._ask("GET", "/tasks/pending", query=query))
        if self._was_empty and self._failed_polls < _MAX_FAILED_POLLS:
            answer = self._poll(query)
        else:
            answer = self._ask("GET", "/tasks/pending", query=query)
        if answer is None:
            return Page((), is_last=True, next_due_seconds=LONG_POLL_SECONDS)
        page = read_answer(_PAGE, answer)
        self._slots_alive = page.slots_alive
        self._was_empty = not page.chunks
        return page

    def claim(self, chunk: Chunk) -> Claim | None:
        """Claim a chunk (pending → processing); return None if another worker was first."""
        trusted_until = time.monotonic() + self._rules.trusted_seconds
        claim = Claim(ObjectId(), chunk, self._worker, trusted_until)
        request = messages.ClaimRequest(**self._ids_of(claim), **self._lease)
        answer = retry_until_lease_expires(
            lambda: self._ask("POST", "/tasks/claim", body=request), claim, self._retries_stopped
        )
        if answer is None:
            return None
        message = read_answer(TypeAdapter(messages.TasksMessage), answer)
        (task,) = message.tasks
        claim.chunk = task.chunk
        recording = message.options.to_recording(claim.chunk)
        self._claimed[claim.id] = _Claimed(recording, task.audio)
        return claim

    def stop_retrying(self) -> None:
        """End a long poll, and repeat no request for a claim: the worker stops."""
        self._retries_stopped.set()

    def renew(self, claim: Claim) -> None:
        """Start the lease anew. Raises ClaimLost, and DatabaseUnavailable without a retry."""
        asked_at = time.monotonic()
        request = messages.Renewal(**self._ids_of(claim), **self._lease)
        self._ask("POST", "/tasks/renew", body=request)
        claim.trusted_until = asked_at + self._rules.trusted_seconds

    def renew_all(self, claims: Sequence[Claim]) -> list[Claim]:
        """Start the leases anew, in one request; return the claims that are lost."""
        if not claims:
            return []
        first, *others = claims
        asked_at = time.monotonic()
        held = tuple(messages.HeldChunk(chunk_id=c.chunk.id, claim_id=c.id) for c in others)
        request = messages.Renewal(**self._ids_of(first), **self._lease, others=held)
        try:
            answer = self._ask("POST", "/tasks/renew", body=request)
        except ClaimLost:  # an older coordinator, which has renewed none
            return [first, *self._renew_each(others)]
        lost_ids = answer.get("lost")
        if lost_ids is None:  # an older coordinator, which has renewed the first alone
            first.trusted_until = asked_at + self._rules.trusted_seconds
            return self._renew_each(others)
        # A chunk is named, of which we may hold the next claim too.
        lost = self._renew_each([claim for claim in claims if str(claim.chunk.id) in lost_ids])
        for claim in claims:
            if claim not in lost:
                claim.trusted_until = asked_at + self._rules.trusted_seconds
        return lost

    def _renew_each(self, claims: Sequence[Claim]) -> list[Claim]:
        lost = []
        for claim in claims:
            try:
                self.renew(claim)
            except ClaimLost:
                lost.append(claim)
        return lost

    def complete(self, claim: Claim, transcript: Transcript) -> None:
        """Write the result, or raise ClaimLost or DatabaseRefused (processing → transcribed)."""
        try:
            completion = messages.Completion.model_validate(
                {
                    **self._ids_of(claim),
                    "transcript": asdict(transcript),
                    "duration": claim.chunk.duration,
                }
            )
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise DatabaseRefused(f"No coordinator accepts this result: {reason}") from error
        self._end(claim, "/tasks/complete", completion)

    def release(self, claim: Claim, *, isolated: bool = False) -> None:
        """Give the chunk back, from now on `isolated` (processing → pending). Raise ClaimLost."""
        self._end(
            claim, "/tasks/release", messages.Release(**self._ids_of(claim), isolated=isolated)
        )

    def fail(self, claim: Claim, kind: str, message: str, *, server: str | None = None) -> None:
        """Record a failure (processing → pending or failed). Raise ClaimLost, DatabaseRefused."""
        failure = messages.Failure(
            **self._ids_of(claim),
            kind=kind,
            message=message[:_MAX_MESSAGE_LENGTH],
            server=server,
            attempts=claim.chunk.attempts,
        )
        self._end(claim, "/tasks/fail", failure)

    def recover(self) -> list[StaleClaim]:
        """Return nothing: the coordinator recovers stale claims itself."""
        return []

    def recover_orphaned(self) -> list[StaleClaim]:
        """Return nothing: a node that is started again releases what it held before."""
        return []

    def of(self, claim: Claim) -> Recording | None:
        """Return the recording of a claimed chunk, as the claim's answer described it."""
        claimed = self._claimed.get(claim.id)
        return claimed.recording if claimed else None

    def audio(self, claim: Claim) -> bytes:
        """Return a claimed chunk's encoded audio. Raises BadAudio if there is none, ClaimLost."""
        try:
            return self._membership.client.audio(self._audio_path(claim))
        except NotFound as error:
            raise BadAudio(str(error)) from error

    def neighbour_audio(self, claim: Claim, step: Step) -> bytes | None:
        """Return the encoded audio of the chunk before or after a claimed one; None without any."""
        side = "before" if step < 0 else "after"
        with suppress(NotFound, ClaimLost):  # an older coordinator has no such route
            return self._membership.client.audio(f"{self._audio_path(claim)}/{side}")
        return None

    def report(self, worker: str, report: WorkerReport) -> None:
        """Send a heartbeat; its answer brings the node's settings."""
        self._membership.report(messages.ReportMessage(worker_id=worker, **asdict(report)))

    def slots_alive(self) -> int:
        """Return how many calls the fleet makes at once, as of the last page."""
        return self._slots_alive

    def workers_alive(self) -> int:
        """Return `slots_alive`, which is as good for choosing where in a page to begin."""
        return self._slots_alive

    def _end(self, claim: Claim, path: str, body: messages.Held) -> None:
        try:
            retry_until_lease_expires(lambda: self._ask("POST", path, body=body), claim)
        finally:
            self._claimed.pop(claim.id, None)

    def _audio_path(self, claim: Claim) -> str:
        claimed = self._claimed.get(claim.id)
        if claimed is None:
            raise ClaimLost(f"the claim on chunk {claim.chunk.id} has ended")
        return claimed.audio_path

    def _ids_of(self, claim: Claim) -> dict[str, Any]:
        return {"worker_id": self._worker, "chunk_id": claim.chunk.id, "claim_id": claim.id}

    def _poll(self, query: dict[str, Any]) -> Any:
        """Return the answer of a long poll; None once the worker stops.

        Where something in between cuts long polls off, the worker polls every few seconds instead.
        """
        waiting = {**query, "wait": LONG_POLL_SECONDS}
        try:
            answer = self._unless_stopped(
                lambda: self._ask(
                    "GET", "/tasks/pending", query=waiting, more_seconds=LONG_POLL_SECONDS
                )
            )
            self._failed_polls = 0
        except DatabaseUnavailable:
            answer = self._ask("GET", "/tasks/pending", query=query)  # raises if it is away
            self._failed_polls += 1
            if self._failed_polls == _MAX_FAILED_POLLS:
                url = self._membership.client.url
                logger.info("Long polls do not get through to %s: asks every 5 s", url)
        return answer

    def _unless_stopped(self, ask: Callable[[], T]) -> T | None:
        """Return the answer, or None at once when the worker stops; the request then goes on."""
        answer: Future[T] = Future()

        def run() -> None:
            try:
                answer.set_result(ask())
            except BaseException as error:
                answer.set_exception(error)

        threading.Thread(target=run, name="long-poll", daemon=True).start()
        while not wait((answer,), _CHECK_SECONDS).done:
            if self._retries_stopped.is_set():
                return None
        return answer.result()


def _recordings_of(order: Order) -> dict[str, Any]:
    return {"source": list(map(str, order.recordings))} if order.recordings else {}
