"""The mlx engine itself, in this process, on the CPU, with the demo model in mlx form."""

import io
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.mlx_model import mlx_demo_model
from tests.support.speech import speak
from tests.support.uploads import decode
from tests.support.whisper_stand_in import text_of, yes_after
from whisper_server.engines.base import Options, Samples, WindowInput, WindowResult
from whisper_server.engines.mlx import MlxEngine, fetch, hub_name
from whisper_server.engines.segments import Split, split_at_timestamps
from whisper_server.errors import EngineFailed, EngineStopped, ModelUnavailable, OutOfMemory
from whisper_server.model_names import DEMO, SIZES, Model, find_model
from whisper_server.presets import EnginePlan, Shape

pytestmark = pytest.mark.mlx

PLAN = EnginePlan(DEMO, "mlx", "cpu", "float32", Shape(1, 1, 8, "test"), (0,), 4)
WORDS = Options(language="en", word_timestamps=True)
NUMBERS, LETTERS = "one two three", "alpha bravo charlie delta"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mlx_demo_model(tmp_path_factory.mktemp("models") / "demo-mlx")


@pytest.fixture(scope="module")
def engine(folder: Path) -> MlxEngine:
    loaded = MlxEngine(find_model(str(folder)), PLAN)
    loaded.load()
    return loaded


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    return spoken(NUMBERS, tmp_path_factory.mktemp("speech"))


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    return spoken(LETTERS, tmp_path_factory.mktemp("speech"))


@pytest.fixture(scope="module")
def crowd(engine: MlxEngine, numbers: Samples, letters: Samples) -> list[WindowResult]:
    """Three windows of different length in one batch."""
    quiet = np.zeros(8_000, np.float32)
    windows = [numbers, letters, np.concatenate([quiet, numbers])]
    return engine.decode([window(engine, samples, WORDS) for samples in windows])


def spoken(text: str, folder: Path) -> Samples:
    """With a quarter of a second of silence around, as a window has it."""
    path = speak(text, folder / "speech.wav")
    samples = decode(io.BytesIO(path.read_bytes()))
    return np.pad(samples, 4_000)


def window(
    engine: MlxEngine, samples: Samples, options: Options, temperature: float = 0.0
) -> WindowInput:
    return WindowInput(engine.features(samples), len(samples) / 16_000, options, temperature)


def test_every_window_of_a_batch_gets_its_own_words(crowd: list[WindowResult]) -> None:
    assert [text_of(result) for result in crowd] == [NUMBERS, LETTERS, NUMBERS]


def test_a_window_does_not_hear_its_neighbours(
    engine: MlxEngine, letters: Samples, crowd: list[WindowResult]
) -> None:
    assert engine.decode([window(engine, letters, WORDS)]) == [crowd[1]]


