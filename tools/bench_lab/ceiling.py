"""The ceiling: CTranslate2 alone, on spectrograms that are ready, in many shapes.

    python -m tools.bench_lab.ceiling FILE           FILE: JSON, see `Task`

Prints a line of JSON for each shape and scenario: the first scenario in all shapes, the others in
the best of them. A shape that the device cannot do has the error as its note. The windows are those
that our server would make of the same recordings; audio seconds are the recordings' own, silence
included.
"""

import json
import math
import os
import queue
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np

from tools.bench_lab.contestants import BEAM_SIZE, ModelAt, Result, Scenario
from tools.bench_lab.contestants import Task as ContestantTask
from tools.bench_lab.memory import peak_mb
from tools.bench_lab.windows import windows_by_path
from whisper_server.engines.base import Features

MAX_LENGTH = 448
MAX_INITIAL_TIMESTAMP_INDEX = 50
WARM_UP_WINDOWS = 16


@dataclass(frozen=True)
class Shape:
    """So many batches side by side, of so many windows each; `threads` for each batch."""

    streams: int
    threads: int
    batch_size: int

    def __str__(self) -> str:
        return f"{self.streams} x {self.threads} threads, batches of {self.batch_size}"


@dataclass(frozen=True)
class Task:
    """`seconds`: no batch begins after so long of a shape and scenario; None: all are decoded.

    No shape but the best begins after `until`, by the clock.
    """

    model: ModelAt
    shapes: tuple[Shape, ...]
    scenarios: tuple[Scenario, ...]
    seconds: float | None = None
    until: float = math.inf

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> "Task":
        told = json.loads(text)
        shapes = tuple(Shape(**shape) for shape in told["shapes"])
        others = {"kind": "", "number": 0, "limit_seconds": 0.0}
        rest = ContestantTask.from_json(json.dumps(told | others))
        return cls(rest.model, shapes, rest.scenarios, told["seconds"], told["until"])


def shapes_to_try(cores: int, device: str) -> list[Shape]:
    """Every way to share out the cores, in small batches; on a card, few streams of large ones."""
    if device == "cuda":
        return [Shape(streams, 1, batch) for streams in (1, 2, 4) for batch in (8, 16, 32, 64)]
    splits = [
        (streams, cores // streams) for streams in range(1, cores + 1) if cores % streams == 0
    ]
    return [Shape(*split, batch) for split in splits for batch in (1, 2, 4, 8)]


class Decoder:
    """The model for so many batches side by side."""

    def __init__(self, model: ModelAt, streams: int, threads: int) -> None:
        self._streams = streams
        self._whisper: Any = ctranslate2.models.Whisper(
            str(model.folder),
            device=model.device,
            compute_type=model.compute_type,
            inter_threads=streams,
            intra_threads=threads,
        )
        self._prompt, self._suppressed, self._end_of_text = _prompt_of(model)

    def decode(
        self, windows: Sequence[Features], batch_size: int, limit_seconds: float | None = None
    ) -> tuple[int, int, float]:
        """Returns how many it decoded, all but for a limit; their words; the seconds it took."""
        todo: queue.SimpleQueue[Sequence[Features]] = queue.SimpleQueue()
        for index in range(0, len(windows), batch_size):
            todo.put(windows[index : index + batch_size])
        began = time.perf_counter()
        deadline = None if limit_seconds is None else began + limit_seconds
        with ThreadPoolExecutor(self._streams) as pool:
            shares = list(pool.map(lambda _: self._work(todo, deadline), range(self._streams)))
        seconds = time.perf_counter() - began
        return sum(done for done, _ in shares), sum(words for _, words in shares), seconds

    def _work(
        self, todo: "queue.SimpleQueue[Sequence[Features]]", deadline: float | None
    ) -> tuple[int, int]:
        done = words = 0
        while True:
            is_late = done and deadline is not None and time.perf_counter() > deadline
            try:
                batch = todo.get_nowait() if not is_late else ()
            except queue.Empty:
                batch = ()
            if not batch:
                return done, words
            done += len(batch)
            found = self._whisper.generate(
                ctranslate2.StorageView.from_array(np.ascontiguousarray(np.stack(batch))),
                [self._prompt] * len(batch),
                beam_size=BEAM_SIZE,
                max_length=MAX_LENGTH,
                suppress_blank=True,
                suppress_tokens=self._suppressed,
                max_initial_timestamp_index=MAX_INITIAL_TIMESTAMP_INDEX,
                return_scores=True,
                return_no_speech_prob=True,
            )
            words += sum(
                token < self._end_of_text for one in found for token in one.sequences_ids[0]
            )


def _prompt_of(model: ModelAt) -> tuple[list[int], list[int], int]:
    """As faster-whisper has them, ids before every window, those never said, the end of text.

    Ids below the last are text; with random weights, each a word.
    """
    import tokenizers
    from faster_whisper.tokenizer import Tokenizer
    from faster_whisper.transcribe import get_suppressed_tokens

    known = tokenizers.Tokenizer.from_file(str(model.folder / "tokenizer.json"))
    tokenizer = Tokenizer(known, True, task="transcribe", language="en")
    suppressed = list(get_suppressed_tokens(tokenizer, [-1]))
    return tokenizer.sot_sequence, suppressed, tokenizer.eot


class Ceiling:
    """The windows of a task, and the model in the shape that was asked for last."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._windows = windows_by_path(
            task.model, [clip for scenario in task.scenarios for clip in scenario.clips]
        )
        self._split: tuple[int, int] | None = None
        self._decoder: Decoder | None = None

    def measure(self, shape: Shape, scenario: Scenario) -> float:
        """Print what comes of it, and return the speed; 0 if it fails."""
        try:
            result = self._result(shape, scenario)
        except (RuntimeError, ValueError) as error:  # no memory for it; a type that it lacks
            note = str(error).partition("\n")[0]
            result = Result(scenario.name, 0.0, None, None, 0.0, failed=1, note=note)
        print(json.dumps({"shape": asdict(shape), "result": asdict(result)}), flush=True)
        return result.speed

    def _result(self, shape: Shape, scenario: Scenario) -> Result:
        decoder = self._loaded(shape)
        ready, lengths = list[Features](), list[float]()
        for clip in scenario.clips:
            windows = self._windows[clip.path]
            ready += windows
            lengths += [clip.seconds / len(windows)] * len(windows)
        size = min(shape.batch_size, WARM_UP_WINDOWS)
        decoder.decode(ready[:1] * shape.streams * size, size)
        done, words, seconds = decoder.decode(ready, shape.batch_size, self._task.seconds)
        audio_seconds = sum(lengths[:done])
        return Result(
            scenario.name,
            audio_seconds / seconds,
            None,
            None,
            peak_mb(os.getpid()),
            note=f"{done} windows",
            wall_seconds=seconds,
            words=words / audio_seconds,
        )

    def _loaded(self, shape: Shape) -> Decoder:
        split = shape.streams, shape.threads
        if self._decoder is None or split != self._split:
            self._decoder = None  # before the next one is there
            self._split, self._decoder = split, Decoder(self._task.model, *split)
        return self._decoder


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    task = Task.from_json(Path(arguments[0]).read_text())
    of, speeds = Ceiling(task), dict[Shape, float]()
    for shape in task.shapes:
        if not speeds or time.time() < task.until:
            speeds[shape] = of.measure(shape, task.scenarios[0])
    for scenario in task.scenarios[1:]:
        of.measure(max(speeds, key=lambda shape: speeds[shape]), scenario)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
