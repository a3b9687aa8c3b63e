"""From CTranslate2's file to mlx-whisper's: the numbers have to come through."""

import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.support.mlx_model import mlx_model
from tests.support.models import sample_folder
from tests.support.paths import ROOT
from tools.bench_lab.random_model import Size, write_model
from tools.mlx_form.ct2_weights import NotCTranslate2, Weights, _from_bfloat16, read_weights
from tools.mlx_form.mlx_export import dimensions

pytestmark = pytest.mark.mlx


@pytest.fixture(scope="module")
def stored() -> Weights:
    name, weights = read_weights(sample_folder() / "model.bin")
    assert name == "WhisperSpec"
    return weights


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mlx_model(tmp_path_factory.mktemp("mlx"))


@pytest.fixture(scope="module")
def converted(made: Path) -> dict[str, npt.NDArray[np.float32]]:
    import mlx.core as mx

    weights: Any = mx.load(str(made / "weights.safetensors"))
    return {name: np.array(value.astype(mx.float32)) for name, value in weights.items()}


def test_mlx_whisper_finds_every_weight_in_its_shape(
    made: Path, converted: dict[str, npt.NDArray[np.float32]]
) -> None:
    from mlx.utils import tree_flatten
    from mlx_whisper.whisper import ModelDimensions, Whisper

    config = json.loads((made / "config.json").read_text())
    assert config.pop("model_type") == "whisper"
    expected = dict(tree_flatten(Whisper(ModelDimensions(**config)).parameters()))
    heads = converted["alignment_heads"]
    assert set(expected) == set(converted)
    stored = json.loads((sample_folder() / "config.json").read_text())
    assert heads.tolist() == stored["alignment_heads"]
    assert len(heads) == 8
    for name in set(expected) - {"alignment_heads"}:
        assert expected[name].shape == converted[name].shape, name


def test_the_numbers_are_those_of_the_model(
    stored: Weights, converted: dict[str, npt.NDArray[np.float32]]
) -> None:
    fused = stored["decoder/layer_1/self_attention/linear_0/weight"]
    assert fused.shape == (1152, 384)
    assert converted["decoder.blocks.1.attn.value.weight"] == pytest.approx(fused[768:], abs=1e-3)
    keys_values = stored["decoder/layer_0/attention/linear_1/bias"]
    cross_values = converted["decoder.blocks.0.cross_attn.value.bias"]
    assert cross_values == pytest.approx(keys_values[384:], abs=1e-3)
    conv = stored["encoder/conv2/weight"]
    assert converted["encoder.conv2.weight"][5, 2, 7] == pytest.approx(conv[5, 7, 2], abs=1e-3)
    assert stored["decoder/projection/weight"] is stored["decoder/embeddings/weight"]


@pytest.mark.parametrize(
    ("stored_type", "tolerance"),
    [
        ("float16", 1e-3),
        ("int8", 1e-2),
        ("int8_float16", 1e-2),
        ("int16", 2e-3),
    ],
)
def test_numbers_of_every_stored_type_come_out_as_they_went_in(
    tmp_path: Path, stored_type: str, tolerance: float
) -> None:
    for name in ("float32", stored_type):
        write_model(Size(64, 1, 1, 1), tmp_path / name, name)
    _, exact = read_weights(tmp_path / "float32" / "model.bin")
    _, found = read_weights(tmp_path / stored_type / "model.bin")
    assert exact.keys() == found.keys()
    for name, numbers in exact.items():
        largest = max(1.0, float(np.abs(numbers).max()))
        assert np.abs(found[name] - numbers).max() <= tolerance * largest, name


def test_a_bfloat16_is_the_upper_half_of_a_float32() -> None:
    """CTranslate2 writes them only with torch, which is not here."""
    stored = np.array([1.0, -2.5, 3e38], "<f4").view("<u4") >> 16
    assert _from_bfloat16(stored.astype("<u2")) == pytest.approx([1.0, -2.5, 3e38], rel=1e-2)


def test_keys_have_no_bias_to_lose(stored: Weights) -> None:
    for layer in range(4):
        bias = stored[f"encoder/layer_{layer}/self_attention/linear_0/bias"]
        assert not bias[384:768].any()


def test_a_model_of_short_windows_gets_a_short_encoder(stored: Weights) -> None:
    assert dimensions(stored)["n_audio_ctx"] == 1500
    assert dimensions(stored, window_seconds=10)["n_audio_ctx"] == 500


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x06\0\0\0broken",
        struct.pack("<I", 5),
        None,
    ],
    ids=["empty", "broken", "another version", "truncated"],
)
def test_what_is_no_whole_model_is_one_clear_line(tmp_path: Path, content: bytes | None) -> None:
    if content is None:
        with (sample_folder() / "model.bin").open("rb") as file:
            content = file.read(100_000)
    (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(NotCTranslate2, match="is no whole CTranslate2 model file") as caught:
        read_weights(tmp_path / "model.bin")
    assert "\n" not in str(caught.value)


def test_the_command_says_what_is_missing(tmp_path: Path, made: Path) -> None:
    script = ROOT / "tools" / "convert_to_mlx.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert (
        done.stderr.strip() == f"{tmp_path / 'model.bin'} cannot be read: No such file or directory"
    )
    assert not (tmp_path / "out").exists()
