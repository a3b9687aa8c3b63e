"""Transcriptions that are requested now and fetched later; kept in memory, for a while.

queued ──▶ processing ──▶ done | failed ──▶ forgotten: after a time, beyond a count, or by DELETE
"""

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from whisper_server.engines.base import Task
from whisper_server.errors import ApiError, ClientGone, ServerFault, UnknownJob
from whisper_server.scheduler_state import Progress
from whisper_server.schemas import JobStatus

ID_BYTES = 16
"""An id is hard to guess: the users of a server may share its key."""

CLOSING_SECONDS = 2.0

logger = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(eq=False)
class Job:
    """One upload and its state; changed in the event loop only."""

    task: Task
    response_format: str
    filename: str | None
    id: str = field(default_factory=lambda: secrets.token_urlsafe(ID_BYTES))
    status: JobStatus = "queued"
    created_at: datetime = field(default_factory=_now)
    started_at: datetime | None = None
    finished_at: datetime | None = None
    seconds_done: float = 0.0
    seconds_total: float | None = None
    instances: tuple[int, ...] = ()
    result: Response | None = None
    error: ApiError | None = None
    was_admitted: bool = False
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once it has a place in the queue, or has failed."""
    forgotten: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once its result is not needed any more: work on it may stop."""

    @property
    def progress(self) -> float:
        """The share that is done, from 0 to 1; 1 only when it is done."""
        if self.status == "done":
            return 1.0
        return min(0.999, self.seconds_done / self.seconds_total) if self.seconds_total else 0.0

    def advance(self, progress: Progress) -> None:
        """Record the progress of its transcription."""
        self.was_admitted = True
        self.settled.set()
        if progress.is_begun and self.started_at is None:
            self.status, self.started_at = "processing", _now()
        self.seconds_done = progress.seconds_done
        self.seconds_total = progress.seconds_total or None
        self.instances = progress.instances


Work = Callable[[Job], Coroutine[Any, Any, Response]]


class Jobs:
    """The jobs of a server. Used from one event loop.

    A finished job is removed after `keep_seconds`, or as the oldest if there are more than
    `keep_count`; the scheduler's queue limits the unfinished ones.
    """

    def __init__(
        self,
        keep_seconds: float,
        keep_count: int,
        on_failure: Callable[[ApiError], object] = lambda error: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keep_seconds = keep_seconds
        self._keep_count = keep_count
        self._on_failure = on_failure
        self._clock = clock
        self._since = _now()
        self._jobs: dict[str, Job] = {}
        self._finished: dict[str, float] = {}
        self._running: dict[asyncio.Task[None], Job] = {}

    def start(self, job: Job, work: Work) -> None:
        """Begin `work`, which raises ApiError only and ends soon once the job is forgotten."""
        self._drop_old()
        self._jobs[job.id] = job
        task = asyncio.create_task(self._run(job, work))
        self._running[task] = job
        task.add_done_callback(self._running.pop)

    async def admitted(self, job: Job) -> None:
        """Return once the job has a place in the queue; else forget it, and raise why not."""
        await job.settled.wait()
        if job.error and not job.was_admitted:
            self._forget(job.id)
            raise job.error

    def find(self, job_id: str) -> Job:
        """Return a job; raises UnknownJob."""
        self._drop_old()
        job = self._jobs.get(job_id)
        if job is None:
            raise UnknownJob(
                f"There is no job '{job_id}'. Jobs are kept in memory: this server has run since "
                f"{self._since:%Y-%m-%d %H:%M:%S} UTC and knows none from before. The last "
                f"{self._keep_count} that ended are kept, for {self._keep_seconds:g} seconds.",
                param="job_id",
            )
        return job

    def newest_first(self) -> Iterator[Job]:
        self._drop_old()
        return reversed(self._jobs.values())

    def counts(self) -> Counter[JobStatus]:
        """Return the number of jobs by status."""
        self._drop_old()
        return Counter(job.status for job in self._jobs.values())

    def remove(self, job_id: str) -> None:
        """Stop it if it is unfinished, and forget it; raises UnknownJob."""
        job = self.find(job_id)
        job.forgotten.set()
        self._forget(job_id)

    async def close(self) -> None:
        """Stop unfinished jobs; return when no upload is open, at most `CLOSING_SECONDS` later."""
        if unfinished := len(self._jobs) - len(self._finished):
            logger.warning("%d unfinished job(s) are lost", unfinished)
        for job in self._running.values():
            job.forgotten.set()
        if self._running:
            await asyncio.wait(self._running, timeout=CLOSING_SECONDS)

    async def _run(self, job: Job, work: Work) -> None:
        try:
            job.result = await work(job)
            job.status = "done"
            job.seconds_done = job.seconds_total or job.seconds_done
        except ClientGone:
            self._forget(job.id)
        except ApiError as error:
            self._fail(job, error)
        except Exception:
            logger.exception("A job failed in an unforeseen way")
            self._fail(job, ServerFault())
        job.settled.set()
        job.finished_at = _now()
        job.started_at = job.started_at or job.finished_at
        if job.id in self._jobs:
            self._finished[job.id] = self._clock()
            self._drop_old()

    def _fail(self, job: Job, error: ApiError) -> None:
        job.status, job.error = "failed", error
        self._on_failure(error)

    def _drop_old(self) -> None:
        """Forget the oldest, which come first: `_finished` is in the order of ending."""
        surplus = len(self._finished) - self._keep_count
        too_old = self._clock() - self._keep_seconds
        for number, (job_id, ended_at) in enumerate(list(self._finished.items())):
            if number >= surplus and ended_at > too_old:
                return
            self._forget(job_id)

    def _forget(self, job_id: str) -> None:
        self._jobs.pop(job_id, None)
        self._finished.pop(job_id, None)
