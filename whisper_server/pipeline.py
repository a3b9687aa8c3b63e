"""The threads that do the work: some prepare recordings, some decode batches of their windows."""

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import numpy as np

from whisper_server.batching import WindowQueue
from whisper_server.engines.base import SAMPLE_RATE, Engine, Samples, WindowResult
from whisper_server.errors import (
    EngineFailed,
    EngineStopped,
    ModelUnavailable,
    OutOfMemory,
    Unavailable,
)
from whisper_server.metrics import Metrics
from whisper_server.model_instance import ModelInstance
from whisper_server.presets import EnginePlan
from whisper_server.scheduler_state import InstanceState
from whisper_server.transcription_task import PreparationConfig, QueuedWindow, TranscriptionTask
from whisper_server.windows import Span, cut_into_pieces, cut_into_windows

FindSpeech = Callable[[Samples, float], list[Span]]
"""Where somebody speaks in a piece, and the longest span there may be, in seconds."""

WINDOWS_AHEAD = 2
"""Windows that are queued or decoded, for each place in a batch: enough that the decoders find the
next ones ready. The recordings that have more to come share them; so many are for each at least."""
PREPARING_THREADS = 8
RELOAD_RETRY_SECONDS = 30
LOOKS_PER_IDLE_PERIOD = 4

logger = logging.getLogger(__name__)


