"""One recording in the server: cut, queued window by window, put together again."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, InvalidStateError
from dataclasses import replace

import numpy as np

from whisper_server.audio_windows import Window
from whisper_server.engines.base import (
    SAMPLE_RATE,
    EncodedWindow,
    Features,
    Options,
    Samples,
    Transcription,
    WindowInput,
    WindowResult,
)
from whisper_server.errors import EngineStopped
from whisper_server.queued_window import ENCODING, PreparationConfig, QueuedWindow
from whisper_server.recording import Recording
from whisper_server.scheduler_state import OnProgress, Progress
from whisper_server.transcript import TranscribedWindow, Transcript
from whisper_server.window_languages import DecidedWindow, WindowLanguages
from whisper_server.window_transcript import WindowTranscript

FEWEST_WINDOWS = 3
"""A window's language is found with the one after it: so many are in work at least then."""

_NO_FEATURES: Features = np.zeros((0, 0), np.float32)
"""Of a window that is encoded already."""


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
        self._finds_languages = (
            options.language is None and config.is_multilingual and not config.sequential
        )
        self._pieces = config.cut(self._blocks(), options.vad_filter)
        self._lock = threading.Lock()
        self._no_step_runs = threading.Event()
        self._no_step_runs.set()
        self._samples_read = 0
        self._cut_windows: deque[Window] = deque()
        self._all_cut = False
        self._languages = WindowLanguages()
        self._decided: deque[DecidedWindow] = deque()
        self._next_position = 0
        self._outstanding = 0
        self._transcript = Transcript(options.language)
        self._instances: set[int] = set()

    @property
    def is_over(self) -> bool:
        return self.result.done()

    @property
    def remaining_seconds(self) -> float:
        """Audio still to be transcribed, as far as its length is known."""
        done = self._transcript.seconds_done
        return 0.0 if self.is_over else max(0.0, self.total_seconds - done)

    @property
    def is_prepared(self) -> bool:
        """True once all of its windows have been queued for decoding."""
        waiting = self._cut_windows or self._decided or self._languages.waiting
        return self._all_cut and not waiting

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
            if self.is_over or self.is_being_read or not self._has_step():
                return False
            self._no_step_runs.clear()
            return True

    def step(self) -> list[QueuedWindow]:
        """Prepare windows whose language is known, else new ones, else read and cut a piece.

        Raises what reading raises, InvalidAudio or TooLarge.
        """
        try:
            if self.is_over:
                return []
            if not self._decided and not self._cut_windows:
                windows = next(self._pieces, None)
                with self._lock:
                    self._all_cut = windows is None
                    self._cut_windows.extend(windows or ())
                    self._decide()
            ready = [self._to_encode(*entry) for entry in self._next_cut()]
            ready += [self._to_decode(*entry) for entry in self._next_decided()]
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
            self._cut_windows.clear()
            self._languages.clear()
            self._decided.clear()

    def take_encoded(self, queued: QueuedWindow, encoded: EncodedWindow) -> None:
        """Take the encoder's output for a window; other windows' languages may be known by it."""
        with self._lock:
            self._languages.add(queued.position, queued.window, encoded)
            self._decide()

    def take_decoded(
        self, queued: QueuedWindow, result: WindowResult, instance: int
    ) -> QueuedWindow | None:
        """Take a window's result; return the window if something of it is to be decoded again."""
        text = queued.text
        assert text is not None, "a window that is decoded has a text"
        text.add(result)
        if entry := text.next_input:
            key = self._config.batch_key(entry)
            return replace(queued, input=entry, key=key, alone=True, queued_at=time.monotonic())
        self._deliver(queued, instance, text.result(queued.probs))
        return None

    def take_piece(self, queued: QueuedWindow, found: Transcription, instance: int) -> None:
        """Take the transcript of a piece in sequential decoding."""
        window = queued.window
        done = TranscribedWindow(
            end=window.spans[-1].end / SAMPLE_RATE,
            seconds=window.seconds,
            segments=tuple(window.placed(segment) for segment in found.segments),
            language=found.language,
            probs=dict(found.top_language_probs),
            silent_seconds=found.silent_speech_seconds,
            dropped_segments=found.dropped_segments,
        )
        self._deliver(queued, instance, done)

    def fail(self, error: Exception) -> None:
        with contextlib.suppress(InvalidStateError):  # it is over already
            self.result.set_exception(error)

    def _has_step(self) -> bool:
        """Return whether `step` has something to do; the caller holds the lock."""
        return bool(self._decided) or (
            self._free_places() > 0 and bool(self._cut_windows or not self._all_cut)
        )

    def _free_places(self) -> int:
        """Return how many windows may be queued now: less than 0 when `ahead` has shrunk."""
        if self._config.sequential:
            return 1 - self._outstanding
        fewest = FEWEST_WINDOWS if self._finds_languages else 1
        return max(fewest, self._config.ahead()) - self._outstanding

    def _blocks(self) -> Iterator[Samples]:
        for block in self._recording.blocks():
            if self.is_over:
                raise EngineStopped("the rest of the recording is not needed any more")
            self._samples_read += len(block)
            yield block

    def _decide(self) -> None:
        """Collect the windows whose language has become known; the caller holds the lock."""
        is_last = self._all_cut and not self._cut_windows
        for parts in self._languages.take(is_last=is_last):
            self._decided += parts
            self._outstanding += len(parts) - 1

    def _next_decided(self) -> list[tuple[int, DecidedWindow]]:
        with self._lock:
            taken = list(self._decided)
            self._decided.clear()
            first = self._next_position
            self._next_position += len(taken)
        return list(enumerate(taken, first))

    def _next_cut(self) -> list[tuple[int, Window]]:
        """Return windows to encode; those that need no language are decided at once."""
        with self._lock:
            count = min(len(self._cut_windows), max(0, self._free_places()))
            taken = [self._cut_windows.popleft() for _ in range(count)]
            self._outstanding += count
            if self._finds_languages:
                return [(self._languages.expect(), window) for window in taken]
            self._decided += [DecidedWindow(window, self._options.language) for window in taken]
            return []

    def _to_encode(self, position: int, window: Window) -> QueuedWindow:
        features = self._config.features(window.samples)
        entry = WindowInput(features, window.seconds, self._options, 0.0)
        return QueuedWindow(self, position, window, entry, ENCODING)

    def _to_decode(self, position: int, decided: DecidedWindow) -> QueuedWindow:
        window = decided.window
        options = replace(self._options, language=decided.language)
        if self._config.sequential:
            with self._lock:
                options = replace(options, prompt=self._transcript.prompt or options.prompt)
            # The engine makes its own features of a whole piece.
            entry = WindowInput(window.samples, window.seconds, options, 0.0)
            return QueuedWindow(self, position, window, entry, None)
        entry = WindowInput(
            self._config.features(window.samples) if decided.sound is None else _NO_FEATURES,
            window.seconds,
            options,
            options.temperature,
            decided.sound,
        )
        text = WindowTranscript(window, entry, self._config.features)
        key = self._config.batch_key(entry)
        return QueuedWindow(self, position, window, entry, key, text, decided.probs)

    def _deliver(self, queued: QueuedWindow, instance: int, done: TranscribedWindow) -> None:
        with self._lock:
            self._outstanding -= 1
            self._instances.add(instance)
            before = self._transcript.seconds_done
            fresh = self._transcript.put(queued.position, done)
            now = self._transcript.seconds_done
            if now != before:
                instances = tuple(sorted(self._instances))
                self._report(Progress(now, max(self.total_seconds, now), fresh, instances))
        self._finish_if_done()

    def _finish_if_done(self) -> None:
        with self._lock:
            if not self.is_prepared or self._outstanding or self.is_being_read:
                return
            found = self._transcript.result(self._samples_read / SAMPLE_RATE)
        with contextlib.suppress(InvalidStateError):  # it was cancelled
            self.result.set_result(found)
