"""The faster-whisper engine with the demo model, and windows for it."""

import io
from pathlib import Path

import numpy as np

from tests.support.paths import SAMPLES
from tests.support.whisper_process import demo_model
from whisper_server.engines.base import SAMPLE_RATE, Options, Samples, WindowInput
from whisper_server.engines.faster_whisper import FasterWhisperEngine
from whisper_server.model_names import find_model
from whisper_server.presets import EnginePlan, Shape
from whisper_server.recording import Recording

PLAN = EnginePlan("demo", "faster-whisper", "cpu", "int8", Shape(1, 2, 4, "a test"), (0,), 1)


PLAIN = Options(language="en")


WORDS = Options(language="en", word_timestamps=True)


DIARY = SAMPLES / "voice-diary.mp3"


def never() -> bool:
    return False


def loaded_engine(plan: EnginePlan = PLAN) -> FasterWhisperEngine:
    engine = FasterWhisperEngine(find_model(demo_model()), plan)
    engine.load()
    return engine


def samples_of(path: Path) -> Samples:
    return np.concatenate(list(Recording([io.BytesIO(path.read_bytes())], 600, "file").blocks()))


def ready(
    engine: FasterWhisperEngine, samples: Samples, options: Options = PLAIN, temperature: float = 0
) -> WindowInput:
    return WindowInput(
        engine.features(samples), len(samples) / SAMPLE_RATE, options, float(temperature)
    )
