"""The engine itself, in this process, with real weights."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.faster_whisper_engine import (
    DIARY,
    PLAIN,
    PLAN,
    WORDS,
    loaded_engine,
    never,
    ready,
    samples_of,
)
from tests.support.models import sample_folder, sample_model
from tests.support.speech import MILK, words
from tests.support.whisper_stand_in import yes_after
from whisper_server.engines.base import SAMPLE_RATE, Options, Samples
from whisper_server.engines.faster_whisper import FasterWhisperEngine
from whisper_server.errors import EngineFailed, EngineStopped, ModelUnavailable
from whisper_server.model_names import Model, find_model


@pytest.mark.parametrize(
    "other",
    [
        replace(PLAIN, task="translate"),
        replace(PLAIN, beam_size=2),
        replace(PLAIN, prompt="hello"),
        replace(PLAIN, hotwords="hello"),
    ],
)
def test_windows_that_cannot_share_a_call_have_keys_of_their_own(
    engine: FasterWhisperEngine, speech: Samples, other: Options
) -> None:
    plain = ready(engine, speech)
    for window in (
        ready(engine, speech, other),
        ready(engine, speech, PLAIN, 0.2),
        replace(plain, with_timestamps=True),
    ):
        assert engine.batch_key(window) != engine.batch_key(plain)


@pytest.mark.parametrize(
    "other",
    [
        replace(PLAIN, word_timestamps=True),
        replace(PLAIN, language=None),
        replace(PLAIN, vad_filter=False),
    ],
)
def test_other_windows_may_share_one(
    engine: FasterWhisperEngine, speech: Samples, other: Options
) -> None:
    assert engine.batch_key(ready(engine, speech, other)) == engine.batch_key(ready(engine, speech))


def test_features_are_those_of_faster_whisper(engine: FasterWhisperEngine, speech: Samples) -> None:
    from faster_whisper.audio import pad_or_trim
    from faster_whisper.feature_extractor import FeatureExtractor

    ours = engine.features(speech)
    theirs = pad_or_trim(FeatureExtractor()(speech)[..., :-1], ours.shape[1])
    assert ours.dtype == np.float32
    assert ours.flags.c_contiguous
    assert np.array_equal(ours, theirs)


def test_an_unloaded_engine_prepares_windows_and_decodes_them_once_it_is_back() -> None:
    engine = loaded_engine()
    samples = samples_of(DIARY)[: 5 * SAMPLE_RATE]
    before = engine.decode([ready(engine, samples)])
    engine.unload()
    window = ready(engine, samples)
    assert engine.batch_key(window)
    assert engine.window_seconds == 30.0
    assert not engine.can_translate()
    assert (engine.knows("en"), engine.knows("de")) == (True, False)
    with pytest.raises(EngineFailed, match=r"'tiny\.en' is not loaded"):
        engine.decode([window])
    with pytest.raises(EngineFailed, match=r"'tiny\.en' is not loaded"):
        engine.encode([window])
    with pytest.raises(EngineFailed, match=r"'tiny\.en' is not loaded"):
        engine.transcribe(samples, PLAIN, never)
    engine.load()
    assert engine.decode([window]) == before


@pytest.mark.words
def test_a_multilingual_model_translates_and_knows_languages(
    multilingual: FasterWhisperEngine,
) -> None:
    assert multilingual.can_translate()
    assert (multilingual.knows("de"), multilingual.knows("yue")) == (True, False)


def test_a_broken_model_file_is_one_clear_line(tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(sample_folder(), folder, ignore=shutil.ignore_patterns("model.bin"))
    (folder / "model.bin").write_bytes(b"\x06\0\0\0broken")
    with pytest.raises(ModelUnavailable, match="'broken' cannot be loaded on cpu") as caught:
        FasterWhisperEngine(find_model(str(folder)), PLAN).load()
    assert "\n" not in str(caught.value)


def test_an_unknown_compute_type_is_not_blamed_on_the_folder() -> None:
    plan = replace(PLAN, compute_type="int7")
    with pytest.raises(ModelUnavailable, match=r"int7.*another --compute-type") as caught:
        FasterWhisperEngine(find_model(sample_model()), plan).load()
    assert "folder" not in str(caught.value)


def test_a_model_that_cannot_be_had_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelUnavailable, match="whisper-server download small") as caught:
        FasterWhisperEngine(Model("small"), PLAN, download_folder=tmp_path).load()
    assert "\n" not in str(caught.value)
    assert "give a folder with --model" in str(caught.value)


def test_the_long_form_hears_more_than_a_window(
    engine: FasterWhisperEngine, speech: Samples
) -> None:
    pause = np.zeros(12 * SAMPLE_RATE, np.float32)
    twice = np.concatenate([speech, pause, speech])
    found = engine.transcribe(twice, WORDS, never)
    timed = [word for segment in found.segments for word in segment.words]
    assert words(" ".join(word.word for word in timed)) == words(MILK.text) * 2
    second_start = (len(speech) + len(pause)) / SAMPLE_RATE
    assert timed[len(timed) // 2].start == pytest.approx(second_start, abs=0.5)
    assert found.duration_seconds == pytest.approx(len(twice) / SAMPLE_RATE)
    assert all(type(word.start) is float for word in timed)


def test_the_long_form_takes_every_option(engine: FasterWhisperEngine, speech: Samples) -> None:
    options = Options(prompt="hello", hotwords="world", beam_size=2, vad_filter=False)
    found = engine.transcribe(speech, options, never)
    assert "milk" in found.text
    assert found.top_language_probs[0][0] == found.language == "en"


def test_a_yes_to_should_stop_ends_the_work(engine: FasterWhisperEngine, speech: Samples) -> None:
    for position in range(3):
        with pytest.raises(EngineStopped):
            engine.transcribe(speech, Options(), yes_after(position))
