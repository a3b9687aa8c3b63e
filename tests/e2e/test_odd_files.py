"""Real words out of files in which they are easily missed."""

import io
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import requests

from stt.media.audio import SAMPLE_RATE
from tests.support.speech import MILK, words
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


FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "second track": ((DATA / "two-tracks-second-default.mkv").read_bytes, BOAT),
    "chained opus": ((DATA / "chained-opus.ogg").read_bytes, f"{BOAT} {STATION}"),
    "inverted stereo": (inverted_stereo, MILK.text),
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
