"""Engines with the demo model, loaded once, and speech for them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import mlx_engine as mlx
from tests.support.faster_whisper_engine import DIARY, loaded_engine, samples_of
from tests.support.mlx_model import mlx_demo_model
from tests.support.speech import speak
from whisper_server.audio_windows import Window, cut_into_windows
from whisper_server.engines.base import SAMPLE_RATE, Samples, WindowResult
from whisper_server.engines.faster_whisper import FasterWhisperEngine
from whisper_server.engines.mlx import MlxEngine
from whisper_server.engines.silero import find_speech
from whisper_server.model_names import find_model


@pytest.fixture(scope="session")
def engine() -> FasterWhisperEngine:
    return loaded_engine()


@pytest.fixture
def model(engine: FasterWhisperEngine) -> Any:
    """CTranslate2's model within the engine, for tests that stand in its way."""
    return engine._whisper.model


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    path = speak("one two three alpha bravo charlie", tmp_path_factory.mktemp("speech") / "a.wav")
    return samples_of(path)


@pytest.fixture(scope="session")
def windows(engine: FasterWhisperEngine) -> list[Window]:
    """Eight of them, of unlike lengths, in no order that tells the longest."""
    diary = [samples_of(DIARY)[: 75 * SAMPLE_RATE]]
    pieces = cut_into_windows(diary, engine.window_seconds, find_speech)
    return [window for piece in pieces for window in piece][:8]


@pytest.fixture(scope="session")
def mlx_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mlx_demo_model(tmp_path_factory.mktemp("models") / "demo-mlx")


@pytest.fixture(scope="session")
def mlx_engine(mlx_folder: Path) -> MlxEngine:
    loaded = MlxEngine(find_model(str(mlx_folder)), mlx.PLAN)
    loaded.load()
    return loaded


@pytest.fixture(scope="session")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    return mlx.spoken(mlx.NUMBERS, tmp_path_factory.mktemp("speech"))


@pytest.fixture(scope="session")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    return mlx.spoken(mlx.LETTERS, tmp_path_factory.mktemp("speech"))


@pytest.fixture(scope="session")
def crowd(mlx_engine: MlxEngine, numbers: Samples, letters: Samples) -> list[WindowResult]:
    """Three windows of different length in one batch."""
    quiet = np.zeros(8_000, np.float32)
    samples = (numbers, letters, np.concatenate([quiet, numbers]))
    return mlx_engine.decode([mlx.window(mlx_engine, each, mlx.WORDS) for each in samples])
