"""The mlx engine, for Apple silicon: the engine protocol, carried out in mlx's one thread."""

import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from whisper_server.audio_windows import Window, cut_into_windows
from whisper_server.engines import base
from whisper_server.engines.failures import engine_failure, fetch_model, first_line
from whisper_server.engines.mlx_thread import in_mlx_thread
from whisper_server.engines.segments import padded
from whisper_server.engines.silero import find_speech
from whisper_server.errors import EngineFailed, EngineStopped, ModelUnavailable
from whisper_server.model_names import FASTER_WHISPER, MLX_HUB_OWNER, Model, is_mlx_folder
from whisper_server.model_packages import is_installed
from whisper_server.presets import MLX_COMPUTE_TYPES, EnginePlan
from whisper_server.transcript import Transcript
from whisper_server.window_languages import DecidedWindow, WindowLanguages
from whisper_server.window_transcript import WindowTranscript

if TYPE_CHECKING:
    from whisper_server.engines.mlx_decoder import MlxDecoder

T = TypeVar("T")

MAX_PROMPT_TEMPERATURE = 0.5
"""Text that was sampled more freely is no context for the next window."""
_UNUSUAL_NAMES = {
    "large-v3-turbo": "whisper-large-v3-turbo",
    "distil-small.en": "distil-whisper-small.en",
    "distil-medium.en": "distil-whisper-medium.en",
    "distil-large-v3": "distil-whisper-large-v3",
}
_WITHOUT_MLX_FORM = {"distil-large-v2", "distil-large-v3.5"}
_FILES = ["config.json", "weights.safetensors", "weights.npz"]


def hub_name(name: str) -> str:
    """Return the hub's id of a model by its short name; an id stays as it is.

    Raises ModelUnavailable for a size that the hub does not have in mlx form.
    """
    if "/" in name:
        return name
    if name in _WITHOUT_MLX_FORM:
        raise ModelUnavailable(
            f"Model '{name}' is not to be had in mlx form: name another, or choose "
            f"--backend {FASTER_WHISPER}."
        )
    return f"{MLX_HUB_OWNER}/{_UNUSUAL_NAMES.get(name, f'whisper-{name}-mlx')}"


def fetch(name: str, cache: Path | None) -> Path:
    """Return the folder of a model, out of the cache or from the hub; raises ModelUnavailable."""
    ways = (
        [f"choose --backend {FASTER_WHISPER}, for which it is here"] if is_installed(name) else []
    )
    return fetch_model(name, hub_name(name), _FILES, is_mlx_folder, cache, ways=ways)


