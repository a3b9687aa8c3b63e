"""Whisper's multilingual token ids, cut down to what a small vocabulary needs.

The ids stay Whisper's own, so every program that reads Whisper models reads this one. Training
works with a *reduced* numbering: the tokens in use, one row that stands for all unused ids, and
the 1,501 timestamps.
"""

from __future__ import annotations

import base64
import importlib.util
import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

VOCABULARY_SIZE = 51_865
END_OF_TEXT = 50_257
START_OF_TRANSCRIPT = 50_258
ENGLISH = 50_259
TRANSCRIBE = 50_359
START_OF_PREVIOUS = 50_361
NO_SPEECH = 50_362
NO_TIMESTAMPS = 50_363
FIRST_TIMESTAMP = 50_364
TIMESTAMPS = 1_501  # 0.00 s ... 30.00 s
LANGUAGE_IDS = range(50_259, 50_358)
SECONDS_PER_TIMESTAMP = 0.02

_LANGUAGES = (
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th "
    "ur hr bg lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr "
    "pa si km sn yo so af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt "
    "haw ln ha ba jw su"
)
SPECIAL_TOKENS: tuple[str, ...] = (
    "<|endoftext|>",
    "<|startoftranscript|>",
    *(f"<|{language}|>" for language in _LANGUAGES.split()),
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
    *(f"<|{index * SECONDS_PER_TIMESTAMP:.2f}|>" for index in range(TIMESTAMPS)),
)


def find_ranks() -> Path | None:
    """Whisper's ``multilingual.tiktoken`` in an installed package that carries it, if any."""
    for package in ("mlx_whisper", "whisper"):
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            path = Path(folder) / "assets" / "multilingual.tiktoken"
            if path.is_file():
                return path
    return None


def load_ranks(path: Path) -> dict[bytes, int]:
    """The text tokens of a tiktoken file: bytes to id, the id being the merge rank too."""
    pairs = (line.split() for line in path.read_text("ascii").splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in pairs}


def byte_pair_encode(
    text: bytes, ranks: dict[bytes, int]
) -> tuple[list[bytes], list[tuple[bytes, bytes]]]:
    """The tokens of one word (with its leading space) and the merges that led to them."""
    parts = [bytes([byte]) for byte in text]
    merges: list[tuple[bytes, bytes]] = []
    while True:
        candidates = [
            (ranks[left + right], index)
            for index, (left, right) in enumerate(pairwise(parts))
            if left + right in ranks
        ]
        if not candidates:
            return parts, merges
        _, index = min(candidates)
        merges.append((parts[index], parts[index + 1]))
        parts[index : index + 2] = [parts[index] + parts[index + 1]]


@dataclass(frozen=True)
class ReducedVocabulary:
    """Numbers the tokens in use from 0; then one for all others, then the timestamps."""

    used_ids: tuple[int, ...]
    word_tokens: tuple[tuple[int, ...], ...]  # of each word, in reduced numbers

    @classmethod
    def of(cls, words: Iterable[str], ranks: dict[bytes, int]) -> ReducedVocabulary:
        """The reduced vocabulary for ``words``."""
        encoded = [
            [ranks[token] for token in byte_pair_encode(f" {word}".encode(), ranks)[0]]
            for word in words
        ]
        text_ids = sorted({token for ids in encoded for token in ids})
        specials = [
            END_OF_TEXT, START_OF_TRANSCRIPT, ENGLISH, TRANSCRIBE, START_OF_PREVIOUS, NO_SPEECH,
            NO_TIMESTAMPS,
        ]  # fmt: skip
        used = (*text_ids, *specials)
        reduced = {token: index for index, token in enumerate(used)}
        return cls(used, tuple(tuple(reduced[token] for token in ids) for ids in encoded))

    @property
    def unused(self) -> int:
        """The number that stands for every id not in use."""
        return len(self.used_ids)

    @property
    def unused_count(self) -> int:
        """How many real ids that number stands for."""
        return VOCABULARY_SIZE - TIMESTAMPS - len(self.used_ids)

    @property
    def first_timestamp(self) -> int:
        """The number of ``<|0.00|>``."""
        return self.unused + 1

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return self.first_timestamp + TIMESTAMPS

    def reduced(self, token: int) -> int:
        """The number of a special token in use, by its Whisper id."""
        return self.used_ids.index(token)


def _printable_bytes() -> dict[int, str]:
    """GPT-2's spelling of bytes: one visible character each, so that tokens are valid JSON."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in visible]
    spelling = {byte: chr(byte) for byte in visible}
    return spelling | {byte: chr(256 + index) for index, byte in enumerate(hidden)}


def tokenizer_json(words: Iterable[str], ranks: dict[bytes, int]) -> str:
    """A ``tokenizer.json`` with Whisper's ids that knows ``words`` whole and all else as bytes."""
    spelling = _printable_bytes()

    def spell(token: bytes) -> str:
        return "".join(spelling[byte] for byte in token)

    kept = {token: rank for token, rank in ranks.items() if len(token) == 1}
    merges: dict[bytes, tuple[bytes, bytes]] = {}
    for word in words:
        for text in (word.encode(), f" {word}".encode()):
            for left, right in byte_pair_encode(text, ranks)[1]:
                merges[left + right] = (left, right)
                kept[left + right] = ranks[left + right]
    added = [
        {
            "id": END_OF_TEXT + index,
            "content": content,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for index, content in enumerate(SPECIAL_TOKENS[:-TIMESTAMPS])
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    # The special tokens stand in the model's vocabulary too: it has holes, and the library would
    # number added tokens from its size.
    vocabulary = {spell(token): rank for token, rank in sorted(kept.items(), key=_by_rank)}
    vocabulary |= {token: END_OF_TEXT + index for index, token in enumerate(SPECIAL_TOKENS)}
    document: dict[str, Any] = {
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": {**byte_level, "use_regex": True},
        "decoder": {**byte_level, "use_regex": True},
        "model": {
            "type": "BPE",
            "vocab": vocabulary,
            "merges": [
                [spell(left), spell(right)]
                for _, (left, right) in sorted(merges.items(), key=lambda item: ranks[item[0]])
            ],
        },
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _by_rank(item: tuple[bytes, int]) -> int:
    return item[1]


def token_names(words: Iterable[str], ranks: dict[bytes, int]) -> list[str]:
    """A name for each id, empty where the tokenizer does not know the id."""
    vocabulary = json.loads(tokenizer_json(words, ranks))["model"]["vocab"]
    names = [""] * END_OF_TEXT
    names += SPECIAL_TOKENS
    for name, index in vocabulary.items():
        names[index] = name
    return names