class Pipeline:
    """`begin` a work, wait for its `result`. Thread-safe."""

    def __init__(
        self,
        engines: Sequence[Engine],
        plan: EnginePlan,
        metrics: Metrics,
        find_speech: FindSpeech,
        *,
        sequential: bool,
        batch_window_seconds: float,
        idle_unload_seconds: float,
    ) -> None:
        self._shape = plan.shape
        self._most_at_once = 1 if sequential else plan.shape.batch_size
        self._metrics = metrics
        self._find_speech = find_speech
        self._sequential = sequential
        self._batch_window_seconds = batch_window_seconds
        self._idle_unload_seconds = idle_unload_seconds
        self._instances = [
            ModelInstance(number, engine, device, self._most_at_once)
            for number, (engine, device) in enumerate(zip(engines, plan.devices, strict=True))
        ]
        self._streams = len(self._instances) * plan.shape.streams
        self._queue = WindowQueue(more_is_coming=lambda: self._preparing.value > 0)
        self._pool = ThreadPoolExecutor(PREPARING_THREADS, thread_name_prefix="prepare")
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._unprepared: set[TranscriptionTask] = set()
        self._preparing = _Gauge()
        self._decoding = _Gauge()
        self._fill = _Average()
        self._pace = _Average()

    def start(self) -> None:
        """Begin to decode; the engines are loaded."""
        self._find_speech(np.zeros(SAMPLE_RATE, np.float32), 1.0)  # its model takes a while to load
        for instance in self._instances:
            instance.begin()
            for stream in range(self._shape.streams):
                self._start_thread(partial(self._decode_forever, instance), f"decode-{stream}")
        if self._idle_unload_seconds:
            self._start_thread(self._unload_forever, "unload")

    def close(self) -> None:
        """No batch is begun any more."""
        self._closed.set()
        self._queue.close()
        self._pool.shutdown(wait=False)

    @property
    def busy(self) -> int:
        """Threads at work, also for a request whose client has left and that is winding down."""
        return self._preparing.value + self._decoding.value

    @property
    def queued_windows(self) -> int:
        return len(self._queue)

    @property
    def batch_fill(self) -> float | None:
        """The share of a batch's places that were taken lately; None before the first batch."""
        return self._fill.ratio

    @property
    def speed(self) -> float | None:
        """Seconds of audio that all streams together do in a second, as measured lately."""
        pace = self._pace.ratio
        return None if pace is None else pace * self._streams

    def instances(self) -> tuple[InstanceState, ...]:
        return tuple(instance.state() for instance in self._instances)

    def manner(self) -> PreparationConfig:
        """How this pipeline wants its recordings cut."""
        engine = self._instances[0].engine
        length = engine.window_seconds
        cut = partial(cut_into_windows, window_seconds=length)
        return PreparationConfig(
            cut=cut_into_pieces
            if self._sequential
            else partial(cut, find_speech=lambda samples: self._find_speech(samples, length)),
            cut_everything=cut_into_pieces if self._sequential else partial(cut, find_speech=None),
            features=engine.features,
            batch_key=engine.batch_key,
            ahead=self._ahead,
            sequential=self._sequential,
        )

    def measure(self, work: TranscriptionTask) -> Future[None]:
        """Find out the length of the work's recording; raises RuntimeError when closed."""
        return self._pool.submit(work.measure)

    def begin(self, work: TranscriptionTask) -> None:
        """Take the work on; it is at an end when its `result` is there, or it is dropped."""
        with self._lock:
            self._unprepared.add(work)
        self._go_on(work)

    def drop(self, work: TranscriptionTask) -> None:
        """Forget the windows of a work that nobody waits for any more."""
        self._leave_share(work)
        self._queue.drop(work)

    def _ahead(self) -> int:
        """Of one recording: memory must not grow with the requests times the places."""
        windows = WINDOWS_AHEAD * self._streams * self._most_at_once
        return max(WINDOWS_AHEAD, math.ceil(windows / max(1, len(self._unprepared))))

    def _leave_share(self, work: TranscriptionTask) -> None:
        with self._lock:
            self._unprepared.discard(work)

    def _go_on(self, work: TranscriptionTask) -> None:
        """Have a thread take the work's next step, if there is one to take."""
        if not work.claims_step():
            return
        try:
            self._pool.submit(self._step, work)
        except RuntimeError:  # the pool is shut down: everybody is told so
            work.forgo_step()

    def _start_thread(self, target: Callable[[], None], name: str) -> None:
        threading.Thread(target=target, name=name, daemon=True).start()

    def _step(self, work: TranscriptionTask) -> None:
        with self._preparing:
            started = time.monotonic()
            try:
                ready = work.step()
            except Exception as error:
                work.fail(error)
                ready = []
            self._metrics.stage("prepare", time.monotonic() - started)
            self._queue.push(ready)
        self._queue.wake()  # nothing more may be coming
        if work.is_prepared:
            self._leave_share(work)
        if work.is_over:
            self.drop(work)
        self._go_on(work)

    def _decode_forever(self, instance: ModelInstance) -> None:
        patience = self._batch_window_seconds
        while batch := self._queue.take(lambda: instance.batch_size, patience):
            live = [queued for queued in batch if not queued.work.is_over]
            if live:
                with self._decoding:
                    try:
                        self._decode(instance, live)
                    except Exception as error:  # nobody would miss the thread
                        logger.exception("A decoding thread failed in an unforeseen way")
                        for queued in live:
                            queued.work.fail(EngineFailed(f"the engine failed: {error}"))

    def _decode(self, instance: ModelInstance, batch: list[QueuedWindow]) -> None:
        started = time.monotonic()
        for queued in batch:
            self._metrics.stage("queue", started - queued.queued_at)
        try:
            results = self._results(instance, batch)
        except OutOfMemory as error:
            self._try_again(batch, error, alone=False)
        except ModelUnavailable as error:  # it was unloaded, and cannot be had back
            away = Unavailable(str(error), RELOAD_RETRY_SECONDS, code="model_unavailable")
            for queued in batch:
                queued.work.fail(away)
        except EngineStopped as error:
            for queued in batch:
                queued.work.fail(error)
        except Exception as error:
            self._try_again(batch, error, alone=True)
        else:
            self._account(instance, batch, time.monotonic() - started)
            for queued, result in zip(batch, results, strict=True):
                self._deliver(instance, queued, result)

    def _results(self, instance: ModelInstance, batch: list[QueuedWindow]) -> list[WindowResult]:
        if self._sequential:
            (queued,) = batch
            return [instance.transcribe(queued.input, lambda: queued.work.is_over)]
        return instance.decode([queued.input for queued in batch])

    def _try_again(self, batch: list[QueuedWindow], error: Exception, *, alone: bool) -> None:
        """In smaller batches, or each by itself, so that no recording fails for another's sake."""
        if len(batch) > 1:
            self._queue.push_back([queued.once_more(alone=alone) for queued in batch])
            return
        if not isinstance(error, EngineFailed):
            logger.error("A transcription failed in an unforeseen way", exc_info=error)
            error = EngineFailed(f"the engine failed: {error}")
        batch[0].work.fail(error)

    def _deliver(self, instance: ModelInstance, queued: QueuedWindow, result: WindowResult) -> None:
        try:
            temperature = queued.work.deliver(queued, result, instance.id)
        except Exception as error:
            queued.work.fail(error)
            return
        if temperature is None:
            self._go_on(queued.work)
        else:
            self._queue.push_back([queued.at_temperature(temperature, result)])

    def _account(self, instance: ModelInstance, batch: list[QueuedWindow], seconds: float) -> None:
        audio_seconds = sum(queued.input.seconds for queued in batch)
        self._metrics.batch(len(batch), audio_seconds, seconds)
        with self._lock:
            self._fill.add(len(batch), instance.batch_size)
            self._pace.add(audio_seconds, seconds)

    def _unload_forever(self) -> None:
        while not self._closed.wait(self._idle_unload_seconds / LOOKS_PER_IDLE_PERIOD):
            for instance in self._instances:
                instance.unload_if_idle(self._idle_unload_seconds)


class _Gauge:
    """How many threads are inside of it."""

    def __init__(self) -> None:
        self.value = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self.value += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.value -= 1


class _Average:
    """The ratio of two sums that slowly forget."""

    MEMORY = 0.98

    def __init__(self) -> None:
        self._above = 0.0
        self._below = 0.0

    def add(self, above: float, below: float) -> None:
        self._above = self.MEMORY * self._above + above
        self._below = self.MEMORY * self._below + below

    @property
    def ratio(self) -> float | None:
        return self._above / self._below if self._below else None
