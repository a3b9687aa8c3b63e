"""What our server is compared with: the ways in which people serve faster-whisper today.

Each runs in a process of its own, so that its memory is its own:

    python -m tools.bench_lab.contestants FILE       FILE: JSON, see `Task`

and prints a line of JSON for each scenario. Audio decoding and Silero VAD are included, and
`language` is given; everything else is faster-whisper's own choice, but for two things. Windows
are not conditioned on the text before them, which is less work and no slower (see
`random_model`), and the batched pipeline is asked for timestamps, since everybody else makes them.
"""

import json
import math
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from tools.bench_lab import callers
from tools.bench_lab.callers import Clip
from tools.bench_lab.clips import SAMPLES
from tools.bench_lab.memory import peak_mb
from whisper_server.hardware import usable_cores

BEAM_SIZE = 5
WARM_UP_CALLS = 8
"""At once, so that every copy of a model is reached."""
WARM_UP_CLIP = Clip(SAMPLES / "short-note.mp3", 24.0)
"""Short, whatever is measured then."""


@dataclass(frozen=True)
class ModelAt:
    folder: Path
    device: str
    compute_type: str


@dataclass(frozen=True)
class Scenario:
    """`number`: with another one than the task's, where a contestant can change it."""

    name: str
    clients: int
    clips: tuple[Clip, ...]
    number: int | None = None

    @property
    def audio_seconds(self) -> float:
        return sum(clip.seconds for clip in self.clips)

    @property
    def is_long(self) -> bool:
        """A single clip is a long file."""
        return len(self.clips) == 1


@dataclass(frozen=True)
class Result:
    """What one contestant made of one scenario; memory is the peak since its start.

    `words` are those of a second of audio.
    """

    scenario: str
    speed: float
    p50_seconds: float | None
    p99_seconds: float | None
    memory_mb: float
    card_mb: float | None = None
    failed: int = 0
    note: str = ""
    wall_seconds: float | None = None
    words: float | None = None
    was_cut: bool = False
    number: int | None = None

    @classmethod
    def of(cls, scenario: Scenario, measured: callers.Measured, pid: int) -> "Result":
        return cls(
            scenario.name,
            measured.speed,
            measured.latency(0.5),
            measured.latency(0.99),
            peak_mb(pid),
            failed=len(measured.calls) - len(measured.good),
            note=", ".join(f"{count} x {kind}" for kind, count in measured.failures.items()),
            wall_seconds=measured.wall_seconds,
            words=measured.words_per_second,
            was_cut=measured.was_cut,
            number=scenario.number,
        )


@dataclass(frozen=True)
class Task:
    """What a child process is told; `number` is threads, batch size or copies, by the kind.

    A scenario of several clips ends after `limit_seconds` with the calls that have ended by then.
    What would not end before `until`, by the clock, is left out.
    """

    kind: str
    model: ModelAt
    number: int
    scenarios: tuple[Scenario, ...]
    limit_seconds: float = math.inf
    until: float = math.inf

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> "Task":
        told = json.loads(text)
        return cls(
            told["kind"],
            ModelAt(**told["model"] | {"folder": Path(told["model"]["folder"])}),
            told["number"],
            tuple(
                Scenario(**one | {"clips": tuple(_clip(clip) for clip in one["clips"])})
                for one in told["scenarios"]
            ),
            told["limit_seconds"],
            told["until"],
        )


class Contestant(Protocol):
    """Called by many threads at once; `number` is that of the task."""

    number: int

    def transcribe(self, clip: Clip) -> int | None:
        """Return the number of words, if it tells it."""

    def close(self) -> None: ...


class Plain:
    """One model, `WhisperModel.transcribe`, one caller after the other."""

    def __init__(self, model: ModelAt, threads: int) -> None:
        self.number = threads
        self._model = _load(model, threads)
        self._line = ThreadPoolExecutor(1)  # a lock would not be fair

    def transcribe(self, clip: Clip) -> int:
        return self._line.submit(_transcribe, self._model, clip, {}).result()

    def close(self) -> None:
        self._line.shutdown()


class Batched:
    """The windows of one request in batches, one request after the other."""

    def __init__(self, model: ModelAt, batch_size: int) -> None:
        from faster_whisper import BatchedInferencePipeline

        self.number = batch_size
        self._transcriber = BatchedInferencePipeline(_load(model, usable_cores()))
        self._line = ThreadPoolExecutor(1)

    def transcribe(self, clip: Clip) -> int:
        more = {"batch_size": self.number, "without_timestamps": False}
        return self._line.submit(_transcribe, self._transcriber, clip, more).result()

    def close(self) -> None:
        self._line.shutdown()


class Copies:
    """Processes with a model each, behind one queue; the cores are shared out among them."""

    def __init__(self, model: ModelAt, copies: int) -> None:
        self.number = copies
        threads = max(1, usable_cores() // copies)
        self._pool = ProcessPoolExecutor(
            copies,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_copy,
            initargs=(model, threads),
        )

    def transcribe(self, clip: Clip) -> int:
        return self._pool.submit(_transcribe_in_copy, clip).result()

    def close(self) -> None:
        self._pool.shutdown()


KINDS: dict[str, Callable[[ModelAt, int], Contestant]] = {
    "plain": Plain,
    "batched": Batched,
    "copies": Copies,
}

_copy: Any = None  # the model of this process, where it is one of several


def _start_copy(model: ModelAt, threads: int) -> None:
    global _copy
    _copy = _load(model, threads)


def _transcribe_in_copy(clip: Clip) -> int:
    return _transcribe(_copy, clip, {})


def _load(model: ModelAt, threads: int) -> Any:
    from faster_whisper import WhisperModel

    return WhisperModel(
        str(model.folder),
        device=model.device,
        compute_type=model.compute_type,
        cpu_threads=threads,
        local_files_only=True,
    )


def _transcribe(model: Any, clip: Clip, more: dict[str, Any]) -> int:
    """Return the number of words."""
    segments, _ = model.transcribe(
        str(clip.path),
        language="en",
        beam_size=BEAM_SIZE,
        vad_filter=True,
        condition_on_previous_text=False,
        **more,
    )
    return sum(len(one.text.split()) for one in segments)  # a generator: this does the work


def _clip(told: dict[str, Any]) -> Clip:
    return Clip(Path(told["path"]), told["seconds"])


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    return run_task(KINDS, arguments[0])


def run_task(kinds: Mapping[str, Callable[[ModelAt, int], Contestant]], file: str) -> int:
    """Let one of the kinds do what the file says; prints a result for each scenario."""
    task = Task.from_json(Path(file).read_text())
    contestant = kinds[task.kind](task.model, task.number)
    callers.run(contestant.transcribe, [WARM_UP_CLIP] * WARM_UP_CALLS, WARM_UP_CALLS)
    long_speed = math.inf
    for scenario in task.scenarios:
        needed = scenario.audio_seconds / long_speed if scenario.is_long else task.limit_seconds
        if time.time() + needed > task.until:
            continue
        contestant.number = scenario.number or task.number
        limit = math.inf if scenario.is_long else task.limit_seconds
        measured = callers.run(
            contestant.transcribe, scenario.clips, scenario.clients, limit_seconds=limit, waits=True
        )
        if scenario.is_long:
            long_speed = measured.speed
        print(json.dumps(asdict(Result.of(scenario, measured, os.getpid()))), flush=True)
    contestant.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
