"""What a diarizer hears in a conversation as a whole or in calls, kept in files."""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from stt.media.audio import SAMPLE_RATE, Samples
from stt.transcripts.speakers import Voice, read_embedding, write_embedding
from whisper_server.speakers.diarizer import Diarizer
from whisper_server.speakers.track import joined
from whisper_server.speakers.turns import PieceSpeakers, Turn


@dataclass(frozen=True)
class Heard:
    """The speakers of each call, with the second at which it starts."""

    calls: tuple[tuple[float, PieceSpeakers], ...]

    def joined(self) -> PieceSpeakers:
        """Return the speakers of the recording, as a fleet makes them of those of its calls."""
        return joined(self.calls)


def hear(diarizer: Diarizer, samples: Samples, call_seconds: float | None, kept: Path) -> Heard:
    """Return what is in the file `kept`, else what is heard now; None: all in one call.

    The last call is no shorter than half of the others.
    """
    if kept.exists():
        return _read(json.loads(kept.read_text()))
    size = round(call_seconds * SAMPLE_RATE) if call_seconds else len(samples)
    starts = [at for at in range(0, len(samples), size) if at == 0 or len(samples) - at > size / 2]
    calls = tuple(
        (start / SAMPLE_RATE, diarizer.find(partial(_part, samples, start, end)).result())
        for start, end in zip(starts, [*starts[1:], len(samples)], strict=True)
    )
    return _keep(Heard(calls), kept)


def _part(samples: Samples, start: int, end: int) -> Samples:
    return samples[start:end]


def _keep(heard: Heard, kept: Path) -> Heard:
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(_written(heard)))
    return heard


def _written(heard: Heard) -> dict[str, Any]:
    return {
        "calls": [
            {
                "start": start,
                "turns": [(turn.start, turn.end, turn.speaker) for turn in found.turns],
                "voices": [(write_embedding(v.embedding), v.seconds) for v in found.voices],
            }
            for start, found in heard.calls
        ],
    }


def _read(stored: dict[str, Any]) -> Heard:
    calls = []
    for call in stored["calls"]:
        turns = tuple(Turn(*turn) for turn in call["turns"])
        embeddings = [(read_embedding(text), seconds) for text, seconds in call["voices"]]
        voices = tuple(Voice(found, seconds) for found, seconds in embeddings if found is not None)
        calls.append((call["start"], PieceSpeakers(turns, voices)))
    return Heard(tuple(calls))
