"""Turn Whisper's tokens, text between timestamps, into segments with valid numbers. Pure."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from whisper_server.engines.base import (
    DEFAULT_LANGUAGE,
    FRAMES_PER_SECOND,
    Features,
    Segment,
    Transcription,
    WindowResult,
    Word,
)

TOP_LANGUAGES = 5
SECONDS_PER_TIMESTAMP = 0.02
"""The first timestamp token is 0.00, each next one so much later."""
MAX_INITIAL_TIMESTAMP_SECONDS = 1.0
"""Whisper's `max_initial_timestamp`: the first segment starts within a second."""
SAMPLED_CANDIDATES = 5
"""Whisper's `best_of`: of so many sampled texts the likeliest counts."""


@dataclass(frozen=True)
class Split:
    """A window's segments, as dicts that faster-whisper and mlx-whisper add word times to.

    Their `start` and `end` are in seconds, their `tokens` include the timestamps.
    `undecoded_from`: the model closed its last segment, opened one there, and left it empty. It
    does so when the audio ends within a sentence: what follows has to be decoded again.
    """

    drafts: list[dict[str, Any]]
    undecoded_from: float | None


def split_at_timestamps(tokens: Sequence[int], first_timestamp: int, seconds: float) -> Split:
    """Cut where a timestamp follows a timestamp; text after the last one lasts until `seconds`.

    Unlike Whisper's own rule this one keeps an unclosed last segment. Segments that end where
    they start are left out, as Whisper does: no speech takes no time.
    """
    is_timestamp = [token >= first_timestamp for token in tokens]
    borders = [i for i in range(1, len(tokens)) if is_timestamp[i - 1] and is_timestamp[i]]
    drafts: list[dict[str, Any]] = []
    start = 0.0
    for first, behind in zip([0, *borders], [*borders, len(tokens)], strict=True):
        part = list(tokens[first:behind])
        times = [
            (token - first_timestamp) * SECONDS_PER_TIMESTAMP
            for token in part
            if token >= first_timestamp
        ]
        if part and is_timestamp[first]:
            start = times.pop(0)
        end = times[-1] if times else max(start, seconds)
        if any(token < first_timestamp for token in part) and (end > start or not times):
            drafts.append({"seek": 0, "start": start, "end": end, "tokens": part})
        start = end
    undecoded_from = None
    if len(tokens) >= 2 and is_timestamp[-2] and is_timestamp[-1]:
        undecoded_from = (tokens[-1] - first_timestamp) * SECONDS_PER_TIMESTAMP
    return Split(drafts, undecoded_from)


def without_broken_tail(tokens: list[int], first_timestamp: int) -> list[int]:
    """Return text that reached the limit of tokens, up to where its last, open segment begins.

    Whole if no segment before that one was closed: decoding it again would break off there again.
    """
    if tokens and tokens[-1] < first_timestamp:
        for end in range(len(tokens) - 1, 1, -1):
            if min(tokens[end - 2 : end]) > first_timestamp:
                return tokens[:end]
    return tokens


def segment_of(
    draft: dict[str, Any], text: str, numbers: Any, seconds: float, offset: float = 0.0
) -> Segment:
    """Return a draft as a segment of audio of `seconds`; its times count from `offset`.

    `numbers` is the result whose numbers the segment repeats.
    """

    def times(part: dict[str, Any]) -> tuple[float, float]:
        return within(offset + part["start"], offset + part["end"], seconds)

    start, end = times(draft)
    return Segment(
        start=start,
        end=end,
        text=text,
        seek=round(offset * FRAMES_PER_SECOND),
        tokens=tuple(draft["tokens"]),
        temperature=float(numbers.temperature or 0.0),
        avg_logprob=finite(numbers.avg_logprob),
        compression_ratio=finite(numbers.compression_ratio),
        no_speech_prob=finite(numbers.no_speech_prob),
        words=tuple(
            Word(*times(word), word["word"].strip(), finite(word["probability"]))
            for word in draft.get("words") or ()
        ),
    )


def transcription(
    language: str | None,
    detected: WindowResult | None,
    seconds: float,
    segments: Iterable[Segment],
) -> Transcription:
    """Return the transcript of a recording in the given language, else in the detected one.

    `detected` is the first window with speech, else the first; None if there was no window.
    """
    if language is not None:
        probabilities: tuple[tuple[str, float], ...] = ((language, 1.0),)
    elif detected is not None:
        language = detected.language
        probabilities = detected.language_probs or ((language, 1.0),)
    else:
        language = DEFAULT_LANGUAGE
        probabilities = ((language, 0.0),)
    return Transcription(
        language=language,
        language_probability=dict(probabilities).get(language, 0.0),
        top_language_probs=top_languages(probabilities),
        duration_seconds=seconds,
        segments=tuple(segments),
    )


def padded(spectrogram: Features, frames: int) -> Features:
    """Return a spectrogram, shape (mel bands, frames), without its last frame, zeros added.

    Whisper's extractors make a frame more than the audio has.
    """
    found = np.zeros((len(spectrogram), frames), np.float32)
    count = min(spectrogram.shape[1] - 1, frames)
    found[:, :count] = spectrogram[:, :count]
    return found


def top_languages(ranked: Iterable[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    """Return the first few of languages that are ranked by probability, as plain numbers."""
    return tuple((code, float(probability)) for code, probability in islice(ranked, TOP_LANGUAGES))


def within(start: float, end: float, seconds: float) -> tuple[float, float]:
    """Limit times to the audio: Whisper may place them in the padding after it."""
    first = min(max(0.0, float(start)), seconds)
    return round(first, 3), round(min(max(first, float(end)), seconds), 3)


def finite(number: float) -> float:
    """Return the number, 0 for NaN and infinity: a window without tokens may have one."""
    return float(number) if math.isfinite(number) else 0.0
