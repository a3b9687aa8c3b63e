"""People's speech with its text, from packages of Debian.

Telephone prompts of asterisk (CC-BY-SA, 8 kHz, one speaker a language), and five sentences of a
reading of LibriVox (public domain, 16 kHz). Texts are as they were written for the speaker: with
punctuation and numerals in prompts, in lower case and without punctuation in the reading.
"""

import gzip
import itertools
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from stt.media.audio import SAMPLE_RATE, Samples, decode
from tests.support.mongo_process import missing

VOICES = {
    "en": "en_US_f_Allison",
    "es": "es_MX_f_Allison",
    "fr": "fr_CA_f_June",
    "it": "it_IT_m_Carlo",
    "ru": "ru_RU_f_IvrvoiceRU",
}
MIN_WORDS = 4
"""Shorter prompts are parts of sentences, which even people mishear."""
PAUSE_SECONDS = (0.25, 0.9)

_SOUNDS = Path("/usr/share/asterisk/sounds")
_TEXTS = "/usr/share/doc/asterisk-core-sounds-{0}/core-sounds-{0}.txt.gz"
_READING = Path("/usr/share/pocketsphinx/test/data/librivox")


@dataclass(frozen=True)
class Speech:
    """16 kHz samples (int16), and what is said in them."""

    samples: Samples
    text: str

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


def prompts(language: str, seconds: float, seed: int = 1) -> Speech:
    """Return prompts in an order that the seed determines, with pauses, until they last so long."""
    texts = _texts(language)
    names = random.Random(seed).sample(sorted(texts), len(texts))
    clips: list[Speech] = []
    for name in itertools.cycle(names):
        clips.append(_clip(_SOUNDS / VOICES[language] / f"{name}.wav", texts[name]))
        if sum(clip.seconds for clip in clips) + len(clips) * sum(PAUSE_SECONDS) / 2 >= seconds:
            break
    return joined(clips, seed=seed)


def reading() -> list[Speech]:
    """Return the sentences of the reading, 3 to 8 seconds each."""
    if not (_READING / "transcription").is_file():
        missing("pocketsphinx-testdata: apt-get install pocketsphinx-testdata")
    lines = (_READING / "transcription").read_text().splitlines()
    found = [re.fullmatch(r"<s> (.*) </s> \((.*)\)", line) for line in lines]
    return [_clip(_READING / f"{line[2]}.wav", line[1]) for line in found if line]


def joined(
    parts: Sequence[Speech], pause_seconds: tuple[float, float] = PAUSE_SECONDS, seed: int = 1
) -> Speech:
    """Return the parts one after the other, with silence of random length between and around."""
    choice = random.Random(seed)
    pieces: list[Samples] = []
    for part in parts:
        pieces += [_silence(choice.uniform(*pause_seconds)), part.samples]
    pieces.append(_silence(choice.uniform(*pause_seconds)))
    return Speech(np.concatenate(pieces), " ".join(part.text for part in parts))


@cache
def _texts(language: str) -> dict[str, str]:
    """Return the texts of a language's prompts by the names of their files."""
    file, folder = Path(_TEXTS.format(language)), _SOUNDS / VOICES[language]
    package = f"asterisk-core-sounds-{language}"
    if not file.is_file() or not folder.is_dir():
        missing(f"{package}: apt-get install {package} {package}-wav")
    lines = gzip.decompress(file.read_bytes()).decode("utf-8-sig").splitlines()
    named = (line.partition(":") for line in lines if line and not line.startswith(";"))
    texts = {name.strip(): text.strip() for name, _, text in named}
    return {
        name: text
        for name, text in texts.items()
        if len(text.split()) >= MIN_WORDS
        and not re.search(r"[\[(]", text)  # sounds, and remarks for the speaker
        and (folder / f"{name}.wav").is_file()
    }


@cache
def _clip(file: Path, text: str) -> Speech:
    return Speech(decode(file.read_bytes()), text)


def _silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * SAMPLE_RATE), np.int16)
