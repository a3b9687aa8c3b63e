"""The faster-whisper engine: loading, and the engine protocol.

With its neighbours here the only module that imports faster_whisper and ctranslate2.
"""

import ctypes
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ctranslate2
import numpy as np

from whisper_server.engines import base
from whisper_server.engines.failures import engine_failure, fetch_model, first_line
from whisper_server.engines.prompt_contexts import Contexts, PlainTextTokenizer
from whisper_server.engines.segments import padded, segment_of, top_languages
from whisper_server.errors import EngineFailed, EngineStopped, ModelUnavailable
from whisper_server.model_names import Model
from whisper_server.model_packages import installed_folder, ways_to_a_package
from whisper_server.presets import EnginePlan
from whisper_server.quality import ladder_of

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

    from whisper_server.engines.window_decoder import WindowDecoder

_FILES = ["config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*"]


def cuda_device_count() -> int:
    """Return how many CUDA devices CTranslate2 can use; 0 if the driver is broken."""
    try:
        return int(ctranslate2.get_cuda_device_count())
    except RuntimeError:
        return 0


class FasterWhisperEngine:
    """One copy of the weights on one device, `plan.shape.streams` batches side by side."""

    def __init__(
        self,
        model: Model,
        plan: EnginePlan,
        device_index: int = 0,
        download_folder: Path | None = None,
    ) -> None:
        self._model = model
        self._plan = plan
        self._device_index = device_index
        self._download_folder = download_folder
        self._whisper: Any = None
        self._decoder: WindowDecoder | None = None
        # These outlive the weights: windows are prepared while the weights are loaded again.
        self._extractor: Any = None
        self._contexts: Contexts | None = None
        self._is_multilingual = False

    @property
    def window_seconds(self) -> float:
        return float(self._extractor.chunk_length)

    @property
    def decodes_on_cpu(self) -> bool:
        return self._plan.device == "cpu"

    def load(self) -> None:
        from whisper_server.engines.window_decoder import WindowDecoder

        folder = self._model.folder or fetch(self._model.name, self._download_folder)
        try:
            whisper = load_whisper(folder, self._plan, self._device_index)
            self._contexts = Contexts(whisper.hf_tokenizer, whisper.max_length)
            decoder = WindowDecoder(whisper, self._contexts)
            self._extractor = whisper.feature_extractor
            # Missing CUDA libraries only show when something is computed; on a CPU, where a whole
            # window takes as long as one of speech, a piece of it shows as much.
            silence = self.features(np.zeros(base.SAMPLE_RATE, dtype=np.float32))
            if self._plan.device == "cpu":
                silence = np.ascontiguousarray(silence[:, : base.FRAMES_PER_SECOND])
            decoder.decode(
                [base.WindowInput(silence, 1.0, base.Options(language="en", beam_size=1), 0.0)]
            )
        except Exception as error:  # RuntimeError, ValueError, and bare ones out of Rust
            raise ModelUnavailable(self._why_not_loaded(error)) from error
        self._is_multilingual = bool(whisper.model.is_multilingual)
        self._whisper, self._decoder = whisper, decoder

    def unload(self) -> None:
        """Free the weights; running calls keep them until they end."""
        # CTranslate2's own `unload_model` keeps a third of it, and more with every round.
        self._whisper = self._decoder = None
        _return_free_memory()

    def can_translate(self) -> bool:
        return self._is_multilingual

    def knows(self, language: str) -> bool:
        if not self._is_multilingual:
            return language == "en"
        return self._contexts is not None and self._contexts.knows(language)

    def features(self, samples: base.Samples) -> base.Features:
        """Return the spectrogram, shape (mel bands, 100 frames a second), padded with zeros.

        faster-whisper pads to 30 seconds, here it is the model's own window: the same for all
        but models with a shorter one, which are as accurate then and need less time.
        """
        return padded(self._extractor(samples), self._extractor.nb_max_frames)

    def batch_key(self, window: base.WindowInput) -> Hashable:
        """Return what a call of CTranslate2 has once: search options, length of the prompts."""
        assert self._contexts is not None, "no window comes before the model was loaded once"
        options, prompt = window.options, self._contexts.tokens(window.options)
        search = window.temperature, options.beam_size, window.with_timestamps
        return options.task, *search, len(prompt)

    def encode(self, windows: Sequence[base.WindowInput]) -> list[base.EncodedWindow]:
        with self._loaded_decoder() as decoder:
            return decoder.encode(windows)

    def decode(self, windows: Sequence[base.WindowInput]) -> list[base.WindowResult]:
        with self._loaded_decoder() as decoder:
            return decoder.decode(windows)

    def transcribe(
        self, samples: base.Samples, options: base.Options, should_stop: base.ShouldStop
    ) -> base.Transcription:
        """Transcribe in faster-whisper's own long form."""
        duration = len(samples) / base.SAMPLE_RATE
        whisper = self._whisper
        if whisper is None or self._contexts is None:
            raise self._not_loaded()
        try:
            if should_stop():
                raise EngineStopped("stopped before a piece")
            arguments = _arguments(options, should_stop)
            arguments["hotwords"] = self._contexts.fitting(options.hotwords)
            found, info = whisper.transcribe(samples, **arguments)
            segments = _collect(found, duration, should_stop)
        except EngineStopped:
            raise
        except Exception as error:
            raise engine_failure(error, "faster-whisper") from error
        probabilities = info.all_language_probs or [(info.language, info.language_probability)]
        return base.Transcription(
            language=info.language,
            language_probability=info.language_probability,
            top_language_probs=top_languages(probabilities),
            duration_seconds=duration,
            segments=tuple(replace(segment, language=info.language) for segment in segments),
        )

    @contextmanager
    def _loaded_decoder(self) -> "Iterator[WindowDecoder]":
        """Use the decoder; what fails in it becomes EngineFailed."""
        decoder = self._decoder
        if decoder is None:
            raise self._not_loaded()
        try:
            yield decoder
        except Exception as error:
            raise engine_failure(error, "faster-whisper") from error

    def _not_loaded(self) -> EngineFailed:
        return EngineFailed(f"Model '{self._model.name}' is not loaded")

    def _why_not_loaded(self, error: Exception) -> str:
        hint = "Try another --model or --compute-type."
        if "compute type" in str(error):
            hint = "Choose another --compute-type, such as int8 or float32."
        elif self._plan.device == "cuda":
            hint = "Try --compute-type int8, a smaller --model, --device cpu, or mend CUDA."
        elif self._model.folder:
            hint = "Its folder may be broken: copy it again, or try another --model."
        return (
            f"Model '{self._model.name}' cannot be loaded on {self._plan.device} as "
            f"{self._plan.compute_type}: {first_line(error)}. {hint}"
        )


