"""Rows of a batch: windows, and what is left of windows that were not decoded to their end.

The model may close its last segment before the audio ends; the rest is decoded again.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from whisper_server.engines.base import FRAMES_PER_SECOND, Features, WindowInput, WindowResult
from whisper_server.engines.segments import finite, segment_of

MAX_CALLS = 5
"""For one window, so that a model that takes tiny steps comes to an end."""
MIN_REST_SECONDS = 0.5
"""A rest is decoded again unless it is as short as a breath."""


@dataclass(frozen=True)
class Row:
    """The window at `position` from `start` (seconds) on; a language of None is detected."""

    position: int
    window: WindowInput
    start: float
    language: str | None

    @property
    def seconds(self) -> float:
        return self.window.seconds - self.start

    def features(self, axis: int) -> Features:
        """Return the window's features from `start` on, padded with zeros."""
        first = round(self.start * FRAMES_PER_SECOND)
        if not first:
            return self.window.features
        moved = np.zeros_like(self.window.features)
        to, source = np.moveaxis(moved, axis, 0), np.moveaxis(self.window.features, axis, 0)
        to[: len(to) - first] = source[first:]
        return moved


@dataclass(frozen=True)
class DecodedRow:
    """The result of one row; `drafts` are dicts as the libraries make and change them.

    `logprob` is the sum over all `token_count` tokens and the end of the text.
    """

    row: Row
    language: str
    language_probs: tuple[tuple[str, float], ...]
    tokenizer: Any
    drafts: list[dict[str, Any]]
    undecoded_from: float | None
    token_count: int
    logprob: float
    no_speech_prob: float
    text: str

    @property
    def text_tokens(self) -> list[int]:
        return [t for draft in self.drafts for t in draft["tokens"] if t < self.tokenizer.eot]

    @property
    def rest(self) -> Row | None:
        """The rest to decode; None if it is too short."""
        if not self.undecoded_from:
            return None
        start = self.row.start + self.undecoded_from
        rest = replace(self.row, start=start, language=self.language)
        return rest if rest.seconds >= MIN_REST_SECONDS else None

    def text_of(self, draft: dict[str, Any]) -> str:
        text: str = self.tokenizer.decode([t for t in draft["tokens"] if t < self.tokenizer.eot])
        return text


def decode_to_end(
    windows: Sequence[WindowInput],
    supported: Callable[[str | None], str | None],
    decode: Callable[[Sequence[Row]], list[DecodedRow]],
) -> list[WindowResult]:
    """Decode windows and their rests, a row each; return a result for each window, in order.

    `supported` returns a language, None (to detect it) if the model has no token for it.
    """
    rows = [
        Row(i, window, 0.0, supported(window.options.language)) for i, window in enumerate(windows)
    ]
    parts: list[list[DecodedRow]] = [[] for _ in rows]
    for _ in range(MAX_CALLS):
        decoded = decode(rows)
        for one in decoded:
            parts[one.row.position].append(one)
        rows = [rest for one in decoded if (rest := one.rest)]
        if not rows:
            break
    return [_result(of_window) for of_window in parts]


def _result(parts: Sequence[DecodedRow]) -> WindowResult:
    """Join the parts of one window; the average is over all their tokens and ends."""
    first = parts[0]
    window = first.row.window
    text = "".join(part.text for part in parts).strip().encode()
    result = WindowResult(
        language=first.language,
        language_probs=first.language_probs,
        segments=(),
        temperature=window.temperature,
        avg_logprob=finite(sum(p.logprob for p in parts) / sum(p.token_count + 1 for p in parts)),
        compression_ratio=len(text) / len(zlib.compress(text)),
        no_speech_prob=finite(first.no_speech_prob),
    )
    segments = [
        segment_of(draft, part.text_of(draft), result, window.seconds, part.row.start)
        for part in parts
        for draft in part.drafts
        if part.row.start + draft["start"] < window.seconds  # there is no speech in the padding
    ]
    return replace(result, segments=tuple(s for s in segments if s.text.strip()))
