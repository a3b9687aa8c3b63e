"""From the trained network to the folder that faster-whisper loads."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import ctranslate2
import torch
from ctranslate2.converters.transformers import WhisperLoader
from safetensors.torch import save_file
from torch import Tensor
from transformers import WhisperConfig, WhisperForConditionalGeneration

from .network import TinyWhisper
from .tokens import (
    END_OF_TEXT,
    LANGUAGE_IDS,
    START_OF_TRANSCRIPT,
    VOCABULARY_SIZE,
    token_names,
    tokenizer_json,
)
from .training import ALIGNMENT_HEADS

# How much sound programs shall hand over at a time: as much as the longest windows of its lessons.
WINDOW_SECONDS = 10


def whisper_weights(model: TinyWhisper) -> dict[str, Tensor]:
    """The weights under transformers' names, the embedding written out for all of Whisper's ids.

    The encoder's sinusoids and the output projection (the embedding again) are left out.
    """
    weights = {
        f"model.{name}": value.detach().float()
        for name, value in model.state_dict().items()
        if name.startswith(("encoder.", "decoder."))
    }
    positions = weights.pop("model.decoder.embed_positions")
    weights["model.decoder.embed_positions.weight"] = positions
    weights["model.decoder.embed_tokens.weight"] = model.embedding_table()
    return weights


def _as_transformers(model: TinyWhisper) -> WhisperForConditionalGeneration:
    shape = model.shape
    config = WhisperConfig(
        vocab_size=VOCABULARY_SIZE,
        num_mel_bins=shape.mels,
        d_model=shape.width,
        encoder_layers=shape.encoder_layers,
        encoder_attention_heads=shape.heads,
        encoder_ffn_dim=shape.inner,
        decoder_layers=shape.decoder_layers,
        decoder_attention_heads=shape.heads,
        decoder_ffn_dim=shape.inner,
        max_source_positions=shape.positions,
        max_target_positions=shape.text_positions,
        decoder_start_token_id=START_OF_TRANSCRIPT,
        pad_token_id=END_OF_TEXT,
        bos_token_id=END_OF_TEXT,
        eos_token_id=END_OF_TEXT,
    )
    whisper = WhisperForConditionalGeneration(config)
    whisper.load_state_dict(
        whisper_weights(model)
        | {
            "model.encoder.embed_positions.weight": model.encoder.positions,
            "proj_out.weight": model.embedding_table(),
        }
    )
    return whisper.eval()


def save_float_weights(model: TinyWhisper, path: Path) -> None:
    """The weights in float16, for other runtimes than CTranslate2."""
    weights = {name: value.half().contiguous() for name, value in whisper_weights(model).items()}
    save_file(weights, path, metadata={"format": "pt"})


def export(
    model: TinyWhisper,
    words: Iterable[str],
    ranks: dict[bytes, int],
    folder: Path,
) -> None:
    """Write the model to ``folder``, each file replaced at once; other files there stay."""
    words = sorted(words)
    spec = WhisperLoader().get_model_spec(_as_transformers(model))
    spec.register_vocabulary(token_names(words, ranks))
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = []
    spec.config.lang_ids = list(LANGUAGE_IDS)
    last_layer = model.shape.decoder_layers - 1
    spec.config.alignment_heads = [[last_layer, head] for head in ALIGNMENT_HEADS]
    spec.validate()
    spec.optimize(quantization="int8")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        made = Path(name)
        spec.save(str(made))
        preprocessor = {
            "feature_size": model.shape.mels,
            "sampling_rate": 16_000,
            "hop_length": 160,
            "chunk_length": WINDOW_SECONDS,
            "n_fft": 400,
        }
        (made / "preprocessor_config.json").write_text(json.dumps(preprocessor) + "\n")
        (made / "tokenizer.json").write_text(tokenizer_json(words, ranks) + "\n", "utf-8")
        (made / "words.txt").write_text("".join(f"{word}\n" for word in words))
        for file in ("vocabulary.json", "config.json"):  # as small as their content
            content = json.loads((made / file).read_text("utf-8"))
            text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
            (made / file).write_text(text + "\n", "utf-8")
        ctranslate2.models.Whisper(str(made), device="cpu", compute_type="int8")  # it loads
        for path in made.iterdir():
            shutil.move(str(path), folder / f".{path.name}.new")
            (folder / f".{path.name}.new").replace(folder / path.name)


def load_checkpoint(model: TinyWhisper, checkpoint: Path) -> None:
    """Put a checkpoint's averaged weights into ``model``."""
    state = torch.load(checkpoint, weights_only=True)
    model.load_state_dict(state["average"])
