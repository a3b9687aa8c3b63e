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

from tests.support.mlx_model import mlx_demo_model
from tests.support.paths import ROOT
from tools.demo_model.ct2_weights import NotCTranslate2, Weights, read_weights
from whisper_server.model_names import DEMO_FOLDER

pytestmark = pytest.mark.mlx


@pytest.fixture(scope="module")
def stored() -> Weights:
    name, weights = read_weights(DEMO_FOLDER / "model.bin")
    assert name == "WhisperSpec"
    return weights


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mlx_demo_model(tmp_path_factory.mktemp("mlx"))


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
    assert heads.tolist() == [[1, 0], [1, 1]]
    for name in set(expected) - {"alignment_heads"}:
        assert expected[name].shape == converted[name].shape, name


def test_the_numbers_are_those_of_the_shipped_model(
    stored: Weights, converted: dict[str, npt.NDArray[np.float32]]
) -> None:
    fused = stored["decoder/layer_1/self_attention/linear_0/weight"]
    assert fused.shape == (384, 128)
    assert converted["decoder.blocks.1.attn.value.weight"] == pytest.approx(fused[256:], abs=1e-3)
    keys_values = stored["decoder/layer_0/attention/linear_1/bias"]
    cross_values = converted["decoder.blocks.0.cross_attn.value.bias"]
    assert cross_values == pytest.approx(keys_values[128:], abs=1e-3)
    conv = stored["encoder/conv2/weight"]
    assert converted["encoder.conv2.weight"][5, 2, 7] == pytest.approx(conv[5, 7, 2], abs=1e-3)
    assert stored["decoder/projection/weight"] is stored["decoder/embeddings/weight"]


def test_a_row_of_integers_is_divided_by_its_scale(stored: Weights) -> None:
    """CTranslate2 scales every row so that its largest number is 127."""
    rows = np.abs(stored["encoder/layer_0/ffn/linear_0/weight"]).max(axis=1)
    assert len(set(rows.tolist())) > 1
    assert 0.01 < rows.min() < rows.max() < 10


def test_keys_have_no_bias_to_lose(stored: Weights) -> None:
    for layer in range(4):
        bias = stored[f"encoder/layer_{layer}/self_attention/linear_0/bias"]
        assert not bias[128:256].any()


def test_a_model_of_short_windows_gets_a_short_encoder(made: Path) -> None:
    assert json.loads((made / "config.json").read_text())["n_audio_ctx"] == 500


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x06\0\0\0broken",
        struct.pack("<I", 5),
        (DEMO_FOLDER / "model.bin").read_bytes()[:100_000],
    ],
    ids=["empty", "broken", "another version", "truncated"],
)
def test_what_is_no_whole_model_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(NotCTranslate2, match="is no whole CTranslate2 model file") as caught:
        read_weights(tmp_path / "model.bin")
    assert "\n" not in str(caught.value)


def test_the_command_says_what_is_missing(tmp_path: Path, made: Path) -> None:
    script = ROOT / "tools" / "convert_demo_to_mlx.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "out"), "--model", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert (
        done.stderr.strip() == f"{tmp_path / 'model.bin'} cannot be read: No such file or directory"
    )
    assert not (tmp_path / "out").exists()
