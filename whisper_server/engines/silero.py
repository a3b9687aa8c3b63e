"""Silero's voice detector, which is part of faster-whisper: the spans of speech."""

from itertools import pairwise

import numpy as np

from whisper_server.audio_windows import Span
from whisper_server.engines.base import SAMPLE_RATE, Samples

PAUSE_MS = 500
"""A silence of so long ends a span; shorter ones belong to the speech."""
PADDING_MS = 400
"""Soft beginnings and ends of words are easily taken for silence: keep so much around a span."""


def find_speech(samples: Samples, window_seconds: float) -> list[Span]:
    """Return the spans of speech, in order, none longer than `window_seconds`.

    About 400 times as fast as the recording on one core.
    """
    from faster_whisper.vad import VadOptions, get_speech_timestamps  # a second of work

    if not len(samples):
        return []
    options = VadOptions(
        max_speech_duration_s=window_seconds,
        min_silence_duration_ms=PAUSE_MS,
        speech_pad_ms=PADDING_MS,
    )
    longest = int(window_seconds * SAMPLE_RATE)
    spans = []
    for found in get_speech_timestamps(samples, options):
        # Padding may have made it longer than the window.
        parts = -(-(found["end"] - found["start"]) // longest)
        cuts = np.linspace(found["start"], found["end"], parts + 1).astype(int).tolist()
        spans += [Span(first, last - first) for first, last in pairwise(cuts)]
    return spans
