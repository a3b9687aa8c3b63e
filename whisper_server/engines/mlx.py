"""The mlx engine, for Apple silicon: what the server asks of it, done in mlx's one thread."""

import logging
import sys
import traceback
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from whisper_server.engines.base import (
    SAMPLE_RATE,
    Features,
    Options,
    Samples,
    Segment,
    ShouldStop,
    Transcription,
    WindowInput,
    WindowResult,
    Word,
)
from whisper_server.engines.mlx_thread import in_mlx_thread
from whisper_server.engines.silero import find_speech
from whisper_server.errors import EngineFailed, EngineStopped, ModelUnavailable, OutOfMemory
from whisper_server.model_names import DEMO, FASTER_WHISPER, MLX_HUB_OWNER, Model, is_mlx_folder
from whisper_server.presets import MLX_COMPUTE_TYPES, EnginePlan
from whisper_server.quality import LADDER, best_of, next_temperature
from whisper_server.windows import Span, Window, cut_into_windows

if TYPE_CHECKING:
    from whisper_server.engines.mlx_decoder import MlxDecoder

FRAMES_PER_SECOND = 100
MAX_SOBER_TEMPERATURE = 0.5
"""Text that was sampled more freely is no context for the next window."""
NOTHING_SAID_IN = "en"
"""The language where nothing was said and none was given; probability 0."""
OUT_OF_MEMORY = (
    "unable to allocate", "attempting to allocate", "insufficient memory", "outofmemory",
    "out of memory",
)  # fmt: skip
"""How mlx, Metal and C++ say it, in lower case."""
_UNUSUAL_NAMES = {
    "large-v3-turbo": "whisper-large-v3-turbo",
    "distil-small.en": "distil-whisper-small.en",
    "distil-medium.en": "distil-whisper-medium.en",
    "distil-large-v3": "distil-whisper-large-v3",
}
_NOWHERE = {"distil-large-v2", "distil-large-v3.5"}
"""Nobody has put these into mlx-whisper's form."""
_FILES = ["config.json", "weights.safetensors", "weights.npz"]

logger = logging.getLogger(__name__)


def hub_name(name: str) -> str:
    """The hub's id of a model by its short name; an id stays as it is.

    Raises `ModelUnavailable` for a size that the hub does not have in mlx form.
    """
    if "/" in name:
        return name
    if name in _NOWHERE or name == DEMO:
        hint = "python tools/convert_demo_to_mlx.py makes it" if name == DEMO else "name another"
        raise ModelUnavailable(
            f"Model '{name}' is not to be had in mlx form: {hint}, or choose "
            f"--backend {FASTER_WHISPER}."
        )
    return f"{MLX_HUB_OWNER}/{_UNUSUAL_NAMES.get(name, f'whisper-{name}-mlx')}"


def fetch(name: str, cache: Path | None) -> str:
    """The folder of a model, out of the cache or from the hub; raises `ModelUnavailable`."""
    from huggingface_hub import snapshot_download  # half a second of work

    repository = hub_name(name)

    def download(*, offline: bool) -> Path:
        folder = Path(
            snapshot_download(
                repository, cache_dir=cache, allow_patterns=_FILES, local_files_only=offline
            )
        )
        if not is_mlx_folder(folder):
            raise FileNotFoundError(f"it holds none of mlx-whisper's files, {', '.join(_FILES)}")
        return folder

    try:
        return str(download(offline=True))
    except Exception:  # not in the cache; the hub's client has no common base for that
        logger.info("Fetching model %s from the Hugging Face hub", repository)
    try:
        return str(download(offline=False))
    except Exception as error:
        raise ModelUnavailable(
            f"Model '{name}' ({repository}) is not on this machine and cannot be fetched from the "
            f"Hugging Face hub ({_first_line(error)}). Check the network and the name, run "
            f"'whisper-server download {name}' where there is a network, or give a folder with "
            "--model FOLDER."
        ) from error


