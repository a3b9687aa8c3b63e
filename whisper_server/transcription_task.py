"""One recording on its way through the server: cut, queued window by window, put together again."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field, replace

import numpy as np

from whisper_server import quality
from whisper_server.engines.base import (
    DEFAULT_LANGUAGE,
    SAMPLE_RATE,
    Features,
    Options,
    Samples,
    Segment,
    Transcription,
    WindowInput,
    WindowResult,
)
from whisper_server.engines.segments import top_languages
from whisper_server.errors import EngineStopped
from whisper_server.recording import Recording
from whisper_server.scheduler_state import Progress
from whisper_server.windows import Window

PROMPT_CHARACTERS = 400
"""What sequential decoding hands from a piece to the next: more than Whisper's 223 tokens hold."""

_NO_SAMPLES: Samples = np.zeros(0, np.float32)

Cut = Callable[[Iterable[Samples]], Generator[list[Window], None, None]]
Report = Callable[[Progress], None]


@dataclass(frozen=True, eq=False)
class QueuedWindow:
    """A window of a recording that waits to be decoded, or is.

    Those of one `key` may share a batch; `alone` ones share none: they failed in one, or failed
    the quality checks (`attempts`).
    """

    work: "TranscriptionTask"
    position: int
    window: Window
    input: WindowInput
    key: Hashable
    attempts: tuple[WindowResult, ...] = ()
    alone: bool = False
    queued_at: float = field(default_factory=time.monotonic)

    def once_more(self, *, alone: bool) -> "QueuedWindow":
        """After the batch failed that it was in."""
        return replace(self, alone=self.alone or alone)

    def at_temperature(self, temperature: float, result: WindowResult) -> "QueuedWindow":
        """For another attempt, after `result` failed the checks."""
        changed = replace(self.input, temperature=temperature)
        return replace(self, input=changed, attempts=(*self.attempts, result), alone=True)


@dataclass(frozen=True)
class PreparationConfig:
    """How recordings are worked on: the same for all.

    At most `ahead()` windows of one recording are queued or decoded at a time, so that memory
    does not grow with its length; one alone while its language is unknown, or when `sequential`.
    """

    cut: Cut
    cut_everything: Cut
    features: Callable[[Samples], Features]
    batch_key: Callable[[WindowInput], Hashable]
    ahead: Callable[[], int]
    sequential: bool


