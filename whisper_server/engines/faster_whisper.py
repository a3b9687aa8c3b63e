"""The faster-whisper engine: loading, and what the server asks of it.

With its neighbours here the only module that imports faster_whisper and ctranslate2.
"""

import ctypes
import logging
import traceback
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ctranslate2
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
from whisper_server.engines.contexts import Contexts
from whisper_server.engines.segments import finite, within
from whisper_server.errors import (
    EngineFailed,
    EngineStopped,
    ModelUnavailable,
    OutOfMemory,
)
from whisper_server.model_names import DEMO, Model
from whisper_server.presets import EnginePlan
from whisper_server.quality import LADDER

if TYPE_CHECKING:
    from whisper_server.engines.window_decoder import WindowDecoder

TOP_LANGUAGES = 5
OUT_OF_MEMORY = ("out of memory", "alloc_failed", "bad_alloc", "bad allocation")
"""How CUDA, cuBLAS and C++ say it, in lower case."""

logger = logging.getLogger(__name__)


def cuda_device_count() -> int:
    """CUDA devices that CTranslate2 can use; 0 also when the driver is missing or broken."""
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
        # These outlive the weights: windows are made ready while those are on their way back.
        self._extractor: Any = None
        self._contexts: Contexts | None = None
        self._is_multilingual = False

    @property
    def window_seconds(self) -> float:
        return float(self._extractor.chunk_length)

    def load(self) -> None:
        """Fetch, load and warm up; raises `ModelUnavailable`. Also after `unload`."""
        from faster_whisper import WhisperModel  # a second of work: not before the port is open

        from whisper_server.engines.window_decoder import WindowDecoder

        folder = self._model.folder or fetch(self._model.name, self._download_folder)
        try:
            whisper = WhisperModel(
                str(folder),
                device=self._plan.device,
                device_index=self._device_index,
                compute_type=self._plan.compute_type,
                cpu_threads=self._plan.shape.threads,
                num_workers=self._plan.shape.streams,
                local_files_only=True,
            )
            self._contexts = Contexts(whisper.hf_tokenizer, whisper.max_length)
            decoder = WindowDecoder(whisper, self._contexts)
            self._extractor = whisper.feature_extractor
            # Missing CUDA libraries only show when something is computed: compute something.
            silence = self.features(np.zeros(SAMPLE_RATE, dtype=np.float32))
            decoder.decode([WindowInput(silence, 1.0, Options(language="en", beam_size=1), 0.0)])
        except Exception as error:  # RuntimeError, ValueError, and bare ones out of Rust
            raise ModelUnavailable(self._why_not_loaded(error)) from error
        self._is_multilingual = bool(whisper.model.is_multilingual)
        self._whisper, self._decoder = whisper, decoder

    def unload(self) -> None:
        """Calls that are under way keep the weights until they end."""
        # CTranslate2's own `unload_model` keeps a third of it, and more with every round.
        self._whisper = self._decoder = None
        _return_free_memory()

    def can_translate(self) -> bool:
        """Whether the model is multilingual: the English-only ones were not taught the task."""
        return self._is_multilingual

    def knows(self, language: str) -> bool:
        if not self._is_multilingual:
            return language == "en"
        return self._contexts is not None and self._contexts.knows(language)

    def features(self, samples: Samples) -> Features:
        """Shape (mel bands, 100 frames a second); behind the audio all is zero.

        faster-whisper pads to 30 seconds, here it is the model's own window: the same for all
        but models with a shorter one, which hear as well and need less time.
        """
        spectrogram = self._extractor(samples)[:, :-1]
        padded = np.zeros((len(spectrogram), self._extractor.nb_max_frames), np.float32)
        frames = min(spectrogram.shape[1], self._extractor.nb_max_frames)
        padded[:, :frames] = spectrogram[:, :frames]
        return padded

    def batch_key(self, window: WindowInput) -> Hashable:
        assert self._contexts is not None, "no window comes before the model was loaded once"
        return self._contexts.batch_key(window)

    def decode(self, windows: Sequence[WindowInput]) -> list[WindowResult]:
        decoder = self._decoder
        if decoder is None:
            raise self._not_loaded()
        try:
            return decoder.decode(windows)
        except Exception as error:
            raise _translated(error) from error

    def transcribe(
        self, samples: Samples, options: Options, should_stop: ShouldStop
    ) -> Transcription:
        """faster-whisper's own long form, each window told what was heard before it."""
        duration = len(samples) / SAMPLE_RATE
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
            raise _translated(error) from error
        probabilities = info.all_language_probs or [(info.language, info.language_probability)]
        return Transcription(
            language=info.language,
            language_probability=float(info.language_probability),
            top_language_probs=tuple(
                (code, float(probability)) for code, probability in probabilities[:TOP_LANGUAGES]
            ),
            duration_seconds=duration,
            segments=segments,
        )

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
            f"{self._plan.compute_type}: {_first_line(error)}. {hint}"
        )


