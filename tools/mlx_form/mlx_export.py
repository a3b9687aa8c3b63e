"""Write a Whisper of CTranslate2 as mlx-whisper loads it."""

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from tools.mlx_form.ct2_weights import NotCTranslate2, Weights, read_weights

SPECIFICATION = "WhisperSpec"
POSITIONS_PER_SECOND = 50
"""Of the encoder; the first ones have the same sinusoids, however many there are."""


def export_to_mlx(
    source: Path, folder: Path, dtype: str = "float16", window_seconds: int | None = None
) -> None:
    """Write `weights.safetensors` and then `config.json`, which makes the folder a model.

    `dtype` is float16 or float32; `window_seconds` is the model's own if None. Raises
    `NotCTranslate2` when `source` is no Whisper of that form.
    """
    name, stored = read_weights(source / "model.bin")
    if name != SPECIFICATION:
        raise NotCTranslate2(f"{source} holds a {name}, which is not a Whisper")
    weights = {
        name: mx.array(value).astype(getattr(mx, dtype))
        for name, value in mlx_weights(stored).items()
    }
    weights["alignment_heads"] = mx.array(_alignment_heads(source), dtype=mx.uint32)
    folder.mkdir(parents=True, exist_ok=True)
    mx.save_safetensors(str(folder / "weights.safetensors"), weights)
    config = {"model_type": "whisper"} | dimensions(
        stored, window_seconds or _window_seconds(source)
    )
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def dimensions(stored: Weights, window_seconds: int | None = None) -> dict[str, int]:
    """Return mlx-whisper's ModelDimensions.

    A model that was taught shorter windows than Whisper's 30 seconds gets an encoder of that
    length: mlx-whisper has no other way to say so.
    """
    positions = len(stored["encoder/position_encodings/encodings"])
    if window_seconds is not None:
        positions = min(positions, window_seconds * POSITIONS_PER_SECOND)
    width, mels, _ = stored["encoder/conv1/weight"].shape
    vocabulary, text_width = stored["decoder/embeddings/weight"].shape
    return {
        "n_mels": mels,
        "n_audio_ctx": positions,
        "n_audio_state": width,
        "n_audio_head": int(stored["encoder/num_heads"]),
        "n_audio_layer": _layers(stored, "encoder"),
        "n_vocab": vocabulary,
        "n_text_ctx": len(stored["decoder/position_encodings/encodings"]),
        "n_text_state": text_width,
        "n_text_head": int(stored["decoder/num_heads"]),
        "n_text_layer": _layers(stored, "decoder"),
    }


def mlx_weights(stored: Weights) -> Weights:
    """Return the same numbers under mlx-whisper's names.

    The encoder's positions are left out, since mlx-whisper computes these sinusoids itself, and so
    is the output projection, which is the token table again.
    """
    weights: Weights = {
        "decoder.token_embedding.weight": stored["decoder/embeddings/weight"],
        "decoder.positional_embedding": stored["decoder/position_encodings/encodings"],
        **_layer_norm(stored, "encoder/layer_norm", "encoder.ln_post"),
        **_layer_norm(stored, "decoder/layer_norm", "decoder.ln"),
    }
    for name in ("conv1", "conv2"):  # (out, in, time) there, (out, time, in) here
        weights[f"encoder.{name}.weight"] = stored[f"encoder/{name}/weight"].transpose(0, 2, 1)
        weights[f"encoder.{name}.bias"] = stored[f"encoder/{name}/bias"]
    for half in ("encoder", "decoder"):
        for layer in range(_layers(stored, half)):
            weights |= _block(stored, f"{half}/layer_{layer}", f"{half}.blocks.{layer}")
    return weights


def _block(stored: Weights, theirs: str, ours: str) -> Weights:
    """Return one layer; CTranslate2 stacks the matrices that are applied to the same input."""
    block = _linear(stored, f"{theirs}/ffn/linear_0", [f"{ours}.mlp1"])
    block |= _linear(stored, f"{theirs}/ffn/linear_1", [f"{ours}.mlp2"])
    block |= _layer_norm(stored, f"{theirs}/ffn/layer_norm", f"{ours}.mlp_ln")
    attentions = [("self_attention", "attn", [["query", "key", "value"], ["out"]])]
    if f"{theirs}/attention/linear_0/weight" in stored:
        attentions.append(("attention", "cross_attn", [["query"], ["key", "value"], ["out"]]))
    for their_name, our_name, stacks in attentions:
        norm = f"{theirs}/{their_name}/layer_norm"
        block |= _layer_norm(stored, norm, f"{ours}.{our_name}_ln")
        for number, parts in enumerate(stacks):
            names = [f"{ours}.{our_name}.{part}" for part in parts]
            block |= _linear(stored, f"{theirs}/{their_name}/linear_{number}", names)
    return block


def _linear(stored: Weights, theirs: str, ours: list[str]) -> Weights:
    """Return a stack of matrices apart; Whisper's keys have no bias, the stack has zeros there."""
    split: Weights = {}
    weights = np.split(stored[f"{theirs}/weight"], len(ours))
    biases = np.split(stored[f"{theirs}/bias"], len(ours))
    for name, weight, bias in zip(ours, weights, biases, strict=True):
        split[f"{name}.weight"] = weight
        if not name.endswith(".key"):
            split[f"{name}.bias"] = bias
    return split


def _layer_norm(stored: Weights, theirs: str, ours: str) -> Weights:
    return {f"{ours}.weight": stored[f"{theirs}/gamma"], f"{ours}.bias": stored[f"{theirs}/beta"]}


def _layers(stored: Weights, half: str) -> int:
    return len({name.split("/")[1] for name in stored if name.startswith(f"{half}/layer_")}) - 1


def _alignment_heads(source: Path) -> list[list[int]]:
    """Return the (layer, head) pairs whose attention gives the times of words."""
    heads: list[list[int]] = _from_json(source / "config.json", "alignment_heads")
    return heads


def _window_seconds(source: Path) -> int | None:
    path = source / "preprocessor_config.json"
    return int(_from_json(path, "chunk_length")) if path.is_file() else None


def _from_json(path: Path, key: str) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))[key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotCTranslate2(f"{path} has no {key}") from error
