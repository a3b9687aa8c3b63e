"""Split the transcript of joined chunks into those of the chunks. Pure."""

import secrets
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stt.domain.transcript import LocalSpeaker, Segment, Transcript
from stt.transcripts.timed_text import timed_units


def split(transcript: Transcript, durations: Sequence[float]) -> list[Transcript]:
    """Split a transcript of joined audio into those of its parts, of `durations` seconds each.

    A segment that spans a border is cut between two words where the server gave words; else it
    goes whole to the part that holds its middle. Times become relative to each part; the language
    is the one with the most speech in it. Speech without text is shared out by the time in each
    part that has none.
    """
    ends = np.cumsum(durations)
    parts: list[list[Segment]] = [[] for _ in durations]
    for segment in transcript.segments:
        for piece in _cut(segment, ends):
            at = _part_at((piece.start + piece.end) / 2, ends)
            begin = float(ends[at] - durations[at])
            parts[at].append(_clamped(piece.shifted(-begin), durations[at]))
    shares = _shares(transcript.silent_speech_seconds, parts, durations)
    return [
        replace(
            transcript,
            segments=tuple(segments),
            language=_language_of(segments) or transcript.language,
            silent_speech_seconds=share,
            speakers=_speakers_of(segments, transcript.speakers),
        )
        for segments, share in zip(parts, shares, strict=True)
    ]


def with_own_speakers(transcript: Transcript) -> Transcript:
    """Return a transcript whose speakers have ids that no other call has given."""
    if transcript.speakers is None:
        return transcript
    call = secrets.token_hex(4)
    return replace(
        transcript,
        speakers=tuple(replace(one, id=f"{call}:{one.id}") for one in transcript.speakers),
        segments=tuple(
            replace(segment, speaker=segment.speaker and f"{call}:{segment.speaker}")
            for segment in transcript.segments
        ),
    )


def _speakers_of(
    segments: Sequence[Segment], speakers: Sequence[LocalSpeaker] | None
) -> tuple[LocalSpeaker, ...] | None:
    """Return the speakers of these segments, with the seconds that they speak in them."""
    if speakers is None:
        return None
    seconds: defaultdict[str | None, float] = defaultdict(float)
    for segment in segments:
        seconds[segment.speaker] += segment.end - segment.start
    return tuple(
        replace(one, seconds=round(seconds[one.id], 3)) for one in speakers if one.id in seconds
    )


def _language_of(segments: Sequence[Segment]) -> str | None:
    """Return the language with the most speech; None where the server names none."""
    seconds: defaultdict[str | None, float] = defaultdict(float)
    for segment in segments:
        seconds[segment.language] += segment.end - segment.start
    return max(seconds, key=lambda language: seconds[language], default=None)


def without_words(transcript: Transcript) -> Transcript:
    """Return a transcript without words, whose segments begin and end with their words.

    Servers stretch segments over pauses, which cannot be seen any more without the words.
    """
    segments = []
    for segment in transcript.segments:
        units = timed_units(segment, shorten=False) if segment.words else []
        if units:
            start = max(segment.start, units[0].start / 1000)
            segment = replace(segment, start=start, end=max(start, units[-1].end / 1000))
        segments.append(replace(segment, words=()))
    return replace(transcript, segments=tuple(segments))


def _cut(segment: Segment, ends: NDArray[np.float64]) -> list[Segment]:
    """Cut a segment into one piece for each part in which it has words."""
    homes = [_part_at((word.start + word.end) / 2, ends) for word in segment.words]
    if len(set(homes)) < 2:
        return [segment]
    pieces = []
    for home in sorted(set(homes)):
        words = tuple(w for w, at in zip(segment.words, homes, strict=True) if at == home)
        glue = "" if any(word.word.startswith(" ") for word in words) else " "
        text = glue.join(word.word for word in words).strip()
        pieces.append(
            replace(segment, start=words[0].start, end=words[-1].end, text=text, words=words)
        )
    return pieces


def _part_at(seconds: float, ends: NDArray[np.float64]) -> int:
    return min(int(np.searchsorted(ends, seconds, side="right")), len(ends) - 1)


def _shares(
    seconds: float, parts: Sequence[Sequence[Segment]], durations: Sequence[float]
) -> list[float]:
    """Share out seconds by the time in each part that its segments leave."""
    text_seconds = [sum(segment.end - segment.start for segment in part) for part in parts]
    weights = np.maximum(np.subtract(durations, text_seconds), 1e-3)
    return [round(float(share), 3) for share in seconds * weights / weights.sum()]


def _clamped(segment: Segment, duration: float) -> Segment:
    start = min(max(segment.start, 0.0), duration)
    return replace(segment, start=start, end=min(max(segment.end, start), duration))
