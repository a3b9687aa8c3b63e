"""The threads that prepare recordings, and those that decode batches of their windows."""

import logging
import math
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np

from whisper_server import errors
from whisper_server.audio_windows import FindSpeech, Window, cut_into_pieces, cut_into_windows
from whisper_server.batching import WindowQueue
from whisper_server.engines.base import (
    SAMPLE_RATE,
    EncodedWindow,
    Engine,
    Samples,
    Transcription,
    WindowResult,
)
from whisper_server.load_measures import Average, Gauge
from whisper_server.map_ahead import map_ahead
from whisper_server.metrics import Metrics
from whisper_server.model_instance import ModelInstance
from whisper_server.presets import EnginePlan
from whisper_server.queued_window import ENCODING, PreparationConfig, QueuedWindow
from whisper_server.scheduler_state import SchedulerState
from whisper_server.settings import Settings
from whisper_server.transcription_task import TranscriptionTask

WINDOWS_AHEAD = 2
"""Windows that are queued or decoded, for each place in a batch: enough that the decoders find the
next ones ready. The recordings that have more to come share them; so many are for each at least."""
PREPARING_THREADS = 8
PIECES_AHEAD = 3
"""Pieces of which the speech is found ahead, where a card decodes; recordings share them."""
RELOAD_RETRY_SECONDS = 30
CHECKS_PER_IDLE_PERIOD = 4

logger = logging.getLogger(__name__)


