"""Admission: a bounded queue in front of the pipeline, for the routes, in the event loop."""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from whisper_server.engines.base import Options, Transcription
from whisper_server.errors import ClientGone, RequestTimeout, ShuttingDown, Unavailable
from whisper_server.metrics import Metrics
from whisper_server.pipeline import Pipeline
from whisper_server.presets import EnginePlan
from whisper_server.recording import Recording
from whisper_server.scheduler_state import OnProgress, Progress, SchedulerState
from whisper_server.settings import Settings
from whisper_server.transcription_task import TranscriptionTask

MAX_RETRY_SECONDS = 300
SPEED_AT_FIRST = 10.0
"""The speed assumed for `Retry-After` until it is measured, seconds of audio a second."""


Finish = Callable[[Transcription, float | None], Coroutine[Any, Any, Transcription]]
"""Completes a transcript; given the seconds that are left to its request, None for no limit."""


class Scheduler:
    """Used from one event loop. Start its pipeline once the engines are loaded."""

    def __init__(
        self, pipeline: Pipeline, plan: EnginePlan, settings: Settings, metrics: Metrics
    ) -> None:
        self._pipeline = pipeline
        self._plan = plan
        self._settings = settings
        self._metrics = metrics
        self._turns = asyncio.Semaphore(plan.worker_count)
        self._tasks: set[TranscriptionTask] = set()
        self._admitted = 0
        self._in_work = 0
        self._finishing = 0
        self._closing = asyncio.Event()
        self._cut_short = asyncio.Event()

    def state(self) -> SchedulerState:
        return self._pipeline.state(
            in_work=self._in_work,
            waiting=max(0, self._admitted - self._in_work),
            waiting_audio_seconds=self._waiting_seconds(),
        )

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place in the queue, taken before the upload is read; raises Unavailable."""
        if self._closing.is_set():
            raise ShuttingDown
        if self._admitted >= self._plan.worker_count + self._settings.max_queue:
            raise self._queue_is_full(f"{self._admitted} requests are being transcribed or wait")
        self._require_room_for(0.0)
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1

    async def run(
        self,
        recording: Recording,
        options: Options,
        gone: Coroutine[Any, Any, object],
        on_progress: OnProgress | None = None,
        finish: Finish | None = None,
    ) -> Transcription:
        """Transcribe a recording, in batches shared with the other requests.

        `gone` returns when the client has left: what waits is then dropped, the result of what is
        being decoded is ignored. `on_progress` is called in the event loop. `finish` runs when the
        text is there; the next request has the turn then. When this ends, no thread reads the
        recording any more. Raises what reading and decoding raise, ClientGone,
        RequestTimeout or Unavailable.
        """
        task = TranscriptionTask(
            recording, options, self._pipeline.config(), _in_this_loop(on_progress)
        )
        serving = asyncio.ensure_future(self._serve(task, finish))
        events = [asyncio.ensure_future(gone), asyncio.ensure_future(self._cut_short.wait())]
        try:
            await asyncio.wait([serving, *events], return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                return serving.result()
            if self._cut_short.is_set():
                raise ShuttingDown
            raise ClientGone("the client hung up")
        finally:
            task.result.cancel()
            self._pipeline.drop(task)
            for future in (serving, *events):
                future.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            if task.is_being_read:
                await asyncio.to_thread(task.wait_for_step)
            task.release()

    async def close(self, grace_seconds: float) -> None:
        """Accept no more requests, drop waiting ones, and stop the others after `grace_seconds`."""
        self._closing.set()
        deadline = time.monotonic() + grace_seconds
        while (self._in_work or self._finishing) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        self._cut_short.set()
        self._pipeline.close()

    async def _serve(self, task: TranscriptionTask, finish: Finish | None) -> Transcription:
        try:
            measuring = self._pipeline.measure(task)
        except RuntimeError as error:  # the pipeline is closed
            raise ShuttingDown from error
        await asyncio.wrap_future(measuring)
        self._require_room_for(task.total_seconds)
        self._tasks.add(task)
        task.announce(is_begun=False)
        try:
            async with self._turns:
                if self._closing.is_set():
                    raise ShuttingDown
                self._in_work += 1
                started = time.monotonic()
                try:
                    found = await self._transcribe(task, started)
                finally:
                    self._in_work -= 1
        finally:
            self._tasks.discard(task)
        return await self._finished(found, finish, started) if finish else found

    async def _transcribe(self, task: TranscriptionTask, started: float) -> Transcription:
        task.announce(is_begun=True)
        self._pipeline.begin(task)
        try:
            async with asyncio.timeout(self._seconds_left(started)):
                found = await asyncio.wrap_future(task.result)
        except TimeoutError:
            raise RequestTimeout(
                f"This transcription was given {self._settings.request_timeout:g} seconds"
                " (REQUEST_TIMEOUT) and is not done."
            ) from None
        self._metrics.recording_done(found, time.monotonic() - started)
        return found

    async def _finished(
        self, found: Transcription, finish: Finish, started: float
    ) -> Transcription:
        self._finishing += 1
        try:
            return await finish(found, self._seconds_left(started))
        finally:
            self._finishing -= 1

    def _seconds_left(self, started: float) -> float | None:
        """Return how long a request may still take; None without a limit."""
        limit = self._settings.request_timeout
        return limit + started - time.monotonic() if limit else None

    def _require_room_for(self, seconds: float) -> None:
        """Raise Unavailable, but never when the queue is empty: any length is taken then."""
        waiting = self._waiting_seconds()
        if waiting and waiting + seconds > self._settings.max_queue_seconds:
            raise self._queue_is_full(
                f"{waiting:.0f} seconds of audio are being transcribed or wait"
            )

    def _waiting_seconds(self) -> float:
        return sum(task.remaining_seconds for task in self._tasks)

    def _queue_is_full(self, why: str) -> Unavailable:
        """Return the error, with the average seconds until the next request is done."""
        speed = self._pipeline.speed or SPEED_AT_FIRST
        seconds = self._waiting_seconds() / speed / max(1, len(self._tasks))
        retry_after = min(MAX_RETRY_SECONDS, max(1, math.ceil(seconds)))
        return Unavailable(f"{why}: come back later.", retry_after, code="queue_full")


def _in_this_loop(on_progress: OnProgress | None) -> OnProgress:
    """Return a function to call from any thread, which calls `on_progress` in this loop."""
    loop = asyncio.get_running_loop()

    def report(progress: Progress) -> None:
        if on_progress is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(on_progress, progress)

    return report
