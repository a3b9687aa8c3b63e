"""What a stand-in server answers to a call: words that name each chunk and the call."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from stt.transcripts.speakers import speaker_letter
from tools.chaos_lab import voices

MODEL = "stand-in"


@dataclass(frozen=True)
class Call:
    """One upload, understood."""

    id: str
    worker: str
    numbers: tuple[int | None, ...]
    asked: float = field(default_factory=time.monotonic)
    wants_speakers: bool = False


def transcript_of(call: Call) -> dict[str, Any]:
    """OpenAI's verbose_json: for each chunk a segment within its second, and its words apart.

    Where they are wanted, with the speakers of the call: the voices of its chunks.
    """
    segments: list[dict[str, Any]] = [
        {
            "start": at + 0.1,
            "end": at + 0.1 + voices.SPOKEN_SECONDS,
            "text": _text(call, number),
            "avg_logprob": -0.1,
        }
        for at, number in enumerate(call.numbers)
    ]
    words = [
        {"start": s["start"] + 0.2 * place, "end": s["start"] + 0.2 * (place + 1), "word": word}
        for s in segments
        for place, word in enumerate(str(s["text"]).split())
    ]
    text = " ".join(str(s["text"]) for s in segments)
    told = {"text": text, "language": "en", "model": MODEL, "segments": segments, "words": words}
    return told | {"speakers": _speakers(call, segments)} if call.wants_speakers else told


def _speakers(call: Call, segments: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the speakers in the order of their first words, and write them into the segments."""
    letters: dict[int, str] = {}
    for segment, number in zip(segments, call.numbers, strict=True):
        if number is not None:
            voice = voices.voice_of(number)
            segment["speaker"] = letters.setdefault(voice, speaker_letter(len(letters)))
    return [
        {
            "id": letter,
            "seconds": voices.SPOKEN_SECONDS * sum(s.get("speaker") == letter for s in segments),
            "embedding": voices.embedding(voice, call.id),
        }
        for voice, letter in letters.items()
    ]


def _text(call: Call, number: int | None) -> str:
    return "something else" if number is None else f"chunk {number} call {call.id}"
