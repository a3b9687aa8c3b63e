"""Whisper models of any size with random weights, made from numpy alone, that speak all the same.

The arithmetic is that of the real model of that size; what it says is not. Plain random weights
would say garbage, fail Whisper's quality checks and be decoded again and again. So the decoder
*reads off* one text: the row of its position table for position p is a long vector in the
direction of the embedding of the token that comes next there, and since the output projection is
the embedding table again, that token wins by far. Every window, whatever it holds, costs as many
steps as half a minute of speech. The rows count from the start of the prompt, so a longer prompt
(earlier text, hotwords) shifts the text: ask for `condition_on_previous_text=False`.

A model that follows the sound (`--follow-sound`) ends its text where the speech of the window
ends, to the end of a segment: three tokens a second, as people speak (see `text_length`).

    python -m tools.bench_lab.random_model base FOLDER
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ctranslate2.specs import WhisperSpec

from tools.bench_lab.processes import ContestantFailed
from tools.bench_lab.text_length import TextEnd, follow_sound

Array = npt.NDArray[np.float32]

SAMPLE = "tiny.en"
"""The model that the extra sample-model brings."""
TOKENIZER = "tokenizer.json"
WRITTEN_LAST = "preprocessor_config.json"
"""Where it is, the model is whole."""
WINDOW_SECONDS = 30
TOKENS_PER_SECOND = 3
TOKENS_PER_SEGMENT = 15
END_OF_TEXT = 50_257
CANTONESE = 50_358
"""The id of <|yue|>, which large-v3 put before all that follows."""
TIMESTAMPS = 1_501
TIMESTAMPS_PER_SECOND = 50
TEXT_POSITIONS = 448
PROMPT_TOKENS = 3
"""<|startoftranscript|><|en|><|transcribe|>"""
LOUDNESS = 8.0
"""Length of a position's row, in multiples of what the layers add to it."""
CERTAINTY = 24.0
"""About the logit of the token that is read off; the others' are around 0."""


@dataclass(frozen=True)
class Size:
    """What tells one Whisper from another."""

    width: int
    encoder_layers: int
    decoder_layers: int
    heads: int
    mels: int = 80

    @property
    def knows_cantonese(self) -> bool:
        """large-v3 and its children: more mels, one language more."""
        return self.mels == 128


SIZES = {
    "tiny": Size(384, 4, 4, 6),
    "base": Size(512, 6, 6, 8),
    "small": Size(768, 12, 12, 12),
    "medium": Size(1024, 24, 24, 16),
    "large-v3": Size(1280, 32, 32, 20, mels=128),
    "large-v3-turbo": Size(1280, 32, 4, 20, mels=128),
}


@dataclass(frozen=True)
class Vocabulary:
    """`tokenizer` is the content of tokenizer.json, `names` has one entry for each id."""

    tokenizer: dict[str, Any]
    names: list[str]

    def id_of(self, name: str) -> int:
        return self.names.index(name)


def write_model(
    size: Size,
    folder: Path,
    quantization: str = "int8",
    *,
    follows_sound: bool = False,
    tokenizer_file: Path | None = None,
) -> None:
    """Makes the folder that faster-whisper and our server load; takes seconds to a minute.

    `tokenizer_file` is that of the sample model, where it is not installed.
    """
    file = tokenizer_file or sample_folder() / TOKENIZER
    vocabulary = _vocabulary(json.loads(file.read_text("utf-8")), size.knows_cantonese)
    spec = WhisperSpec(size.encoder_layers, size.heads, size.decoder_layers, size.heads)
    _fill(spec, size, vocabulary)
    alignment_heads = list(range(size.heads))
    if follows_sound:
        _follow_sound(spec, size, len(spoken_tokens(vocabulary.names)))
        alignment_heads = [1]
    spec.register_vocabulary(vocabulary.names)
    first_language = vocabulary.id_of("<|en|>")
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = [END_OF_TEXT]
    spec.config.lang_ids = list(range(first_language, vocabulary.id_of("<|translate|>")))
    last_layer = size.decoder_layers - 1
    spec.config.alignment_heads = [[last_layer, head] for head in alignment_heads]
    spec.validate()
    spec.optimize(quantization=quantization)
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    preprocessor = {
        "feature_size": size.mels,
        "sampling_rate": 16_000,
        "hop_length": 160,
        "chunk_length": WINDOW_SECONDS,
        "n_fft": 400,
    }
    (folder / TOKENIZER).write_text(json.dumps(vocabulary.tokenizer), "utf-8")
    (folder / WRITTEN_LAST).write_text(json.dumps(preprocessor))


