"""One recording in the server: cut, queued window by window, put together again."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field, replace

import numpy as np

from whisper_server import quality
from whisper_server.audio_windows import Window
from whisper_server.engines.base import (
    SAMPLE_RATE,
    Features,
    Options,
    Samples,
    Segment,
    Transcription,
    WindowInput,
    WindowResult,
)
from whisper_server.engines.segments import transcription
from whisper_server.errors import EngineStopped
from whisper_server.recording import Recording
from whisper_server.scheduler_state import OnProgress, Progress

PROMPT_CHARACTERS = 400
"""The text passed from a piece to the next in sequential decoding: more than 223 tokens hold."""

_NO_SAMPLES: Samples = np.zeros(0, np.float32)

Cut = Callable[[Iterable[Samples], bool], Generator[list[Window], None, None]]
"""Cuts blocks into lists of windows; the flag is whether to leave out what is no speech."""


@dataclass(frozen=True, eq=False)
class QueuedWindow:
    """A window of a recording that waits to be decoded or is being decoded.

    Those of one `key` may share a batch; `alone` ones share none: they failed in one, or failed
    the quality checks (`attempts`).
    """

    task: "TranscriptionTask"
    position: int
    window: Window
    input: WindowInput
    key: Hashable
    attempts: tuple[WindowResult, ...] = ()
    alone: bool = False
    queued_at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class PreparationConfig:
    """How recordings are cut and prepared: the same for all.

    At most `ahead()` windows of one recording are queued or decoded at a time, so that memory
    does not grow with its length; one alone while its language is unknown, or when `sequential`.
    """

    cut: Cut
    features: Callable[[Samples], Features]
    batch_key: Callable[[WindowInput], Hashable]
    ahead: Callable[[], int]
    sequential: bool


class TranscriptionTask:
    """One recording's transcription. Thread-safe.

    `result` is set in the end, or fails, or is cancelled. After each change call `begin_step`; if
    it returns true, run `step` in a preparing thread: at most one step of a task runs at a time.
    """

    def __init__(
        self, recording: Recording, options: Options, config: PreparationConfig, report: OnProgress
    ) -> None:
        self.result: Future[Transcription] = Future()
        self.total_seconds = 0.0
        self._recording = recording
        self._options = options
        self._config = config
        self._report = report
        self._ladder = quality.ladder_of(options)
        self._pieces = config.cut(self._blocks(), options.vad_filter)
        self._lock = threading.Lock()
        self._no_step_runs = threading.Event()
        self._no_step_runs.set()
        self._samples_read = 0
        self._backlog: deque[Window] = deque()
        self._all_cut = False
        self._next_position = 0
        self._outstanding = 0
        self._decoded: dict[int, tuple[Window, WindowResult]] = {}
        self._segments: list[Segment] = []
        self._reported = 0
        self._seconds_done = 0.0
        self._detected: WindowResult | None = None
        self._instances: set[int] = set()

    @property
    def is_over(self) -> bool:
        return self.result.done()

    @property
    def remaining_seconds(self) -> float:
        """Audio still to be transcribed, as far as its length is known."""
        return 0.0 if self.is_over else max(0.0, self.total_seconds - self._seconds_done)

    @property
    def is_prepared(self) -> bool:
        """True once all of its windows have been queued."""
        return self._all_cut and not self._backlog

    @property
    def is_being_read(self) -> bool:
        """True while a thread reads the recording, or is about to: its files must stay open."""
        return not self._no_step_runs.is_set()

    def measure(self) -> None:
        """Set `total_seconds`; raises what reading the recording raises."""
        self._no_step_runs.clear()
        try:
            if not self.is_over:  # else the files may be closed already
                self.total_seconds = self._recording.measure()
        finally:
            self._no_step_runs.set()

    def announce(self, *, is_begun: bool) -> None:
        """Report that it is in the queue, or that its turn has come."""
        self._report(Progress(0.0, self.total_seconds, (), (), is_begun))

    def begin_step(self) -> bool:
        """Return whether there is something to prepare; if so, the caller must run `step`."""
        with self._lock:
            if self.is_over or self.is_being_read or self.is_prepared or self._free_places() <= 0:
                return False
            self._no_step_runs.clear()
            return True

    def step(self) -> list[QueuedWindow]:
        """Read and cut a piece when no window is left over, and prepare what there is room for.

        Raises what reading raises, InvalidAudio or TooLarge.
        """
        try:
            if self.is_over:
                return []
            if not self._backlog:
                windows = next(self._pieces, None)
                with self._lock:
                    self._all_cut = windows is None
                    self._backlog.extend(windows or ())
            ready = [self._queued(position, window) for position, window in self._next_windows()]
        finally:
            self.end_step()
        self._finish_if_done()
        return ready

    def end_step(self) -> None:
        """Record that the step that was begun has ended or will not run."""
        with self._lock:  # another thread may begin the next step at once
            self._no_step_runs.set()

    def wait_for_step(self) -> None:
        """Wait until no thread reads the recording any more."""
        self._no_step_runs.wait()

    def release(self) -> None:
        """Free memory now, not at the next garbage collection; the task is over."""
        self._pieces.close()
        with self._lock:
            self._backlog.clear()
            self._decoded.clear()

    def deliver(
        self, queued: QueuedWindow, result: WindowResult, instance: int
    ) -> QueuedWindow | None:
        """Take a window's result; return the window for another attempt if `result` is too bad."""
        attempts = (*queued.attempts, result)
        if not self._config.sequential:
            temperature = quality.next_temperature(attempts, self._ladder)
            if temperature is not None:
                changed = replace(queued.input, temperature=temperature)
                return replace(queued, input=changed, attempts=attempts, alone=True)
            result = quality.best_of(attempts)
        with self._lock:
            self._outstanding -= 1
            self._instances.add(instance)
            self._decoded[queued.position] = (queued.window, result)
            self._put_in_order()
        self._finish_if_done()
        return None

    def fail(self, error: Exception) -> None:
        with contextlib.suppress(InvalidStateError):  # it is over already
            self.result.set_exception(error)

    def _free_places(self) -> int:
        """Return how many windows may be queued now: less than 0 when `ahead` has shrunk."""
        one = self._language() is None or self._config.sequential
        places = 1 if one else self._config.ahead()
        return places - self._outstanding

    def _language(self) -> str | None:
        """Return the given language, else that of the first window with speech."""
        detected = self._detected
        return self._options.language or (
            detected.language if detected and detected.segments else None
        )

    def _blocks(self) -> Iterator[Samples]:
        for block in self._recording.blocks():
            if self.is_over:
                raise EngineStopped("the rest of the recording is not needed any more")
            self._samples_read += len(block)
            yield block

    def _next_windows(self) -> list[tuple[int, Window]]:
        with self._lock:
            count = min(len(self._backlog), max(0, self._free_places()))
            taken = [self._backlog.popleft() for _ in range(count)]
            first = self._next_position
            self._next_position += count
            self._outstanding += count
        return list(enumerate(taken, first))

    def _queued(self, position: int, window: Window) -> QueuedWindow:
        with self._lock:  # the options, with the language once it is known
            options = replace(self._options, language=self._language())
            if self._config.sequential and self._segments:
                text = "".join(segment.text for segment in self._segments[-20:])
                options = replace(options, prompt=text[-PROMPT_CHARACTERS:])
        if self._config.sequential:
            features = window.samples  # the engine makes its own features of a whole piece
        else:
            features = self._config.features(window.samples)
            window = replace(window, samples=_NO_SAMPLES)  # times need its spans alone
        entry = WindowInput(features, window.seconds, options, self._ladder[0])
        key = None if self._config.sequential else self._config.batch_key(entry)
        return QueuedWindow(self, position, window, entry, key)

    def _put_in_order(self) -> None:
        """Report what has become ready without a gap; the caller holds the lock."""
        fresh: list[Segment] = []
        before = self._seconds_done
        while self._reported in self._decoded:
            window, result = self._decoded.pop(self._reported)
            self._reported += 1
            fresh += [window.placed(segment) for segment in result.segments]
            if self._detected is None or (result.segments and not self._detected.segments):
                self._detected = result
            self._seconds_done = window.spans[-1].end / SAMPLE_RATE
        self._segments += fresh
        if self._seconds_done != before:
            total = max(self.total_seconds, self._seconds_done)
            instances = tuple(sorted(self._instances))
            self._report(Progress(self._seconds_done, total, tuple(fresh), instances))

    def _finish_if_done(self) -> None:
        with self._lock:
            if not self.is_prepared or self._outstanding or self.is_being_read:
                return
            seconds = self._samples_read / SAMPLE_RATE
            found = transcription(self._options.language, self._detected, seconds, self._segments)
        with contextlib.suppress(InvalidStateError):  # it was cancelled
            self.result.set_result(found)