def test_words_come_in_order_and_within_the_sound(
    crowd: list[WindowResult], numbers: Samples
) -> None:
    words = [word for segment in crowd[0].segments for word in segment.words]
    assert [word.word for word in words] == NUMBERS.split()
    times = [time for word in words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert 0 <= times[0] < 0.5
    assert times[-1] <= len(numbers) / 16_000
    late = [word for segment in crowd[2].segments for word in segment.words]
    assert late[-1].start == pytest.approx(words[-1].start + 0.5, abs=0.2)


def test_every_number_is_a_plain_one(crowd: list[WindowResult]) -> None:
    segment = crowd[0].segments[0]
    numbers = [segment.start, segment.end, segment.avg_logprob, crowd[0].no_speech_prob]
    numbers += [segment.words[0].start, segment.words[0].probability, crowd[0].compression_ratio]
    assert {type(number) for number in numbers} == {float}
    assert {type(token) for token in segment.tokens} == {int}
    assert -1 < crowd[0].avg_logprob < 0
    assert crowd[0].no_speech_prob < 0.1


def test_the_language_is_detected_where_none_is_given(engine: MlxEngine, numbers: Samples) -> None:
    found, *_ = engine.decode([window(engine, numbers, Options())])
    assert found.language == "en"
    assert found.language_probs[0][0] == "en"
    assert len(found.language_probs) == 5
    assert found.language_probs[0][1] > 0.5
    assert text_of(found) == NUMBERS
    assert engine.can_translate()
    assert (engine.knows("de"), engine.knows("yue")) == (True, False)


def test_a_given_language_is_not_doubted(crowd: list[WindowResult]) -> None:
    assert crowd[0].language == "en"
    assert crowd[0].language_probs == ()


def test_sampled_text_is_the_likeliest_of_several(engine: MlxEngine, letters: Samples) -> None:
    found, *_ = engine.decode([window(engine, letters, Options(language="en"), 0.2)])
    assert found.temperature == 0.2
    assert "bravo" in text_of(found)
    assert found.avg_logprob > -1


def test_marks_in_a_prompt_and_unknown_languages_are_taken_as_they_can_be(
    engine: MlxEngine, letters: Samples
) -> None:
    """What looks like one of Whisper's own tokens is text when a caller sends it."""
    options = Options(prompt="<|endoftext|>", hotwords="alpha", language="xx")
    found, *_ = engine.decode([window(engine, letters, options)])
    assert found.language == "en"
    assert "alpha" in text_of(found)


def test_the_features_are_those_of_mlx_whisper(engine: MlxEngine, numbers: Samples) -> None:
    """Ours are computed by the caller's thread, with faster-whisper's extractor."""
    from mlx_whisper.audio import log_mel_spectrogram

    theirs = np.array(log_mel_spectrogram(numbers, padding=400))
    ours = engine.features(numbers)
    frames = len(numbers) // 160
    assert ours.shape == (1000, 80)
    assert ours.dtype == np.float32
    assert ours[:frames] == pytest.approx(theirs[:frames], abs=2e-3)
    assert not ours[frames + 1 :].any()


def test_windows_share_a_batch_if_mlx_whisper_can_decode_them_together(engine: MlxEngine) -> None:
    blank = WindowInput(np.zeros((1000, 80), np.float32), 1.0, Options(), 0.0)
    keys = {
        engine.batch_key(replace(blank, options=options, temperature=temperature))
        for temperature in (0.0, 0.4)
        for options in (
            Options(),
            Options(word_timestamps=True, beam_size=1),
            Options(language="de"),
            Options(task="translate"),
            Options(prompt="hello"),
            Options(hotwords="hello"),
        )
    }
    assert len(keys) == 2 * 5


def test_what_is_said_behind_the_sound_is_left_out(engine: MlxEngine, numbers: Samples) -> None:
    entry = window(engine, numbers, Options(language="en"))
    found, *_ = engine.decode([replace(entry, seconds=0.2)])
    assert found.segments == ()


def test_what_was_left_unheard_at_the_end_is_decoded_again(
    engine: MlxEngine, numbers: Samples, letters: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fake: the demo model does not break off within a sentence, as larger ones do."""
    from whisper_server.engines import mlx_decoder

    def split(tokens: list[int], first_timestamp: int, seconds: float) -> Split:
        found = split_at_timestamps(tokens, first_timestamp, seconds)
        if seconds < whole:
            return found
        return Split([part for part in found.drafts if part["start"] < border], border)

    monkeypatch.setattr(mlx_decoder, "split_at_timestamps", split)
    samples = np.concatenate([numbers, np.zeros(16_000, np.float32), letters])
    whole, border = len(samples) / 16_000, len(numbers) / 16_000 + 0.5
    found, *_ = engine.decode([window(engine, samples, WORDS)])
    words = [word for segment in found.segments for word in segment.words]
    assert [word.word for word in words] == f"{NUMBERS} {LETTERS}".split()
    assert words[3].start == pytest.approx(border + 0.75, abs=0.3)
    assert found.avg_logprob == found.segments[-1].avg_logprob


def test_sequential_decoding_keeps_its_place_across_windows(
    engine: MlxEngine, numbers: Samples, letters: Samples
) -> None:
    pause = np.zeros(6 * 16_000, np.float32)
    samples = np.concatenate([numbers, pause, letters, pause])
    found = engine.transcribe(samples, replace(WORDS, language=None), yes_after(1000))
    words = [word for segment in found.segments for word in segment.words]
    assert [word.word for word in words] == f"{NUMBERS} {LETTERS}".split()
    assert words[3].start == pytest.approx((len(numbers) + len(pause)) / 16_000, abs=0.5)
    assert found.language == "en"
    assert found.language_probability > 0.5
    assert found.duration_seconds == len(samples) / 16_000


def test_silence_has_no_words_and_costs_no_decoding(engine: MlxEngine) -> None:
    found = engine.transcribe(np.zeros(32_000, np.float32), Options(), yes_after(0))
    assert found.segments == ()
    assert (found.language, found.language_probability) == ("en", 0.0)


def test_a_yes_to_should_stop_ends_the_work(engine: MlxEngine, numbers: Samples) -> None:
    with pytest.raises(EngineStopped):
        engine.transcribe(numbers, Options(), yes_after(0))


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("[metal::malloc] Attempting to allocate 9 bytes which is greater than", OutOfMemory),
        ("[METAL] Command buffer execution failed: Insufficient Memory (00000008)", OutOfMemory),
        ("[conv] Invalid input", EngineFailed),
    ],
)
def test_mlx_failing_is_one_clear_line(
    engine: MlxEngine, said: str, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fake: no test can fill the memory of a GPU that is not there."""

    def fail(_: object) -> list[WindowResult]:
        raise RuntimeError(f"{said}\nmore")

    monkeypatch.setattr(engine._decoder, "decode", fail)
    blank = WindowInput(np.zeros((1000, 80), np.float32), 1.0, WORDS, 0.0)
    with pytest.raises(EngineFailed) as caught:
        engine.decode([blank])
    assert type(caught.value) is kind
    assert str(caught.value).endswith(said)


def test_it_comes_back_after_its_memory_was_given_away(folder: Path, numbers: Samples) -> None:
    engine = MlxEngine(find_model(str(folder)), PLAN)
    engine.load()
    engine.unload()
    assert engine.window_seconds == 10
    with pytest.raises(EngineFailed, match="not loaded"):
        engine.decode([window(engine, numbers, WORDS)])
    engine.load()
    assert text_of(engine.decode([window(engine, numbers, Options(language="en"))])[0]) == NUMBERS


def test_nothing_of_it_needs_torch(crowd: list[WindowResult]) -> None:
    """mlx-whisper's metadata asks for it; the words and their times came without."""
    assert crowd
    assert "torch" not in sys.modules


@pytest.mark.parametrize("fault", ["truncated", "another config", "a weight less", "other shapes"])
def test_a_broken_folder_is_one_clear_line(folder: Path, tmp_path: Path, fault: str) -> None:
    import mlx.core as mx

    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    weights, config = broken / "weights.safetensors", broken / "config.json"
    if fault == "truncated":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif fault == "another config":
        config.write_text('{"hidden_size": 4096}')
    elif fault == "a weight less":
        kept: Any = mx.load(str(folder / "weights.safetensors"))
        del kept["decoder.ln.bias"]
        mx.save_safetensors(str(weights), kept)
    else:
        config.write_text(json.dumps(json.loads(config.read_text()) | {"n_mels": 128}))
    with pytest.raises(ModelUnavailable, match="'broken' cannot be loaded by mlx") as caught:
        MlxEngine(find_model(str(broken)), PLAN).load()
    assert "\n" not in str(caught.value)


def test_what_has_no_mlx_form_is_one_clear_line() -> None:
    with pytest.raises(ModelUnavailable, match=r"'demo' .*/convert_demo_to_mlx\.py makes it"):
        MlxEngine(find_model(DEMO), PLAN).load()
    with pytest.raises(ModelUnavailable, match="float16 or float32, not in int8"):
        MlxEngine(Model("base"), replace(PLAN, compute_type="int8")).load()


def test_a_model_that_cannot_be_had_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelUnavailable, match="'whisper-server download base'") as caught:
        fetch("base", tmp_path)
    assert "mlx-community/whisper-base-mlx" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_short_names_stand_for_ids_of_the_hub() -> None:
    assert hub_name("base.en") == "mlx-community/whisper-base.en-mlx"
    assert hub_name("large-v3-turbo") == "mlx-community/whisper-large-v3-turbo"
    assert hub_name("distil-large-v3") == "mlx-community/distil-whisper-large-v3"
    assert hub_name("mlx-community/whisper-tiny") == "mlx-community/whisper-tiny"
    with pytest.raises(ModelUnavailable, match="'distil-large-v2' is not to be had in mlx form"):
        hub_name("distil-large-v2")
    assert {"distil-large-v2", "distil-large-v3.5"} < set(SIZES)


def test_a_library_that_cannot_be_loaded_is_one_clear_line(folder: Path) -> None:
    """In a process of its own, which stands for a machine whose mlx is broken."""
    script = f"""
import sys
sys.modules["mlx.core"] = None
from tests.unit.whisper_server.engines.test_mlx import PLAN, MlxEngine, find_model
MlxEngine(find_model({str(folder)!r}), PLAN).load()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    last_line = done.stderr.strip().splitlines()[-1]
    assert "ModelUnavailable: Model 'demo-mlx' cannot be loaded by mlx" in last_line