def spoken_tokens(names: Sequence[str]) -> list[int]:
    """What the model says of every window, as ids: segments of different words, with times.

    The last one ends with the window and has a single timestamp, so that Whisper's sequential
    decoding goes on behind the window, and not within it.
    """
    words = _whole_words(names)
    segments = WINDOW_SECONDS * TOKENS_PER_SECOND // TOKENS_PER_SEGMENT
    first_time = names.index("<|0.00|>")
    tokens = []
    for index in range(segments):
        start = index * WINDOW_SECONDS / segments
        end = (index + 1) * WINDOW_SECONDS / segments
        tokens += [
            first_time + round(start * TIMESTAMPS_PER_SECOND),
            *(next(words) for _ in range(TOKENS_PER_SEGMENT)),
            first_time + round(end * TIMESTAMPS_PER_SECOND),
        ]
    return tokens


def _whole_words(names: Sequence[str]) -> Iterator[int]:
    """Ids of frequent words that are one token, in which Ġ stands for the space."""
    return (index for index, name in enumerate(names) if re.fullmatch("Ġ[a-z]{4,}", name))


def _vocabulary(tokenizer: dict[str, Any], knows_cantonese: bool) -> Vocabulary:
    """The vocabulary of tiny.en with the ids of multilingual models, which have one word more."""
    words = sorted(tokenizer["model"]["vocab"].items(), key=itemgetter(1))
    form, *_ = tokenizer["added_tokens"]
    special = [token["content"] for token in tokenizer["added_tokens"]]
    if knows_cantonese:
        special.insert(CANTONESE - END_OF_TEXT, "<|yue|>")
    times = [f"<|{index / TIMESTAMPS_PER_SECOND:.2f}|>" for index in range(TIMESTAMPS)]
    names = [*(name for name, _ in words if name not in special), "", *special, *times]
    tokenizer["model"]["vocab"] = {name: index for index, name in enumerate(names[:END_OF_TEXT])}
    tokenizer["added_tokens"] = [
        form | {"id": index, "content": name} for index, name in enumerate(special, END_OF_TEXT)
    ]
    tokenizer["post_processor"] = None  # it has the ids of tiny.en, and is not used
    return Vocabulary(tokenizer, names)


def sample_folder() -> Path:
    """The folder of tiny.en; raises ContestantFailed if it is not installed."""
    # Not at the top: so this laboratory can be copied beside a server of an earlier commit.
    from whisper_server.model_packages import PACKAGES, installed_folder

    folder = installed_folder(SAMPLE)
    if folder is None:
        raise ContestantFailed(f"{SAMPLE} is not installed: {PACKAGES[SAMPLE].install}")
    return folder


def _fill(spec: Any, size: Size, vocabulary: Vocabulary) -> None:
    draw = _Weights(size.width)
    encoder, decoder = spec.encoder, spec.decoder
    positions = WINDOW_SECONDS * TIMESTAMPS_PER_SECOND
    encoder.conv1.weight = draw.matrix(size.width, size.mels, 3)
    encoder.conv1.bias = draw.zeros(size.width)
    encoder.conv2.weight = draw.matrix(size.width, size.width, 3)
    encoder.conv2.bias = draw.zeros(size.width)
    encoder.position_encodings.encodings = draw.matrix(positions, size.width)
    for layer in encoder.layer:
        draw.self_attention(layer.self_attention)
        draw.feed_forward(layer.ffn)
    draw.norm(encoder.layer_norm)

    table = draw.matrix(len(vocabulary.names), size.width)
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    decoder.embeddings.weight = table
    decoder.projection.weight = table
    for layer in decoder.layer:
        draw.self_attention(layer.self_attention)
        draw.cross_attention(layer.attention)
        draw.feed_forward(layer.ffn)
    draw.norm(decoder.layer_norm, CERTAINTY / np.sqrt(size.width))
    decoder.position_encodings.encodings = _reading(vocabulary, table, draw.noise(decoder.layer))