def fetch(name: str, cache: Path | None = None) -> str:
    """The folder of a model on the Hugging Face hub, fetched unless it is in the cache already.

    `name` is a size or a hub id. Raises `ModelUnavailable`.
    """
    from faster_whisper import download_model

    download: Callable[..., str] = download_model
    folder = str(cache) if cache else None
    try:
        found = download(name, cache_dir=folder, local_files_only=True)
        if (Path(found) / "model.bin").exists():  # else an earlier download broke off
            return found
    except Exception:  # not in the cache; the hub's client has no common base for that
        logger.info("Fetching model %s from the Hugging Face hub", name)
    try:
        return download(name, cache_dir=folder)
    except Exception as error:
        raise ModelUnavailable(
            f"Model '{name}' is not on this machine and cannot be fetched from the Hugging Face "
            f"hub ({_first_line(error)}). Check the network and the name, run 'whisper-server "
            f"download {name}' where there is a network, give a folder with --model FOLDER, or "
            f"try the small --model {DEMO}."
        ) from error


def _translated(error: Exception) -> EngineFailed:
    """What the scheduler is told of an error.

    The frames behind it hold the encoder's output on the device: let go of it here.
    """
    traceback.clear_frames(error.__traceback__)
    said = str(error).lower()
    if isinstance(error, MemoryError) or any(sign in said for sign in OUT_OF_MEMORY):
        return OutOfMemory(f"the device is out of memory: {_first_line(error)}")
    return EngineFailed(f"faster-whisper failed: {_first_line(error)}")


def _return_free_memory() -> None:
    """glibc keeps what was freed, as much as the weights were; other C libraries keep less."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


class _Temperatures(tuple[float, ...]):
    """Asks `should_stop` on every step: a window may take six attempts of seconds each."""

    should_stop: ShouldStop

    def __iter__(self) -> Iterator[float]:
        for temperature in super().__iter__():
            if self.should_stop():
                raise EngineStopped("stopped within a window")
            yield temperature


def _arguments(options: Options, should_stop: ShouldStop) -> dict[str, Any]:
    """faster-whisper's arguments; a temperature of 0 means the ladder, as OpenAI documents it."""
    temperatures = _Temperatures((options.temperature,) if options.temperature else LADDER)
    temperatures.should_stop = should_stop
    return {
        "task": options.task,
        "language": options.language,
        "initial_prompt": options.prompt,
        "temperature": temperatures,
        "word_timestamps": options.word_timestamps,
        "beam_size": options.beam_size,
        "vad_filter": options.vad_filter,
        "condition_on_previous_text": True,
    }


def _collect(found: Iterable[Any], duration: float, should_stop: ShouldStop) -> tuple[Segment, ...]:
    """Run the lazy generator: each step of it decodes a window."""
    segments = []
    for segment in found:
        if should_stop():
            raise EngineStopped("stopped while transcribing")
        if segment.text.strip():
            segments.append(_segment(segment, duration))
    return tuple(segments)


def _segment(segment: Any, duration: float) -> Segment:
    start, end = within(segment.start, segment.end, duration)
    return Segment(
        start=start,
        end=end,
        text=segment.text,
        seek=int(segment.seek),
        tokens=tuple(segment.tokens),
        temperature=float(segment.temperature or 0.0),
        avg_logprob=finite(segment.avg_logprob),
        compression_ratio=finite(segment.compression_ratio),
        no_speech_prob=finite(segment.no_speech_prob),
        words=tuple(_word(word, duration) for word in segment.words or ()),
    )


def _word(word: Any, duration: float) -> Word:
    start, end = within(word.start, word.end, duration)
    return Word(start, end, word.word.strip(), finite(word.probability))


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
