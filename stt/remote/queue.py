"""The claim protocol through a coordinator: the HTTP twin of MongoClaims, Sources and Fleet.

Every transition names the claim's id, which is made here, and the coordinator does it at the
database with the same fence. So a request may be sent again whenever its answer did not come: it
does nothing twice, and finds the traces of what an earlier one has done. A result that is finished
is offered again for as long as its claim can be trusted, whatever restarts meanwhile.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from bson import ObjectId
from pydantic import ValidationError

from stt.domain.backoff import retry_until_lease_expires
from stt.domain.chunk import Chunk, Recording
from stt.domain.claim import Claim, ClaimRules, Order, Page, Queue, StaleClaim, WorkerReport
from stt.domain.transcript import Transcript
from stt.errors import (
    BadAudio,
    ClaimLost,
    DatabaseRefused,
    DatabaseUnavailable,
    KeyRejected,
    NotFound,
)
from stt.remote.client import CoordinatorClient
from stt.remote.messages import (
    ClaimRequest,
    Completion,
    Failure,
    Held,
    NodeSettings,
    PageMessage,
    Release,
    ReportMessage,
    TasksMessage,
    TranscriptMessage,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")

LONG_POLL_SECONDS = 25.0
_MAX_ANSWER_SECONDS = 20.0
_MIN_ANSWER_SECONDS = 1.0
_FAILED_POLLS = 2
_WATCH_SECONDS = 0.05
_MAX_MESSAGE = 2_000


class RemoteQueue:
    """The queue as one worker of a node sees it; `settings` as the coordinator told them last.

    With `long_poll` a look at an empty queue waits there until a chunk comes. Raises
    DatabaseUnavailable while the coordinator, or its database, is away; KeyRejected, NodeRemoved.
    Safe between threads.
    """

    def __init__(
        self, link: CoordinatorClient, node: NodeSettings, worker: str, *, long_poll: bool
    ) -> None:
        self.settings = node
        self.rejection: KeyRejected | None = None
        """Set once the coordinator has refused the key, or has removed the node."""
        rules = node.rules
        # What hangs must not outlast the claims that it is about.
        self._answer_seconds = min(
            _MAX_ANSWER_SECONDS, max(_MIN_ANSWER_SECONDS, rules.lease_seconds / 4)
        )
        self._rules = ClaimRules.of(rules)
        self._link = link
        self._worker = worker
        self._long_polls = long_poll
        self._failed_polls = 0
        self._was_empty = False
        self._slots_alive = 1
        self._recordings: dict[ObjectId, Recording | None] = {}  # by claim
        self._paths: dict[ObjectId, str] = {}  # of the audio, by chunk
        self._retries_stopped = threading.Event()

    def queue(self) -> Queue:
        """As `Worker` takes it."""
        return Queue(claims=self, recordings=self, roster=self, place="coordinator")

    def count_pending(self, order: Order) -> int:
        return int(self._ask("GET", "/tasks/count", query=_recordings_of(order))["pending"])

    def page(self, limit: int, order: Order) -> Page:
        """Pending chunks, read only; after an empty look the next one waits for some to come."""
        query = {
            "worker_id": self._worker,
            "limit": limit,
            "newest_first": order.newest_first,
            **_recordings_of(order),
        }
        if self._long_polls and self._was_empty:
            answer = self._poll(query)
        else:
            answer = self._ask("GET", "/tasks/pending", query=query)
        if answer is None:
            return Page((), is_last=True, next_due_seconds=LONG_POLL_SECONDS)
        told = _read(PageMessage, answer)
        self._slots_alive = told.slots_alive
        self._was_empty = not told.chunks
        return told.to_page()

    def claim(self, chunk: Chunk) -> Claim | None:
        """pending → processing; None if another worker was first."""
        asked_at = time.monotonic()
        trusted_until = asked_at + self._rules.trusted_seconds
        claim = Claim(ObjectId(), chunk, self._worker, trusted_until)
        wish = ClaimRequest(worker_id=self._worker, chunk_id=str(chunk.id), claim_id=str(claim.id))
        answer = retry_until_lease_expires(
            lambda: self._ask("POST", "/tasks/claim", body=wish), claim, self._retries_stopped
        )
        if answer is None:
            return None
        told = _read(TasksMessage, answer)
        (task,) = told.tasks
        claim.chunk = task.chunk.to_chunk()
        self._recordings[claim.chunk.id] = told.options.to_recording(claim.chunk)
        self._paths[claim.chunk.id] = task.audio
        return claim

    def stop_retrying(self) -> None:
        """The worker stops: nothing new is waited for, nor asked for again."""
        self._retries_stopped.set()

    def renew(self, claim: Claim) -> None:
        """Starts the lease anew. Raises ClaimLost, and DatabaseUnavailable without asking again."""
        asked_at = time.monotonic()
        self._ask("POST", "/tasks/renew", body=Held(**self._held(claim)))
        claim.trusted_until = asked_at + self._rules.trusted_seconds

    def complete(self, claim: Claim, transcript: Transcript) -> None:
        """processing → transcribed. Raises ClaimLost, DatabaseRefused; then nothing is written."""
        try:
            completion = Completion(
                **self._held(claim),
                transcript=TranscriptMessage.model_validate(transcript),
                duration=claim.chunk.duration,
            )
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise DatabaseRefused(
                f"The result is none that a coordinator takes: {reason}"
            ) from error
        self._end(claim, "/tasks/complete", completion)

    def release(self, claim: Claim, *, isolated: bool = False) -> None:
        """processing → pending, nobody's fault; from now on alone if `solo`. Raises ClaimLost."""
        self._end(claim, "/tasks/release", Release(**self._held(claim), isolated=isolated))

    def fail(self, claim: Claim, kind: str, message: str, *, server: str | None = None) -> None:
        """processing → pending after a rest, or → failed. Raises ClaimLost, DatabaseRefused."""
        failure = Failure(
            **self._held(claim),
            kind=kind,
            message=message[:_MAX_MESSAGE],
            server=server,
            attempts=claim.chunk.attempts,
        )
        self._end(claim, "/tasks/fail", failure)

    def recover(self) -> list[StaleClaim]:
        """Nothing: the coordinator frees stale claims itself."""
        return []

    def of(self, chunk: Chunk) -> Recording | None:
        """What the claim's answer said of the recording."""
        return self._recordings.get(chunk.id)

    def audio(self, chunk: Chunk) -> bytes:
        """The encoded audio of a claimed chunk. Raises BadAudio if there is none, ClaimLost."""
        try:
            return self._link.audio(self._paths[chunk.id])
        except NotFound as error:
            raise BadAudio(str(error)) from error

    def report(self, worker: str, report: WorkerReport) -> None:
        """The heartbeat; its answer brings the node's settings."""
        path = f"/api/nodes/{self.settings.id}/heartbeat"
        self.settings = _read(
            NodeSettings, self._ask("POST", path, body=ReportMessage.of(worker, report))
        )

    def slots_alive(self) -> int:
        """As the last page told."""
        return self._slots_alive

    def _end(self, claim: Claim, path: str, body: Held) -> None:
        try:
            retry_until_lease_expires(lambda: self._ask("POST", path, body=body), claim)
        except ClaimLost:
            self._forget(claim)
            raise
        self._forget(claim)

    def _forget(self, claim: Claim) -> None:
        self._recordings.pop(claim.chunk.id, None)
        self._paths.pop(claim.chunk.id, None)

    def _held(self, claim: Claim) -> dict[str, str]:
        ids = {"chunk_id": str(claim.chunk.id), "claim_id": str(claim.id)}
        return {"worker_id": self._worker, **ids}

    def _ask(self, method: str, path: str, *, more_seconds: float = 0.0, **what: Any) -> Any:
        seconds = self._answer_seconds + more_seconds
        try:
            return self._link.ask(method, path, timeout_seconds=seconds, **what)
        except KeyRejected as error:  # for good, whichever thread has heard it
            self.rejection = error
            raise

    def _poll(self, query: dict[str, Any]) -> Any:
        """The answer of a long poll; None once the worker stops retrying.

        Where something in between cuts long polls off, the worker asks every few seconds instead.
        """
        waiting = {**query, "wait": LONG_POLL_SECONDS}
        try:
            answer = self._unless_stopped(
                lambda: self._ask(
                    "GET", "/tasks/pending", query=waiting, more_seconds=LONG_POLL_SECONDS
                )
            )
        except DatabaseUnavailable:
            answer = self._ask("GET", "/tasks/pending", query=query)  # raises if it is away
            self._failed_polls += 1
            if self._failed_polls >= _FAILED_POLLS:
                self._long_polls = False
                logger.info("Long polls do not get through to %s: asks every 5 s", self._link.url)
            return answer
        self._failed_polls = 0
        return answer

    def _unless_stopped(self, ask: Callable[[], T]) -> T | None:
        """The answer, or None at once when the worker stops: nobody waits for a request then."""
        answers: list[T] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                answers.append(ask())
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=run, name="long-poll", daemon=True)
        thread.start()
        while thread.is_alive():
            if self._retries_stopped.is_set():
                return None
            thread.join(_WATCH_SECONDS)
        if errors:
            raise errors[0]
        return answers[0]


def _recordings_of(order: Order) -> dict[str, Any]:
    return (
        {"source": [str(recording) for recording in order.recordings]} if order.recordings else {}
    )


W = TypeVar("W", PageMessage, TasksMessage, NodeSettings)


def _read(form: type[W], answer: Any) -> W:
    """Raises DatabaseUnavailable for an answer of another form: something in between gave it."""
    try:
        return form.model_validate(answer)
    except ValidationError as error:
        raise DatabaseUnavailable("The coordinator's answer cannot be read") from error
