"""A recording in which several people speak, each with a voice of his own."""

import base64

import numpy as np
from bson import ObjectId

from stt.store.database import Database
from tests.support.queue_builder import START, add_chunks, add_recording
from tests.support.speech import opus_tone

_VOICES = 16


def add_conversation(database: Database, *said: tuple[float, float, str, str]) -> ObjectId:
    """Store `(start, end, speaker, text)` as one chunk; a speaker is a letter, A to P, or "".

    Speakers are called SPEAKER_01 and so on, in the order of their letters.
    """
    recording_id = add_recording(
        database, filename="conversation.opus", duration=30.0, chunk_count=1, speakers=0,
        start=START, ingested_at=START, created_at=START, language="en",
    )  # fmt: skip
    segments = [
        {"start": start, "end": end, "text": text, "speaker": speaker}
        for start, end, speaker, text in said
    ]
    speakers = [
        {"id": one, "seconds": 10.0, "embedding": _embedding(one)}
        for one in sorted({speaker for _, _, speaker, _ in said if speaker})
    ]
    transcript = {"segments": segments, "language": "en", "speakers": speakers}
    add_chunks(
        database, 1, recording_id=recording_id, audio=opus_tone(30), transcribed_at=START,
        transcript=transcript,
    )  # fmt: skip
    return recording_id


def _embedding(speaker: str) -> str:
    """Return a voice that has nothing in common with any other."""
    vector = np.eye(_VOICES, dtype="<f2")[ord(speaker) - ord("A")]
    return base64.b64encode(vector.tobytes()).decode()
