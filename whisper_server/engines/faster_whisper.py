"""The faster-whisper engine; the only module that imports faster_whisper and ctranslate2."""

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np

from whisper_server.catalogue import DEMO, Model
from whisper_server.engines.base import (
    SAMPLE_RATE,
    Options,
    Samples,
    Segment,
    ShouldStop,
    Transcription,
    Word,
)
from whisper_server.engines.pieces import LONGEST_PIECE_SECONDS, cut_points
from whisper_server.errors import EngineFailed, EngineStopped, ModelUnavailable
from whisper_server.presets import EnginePlan

BEAM_SIZE = 5
TOP_LANGUAGES = 5
FALLBACK_TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Whisper's own ladder: a window that fails its quality checks is sampled more freely."""

logger = logging.getLogger(__name__)


def cuda_device_count() -> int:
    """CUDA devices that CTranslate2 can use; 0 also when the driver is missing or broken."""
    try:
        return int(ctranslate2.get_cuda_device_count())
    except RuntimeError:
        return 0


class FasterWhisperEngine:
    """One copy of the weights, `plan.worker_count` transcriptions side by side."""

    def __init__(self, model: Model, plan: EnginePlan, download_folder: Path | None = None) -> None:
        self._model = model
        self._plan = plan
        self._download_folder = download_folder
        self._whisper: Any = None

    def load(self) -> None:
        """Fetch, load and warm up; raises `ModelUnavailable`."""
        from faster_whisper import WhisperModel  # a second of work: not before the port is open

        folder = self._model.folder or self._fetch()
        try:
            self._whisper = WhisperModel(
                str(folder),
                device=self._plan.device,
                compute_type=self._plan.compute_type,
                cpu_threads=self._plan.threads_per_worker,
                num_workers=self._plan.worker_count,
                local_files_only=True,
            )
            self._warm_up()
        except Exception as error:  # RuntimeError, ValueError, and bare ones out of Rust
            raise ModelUnavailable(self._why_not_loaded(error)) from error

    def can_translate(self) -> bool:
        """Whether the model is multilingual: the English-only ones were not taught the task."""
        return bool(self._whisper.model.is_multilingual)

    def transcribe(
        self, samples: Samples, options: Options, should_stop: ShouldStop
    ) -> Transcription:
        """Sequential long-form decoding, with Silero VAD taking out what is not speech.

        The language is that of the first piece in which something was said.
        """
        points = cut_points(LONGEST_PIECE_SECONDS * SAMPLE_RATE, samples)
        found: Transcription | None = None
        segments: list[Segment] = []
        for start, end in pairwise(points):
            piece = self._transcribe_piece(samples[start:end], options, should_stop)
            segments += [_shifted(segment, start) for segment in piece.segments]
            if found is None or not found.segments:
                found = piece
            if found.segments:
                options = replace(options, language=found.language)
            options = replace(options, prompt=None)
        assert found is not None
        return replace(found, duration_seconds=len(samples) / SAMPLE_RATE, segments=tuple(segments))

    def _transcribe_piece(
        self, samples: Samples, options: Options, should_stop: ShouldStop
    ) -> Transcription:
        duration = len(samples) / SAMPLE_RATE
        try:
            if should_stop():
                raise EngineStopped("stopped between two pieces")
            found, info = self._whisper.transcribe(samples, **_arguments(options, should_stop))
            segments = _collect(found, duration, should_stop)
        except EngineStopped:
            raise
        except Exception as error:
            raise EngineFailed(f"faster-whisper failed: {_first_line(error)}") from error
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

    def _fetch(self) -> str:
        from faster_whisper import download_model

        cache = str(self._download_folder) if self._download_folder else None
        download: Callable[..., str] = download_model
        try:
            return download(self._model.name, cache_dir=cache, local_files_only=True)
        except Exception:  # not in the cache; the hub's client has no common base for that
            logger.info("Fetching model %s from the Hugging Face hub", self._model.name)
        try:
            return download(self._model.name, cache_dir=cache)
        except Exception as error:
            raise ModelUnavailable(
                f"Model '{self._model.name}' is not on this machine and cannot be fetched from "
                f"the Hugging Face hub ({_first_line(error)}). Check the network and the name, "
                f"give a folder with --model FOLDER, or try the small --model {DEMO}."
            ) from error

    def _warm_up(self) -> None:
        """Missing CUDA libraries only show when something is computed: compute something."""
        found, _ = self._whisper.transcribe(
            np.zeros(SAMPLE_RATE, dtype=np.float32), language="en", beam_size=1, temperature=0.0
        )
        list(found)

    def _why_not_loaded(self, error: Exception) -> str:
        hint = "Try another --model or --compute-type."
        if self._plan.device == "cuda":
            hint = "Try --compute-type int8, a smaller --model, --device cpu, or mend CUDA."
        elif self._model.folder:
            hint = "Its folder may be broken: copy it again, or try another --model."
        return (
            f"Model '{self._model.name}' cannot be loaded on {self._plan.device} as "
            f"{self._plan.compute_type}: {_first_line(error)}. {hint}"
        )


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
    temperatures = _Temperatures(
        (options.temperature,) if options.temperature else FALLBACK_TEMPERATURES
    )
    temperatures.should_stop = should_stop
    return {
        "task": options.task,
        "language": options.language,
        "initial_prompt": options.prompt,
        "temperature": temperatures,
        "word_timestamps": options.word_timestamps,
        "beam_size": BEAM_SIZE,
        "vad_filter": True,
        "condition_on_previous_text": False,
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
    start, end = _within(segment.start, segment.end, duration)
    return Segment(
        start=start,
        end=end,
        text=segment.text,
        seek=int(segment.seek),
        tokens=tuple(segment.tokens),
        temperature=float(segment.temperature or 0.0),
        avg_logprob=_finite(segment.avg_logprob),
        compression_ratio=_finite(segment.compression_ratio),
        no_speech_prob=_finite(segment.no_speech_prob),
        words=tuple(_word(word, duration) for word in segment.words or ()),
    )


def _shifted(segment: Segment, samples: int) -> Segment:
    """The same segment, `samples` later; `seek` counts hundredths of a second."""
    if not samples:
        return segment
    seconds = samples / SAMPLE_RATE
    return replace(
        segment,
        start=round(segment.start + seconds, 3),
        end=round(segment.end + seconds, 3),
        seek=segment.seek + round(seconds * 100),
        words=tuple(
            replace(word, start=round(word.start + seconds, 3), end=round(word.end + seconds, 3))
            for word in segment.words
        ),
    )


def _word(word: Any, duration: float) -> Word:
    start, end = _within(word.start, word.end, duration)
    return Word(start, end, word.word.strip(), _finite(word.probability))


def _within(start: float, end: float, duration: float) -> tuple[float, float]:
    """Whisper may place an end in the padding behind the audio: bring it back."""
    first = min(max(0.0, float(start)), duration)
    return round(first, 3), round(min(max(first, float(end)), duration), 3)


def _finite(number: float) -> float:
    """JSON knows no NaN; a window without tokens may have one."""
    return float(number) if math.isfinite(number) else 0.0


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
