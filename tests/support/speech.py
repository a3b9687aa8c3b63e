"""Audio for tests: tones where only length matters, espeak-ng's voice where words do."""

import shutil
import subprocess
from pathlib import Path

import numpy as np

from stt.media.audio import SAMPLE_RATE, Samples, encode_opus
from tests.support.mongo_process import missing


def tone(seconds: float) -> Samples:
    """A quiet 440 Hz tone."""
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (3000 * np.sin(2 * np.pi * 440 * times)).astype(np.int16)


def opus_tone(seconds: float = 2.0) -> bytes:
    return encode_opus(tone(seconds))


def speak(text: str, path: Path, voice: str = "en-us", words_per_minute: int = 160) -> Path:
    """Writes `text`, spoken by espeak-ng, to a wav file."""
    if shutil.which("espeak-ng") is None:
        missing("espeak-ng: apt-get install espeak-ng")
    command = ["espeak-ng", "-v", voice, "-s", str(words_per_minute), "-w", str(path), text]
    subprocess.run(command, check=True)
    return path
