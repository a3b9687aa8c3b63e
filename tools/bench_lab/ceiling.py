"""The ceiling: CTranslate2 alone, on spectrograms that are ready, in many shapes.

    python -m tools.bench_lab.ceiling FILE           FILE: JSON, see `Task`

Prints a line of JSON for each shape and scenario. The windows are those that our server would
make of the same recordings; audio seconds are the recordings' own, silence included.
"""

import json
import os
import queue
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np

from tools.bench_lab.contestants import BEAM_SIZE, ModelAt, Result, Scenario
from tools.bench_lab.contestants import Task as ContestantTask
from tools.bench_lab.memory import peak_mb
from tools.bench_lab.windows import ready_windows
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
    """`seconds`: no batch begins after so long of a shape and scenario; None: all are decoded."""

    model: ModelAt
    shapes: tuple[Shape, ...]
    scenarios: tuple[Scenario, ...]
    seconds: float | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> "Task":
        told = json.loads(text)
        shapes = tuple(Shape(**shape) for shape in told["shapes"])
        others = {"kind": "", "number": 0, "limit_seconds": 0}
        rest = ContestantTask.from_json(json.dumps(told | others))
        return cls(rest.model, shapes, rest.scenarios, told["seconds"])


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
        self._prompt, self._suppressed = _prompt_of(model)

    def decode(
        self, windows: Sequence[Features], batch_size: int, limit_seconds: float | None = None
    ) -> tuple[int, float]:
        """Returns how many it decoded, all but for a limit, and how many seconds it took."""
        todo: queue.SimpleQueue[Sequence[Features]] = queue.SimpleQueue()
        for index in range(0, len(windows), batch_size):
            todo.put(windows[index : index + batch_size])
        began = time.perf_counter()
        deadline = None if limit_seconds is None else began + limit_seconds
        with ThreadPoolExecutor(self._streams) as pool:
            done = sum(pool.map(lambda _: self._work(todo, deadline), range(self._streams)))
        return done, time.perf_counter() - began

    def _work(self, todo: "queue.SimpleQueue[Sequence[Features]]", deadline: float | None) -> int:
        done = 0
        while True:
            is_late = done and deadline is not None and time.perf_counter() > deadline
            try:
                batch = todo.get_nowait() if not is_late else ()
            except queue.Empty:
                batch = ()
            if not batch:
                return done
            done += len(batch)
            self._whisper.generate(
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


def _prompt_of(model: ModelAt) -> tuple[list[int], list[int]]:
    """Token ids before every window, and those that are never said, as faster-whisper has them."""
    import tokenizers
    from faster_whisper.tokenizer import Tokenizer
    from faster_whisper.transcribe import get_suppressed_tokens

    known = tokenizers.Tokenizer.from_file(str(model.folder / "tokenizer.json"))
    tokenizer = Tokenizer(known, True, task="transcribe", language="en")
    return tokenizer.sot_sequence, list(get_suppressed_tokens(tokenizer, [-1]))


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    task = Task.from_json(Path(arguments[0]).read_text())
    windows = {one.name: ready_windows(task.model, one.clips) for one in task.scenarios}
    for (streams, threads), shapes in groupby(task.shapes, lambda one: (one.streams, one.threads)):
        decoder = Decoder(task.model, streams, threads)
        for shape in shapes:
            _measure(task, shape, decoder, windows)
        del decoder
    return 0


def _measure(
    task: Task, shape: Shape, decoder: Decoder, windows: Mapping[str, Sequence[Features]]
) -> None:
    some, size = next(iter(windows.values()))[0], min(shape.batch_size, WARM_UP_WINDOWS)
    decoder.decode([some] * shape.streams * size, size)
    for scenario in task.scenarios:
        ready = windows[scenario.name]
        done, seconds = decoder.decode(ready, shape.batch_size, task.seconds)
        speed = scenario.audio_seconds * done / len(ready) / seconds
        note = f"{done} windows"
        result = Result(scenario.name, speed, None, None, peak_mb(os.getpid()), note=note)
        print(json.dumps({"shape": asdict(shape), "result": asdict(result)}), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
