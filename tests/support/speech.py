"""Audio for tests: tones where only length matters, sentences of the samples where words do."""

import functools
import re
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stt.media.audio import SAMPLE_RATE, Samples, decode, encode_opus
from tests.support.paths import SAMPLES


@dataclass(frozen=True)
class Sentence:
    """A sentence that the sample model understands to the letter, cut out of a sample.

    `start` and `end` are seconds in the file, about a fifth before the first and after the last
    word.
    """

    text: str
    file: str
    start: float
    end: float

    def samples(self) -> Samples:
        whole = _samples_of(SAMPLES / self.file)
        return whole[round(self.start * SAMPLE_RATE) : round(self.end * SAMPLE_RATE)]

    def write(self, path: Path) -> Path:
        """Write it to a wav file."""
        return write_wav(self.samples(), path)


_MILK = "Do not forget to buy milk, eggs, and a loaf of bread."
_INVOICE = "Please send the invoice to the new address before Friday."
_MEETING = "The meeting starts after breakfast, in the large conference room."
_MARRIED = (
    "Had he married a more amiable woman, he might have been made still more respectable than he "
    "was."
)
MILK = Sentence(_MILK, "short-note.mp3", 0.5, 4.2)
INVOICE = Sentence(_INVOICE, "short-note.mp3", 9.92, 13.57)
MEETING = Sentence(_MEETING, "short-note.mp3", 15.05, 18.96)
BIRTHDAY = Sentence("Remind me to call my mother on her birthday.", "short-note.mp3", 19.88, 22.78)
# A person's voice.
MARRIED = Sentence(_MARRIED, "reading.opus", 19.46, 25.46)
AMIABLE = Sentence("He might even have been made amiable himself.", "reading.opus", 26.22, 29.87)


def words(text: str) -> list[str]:
    """Return the words without case and punctuation."""
    return re.findall(r"[a-z']+", text.lower())


def write_wav(samples: Samples, path: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())
    return path


@functools.cache
def _samples_of(file: Path) -> Samples:
    return decode(file.read_bytes())


def tone(seconds: float) -> Samples:
    """A quiet 440 Hz tone."""
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (3000 * np.sin(2 * np.pi * 440 * times)).astype(np.int16)


def opus_tone(seconds: float = 2.0) -> bytes:
    """A tone between two short pauses: the audio of a chunk that cuts nothing in two."""
    samples = tone(seconds)
    pause = round(0.12 * SAMPLE_RATE)
    samples[:pause] = samples[-pause:] = 0
    return encode_opus(samples)
