"""Recordings that change their language, through the pipeline with the multilingual model."""

import io
from dataclasses import replace

import pytest

from stt.media.audio import SAMPLE_RATE
from tests.support import human_speech
from tests.support.faster_whisper_engine import PLAN, loaded_engine
from tests.support.models import base_model
from tests.support.speech import words, write_wav
from whisper_server.engines.base import Options, Transcription
from whisper_server.engines.faster_whisper import FasterWhisperEngine
from whisper_server.engines.silero import find_speech
from whisper_server.metrics import Metrics
from whisper_server.pipeline import Pipeline
from whisper_server.presets import Shape
from whisper_server.recording import Recording
from whisper_server.settings import Settings
from whisper_server.transcription_task import TranscriptionTask

pytestmark = pytest.mark.words

SECONDS = 14
MOST_WRONG_SHARE = 0.2
"""Here 0.07 of the words are wrong; 0.39 if all is decoded as English."""


@pytest.fixture(scope="module")
def engine() -> FasterWhisperEngine:
    return loaded_engine(replace(PLAN, model="base"), base_model())


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, float, list[str]]:
    """French and then English: as a file, where it changes in seconds, and the words."""
    french, english = (human_speech.prompts(code, SECONDS, seed=2) for code in ("fr", "en"))
    both = human_speech.joined([french, english])
    path = write_wav(both.samples, tmp_path_factory.mktemp("speech") / "both.wav")
    change = (len(both.samples) - len(english.samples)) / SAMPLE_RATE
    return path.read_bytes(), change, words(both.text)


def transcribe(
    engine: FasterWhisperEngine, file: bytes, batch_size: int, language: str | None = None
) -> Transcription:
    shape = Shape(streams=1, threads=2, batch_size=batch_size, reason="of a test")
    settings = Settings.model_construct(batch_window_ms=2000)
    pipeline = Pipeline([engine], replace(PLAN, shape=shape), settings, Metrics(), find_speech)
    pipeline.start()
    recording = Recording([io.BytesIO(file)], 3600, "file")
    options = Options(language=language)
    task = TranscriptionTask(recording, options, pipeline.config(), lambda progress: None)
    try:
        pipeline.begin(task)
        return task.result.result(timeout=300)
    finally:
        pipeline.close()
        recording.close()


@pytest.fixture(scope="module")
def found(engine: FasterWhisperEngine, speech: tuple[bytes, float, list[str]]) -> Transcription:
    return transcribe(engine, speech[0], batch_size=1)


def test_each_part_is_in_its_language(
    found: Transcription, speech: tuple[bytes, float, list[str]]
) -> None:
    _, change, _ = speech
    for segment in found.segments:
        middle = (segment.start + segment.end) / 2
        assert segment.language == ("fr" if middle < change else "en")
    assert {code for code, _ in found.top_language_probs[:2]} == {"fr", "en"}
    assert found.language in {"fr", "en"}
    assert found.silent_speech_seconds < 3.0


def test_the_words_of_both_are_right(
    found: Transcription, speech: tuple[bytes, float, list[str]]
) -> None:
    _, _, said = speech
    text = words(found.text)
    missing = [word for word in said if word not in text]
    assert len(missing) / len(said) < MOST_WRONG_SHARE
    assert 0.7 < len(text) / len(said) < 1.3


def test_the_text_does_not_depend_on_the_size_of_batches(
    engine: FasterWhisperEngine, found: Transcription, speech: tuple[bytes, float, list[str]]
) -> None:
    assert transcribe(engine, speech[0], batch_size=4) == found
