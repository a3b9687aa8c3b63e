"""The engine itself, in this process, with the demo model."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.speech import speak
from tests.whisper_process import demo_model
from whisper_server.audio import decode
from whisper_server.catalogue import Model, find_model
from whisper_server.engines import faster_whisper as module
from whisper_server.engines.base import Options, Samples
from whisper_server.engines.faster_whisper import FasterWhisperEngine
from whisper_server.errors import EngineStopped, ModelUnavailable
from whisper_server.presets import EnginePlan

PLAN = EnginePlan("demo", "cpu", "int8", 1, 1)
WORDS = Options(language="en", word_timestamps=True)


def never() -> bool:
    return False


@pytest.fixture(scope="module")
def engine() -> FasterWhisperEngine:
    loaded = FasterWhisperEngine(find_model(demo_model()), PLAN)
    loaded.load()
    return loaded


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    path = speak("one two three alpha bravo charlie", tmp_path_factory.mktemp("speech") / "a.wav")
    return decode([io.BytesIO(path.read_bytes())], limit_seconds=60)


def test_pieces_of_a_long_recording_keep_their_place(
    engine: FasterWhisperEngine, speech: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_PIECE_SECONDS", 5)
    pause = np.zeros(2 * 16_000, np.float32)
    twice = np.concatenate([speech, pause, speech])
    found = engine.transcribe(twice, WORDS, never)
    words = [word for segment in found.segments for word in segment.words]
    assert [word.text for word in words] == ["one", "two", "three", "alpha", "bravo", "charlie"] * 2
    second_start = (len(speech) + len(pause)) / 16_000
    assert words[6].start == pytest.approx(second_start, abs=0.5)
    assert found.duration_seconds == pytest.approx(len(twice) / 16_000)
    assert [segment.start for segment in found.segments] == sorted(
        segment.start for segment in found.segments
    )


def test_every_number_is_a_plain_one(engine: FasterWhisperEngine, speech: Samples) -> None:
    found = engine.transcribe(speech, WORDS, never)
    for number in (found.language_probability, found.segments[0].start, found.segments[0].end):
        assert type(number) is float
    assert all(type(word.start) is float for word in found.segments[0].words)
    assert all(type(token) is int for token in found.segments[0].tokens)


def test_it_knows_other_languages_and_can_translate(engine: FasterWhisperEngine) -> None:
    assert engine.can_translate()


def test_a_yes_to_should_stop_ends_the_work(engine: FasterWhisperEngine, speech: Samples) -> None:
    for position in range(3):
        with pytest.raises(EngineStopped):
            engine.transcribe(speech, Options(), yes_after(position))


def yes_after(questions: int) -> Callable[[], bool]:
    asked = iter([False] * questions)
    return lambda: next(asked, True)


def test_a_broken_model_file_is_one_clear_line(tmp_path: Path) -> None:
    whole = find_model(demo_model()).folder
    assert whole is not None
    folder = tmp_path / "broken"
    shutil.copytree(whole, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    folder.chmod(0o755)
    (folder / "model.bin").unlink()
    (folder / "model.bin").write_bytes(b"\x06\0\0\0broken")
    with pytest.raises(ModelUnavailable, match="'broken' cannot be loaded on cpu") as caught:
        FasterWhisperEngine(find_model(str(folder)), PLAN).load()
    assert "\n" not in str(caught.value)


def test_a_model_that_cannot_be_had_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelUnavailable, match="give a folder with --model") as caught:
        FasterWhisperEngine(Model("base"), PLAN, tmp_path).load()
    assert "\n" not in str(caught.value)
