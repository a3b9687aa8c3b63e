"""Human speech whose words are known: the Debian packages of Asterisk's prompts, and LibriVox.

`apt install asterisk-core-sounds-en asterisk-core-sounds-en-wav`, and the same for es, fr, it and
ru: a few hundred prompts of one human speaker each, 8 kHz, CC-BY-SA. `pocketsphinx-testdata`: five
clips of a LibriVox reading in English, public domain.
"""

import gzip
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stt.media.audio import SAMPLE_RATE, Samples, decode
from tools.fidelity_lab.words import words_of

SOUNDS = Path("/usr/share/asterisk/sounds")
TEXTS = "/usr/share/doc/asterisk-core-sounds-{0}/core-sounds-{0}.txt.gz"
SPEAKERS = {
    "en": "en_US_f_Allison",
    "es": "es_MX_f_Allison",
    "fr": "fr_CA_f_June",
    "it": "it_IT_m_Carlo",
    "ru": "ru_RU_f_IvrvoiceRU",
}
LIBRIVOX = Path("/usr/share/pocketsphinx/test/data/librivox")
MIN_WORDS, MAX_SECONDS = 3, 15.0
"""Of a prompt. Letters and single digits are no speech that people record; of long prompts too
little is known when each word is said."""
MAX_WORDS_PER_SECOND = 6.0
"""Texts with more describe a sound."""
_NOT_SPEECH = set("[](){}<>*#@/\\")
"""A prompt with one of these in its text says something else than its text, or is no speech."""
_LOST_LETTER = re.compile(r"\?\s+[^\W\dA-Z]|\s\?\s")
CORRECTIONS = {
    "en": {
        "represenatives": "representatives", "un-indentified": "unidentified",
        "witheld": "withheld",
    },
    "es": {
        "atravez": "a través", "entidade": "entradas", "ingese": "ingrese",
        "introdusca": "introduzca", "mesaje": "mensaje", "paracambiar": "para cambiar",
    },
    "fr": {
        "d'acceuil": "d'accueil", "appellant": "appelant", "l'appellant": "l'appelant",
        "connection": "connexion", "deverouillée": "déverrouillée", "démontration": "démonstration",
        "déboguage": "débogage", "dévérouillée": "déverrouillée", "j'essai": "j'essaie",
        "présentemnet": "présentement", "rappler": "rappeler", "verouillée": "verrouillée",
        "vérouiller": "verrouiller", "vérouillée": "verrouillée", "étez": "été",
    },
    "it": {"perpiacere": "per piacere"},
    "ru": {
        "взёздочка": "звёздочка", "завршить": "завершить", "неразрешен": "не разрешен",
        "что бы": "чтобы",
    },
}  # fmt: skip
"""Misspelled words of the texts, which no transcript should repeat."""
_FRAME = SAMPLE_RATE // 100
_QUIETEST_SPEECH = 10 ** (-40 / 20)
"""Of the loudest hundredth of a second; what is quieter at both ends is no speech."""


class SpeechMissing(Exception):
    """`str()` says what to install."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """`samples` begin and end with the speech."""

    language: str
    name: str
    text: str
    samples: Samples


def load_prompts(language: str) -> list[Prompt]:
    """All prompts that say a sentence or a part of one, by name. Raises SpeechMissing."""
    texts, sounds = Path(TEXTS.format(language)), SOUNDS / SPEAKERS[language]
    if not texts.exists() or not sounds.is_dir():
        package = f"asterisk-core-sounds-{language}"
        raise SpeechMissing(
            f"The speech in {language!r} is missing: apt install {package} {package}-wav"
        )
    prompts = [
        Prompt(language, name, corrected(text, language), trimmed(decode(path.read_bytes())))
        for name, text in sorted(read_texts(gzip.decompress(texts.read_bytes())).items())
        if _is_spoken_so(text, language) and (path := sounds / f"{name}.wav").is_file()
    ]
    return list(filter(_is_speech, prompts)) + (_librivox() if language == "en" else [])


def _is_spoken_so(text: str, language: str) -> bool:
    """Whether it is a sentence or a part of one, and the speaker says it as it is written."""
    words = text.split()
    if language == "es" and any(character.isdigit() for character in text):
        return False  # she says "el número uno" where the text has "1"
    letters = sum(len(word.strip(",.")) == 1 and not word.isdigit() for word in words)
    return len(words) >= MIN_WORDS and letters * 2 < len(words)


def _is_speech(prompt: Prompt) -> bool:
    seconds = len(prompt.samples) / SAMPLE_RATE
    words = len(words_of(prompt.text, prompt.language))
    return seconds <= MAX_SECONDS and words <= seconds * MAX_WORDS_PER_SECOND


def read_texts(data: bytes) -> dict[str, str]:
    """Text by name of what is spoken as it is written: `name: text`, `;` begins a comment."""
    texts = {}
    for line in data.decode("utf-8-sig").splitlines():
        name, colon, text = line.partition(":")
        if colon and not line.startswith(";") and _is_legible(text):
            texts[name.strip()] = text.strip()
    return texts


def corrected(text: str, language: str) -> str:
    """The text without its known misspellings; in lower case where they were."""
    for wrong, right in CORRECTIONS[language].items():
        text = re.sub(rf"(?<!\w){wrong}(?!\w)", right, text, flags=re.IGNORECASE)
    return text


def _is_legible(text: str) -> bool:
    return not _NOT_SPEECH & set(text) and not _LOST_LETTER.search(text)


def trimmed(samples: Samples) -> Samples:
    """Without what is quiet at both ends."""
    count = len(samples) // _FRAME
    frames = samples[: count * _FRAME].astype(np.float32).reshape(count, _FRAME)
    loudness = np.sqrt(np.square(frames).mean(axis=1))
    loud = np.flatnonzero(loudness > loudness.max(initial=0) * _QUIETEST_SPEECH)
    if not len(loud):
        return samples
    return samples[loud[0] * _FRAME : (loud[-1] + 1) * _FRAME]


def _librivox() -> list[Prompt]:
    """The clips, if they are installed."""
    transcription = LIBRIVOX / "transcription"
    if not transcription.exists():
        return []
    spoken = re.findall(r"<s> (.+) </s> \((\S+)\)", transcription.read_text())
    return [
        Prompt("en", name, text, trimmed(decode((LIBRIVOX / f"{name}.wav").read_bytes())))
        for text, name in spoken
    ]