class TranscriptionTask:
    """Thread-safe. `result` is set in the end, or fails, or is cancelled.

    Whoever changes something asks `claims_step()` then, and if so, runs `step()` in a thread of
    the preparing pool: at most one step of a recording runs at a time.
    """

    def __init__(
        self, recording: Recording, options: Options, manner: PreparationConfig, report: Report
    ) -> None:
        self.result: Future[Transcription] = Future()
        self.total_seconds = 0.0
        self._recording = recording
        self._options = options
        self._manner = manner
        self._report = report
        self._ladder = quality.ladder_of(options)
        cut = manner.cut if options.vad_filter else manner.cut_everything
        self._pieces = cut(self._counted())
        self._lock = threading.Lock()
        self._stepping = False
        self._no_step_runs = threading.Event()
        self._no_step_runs.set()
        self._samples_read = 0
        self._backlog: deque[Window] = deque()
        self._all_cut = False
        self._next_position = 0
        self._outstanding = 0
        self._heard: dict[int, tuple[Window, WindowResult]] = {}
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

    def measure(self) -> None:
        """Find out how long the recording is; raises what reading it raises."""
        self._no_step_runs.clear()
        try:
            if not self.is_over:  # else the files may be closed already
                self.total_seconds = self._recording.measure()
        finally:
            self._no_step_runs.set()

    def announce(self, *, is_begun: bool) -> None:
        """Report that it is in the line, or that its turn has come."""
        self._report(Progress(0.0, self.total_seconds, (), (), is_begun))

    def claims_step(self) -> bool:
        """Whether there is something to prepare; a yes obliges the asker to run `step()`."""
        with self._lock:
            if self.is_over or self._stepping or not self._has_room():
                return False
            if self.is_prepared:
                return False
            self._stepping = True
            self._no_step_runs.clear()
            return True

    def step(self) -> list[QueuedWindow]:
        """Read and cut a piece when no window is left over, and prepare what there is room for.

        Raises what reading raises, `InvalidAudio` or `TooLarge`.
        """
        try:
            if self.is_over:
                return []
            if not self._backlog:
                self._cut_a_piece()
            ready = [self._queued(window) for window in self._windows_to_prepare()]
        finally:
            self.forgo_step()
        self._finish_if_done()
        return ready

    def forgo_step(self) -> None:
        """What was claimed is over, or will not run."""
        with self._lock:  # for both: another thread may claim the next step at once
            self._stepping = False
            self._no_step_runs.set()

    @property
    def is_read(self) -> bool:
        """Whether a thread reads the recording, or is about to: its files must stay open."""
        return not self._no_step_runs.is_set()

    def wait_for_step(self) -> None:
        """Until no thread reads the recording any more."""
        self._no_step_runs.wait()

    def let_go(self) -> None:
        """Free what it holds now: it is over, and waits for the garbage to be collected."""
        self._pieces.close()
        with self._lock:
            self._backlog.clear()
            self._heard.clear()

    def deliver(self, queued: QueuedWindow, result: WindowResult, instance: int) -> float | None:
        """Take a window's result; the temperature at which to try again, if it must be."""
        attempts = (*queued.attempts, result)
        if not self._manner.sequential:
            temperature = quality.next_temperature(attempts, self._ladder)
            if temperature is not None:
                return temperature
            result = quality.best_of(attempts)
        with self._lock:
            self._outstanding -= 1
            self._instances.add(instance)
            self._heard[queued.position] = (queued.window, result)
            self._put_in_order()
        self._finish_if_done()
        return None

    def fail(self, error: Exception) -> None:
        with contextlib.suppress(InvalidStateError):  # it is over already
            self.result.set_exception(error)

    @property
    def is_prepared(self) -> bool:
        """Whether all of its windows have been queued."""
        return self._all_cut and not self._backlog

    def _has_room(self) -> bool:
        return self._outstanding < self._room()

    def _room(self) -> int:
        unknown = self._options.language is None and not self._language_is_known()
        return 1 if unknown or self._manner.sequential else self._manner.ahead()

    def _language_is_known(self) -> bool:
        return self._detected is not None and bool(self._detected.segments)

    def _counted(self) -> Iterator[Samples]:
        for block in self._recording.blocks():
            if self.is_over:
                raise EngineStopped("nobody waits for the rest of the recording")
            self._samples_read += len(block)
            yield block

    def _cut_a_piece(self) -> None:
        windows = next(self._pieces, None)
        with self._lock:
            if windows is None:
                self._all_cut = True
            else:
                self._backlog.extend(windows)

    def _windows_to_prepare(self) -> list[tuple[int, Window]]:
        with self._lock:
            # The room may have shrunk since the step was claimed.
            count = min(len(self._backlog), max(0, self._room() - self._outstanding))
            taken = [self._backlog.popleft() for _ in range(count)]
            first = self._next_position
            self._next_position += count
            self._outstanding += count
        return list(enumerate(taken, first))

    def _queued(self, placed: tuple[int, Window]) -> QueuedWindow:
        position, window = placed
        options = self._options_now()
        if self._manner.sequential:
            features = window.samples  # the engine makes its own features of a whole piece
        else:
            features = self._manner.features(window.samples)
            window = replace(window, samples=_NO_SAMPLES)  # times need its spans alone
        entry = WindowInput(features, window.seconds, options, self._ladder[0])
        key = None if self._manner.sequential else self._manner.batch_key(entry)
        return QueuedWindow(self, position, window, entry, key)

    def _options_now(self) -> Options:
        """With the language, once it is known; in sequential decoding with the text so far."""
        options = self._options
        with self._lock:
            if options.language is None and self._detected and self._detected.segments:
                options = replace(options, language=self._detected.language)
            if self._manner.sequential and self._segments:
                said = "".join(segment.text for segment in self._segments[-20:])
                options = replace(options, prompt=said[-PROMPT_CHARACTERS:])
        return options

    def _put_in_order(self) -> None:
        """What has become ready without a gap; the caller holds the lock."""
        fresh: list[Segment] = []
        before = self._seconds_done
        while self._reported in self._heard:
            window, result = self._heard.pop(self._reported)
            self._reported += 1
            fresh += [window.placed(segment) for segment in result.segments]
            if not self._language_is_known() and (result.segments or self._detected is None):
                self._detected = result
            last = window.spans[-1]
            self._seconds_done = (last.start + last.length) / SAMPLE_RATE
        self._segments += fresh
        if self._seconds_done != before:
            self._tell(tuple(fresh))

    def _tell(self, fresh: tuple[Segment, ...]) -> None:
        total = max(self.total_seconds, self._seconds_done)
        instances = tuple(sorted(self._instances))
        self._report(Progress(self._seconds_done, total, fresh, instances))

    def _finish_if_done(self) -> None:
        with self._lock:
            if not self._all_cut or self._backlog or self._outstanding or self._stepping:
                return
            found = self._transcription()
        with contextlib.suppress(InvalidStateError):  # it was cancelled
            self.result.set_result(found)

    def _transcription(self) -> Transcription:
        detected = self._detected
        if self._options.language is not None:
            probabilities: Sequence[tuple[str, float]] = [(self._options.language, 1.0)]
        elif detected is not None:
            probabilities = detected.language_probs or [(detected.language, 1.0)]
        else:
            probabilities = [(DEFAULT_LANGUAGE, 0.0)]
        language = self._options.language or (detected.language if detected else DEFAULT_LANGUAGE)
        return Transcription(
            language=language,
            language_probability=dict(probabilities).get(language, 0.0),
            top_language_probs=top_languages(probabilities),
            duration_seconds=self._samples_read / SAMPLE_RATE,
            segments=tuple(self._segments),
        )
