"""Speech from espeak-ng, with the time of every word.

Binds libespeak-ng through ctypes: unlike the command line program it reports where each word
begins. Times are seconds; samples are float32 at 16 kHz in -1 ... 1.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import av
import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000

Samples = npt.NDArray[np.float32]

_AUDIO_OUTPUT_SYNCHRONOUS = 2
_CHARS_UTF8 = 1
_EVENT_LIST_TERMINATED = 0
_EVENT_WORD = 1
_EVENT_PHONEME = 7
_INITIALIZE_PHONEME_EVENTS = 1
_PARAMETER_RATE = 1
_PARAMETER_PITCH = 3

# A word that ends before a pause ends where the sound falls below this share of the loudest.
_QUIET = 0.01


@dataclass(frozen=True, slots=True)
class Speaker:
    """How something is said: an espeak-ng voice, its speed and its pitch."""

    voice: str = "en-us"
    words_per_minute: int = 175
    pitch: int = 50


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """One word and the seconds, from the start of its recording, in which it is heard."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Utterance:
    """Something said: its sound, its words, and its phonemes (espeak-ng's name, start)."""

    samples: Samples
    words: tuple[SpokenWord, ...]
    phonemes: tuple[tuple[str, float], ...] = ()

    @property
    def seconds(self) -> float:
        """The length of the sound in seconds."""
        return len(self.samples) / SAMPLE_RATE

    @property
    def text(self) -> str:
        """The words with a space between them."""
        return " ".join(word.text for word in self.words)


class SpeechError(RuntimeError):
    """espeak-ng is missing or refused something."""


class _EventId(ctypes.Union):
    _fields_ = (
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    )


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),  # characters, from 1
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # milliseconds
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Synthesizer:
    """libespeak-ng. It keeps its state in globals: one of these to a process, one thread."""

    def __init__(self) -> None:
        name = ctypes.util.find_library("espeak-ng") or "libespeak-ng.so.1"
        try:
            self._library = ctypes.CDLL(name)
        except OSError as error:
            raise SpeechError("libespeak-ng is not installed (Debian: libespeak-ng1)") from error
        self._rate = self._library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, 0, None, _INITIALIZE_PHONEME_EVENTS
        )
        if self._rate <= 0:
            raise SpeechError("espeak-ng could not start")
        self._sound = bytearray()
        self._marks: list[tuple[int, float]] = []  # (character, seconds)
        self._phonemes: list[tuple[str, float]] = []
        self._callback = _CALLBACK(self._receive)  # must outlive every call
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: object, count: int, events: Sequence[_Event]) -> int:
        if samples and count:
            self._sound += ctypes.string_at(samples, 2 * count)  # type: ignore[arg-type]
        index = 0
        while events[index].type != _EVENT_LIST_TERMINATED:
            event = events[index]
            seconds = event.audio_position / 1000
            if event.type == _EVENT_WORD:
                self._marks.append((event.text_position - 1, seconds))
            elif event.type == _EVENT_PHONEME:
                self._phonemes.append((event.id.string.decode(errors="replace"), seconds))
            index += 1
        return 0

    def say(self, text: str, speaker: Speaker) -> Utterance:
        """Say ``text``: words of letters, between them spaces and perhaps commas or full stops.

        Raises SpeechError if espeak-ng does not know the voice.
        """
        if self._library.espeak_SetVoiceByName(speaker.voice.encode()) != 0:
            raise SpeechError(f"espeak-ng has no voice {speaker.voice!r}")
        self._library.espeak_SetParameter(_PARAMETER_RATE, speaker.words_per_minute, 0)
        self._library.espeak_SetParameter(_PARAMETER_PITCH, speaker.pitch, 0)
        self._sound.clear()
        self._marks.clear()
        self._phonemes.clear()
        raw = text.encode()
        self._library.espeak_Synth(raw, len(raw) + 1, 0, 0, 0, _CHARS_UTF8, None, None)
        samples = _to_16_khz(np.frombuffer(bytes(self._sound), dtype=np.int16), self._rate)
        words = _timed_words(text, self._marks, samples)
        return Utterance(samples, words, tuple(self._phonemes))


def _to_16_khz(samples: npt.NDArray[np.int16], rate: int) -> Samples:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    frame = av.AudioFrame.from_ndarray(samples[None, :], format="s16", layout="mono")
    frame.sample_rate = rate
    parts = [part.to_ndarray() for part in [*resampler.resample(frame), *resampler.resample(None)]]
    result: Samples = np.concatenate(parts, axis=1)[0].astype(np.float32) / np.float32(32768)
    return result


def _timed_words(
    text: str, marks: Sequence[tuple[int, float]], samples: Samples
) -> tuple[SpokenWord, ...]:
    """The words of ``text``, each from its own mark to the next, less the pause between them."""
    begins = dict(reversed(marks))
    words: list[tuple[str, int]] = []
    position = 0
    for piece in text.replace("\n", " ").split(" "):
        if word := piece.strip(",.?!"):
            words.append((word, position))
        position += len(piece) + 1
    starts: list[float | None] = [begins.get(position) for _, position in words]
    starts.append(len(samples) / SAMPLE_RATE)
    if starts[0] is None:
        starts[0] = 0.0
    # espeak-ng marks some pairs ("in the") as one word: share its time by the letters.
    known = [index for index, start in enumerate(starts) if start is not None]
    for left, right in pairwise(known):
        begin, end = starts[left], starts[right]
        assert begin is not None
        assert end is not None
        letters = [len(word) for word, _ in words[left:right]]
        for index in range(left + 1, right):
            share = sum(letters[: index - left]) / sum(letters)
            starts[index] = begin + share * (end - begin)
    quiet = _QUIET * float(np.abs(samples).max(initial=1e-4))
    timed = []
    for (word, _), start, end in zip(words, starts, starts[1:], strict=False):
        assert start is not None
        assert end is not None
        begin_sample = int(start * SAMPLE_RATE)
        sound = np.flatnonzero(np.abs(samples[begin_sample : int(end * SAMPLE_RATE)]) > quiet)
        if len(sound):
            end = (begin_sample + int(sound[-1]) + 1) / SAMPLE_RATE
            start = (begin_sample + int(sound[0])) / SAMPLE_RATE
        timed.append(SpokenWord(word, start, end))
    return tuple(timed)


# "en" is British English; "en-gb" is a name that only the command line knows.
_DEFAULT_VOICES = ("en-us", "en-us", "en")
_VOICES = ("en-us", "en-us", "en", "en", "en-gb-x-rp", "en-gb-scotland", "en-029")
_VARIANTS = tuple(f"m{number}" for number in range(1, 9)) + tuple(f"f{n}" for n in range(1, 6))


def any_speaker(rng: random.Random) -> Speaker:
    """A speaker as people meet them: often espeak-ng's default, else any accent and character."""
    kind = rng.random()
    if kind < 0.30:
        return Speaker(rng.choice(_DEFAULT_VOICES), rng.choice((175, 175, 160, 170, 150)), 50)
    if kind < 0.50:
        return Speaker(rng.choice(_DEFAULT_VOICES), rng.randint(110, 190), rng.randint(30, 70))
    voice = rng.choice(_VOICES)
    if rng.random() < 0.75:
        voice += f"+{rng.choice(_VARIANTS)}"
    return Speaker(voice, rng.randint(110, 190), rng.randint(25, 75))
