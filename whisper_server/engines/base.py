"""What the server asks of an engine, and what it gets back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000

Samples = npt.NDArray[np.float32]
"""Mono, 16 kHz, between -1 and 1; shape (n,)."""

Task = Literal["transcribe", "translate"]
ShouldStop = Callable[[], bool]


@dataclass(frozen=True)
class Options:
    """How one recording is to be transcribed; None leaves the choice to the model."""

    task: Task = "transcribe"
    language: str | None = None
    prompt: str | None = None
    temperature: float = 0.0
    word_timestamps: bool = False


@dataclass(frozen=True)
class Word:
    """Times in seconds from the start of the recording."""

    start: float
    end: float
    text: str
    probability: float


@dataclass(frozen=True)
class Segment:
    """Times in seconds from the start of the recording; the rest as Whisper reports it."""

    start: float
    end: float
    text: str
    seek: int
    tokens: tuple[int, ...]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    words: tuple[Word, ...] = ()


@dataclass(frozen=True)
class Transcription:
    """What was heard; no segments = nothing was said."""

    language: str
    language_probability: float
    top_language_probs: tuple[tuple[str, float], ...]
    duration_seconds: float
    segments: tuple[Segment, ...]

    @property
    def text(self) -> str:
        return "".join(segment.text for segment in self.segments).strip()


class Engine(Protocol):
    """One loaded model. Every method blocks and may be called from any thread."""

    def load(self) -> None:
        """Fetch and load the weights; raises `ModelUnavailable`. Called once, before the rest."""

    def can_translate(self) -> bool:
        """Whether the model knows other languages than English."""

    def transcribe(
        self, samples: Samples, options: Options, should_stop: ShouldStop
    ) -> Transcription:
        """Transcribe one recording; raises `EngineFailed`.

        `should_stop` is asked now and then, and a yes ends the work with `EngineStopped`.
        """
