"""Admission: a bounded line in front of the pipeline, for the routes, in the event loop."""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from whisper_server.engines.base import Engine, Options, Samples, Transcription
from whisper_server.errors import ClientGone, RequestTimeout, ShuttingDown, Unavailable
from whisper_server.metrics import Metrics
from whisper_server.pipeline import FindSpeech, Pipeline
from whisper_server.presets import EnginePlan
from whisper_server.recording import Recording
from whisper_server.scheduler_state import Progress, SchedulerState
from whisper_server.transcription_task import TranscriptionTask
from whisper_server.windows import Span

OnProgress = Callable[[Progress], None]

MAX_RETRY_SECONDS = 300
SPEED_AT_FIRST = 10.0
"""What `Retry-After` takes for the speed, in seconds of audio a second, until it is measured."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """`worker_count` requests are in work at once, `max_waiting` more may wait, and no more than
    `max_waiting_seconds` of audio in all; 0 turns the timeout and the unloading off."""

    worker_count: int
    max_waiting: int
    max_waiting_seconds: float = math.inf
    batch_window_seconds: float = 0.0
    request_timeout_seconds: float = 0.0
    idle_unload_seconds: float = 0.0
    sequential: bool = False


class Scheduler:
    """Used from one event loop. `start()` it once the engines are loaded."""

    def __init__(
        self,
        engines: Sequence[Engine],
        plan: EnginePlan,
        limits: Limits,
        metrics: Metrics,
        find_speech: FindSpeech | None = None,
    ) -> None:
        self._limits = limits
        self._metrics = metrics
        self._pipeline = Pipeline(
            engines,
            plan,
            metrics,
            find_speech or _silero,
            sequential=limits.sequential,
            batch_window_seconds=limits.batch_window_seconds,
            idle_unload_seconds=limits.idle_unload_seconds,
        )
        self._turns = asyncio.Semaphore(limits.worker_count)
        self._works: set[TranscriptionTask] = set()
        self._admitted = 0
        self._in_work = 0
        self._closing = asyncio.Event()
        self._cut_short = asyncio.Event()

    def start(self) -> None:
        """Begin to decode."""
        self._pipeline.start()

    @property
    def in_flight(self) -> int:
        """Threads at work, also for a request whose client has left and that is winding down."""
        return self._pipeline.busy

    def state(self) -> SchedulerState:
        return SchedulerState(
            capacity=self._limits.worker_count,
            in_work=self._in_work,
            waiting=max(0, self._admitted - self._in_work),
            waiting_audio_seconds=self._waiting_seconds(),
            queued_windows=self._pipeline.queued_windows,
            batch_fill=self._pipeline.batch_fill,
            speed=self._pipeline.speed,
            instances=self._pipeline.instances(),
        )

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place in the line, taken before the upload is read; raises `Unavailable`."""
        if self._closing.is_set():
            raise ShuttingDown
        if self._admitted >= self._limits.worker_count + self._limits.max_waiting:
            raise self._line_is_full(f"{self._admitted} requests are in work or waiting")
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
        gone: Coroutine[Any, Any, None],
        on_progress: OnProgress | None = None,
    ) -> Transcription:
        """Transcribe a recording, batched with whatever else is asked for.

        `gone` returns when nobody waits any more: what waits is then dropped, what is being
        decoded is forgotten. `on_progress` is called in the event loop. When this ends, no thread
        reads the recording any more. Raises what reading and decoding raise, `ClientGone`,
        `RequestTimeout` or `Unavailable`.
        """
        work = TranscriptionTask(
            recording, options, self._pipeline.manner(), _in_this_loop(on_progress)
        )
        serving = asyncio.ensure_future(self._serve(work))
        watches = [asyncio.ensure_future(gone), asyncio.ensure_future(self._cut_short.wait())]
        try:
            await asyncio.wait([serving, *watches], return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                return serving.result()
            if self._cut_short.is_set():
                raise ShuttingDown
            raise ClientGone("the client hung up")
        finally:
            work.result.cancel()
            self._pipeline.drop(work)
            for future in (serving, *watches):
                future.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            if work.is_read:
                await asyncio.to_thread(work.wait_for_step)
            work.let_go()

    async def close(self, grace_seconds: float) -> None:
        """Take nothing new, give what runs `grace_seconds`, then stop it; what waits is dropped."""
        self._closing.set()
        deadline = time.monotonic() + grace_seconds
        while self._in_work and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        self._cut_short.set()
        self._pipeline.close()

    async def _serve(self, work: TranscriptionTask) -> Transcription:
        try:
            measuring = self._pipeline.measure(work)
        except RuntimeError as error:  # the pipeline is closed
            raise ShuttingDown from error
        await asyncio.wrap_future(measuring)
        self._require_room_for(work.total_seconds)
        self._works.add(work)
        work.announce(is_begun=False)
        try:
            async with self._turns:
                if self._closing.is_set():
                    raise ShuttingDown
                self._in_work += 1
                try:
                    return await self._transcribe(work)
                finally:
                    self._in_work -= 1
        finally:
            self._works.discard(work)

    async def _transcribe(self, work: TranscriptionTask) -> Transcription:
        started = time.monotonic()
        limit = self._limits.request_timeout_seconds
        work.announce(is_begun=True)
        self._pipeline.begin(work)
        try:
            async with asyncio.timeout(limit or None):
                found = await asyncio.wrap_future(work.result)
        except TimeoutError:
            raise RequestTimeout(
                f"This transcription was given {limit:g} seconds (REQUEST_TIMEOUT) and is not done."
            ) from None
        self._metrics.recording_done(found.duration_seconds, time.monotonic() - started)
        return found

    def _require_room_for(self, seconds: float) -> None:
        """Raises `Unavailable`, but never when nobody else is there: any length is taken then."""
        waiting = self._waiting_seconds()
        if waiting and waiting + seconds > self._limits.max_waiting_seconds:
            raise self._line_is_full(f"{waiting:.0f} seconds of audio are in work or waiting")

    def _waiting_seconds(self) -> float:
        return sum(work.remaining_seconds for work in self._works)

    def _line_is_full(self, why: str) -> Unavailable:
        """With the time after which the next of those in the line will be done, on average."""
        speed = self._pipeline.speed or SPEED_AT_FIRST
        seconds = self._waiting_seconds() / speed / max(1, len(self._works))
        retry_after = min(MAX_RETRY_SECONDS, max(1, math.ceil(seconds)))
        return Unavailable(f"{why}: come back later.", retry_after, code="queue_full")


def _in_this_loop(on_progress: OnProgress | None) -> OnProgress:
    """To be called from any thread."""
    loop = asyncio.get_running_loop()

    def report(progress: Progress) -> None:
        if on_progress is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens
                loop.call_soon_threadsafe(on_progress, progress)

    return report


def _silero(samples: Samples, longest_seconds: float) -> list[Span]:
    from whisper_server.engines.silero import find_speech  # slow to import: not before the port

    return find_speech(samples, longest_seconds)
