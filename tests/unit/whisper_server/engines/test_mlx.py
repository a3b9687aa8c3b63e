"""The mlx engine itself, in this process, on the CPU, with the sample model in mlx form."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.mlx_engine import PLAN, WORDS, window
from tests.support.models import sample_folder
from tests.support.paths import ROOT
from tests.support.speech import BIRTHDAY, MILK, words
from tests.support.whisper_stand_in import yes_after
from whisper_server.engines.base import Options, Samples, WindowInput, WindowResult
from whisper_server.engines.mlx import MlxEngine, fetch, hub_name
from whisper_server.errors import EngineFailed, EngineStopped, ModelUnavailable, OutOfMemory
from whisper_server.model_names import SIZES, Model, find_model

pytestmark = pytest.mark.mlx


def test_the_features_are_those_of_mlx_whisper(mlx_engine: MlxEngine, speech: Samples) -> None:
    """Ours are computed by the caller's thread, with numpy."""
    from mlx_whisper.audio import log_mel_spectrogram

    theirs = np.array(log_mel_spectrogram(speech, padding=400))
    ours = mlx_engine.features(speech)
    frames = len(speech) // 160
    assert ours.shape == (1000, 80)
    assert ours.dtype == np.float32
    assert ours[:frames] == pytest.approx(theirs[:frames], abs=2e-3)
    assert not ours[frames + 1 :].any()


def test_windows_share_a_batch_if_mlx_whisper_can_decode_them_together(
    mlx_engine: MlxEngine,
) -> None:
    blank = WindowInput(np.zeros((1000, 80), np.float32), 1.0, Options(), 0.0)
    keys = {
        mlx_engine.batch_key(
            replace(blank, options=options, temperature=temperature, with_timestamps=stamped)
        )
        for stamped in (False, True)
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
    assert len(keys) == 2 * 2 * 5


def test_sequential_decoding_keeps_its_place_across_windows(
    mlx_engine: MlxEngine, speech: Samples, birthday: Samples
) -> None:
    pause = np.zeros(6 * 16_000, np.float32)
    samples = np.concatenate([speech, pause, birthday, pause])
    found = mlx_engine.transcribe(samples, replace(WORDS, language=None), yes_after(1000))
    timed = [word for segment in found.segments for word in segment.words]
    first = words(MILK.text)
    assert words(" ".join(word.word for word in timed)) == first + words(BIRTHDAY.text)
    assert timed[len(first)].start == pytest.approx((len(speech) + len(pause)) / 16_000, abs=0.5)
    assert found.language == "en"
    assert found.duration_seconds == len(samples) / 16_000


def test_silence_has_no_words_and_costs_no_decoding(mlx_engine: MlxEngine) -> None:
    found = mlx_engine.transcribe(np.zeros(32_000, np.float32), Options(), yes_after(0))
    assert found.segments == ()
    assert (found.language, found.language_probability) == ("en", 0.0)


def test_a_yes_to_should_stop_ends_the_work(mlx_engine: MlxEngine, speech: Samples) -> None:
    with pytest.raises(EngineStopped):
        mlx_engine.transcribe(speech, Options(), yes_after(0))


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("[metal::malloc] Attempting to allocate 9 bytes which is greater than", OutOfMemory),
        ("[METAL] Command buffer execution failed: Insufficient Memory (00000008)", OutOfMemory),
        ("[conv] Invalid input", EngineFailed),
    ],
)
def test_mlx_failing_is_one_clear_line(
    mlx_engine: MlxEngine, said: str, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fake: no test can fill the memory of a GPU that is not there."""

    def fail(_: object) -> list[WindowResult]:
        raise RuntimeError(f"{said}\nmore")

    monkeypatch.setattr(mlx_engine._decoder, "decode", fail)
    blank = WindowInput(np.zeros((1000, 80), np.float32), 1.0, WORDS, 0.0)
    with pytest.raises(EngineFailed) as caught:
        mlx_engine.decode([blank])
    assert type(caught.value) is kind
    assert str(caught.value).endswith(said)


def test_it_comes_back_after_its_memory_was_given_away(mlx_folder: Path, speech: Samples) -> None:
    engine = MlxEngine(find_model(str(mlx_folder)), PLAN)
    engine.load()
    engine.unload()
    assert engine.window_seconds == 10
    with pytest.raises(EngineFailed, match="not loaded"):
        engine.decode([window(engine, speech, WORDS)])
    engine.load()
    (found,) = engine.decode([window(engine, speech, Options(language="en"))])
    assert words(found.text) == words(MILK.text)


def test_nothing_of_it_needs_torch(mlx_folder: Path) -> None:
    """mlx-whisper's metadata asks for it; an engine loads, and warms up, where it cannot be had."""
    program = (
        "import sys\n"
        "class NoTorch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'torch':\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, NoTorch())\n"
        "from tests.support.mlx_engine import PLAN\n"
        "from whisper_server.engines.mlx import MlxEngine\n"
        "from whisper_server.model_names import find_model\n"
        "engine = MlxEngine(find_model(sys.argv[1]), PLAN)\n"
        "engine.load()\n"
        "print(engine.window_seconds)\n"
    )
    command = [sys.executable, "-c", program, str(mlx_folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == 10


@pytest.mark.parametrize("fault", ["truncated", "another config", "a weight less", "other shapes"])
def test_a_broken_folder_is_one_clear_line(mlx_folder: Path, tmp_path: Path, fault: str) -> None:
    import mlx.core as mx

    broken = tmp_path / "broken"
    shutil.copytree(mlx_folder, broken)
    weights, config = broken / "weights.safetensors", broken / "config.json"
    if fault == "truncated":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif fault == "another config":
        config.write_text('{"hidden_size": 4096}')
    elif fault == "a weight less":
        kept: Any = mx.load(str(mlx_folder / "weights.safetensors"))
        del kept["decoder.ln.bias"]
        mx.save_safetensors(str(weights), kept)
    else:
        config.write_text(json.dumps(json.loads(config.read_text()) | {"n_mels": 128}))
    with pytest.raises(ModelUnavailable, match="'broken' cannot be loaded by mlx") as caught:
        MlxEngine(find_model(str(broken)), PLAN).load()
    assert "\n" not in str(caught.value)


def test_what_has_no_mlx_form_is_one_clear_line() -> None:
    with pytest.raises(ModelUnavailable, match=r"is no model in mlx form: .*convert_to_mlx"):
        MlxEngine(Model("tiny.en", sample_folder()), PLAN).load()
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


def test_a_library_that_cannot_be_loaded_is_one_clear_line(mlx_folder: Path) -> None:
    """In a process of its own, which stands for a machine whose mlx is broken."""
    script = f"""
import sys
sys.modules["mlx.core"] = None
from tests.support.mlx_engine import PLAN
from whisper_server.engines.mlx import MlxEngine
from whisper_server.model_names import find_model
MlxEngine(find_model({str(mlx_folder)!r}), PLAN).load()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    last_line = done.stderr.strip().splitlines()[-1]
    assert "ModelUnavailable: Model 'tiny.en-mlx' cannot be loaded by mlx" in last_line