def _reading(vocabulary: Vocabulary, table: Array, noise: float) -> Array:
    """The position table: behind the prompt <|startoftranscript|><|en|><|transcribe|>, the text."""
    prompt = [vocabulary.id_of("<|en|>"), vocabulary.id_of("<|transcribe|>")]
    tokens = [*prompt, *spoken_tokens(vocabulary.names)]
    tokens += [END_OF_TEXT] * (TEXT_POSITIONS - len(tokens))
    return (LOUDNESS * noise * table[tokens]).astype(np.float32)


def _follow_sound(spec: Any, size: Size, text_length: int) -> None:
    noise = _Weights(size.width).noise(spec.decoder.layer)
    end = TextEnd(
        direction=spec.decoder.embeddings.weight[END_OF_TEXT],
        row_length=LOUDNESS * noise,
        noise=noise,
        frames_per_token=TIMESTAMPS_PER_SECOND / TOKENS_PER_SECOND,
        first_row=PROMPT_TOKENS - 1,
        segment=TOKENS_PER_SEGMENT + 2,
        text_length=text_length,
    )
    follow_sound(spec, size.width // size.heads, end)


class _Weights:
    """Draws what the layers of a spec need; each matrix keeps the length of a vector, roughly."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._random = np.random.default_rng(0)

    def matrix(self, rows: int, *columns: int) -> Array:
        """Of shape (rows, *columns)."""
        drawn = self._random.standard_normal((rows, *columns), dtype=np.float32)
        drawn /= np.float32(np.sqrt(np.prod(columns)))
        return drawn

    def zeros(self, length: int) -> Array:
        return np.zeros(length, np.float32)

    def norm(self, spec: Any, scale: float = 1.0) -> None:
        spec.gamma = np.full(self._width, scale, np.float32)
        spec.beta = self.zeros(self._width)

    def linear(self, spec: Any, rows: int, columns: int) -> None:
        spec.weight = self.matrix(rows, columns)
        spec.bias = self.zeros(rows)

    def self_attention(self, spec: Any) -> None:
        self.norm(spec.layer_norm)
        self.linear(spec.linear[0], 3 * self._width, self._width)
        self.linear(spec.linear[1], self._width, self._width)

    def cross_attention(self, spec: Any) -> None:
        self.norm(spec.layer_norm)
        self.linear(spec.linear[0], self._width, self._width)
        self.linear(spec.linear[1], 2 * self._width, self._width)
        self.linear(spec.linear[2], self._width, self._width)

    def feed_forward(self, spec: Any) -> None:
        self.norm(spec.layer_norm)
        self.linear(spec.linear_0, 4 * self._width, self._width)
        self.linear(spec.linear_1, self._width, 4 * self._width)

    def noise(self, layers: Sequence[Any]) -> float:
        """About the length of what these layers add to a vector: three of unit entries each."""
        return float(np.sqrt(3 * len(layers) * self._width))


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quantization", default="int8", help="default: int8; float16 for a GPU")
    parser.add_argument(
        "--follow-sound", action="store_true", help="let the text end where the sound ends"
    )
    options = parser.parse_args(arguments)
    write_model(
        SIZES[options.size],
        options.folder,
        options.quantization,
        follows_sound=options.follow_sound,
    )
    print(f"{options.size} with random weights, {options.quantization}: {options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