class Pipeline:
    """`begin` a task, wait for its `result`. Thread-safe."""

    def __init__(
        self,
        engines: Sequence[Engine],
        plan: EnginePlan,
        settings: Settings,
        metrics: Metrics,
        find_speech: FindSpeech,
    ) -> None:
        self._plan = plan
        self._sequential = settings.decoding == "sequential"
        self._max_batch = 1 if self._sequential else plan.shape.batch_size
        self._metrics = metrics
        self._find_speech = find_speech
        self._settings = settings
        self._instances = [
            ModelInstance(number, engine, device, self._max_batch)
            for number, (engine, device) in enumerate(zip(engines, plan.devices, strict=True))
        ]
        self._streams = len(self._instances) * plan.shape.streams
        self._queue = WindowQueue(more_is_coming=lambda: self._preparing.value > 0)
        self._pool = ThreadPoolExecutor(PREPARING_THREADS, thread_name_prefix="prepare")
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._unprepared: set[TranscriptionTask] = set()
        self._preparing = Gauge()
        self._decoding = Gauge()
        self._fill = Average()
        self._pace = Average()

    def start(self) -> None:
        """Begin to decode; the engines are loaded."""
        self._find_speech(np.zeros(SAMPLE_RATE, np.float32), 1.0)  # its model takes a while to load
        for instance in self._instances:
            instance.begin()
            for stream in range(self._plan.shape.streams):
                self._start_thread(partial(self._decode_forever, instance), f"decode-{stream}")
        if self._settings.idle_unload_seconds:
            self._start_thread(self._unload_forever, "unload")

    def close(self) -> None:
        """Start no more batches."""
        self._closed.set()
        self._queue.close()
        self._pool.shutdown(wait=False)

    @property
    def busy(self) -> int:
        """Threads at work, also for a request whose client has left and that is winding down."""
        return self._preparing.value + self._decoding.value

    @property
    def speed(self) -> float | None:
        """Seconds of audio that all streams together do in a second, as measured lately."""
        pace = self._pace.ratio
        return None if pace is None else pace * self._streams

    def state(self, in_work: int, waiting: int, waiting_audio_seconds: float) -> SchedulerState:
        """Return the state of the scheduler with these requests."""
        return SchedulerState(
            capacity=self._plan.worker_count,
            in_work=in_work,
            waiting=waiting,
            waiting_audio_seconds=waiting_audio_seconds,
            queued_windows=len(self._queue),
            batch_fill=self._fill.ratio,
            speed=self.speed,
            instances=tuple(instance.state() for instance in self._instances),
        )

    def config(self) -> PreparationConfig:
        """Return how recordings are cut and prepared for this pipeline."""
        engine = self._instances[0].engine
        return PreparationConfig(
            self._cut,
            engine.features,
            engine.batch_key,
            self._ahead,
            self._sequential,
            engine.can_translate(),
        )

    def measure(self, task: TranscriptionTask) -> Future[None]:
        """Determine the length of the task's recording; raises RuntimeError when closed."""
        return self._pool.submit(task.measure)

    def begin(self, task: TranscriptionTask) -> None:
        """Work on the task until its `result` is set or it is dropped."""
        with self._lock:
            self._unprepared.add(task)
        self._prepare(task)

    def drop(self, task: TranscriptionTask) -> None:
        """Remove the windows of a task."""
        self._leave_share(task)
        self._queue.drop(task)

    def _cut(
        self, blocks: Iterable[Samples], vad_filter: bool
    ) -> Generator[list[Window], None, None]:
        if self._sequential:
            return cut_into_pieces(blocks)
        find_speech = self._find_speech if vad_filter else None
        ahead = partial(map_ahead, self._pool, self._pieces_ahead)
        seconds = self._instances[0].engine.window_seconds
        return cut_into_windows(blocks, seconds, find_speech, ahead)

    def _pieces_ahead(self) -> int:
        """Return a recording's share: none where it would take cores from the decoding."""
        if self._instances[0].engine.decodes_on_cpu:
            return 0
        return PIECES_AHEAD // max(1, len(self._unprepared))

    def _ahead(self) -> int:
        """Return a recording's share of windows: memory must not grow with all requests."""
        windows = WINDOWS_AHEAD * self._streams * self._max_batch
        return max(WINDOWS_AHEAD, math.ceil(windows / max(1, len(self._unprepared))))

    def _leave_share(self, task: TranscriptionTask) -> None:
        with self._lock:
            self._unprepared.discard(task)

    def _prepare(self, task: TranscriptionTask) -> None:
        """Let a thread run the task's next step, if there is one."""
        if not task.begin_step():
            return
        try:
            self._pool.submit(self._step, task)
        except RuntimeError:  # the pool is shut down, and so every request fails
            task.end_step()

    def _start_thread(self, target: Callable[[], None], name: str) -> None:
        threading.Thread(target=target, name=name, daemon=True).start()

    def _step(self, task: TranscriptionTask) -> None:
        with self._preparing:
            started = time.monotonic()
            try:
                ready = task.step()
            except Exception as error:
                task.fail(error)
                ready = []
            self._metrics.stage("prepare", time.monotonic() - started)
            self._queue.push(ready)
        self._queue.wake()  # nothing more may be coming
        if task.is_prepared:
            self._leave_share(task)
        if task.is_over:
            self.drop(task)
        self._prepare(task)

    def _decode_forever(self, instance: ModelInstance) -> None:
        timeout = self._settings.batch_window_ms / 1000
        while batch := self._queue.take(lambda: instance.batch_size, timeout):
            live = [queued for queued in batch if not queued.task.is_over]
            if live:
                with self._decoding:
                    try:
                        self._decode(instance, live)
                    except Exception as error:  # the thread must continue
                        logger.exception("A decoding thread failed in an unforeseen way")
                        _fail(live, errors.EngineFailed(f"the engine failed: {error}"))

    def _decode(self, instance: ModelInstance, batch: list[QueuedWindow]) -> None:
        started = time.monotonic()
        for queued in batch:
            self._metrics.stage("queue", started - queued.queued_at)
        inputs = [queued.input for queued in batch]
        results: Sequence[EncodedWindow | WindowResult | Transcription]
        try:
            if self._sequential:
                (queued,) = batch
                results = [instance.transcribe(queued.input, lambda: queued.task.is_over)]
            elif batch[0].key == ENCODING:
                results = instance.encode(inputs)
            else:
                results = instance.decode(inputs)
        except errors.OutOfMemory as error:
            self._requeue(batch, error, alone=False)
        except errors.ModelUnavailable as error:  # it was unloaded, and cannot be loaded again
            _fail(
                batch,
                errors.Unavailable(str(error), RELOAD_RETRY_SECONDS, code="model_unavailable"),
            )
        except errors.EngineStopped as error:
            _fail(batch, error)
        except Exception as error:
            self._requeue(batch, error, alone=True)
        else:
            self._account(instance, batch, time.monotonic() - started)
            for queued, result in zip(batch, results, strict=True):
                self._deliver(instance, queued, result)

    def _requeue(self, batch: list[QueuedWindow], error: Exception, *, alone: bool) -> None:
        """Try again in smaller batches, or each alone, so that no recording fails for another."""
        if len(batch) > 1:
            self._queue.push_back(
                [replace(queued, alone=queued.alone or alone) for queued in batch]
            )
            return
        if not isinstance(error, errors.EngineFailed):
            logger.error("A transcription failed in an unforeseen way", exc_info=error)
            error = errors.EngineFailed(f"the engine failed: {error}")
        _fail(batch, error)

    def _deliver(
        self,
        instance: ModelInstance,
        queued: QueuedWindow,
        result: EncodedWindow | WindowResult | Transcription,
    ) -> None:
        task = queued.task
        again = None
        try:
            if isinstance(result, EncodedWindow):
                task.take_encoded(queued, result)
            elif isinstance(result, Transcription):
                task.take_piece(queued, result, instance.id)
            else:
                again = task.take_decoded(queued, result, instance.id)
        except Exception as error:
            task.fail(error)
            return
        if again:
            self._queue.push_back([again])
        else:
            self._prepare(task)

    def _account(self, instance: ModelInstance, batch: list[QueuedWindow], seconds: float) -> None:
        """Count a batch; windows that were encoded alone count when they are decoded."""
        if batch[0].key == ENCODING:
            self._metrics.stage("encode", seconds)
            with self._lock:
                self._pace.add(0.0, seconds)
            return
        audio_seconds = sum(queued.input.seconds for queued in batch)
        self._metrics.batch(len(batch), audio_seconds, seconds)
        with self._lock:
            self._fill.add(len(batch), instance.batch_size)
            self._pace.add(audio_seconds, seconds)

    def _unload_forever(self) -> None:
        idle_seconds = self._settings.idle_unload_seconds
        while not self._closed.wait(idle_seconds / CHECKS_PER_IDLE_PERIOD):
            for instance in self._instances:
                instance.unload_if_idle(idle_seconds)


def _fail(batch: Sequence[QueuedWindow], error: Exception) -> None:
    for queued in batch:
        queued.task.fail(error)
