"""The engine protocol: what the server passes to an engine, and what comes back."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from stt.transcripts.speakers import Embedding

SAMPLE_RATE = 16_000
FRAMES_PER_SECOND = 100
"""Of the spectrogram."""
DEFAULT_LANGUAGE = "en"
"""Of a recording without speech when none was given; its probability is 0."""
SLICE_SECONDS = 5.0
SLICE_STEP_SECONDS = 2.5
"""Languages are found for slices of a window, so long and so far apart."""

Samples = npt.NDArray[np.float32]
"""Mono, 16 kHz, between -1 and 1; shape (n,)."""

Features = npt.NDArray[np.float32]
"""Log-mel spectrogram of one window, padded to the model's full length; the engine's own shape."""

Task = Literal["transcribe", "translate"]
ShouldStop = Callable[[], bool]


@dataclass(frozen=True)
class Options:
    """How to transcribe one recording; None lets the model choose.

    `temperature` 0 stands for Whisper's ladder: windows that fail its quality checks are decoded
    again at rising temperatures. `prompt` and `hotwords` stand before every window.
    """

    task: Task = "transcribe"
    language: str | None = None
    prompt: str | None = None
    temperature: float = 0.0
    word_timestamps: bool = False
    hotwords: str | None = None
    beam_size: int = 5
    vad_filter: bool = True


@dataclass(frozen=True)
class Word:
    """Times in seconds from the start of the recording."""

    start: float
    end: float
    word: str
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
    language: str = ""
    speaker: str | None = None


@dataclass(frozen=True)
class Speaker:
    """One who speaks in a recording, for so many seconds; `embedding`: the mean of the voice."""

    id: str
    seconds: float
    embedding: Embedding


@dataclass(frozen=True)
class Transcription:
    """The transcript of a recording; without segments if there is no speech in it.

    `language` is the one with the most speech. `silent_speech_seconds`: speech that gave no text.
    `dropped_segments`: how many were left out because they cannot be speech. `speakers`: None if
    they were not looked for, or could not be found.
    """

    language: str
    language_probability: float
    top_language_probs: tuple[tuple[str, float], ...]
    duration_seconds: float
    segments: tuple[Segment, ...]
    silent_speech_seconds: float = 0.0
    dropped_segments: int = 0
    speakers: tuple[Speaker, ...] | None = None

    @property
    def text(self) -> str:
        return "".join(segment.text for segment in self.segments).strip()


@dataclass(frozen=True)
class LanguageSlice:
    """A slice of a window, in seconds from its start, and the probability of each language."""

    start: float
    end: float
    probs: Mapping[str, float]


@dataclass(frozen=True)
class EncodedWindow:
    """A window as the encoder returns it, in the engine's own form, and its languages."""

    sound: Any
    slices: tuple[LanguageSlice, ...]


@dataclass(frozen=True)
class WindowInput:
    """One window to decode: `seconds` of it are audio, the rest of `features` is padding.

    `temperature` is this attempt's. `sound`: the window as `Engine.encode` returned it; without
    it, `decode` encodes `features`. `with_timestamps`: whether the model writes time stamps, which
    takes longer, but leaves out less of what follows a pause; words have their times in any case.
    """

    features: Features
    seconds: float
    options: Options
    temperature: float
    sound: Any = None
    with_timestamps: bool = False


@dataclass(frozen=True)
class AlignedWord:
    """A word with the space and the punctuation around it; seconds from the window's start."""

    text: str
    tokens: tuple[int, ...]
    start: float
    end: float
    probability: float


@dataclass(frozen=True)
class WindowResult:
    """The words of one window, and the window's numbers for Whisper's quality checks."""

    language: str
    words: tuple[AlignedWord, ...]
    temperature: float
    avg_logprob: float = 0.0
    compression_ratio: float = 0.0
    no_speech_prob: float = 0.0

    @property
    def text(self) -> str:
        return "".join(word.text for word in self.words).strip()


class Engine(Protocol):
    """One copy of a model's weights. Every method blocks and may be called from any thread."""

    @property
    def window_seconds(self) -> float:
        """Return the longest window that the model takes; known once it is loaded."""

    @property
    def decodes_on_cpu(self) -> bool:
        """Return whether `decode` takes the cores that windows are prepared with."""

    def load(self) -> None:
        """Fetch, load and warm up; raises ModelUnavailable. Also after `unload`."""

    def unload(self) -> None:
        """Free the weights' memory."""

    def can_translate(self) -> bool:
        """Return whether the model is multilingual: others are not trained to translate."""

    def knows(self, language: str) -> bool:
        """Return whether the model accepts this code as the spoken language."""

    def features(self, samples: Samples) -> Features:
        """Return the spectrogram of a window of at most `window_seconds`, padded with zeros."""

    def batch_key(self, window: WindowInput) -> Hashable:
        """Return a key: windows with equal keys may share one call of `decode`."""

    def encode(self, windows: Sequence[WindowInput]) -> list[EncodedWindow]:
        """Encode windows, to find their languages before they are decoded; a multilingual model.

        Raises OutOfMemory, EngineFailed.
        """

    def decode(self, windows: Sequence[WindowInput]) -> list[WindowResult]:
        """Decode windows of one key together, one result each, in their order.

        The options of each name a language that the model knows. Raises OutOfMemory when the
        device has no room for so many, else EngineFailed.
        """

    def transcribe(
        self, samples: Samples, options: Options, should_stop: ShouldStop
    ) -> Transcription:
        """Transcribe one piece in Whisper's sequential long form: the text before is the context.

        Raises EngineFailed; EngineStopped once `should_stop`, which is called between windows and
        attempts, returns true.
        """