class MlxEngine:
    """One copy of the weights, and a queue for the one thread that works with it."""

    def __init__(self, model: Model, plan: EnginePlan, download_folder: Path | None = None) -> None:
        self._model = model
        self._plan = plan
        self._download_folder = download_folder
        self._decoder: MlxDecoder | None = None
        self._extractor: Any = None
        self._frames = 0
        self._is_multilingual = False
        self._languages: frozenset[str] = frozenset()

    @property
    def window_seconds(self) -> float:
        """What the encoder's positions hold: 30 seconds, less for a model that was taught less."""
        return self._frames / FRAMES_PER_SECOND

    def load(self) -> None:
        """Fetch, load and warm up; raises `ModelUnavailable`."""
        from faster_whisper.feature_extractor import FeatureExtractor

        if self._plan.compute_type not in MLX_COMPUTE_TYPES:
            raise ModelUnavailable(
                f"mlx computes in {' or '.join(MLX_COMPUTE_TYPES)}, not in "
                f"{self._plan.compute_type}: choose another --compute-type."
            )
        folder = self._model.folder or Path(fetch(self._model.name, self._download_folder))
        if not is_mlx_folder(folder):
            hub_name(self._model.name)  # the demo model has a way to mlx form
            raise ModelUnavailable(f"{folder} is no model in mlx form: choose another --backend.")
        try:
            on_cpu = self._plan.device == "cpu"
            decoder = in_mlx_thread(_load_decoder, folder, self._plan.compute_type, on_cpu)
            self._extractor = FeatureExtractor(feature_size=decoder.mels)
            self._frames, self._is_multilingual = decoder.frames, decoder.is_multilingual
            self._languages = decoder.languages
            self._decoder = decoder
            self._warm_up()
        except Exception as error:
            self.unload()
            raise ModelUnavailable(
                f"Model '{self._model.name}' cannot be loaded by mlx: {_first_line(error)}. Its "
                "folder may be broken: copy it again, or try another --model."
            ) from error

    def unload(self) -> None:
        """Give the weights' memory back."""
        self._decoder = None
        in_mlx_thread(_clear_cache)

    def can_translate(self) -> bool:
        """Whether the model is multilingual: the English-only ones were not taught the task."""
        return self._is_multilingual

    def knows(self, language: str) -> bool:
        return language in self._languages

    def features(self, samples: Samples) -> Features:
        """Log-mel, shape (frames, mels), zeros behind; computed by the caller, not by mlx."""
        mel = self._extractor(samples)[:, :-1][:, : self._frames]
        padded: Features = np.zeros((self._frames, mel.shape[0]), np.float32)
        padded[: mel.shape[1]] = mel.T
        return padded

    def batch_key(self, window: WindowInput) -> Hashable:
        """mlx-whisper has one language and one prompt for a batch."""
        options = window.options
        return options.task, options.language, window.temperature, options.prompt, options.hotwords

    def decode(self, windows: Sequence[WindowInput]) -> list[WindowResult]:
        """Greedy, whatever the beam size: mlx-whisper has no beam search."""
        decoder = self._decoder
        if decoder is None:
            raise EngineFailed("the model is not loaded")
        try:
            return in_mlx_thread(decoder.decode, windows)
        except Exception as error:
            raise _translated(error) from error

    def transcribe(
        self, samples: Samples, options: Options, should_stop: ShouldStop
    ) -> Transcription:
        """Window by window, each with the text before it as its prompt.

        The windows end in pauses, so none has to be decoded again from its last time stamp.
        """
        heard: list[WindowResult] = []
        segments: list[Segment] = []
        asked = options
        for window in self._windows(samples, options):
            found = self._best_attempt(window, asked, should_stop)
            heard.append(found)
            segments += [_placed(segment, window) for segment in found.segments]
            language = found.language if found.segments else asked.language
            said = f"{asked.prompt or ''}{''.join(segment.text for segment in found.segments)}"
            is_sober = found.temperature <= MAX_SOBER_TEMPERATURE
            asked = replace(asked, language=language, prompt=said if is_sober else None)
        known = [found for found in heard if found.segments] or heard
        probabilities = known[0].language_probs if known else ()
        language = known[0].language if known else options.language or NOTHING_SAID_IN
        return Transcription(
            language=language,
            language_probability=dict(probabilities).get(language, 1.0 if known else 0.0),
            top_language_probs=probabilities,
            duration_seconds=len(samples) / SAMPLE_RATE,
            segments=tuple(segments),
        )

    def _windows(self, samples: Samples, options: Options) -> Iterator[Window]:
        def detect(piece: Samples) -> list[Span]:
            return find_speech(piece, self.window_seconds)

        detector = detect if options.vad_filter else None
        return chain.from_iterable(cut_into_windows([samples], self.window_seconds, detector))

    def _best_attempt(
        self, window: Window, options: Options, should_stop: ShouldStop
    ) -> WindowResult:
        ladder = (options.temperature,) if options.temperature else LADDER
        features = self.features(window.samples)
        attempts: list[WindowResult] = []
        while (temperature := next_temperature(attempts, ladder)) is not None:
            if should_stop():
                raise EngineStopped("stopped before a window")
            entry = WindowInput(features, window.seconds, options, temperature)
            attempts += self.decode([entry])
        return best_of(attempts)

    def _warm_up(self) -> None:
        """Wrong shapes show when something is computed, so compute something."""
        silence = self.features(np.zeros(SAMPLE_RATE, np.float32))
        self.decode([WindowInput(silence, 1.0, Options(language="en"), 0.0)])


def _load_decoder(folder: Path, compute_type: str, on_cpu: bool) -> "MlxDecoder":
    from whisper_server.engines.mlx_decoder import MlxDecoder  # mlx, numba: seconds of work

    return MlxDecoder(folder, compute_type, on_cpu=on_cpu)


def _clear_cache() -> None:
    if mlx := sys.modules.get("mlx.core"):
        mlx.clear_cache()


def _placed(segment: Segment, window: Window) -> Segment:
    """From the window's clock to that of the samples; `seek` counts hundredths of a second."""

    def times(part: Segment | Word) -> tuple[float, float]:
        start = window.recording_time(part.start, is_end=False)
        return round(start, 3), round(window.recording_time(part.end, is_end=True), 3)

    start, end = times(segment)
    words = tuple(Word(*times(word), word.text, word.probability) for word in segment.words)
    seek = round(window.spans[0].start / SAMPLE_RATE * FRAMES_PER_SECOND)
    return replace(segment, start=start, end=end, seek=seek, words=words)


def _translated(error: Exception) -> EngineFailed:
    """What the scheduler is told of an error, whose frames let go of their arrays here."""
    traceback.clear_frames(error.__traceback__)
    said = str(error).lower()
    if isinstance(error, MemoryError) or any(sign in said for sign in OUT_OF_MEMORY):
        return OutOfMemory(f"the device is out of memory: {_first_line(error)}")
    return EngineFailed(f"mlx failed: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
