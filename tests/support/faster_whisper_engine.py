"""The faster-whisper engine with real weights, and windows for it."""

import io
from pathlib import Path

import numpy as np

from stt.media.audio import Samples as IntSamples
from tests.support.models import sample_model
from tests.support.paths import SAMPLES
from whisper_server.audio_windows import Span, Window
from whisper_server.engines.base import SAMPLE_RATE, Engine, Options, Samples, WindowInput
from whisper_server.engines.faster_whisper import FasterWhisperEngine
from whisper_server.model_names import find_model
from whisper_server.presets import EnginePlan, Shape
from whisper_server.recording import Recording
from whisper_server.transcript import TranscribedWindow
from whisper_server.window_transcript import WindowTranscript

PLAN = EnginePlan("tiny.en", "faster-whisper", "cpu", "int8", Shape(1, 2, 4, "a test"), (0,), 1)


PLAIN = Options(language="en")


WORDS = Options(language="en", word_timestamps=True)


DIARY = SAMPLES / "voice-diary.mp3"


def never() -> bool:
    return False


def loaded_engine(plan: EnginePlan = PLAN, model: str | None = None) -> FasterWhisperEngine:
    """Return an engine with the sample model, or another one."""
    engine = FasterWhisperEngine(find_model(model or sample_model()), plan)
    engine.load()
    return engine


def as_float(samples: IntSamples) -> Samples:
    """Return samples as engines take them: from -1 to 1."""
    return samples.astype(np.float32) / np.float32(32_768)


def samples_of(path: Path) -> Samples:
    return np.concatenate(list(Recording([io.BytesIO(path.read_bytes())], 600, "file").blocks()))


def ready(
    engine: FasterWhisperEngine, samples: Samples, options: Options = PLAIN, temperature: float = 0
) -> WindowInput:
    return WindowInput(
        engine.features(samples), len(samples) / SAMPLE_RATE, options, float(temperature)
    )


def transcribed(engine: Engine, samples: Samples, options: Options = PLAIN) -> TranscribedWindow:
    """Return the text of a window as the server finds it: with all attempts and checks."""
    window = Window(samples, (Span(0, len(samples)),))
    first = WindowInput(engine.features(samples), window.seconds, options, options.temperature)
    transcript = WindowTranscript(window, first, engine.features)
    while entry := transcript.next_input:
        transcript.add(engine.decode([entry])[0])
    return transcript.result({})