class MlxEngine:
    """One copy of the weights; all work with them is done in mlx's one thread."""

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
        """Return the length of the encoder's positions: 30 seconds, less for some models."""
        return self._frames / base.FRAMES_PER_SECOND

    @property
    def decodes_on_cpu(self) -> bool:
        return self._plan.device == "cpu"

    def load(self) -> None:
        from whisper_server.engines.spectrograms import Spectrograms

        if self._plan.compute_type not in MLX_COMPUTE_TYPES:
            raise ModelUnavailable(
                f"mlx computes in {' or '.join(MLX_COMPUTE_TYPES)}, not in "
                f"{self._plan.compute_type}: choose another --compute-type."
            )
        folder = self._model.folder or fetch(self._model.name, self._download_folder)
        if not is_mlx_folder(folder):
            raise ModelUnavailable(
                f"{folder} is no model in mlx form: choose another --backend, or make that form, "
                "in a checkout of this project: python tools/convert_to_mlx.py FOLDER OUT"
            )
        try:
            arguments = folder, self._plan.compute_type, self.decodes_on_cpu
            decoder = in_mlx_thread(_load_decoder, *arguments)
            self._extractor = Spectrograms(feature_size=decoder.mels)
            self._frames, self._is_multilingual = decoder.frames, decoder.is_multilingual
            self._languages = decoder.languages
            self._decoder = decoder
            # Wrong shapes only show when something is computed.
            silence = self.features(np.zeros(base.SAMPLE_RATE, np.float32))
            self.decode([base.WindowInput(silence, 1.0, base.Options(language="en"), 0.0)])
        except Exception as error:
            self.unload()
            raise ModelUnavailable(
                f"Model '{self._model.name}' cannot be loaded by mlx: {first_line(error)}. Its "
                "folder may be broken: copy it again, or try another --model."
            ) from error

    def unload(self) -> None:
        self._decoder = None
        in_mlx_thread(_clear_cache)

    def can_translate(self) -> bool:
        return self._is_multilingual

    def knows(self, language: str) -> bool:
        return language in self._languages

    def features(self, samples: base.Samples) -> base.Features:
        """Return the spectrogram, shape (frames, mel bands), computed by the caller's thread."""
        return np.ascontiguousarray(padded(self._extractor(samples), self._frames).T)

    def batch_key(self, window: base.WindowInput) -> Hashable:
        """Return what a batch has once in mlx-whisper, the language and the prompt too."""
        options = window.options
        prompts = options.prompt, options.hotwords, window.with_timestamps
        return options.task, options.language, window.temperature, *prompts

    def encode(self, windows: Sequence[base.WindowInput]) -> list[base.EncodedWindow]:
        return self._in_thread(lambda decoder: decoder.encode(windows))

    def decode(self, windows: Sequence[base.WindowInput]) -> list[base.WindowResult]:
        """Decode greedily at any beam size: mlx-whisper has no beam search."""
        return self._in_thread(lambda decoder: decoder.decode(windows))

    def transcribe(
        self, samples: base.Samples, options: base.Options, should_stop: base.ShouldStop
    ) -> base.Transcription:
        """Transcribe window by window, each with the text before it as its prompt."""
        transcript = Transcript(options.language)
        current = options
        detector = find_speech if options.vad_filter else None
        cut = cut_into_windows([samples], self.window_seconds, detector)
        for number, window in enumerate(self._of_one_language(chain.from_iterable(cut), options)):
            current = replace(current, language=window.language)
            entry = self._entry(window.window, current, window.sound)
            text = WindowTranscript(window.window, entry, self.features)
            while attempt := text.next_input:
                if should_stop():
                    raise EngineStopped("stopped before a window")
                (result,) = self.decode([attempt])
                text.add(result)
            done = text.result(window.probs)
            transcript.put(number, done)
            spoken = (current.prompt or "", *(segment.text for segment in done.segments))
            is_context = result.temperature <= MAX_PROMPT_TEMPERATURE
            current = replace(current, prompt="".join(spoken) if is_context else None)
        return transcript.result(len(samples) / base.SAMPLE_RATE)

    def _of_one_language(
        self, windows: Iterable[Window], options: base.Options
    ) -> Iterator[DecidedWindow]:
        """Return windows with their language, cut where it changes."""
        if options.language or not self._is_multilingual:
            yield from (DecidedWindow(window, options.language or "en") for window in windows)
            return
        languages = WindowLanguages()
        for window in windows:
            (encoded,) = self.encode([self._entry(window, options)])
            languages.add(languages.expect(), window, encoded)
            yield from chain.from_iterable(languages.take(is_last=False))
        yield from chain.from_iterable(languages.take(is_last=True))

    def _entry(self, window: Window, options: base.Options, sound: Any = None) -> base.WindowInput:
        features = self.features(window.samples)
        return base.WindowInput(features, window.seconds, options, options.temperature, sound)

    def _in_thread(self, call: Callable[["MlxDecoder"], T]) -> T:
        decoder = self._decoder
        if decoder is None:
            raise EngineFailed("the model is not loaded")
        try:
            return in_mlx_thread(call, decoder)
        except Exception as error:
            raise engine_failure(error, "mlx") from error


def _load_decoder(folder: Path, compute_type: str, on_cpu: bool) -> "MlxDecoder":
    from whisper_server.engines.mlx_decoder import MlxDecoder  # mlx, numba: seconds of work

    return MlxDecoder(folder, compute_type, on_cpu=on_cpu)


def _clear_cache() -> None:
    if mlx := sys.modules.get("mlx.core"):
        mlx.clear_cache()
