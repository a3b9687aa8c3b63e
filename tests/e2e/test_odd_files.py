"""Real words out of files in which they are easily missed."""

import io
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import requests

from stt.media.audio import SAMPLE_RATE
from tests.support.damage import encoded
from tests.support.speech import INVOICE, MILK, words
from tests.support.whisper_process import WhisperProcess, running_server

DATA = Path(__file__).parents[1] / "data"
BOAT = "The small blue boat sails across the quiet lake."
STATION = "We will meet again at the station tomorrow."


@pytest.fixture(scope="module")
def server() -> Iterator[WhisperProcess]:
    with running_server() as process:
        yield process


def inverted_stereo() -> bytes:
    """The right side is the inverse of the left one."""
    said = MILK.samples()
    file = io.BytesIO()
    with wave.open(file, "wb") as output:
        output.setnchannels(2)
        output.setsampwidth(2)
        output.setframerate(SAMPLE_RATE)
        output.writeframes(np.stack([said, -said], axis=1).tobytes())
    return file.getvalue()


def junk_behind_a_transport_stream() -> bytes:
    return encoded(MILK.samples(), "mpegts") + bytes(777)


def truncated() -> bytes:
    """Two sentences, of which the second has been lost with the rest of the file."""
    pause = np.zeros(SAMPLE_RATE, np.int16)
    first = np.concatenate([MILK.samples(), pause])
    whole = encoded(np.concatenate([first, INVOICE.samples()]), "wav")
    return whole[: len(first) * 2]


FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "second track": ((DATA / "two-tracks-second-default.mkv").read_bytes, BOAT),
    "chained opus": ((DATA / "chained-opus.ogg").read_bytes, f"{BOAT} {STATION}"),
    "inverted stereo": (inverted_stereo, MILK.text),
    "transport stream": (junk_behind_a_transport_stream, MILK.text),
    "truncated": (truncated, MILK.text),
}


WARNINGS = {
    "second track": "audio track 2 of 2 was taken",
    "transport stream": "damaged: it cannot be read past",
    "truncated": "truncated: it breaks off after",
}


@pytest.mark.parametrize("kind", FILES)
def test_the_words_are_heard(server: WhisperProcess, kind: str) -> None:
    data, text = FILES[kind]
    answer = requests.post(
        f"{server.url}/v1/audio/transcriptions", files={"file": ("a", data())}, timeout=60
    )
    assert answer.ok, answer.text
    heard, said = words(answer.json()["text"]), words(text)
    assert len(set(heard) & set(said)) >= 0.8 * len(set(said)), heard
    assert len(heard) <= 1.2 * len(said)
    assert WARNINGS.get(kind, "") in answer.headers.get("Warning", "")