def fetch(name: str, cache: Path | None = None) -> Path:
    """Return the folder of a model: in the hub's cache, in an installed package, or from the hub.

    `name` is a size or a hub id. Raises ModelUnavailable.
    """
    from faster_whisper.utils import _MODELS

    def is_complete(folder: Path) -> bool:
        return (folder / "model.bin").exists()  # it comes last

    return fetch_model(
        name,
        _MODELS.get(name, name),
        _FILES,
        is_complete,
        cache,
        installed=lambda: installed_folder(name, cache),
        ways=ways_to_a_package(name),
    )


def load_whisper(folder: Path, plan: EnginePlan, device_index: int) -> "WhisperModel":
    """Load a model in the plan's shape; raises RuntimeError, ValueError, and errors out of Rust."""
    from faster_whisper import WhisperModel  # a second of work: not before the port is open

    from whisper_server.engines.spectrograms import Spectrograms

    whisper = WhisperModel(
        str(folder),
        device=plan.device,
        device_index=device_index,
        compute_type=plan.compute_type,
        cpu_threads=plan.shape.threads,
        num_workers=plan.shape.streams,
        local_files_only=True,
    )
    whisper.hf_tokenizer = PlainTextTokenizer(whisper.hf_tokenizer)
    whisper.feature_extractor = Spectrograms(**whisper.feat_kwargs)
    return whisper


def _return_free_memory() -> None:
    """Return freed memory that glibc keeps, as much as the weights; others keep less."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


class _Temperatures(tuple[float, ...]):
    """Call `should_stop` before each one: a window may take six attempts of seconds each."""

    should_stop: base.ShouldStop

    def __iter__(self) -> Iterator[float]:
        for temperature in super().__iter__():
            if self.should_stop():
                raise EngineStopped("stopped within a window")
            yield temperature


def _arguments(options: base.Options, should_stop: base.ShouldStop) -> dict[str, Any]:
    """Return the options as faster-whisper's arguments."""
    temperatures = _Temperatures(ladder_of(options))
    temperatures.should_stop = should_stop
    arguments = asdict(options) | {
        "temperature": temperatures,
        "condition_on_previous_text": True,
        "multilingual": options.language is None,
    }
    return arguments | {"initial_prompt": arguments.pop("prompt")}


def _collect(
    found: Iterable[Any], duration: float, should_stop: base.ShouldStop
) -> tuple[base.Segment, ...]:
    """Run the lazy generator: each step of it decodes a window."""
    segments = []
    for found_segment in found:
        if should_stop():
            raise EngineStopped("stopped while transcribing")
        if found_segment.text.strip():
            draft = asdict(found_segment)
            segment = segment_of(draft, found_segment.text, found_segment, duration)
            segments.append(replace(segment, seek=int(found_segment.seek)))
    return tuple(segments)
