"""Read a transcription response in OpenAI's `verbose_json` format.

Source: https://platform.openai.com/docs/api-reference/audio/verbose-json-object
"""

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from typing import Any

from stt.domain.transcript import LocalSpeaker, Segment, Transcript, Word
from stt.transcripts.languages import foreign_language

FORMAT_ERRORS = (
    ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError,
)  # fmt: skip
"""What `read_transcript` and `json.loads` raise for a body of another format."""


def read_transcript(body: Mapping[str, Any], audio_seconds: float) -> Transcript:
    """Return the transcript in `body`; make one segment of a plain `{"text": …}` response.

    Raise one of `FORMAT_ERRORS` if a field is missing or of another type.
    """
    text = body["text"].strip()
    listed = body.get("segments")
    if listed is None:
        segments = [Segment(0, audio_seconds, text)]
    else:
        segments = list(map(Segment.read, listed))
    if words := list(map(Word.read, body.get("words") or ())):
        segments = _assign_words(segments, words)
    return Transcript(
        segments=tuple(segment for segment in segments if segment.text),
        language=foreign_language(body.get("language")),
        language_probability=body.get("language_probability"),
        model=body.get("model"),
        silent_speech_seconds=_silent_speech(body, audio_seconds),
        speakers=_speakers(body.get("speakers")),
    )


def _speakers(found: object) -> tuple[LocalSpeaker, ...] | None:
    """Return the speakers; None for what another server may mean by this field."""
    if not isinstance(found, list):
        return None
    try:
        return tuple(map(LocalSpeaker.read, found))
    except FORMAT_ERRORS:
        return None


def _silent_speech(body: Mapping[str, Any], audio_seconds: float) -> float:
    """Return the seconds of speech that gave no text; 0 for servers that do not count them."""
    seconds = float(body.get("silent_speech_seconds") or 0.0)
    return min(max(seconds, 0.0), audio_seconds) if isfinite(seconds) else 0.0


def _assign_words(segments: list[Segment], words: list[Word]) -> list[Segment]:
    """Give each word to the segment in which its middle lies.

    OpenAI's format lists the words apart from the segments; both are in order of time.
    """
    if not segments:
        return segments
    assigned: list[list[Word]] = [[] for _ in segments]
    index = 0
    for word in words:
        middle = (word.start + word.end) / 2
        while index < len(segments) - 1 and middle >= segments[index].end:
            index += 1
        assigned[index].append(word)
    return [
        replace(segment, words=tuple(its_words))
        for segment, its_words in zip(segments, assigned, strict=True)
    ]
