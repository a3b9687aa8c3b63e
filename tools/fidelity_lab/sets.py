"""The recordings of the harness: the same for the same seed, languages and minutes."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np

from stt.media.audio import SAMPLE_RATE, Samples
from tools.fidelity_lab import no_speech
from tools.fidelity_lab.phone import CODECS, through_phone
from tools.fidelity_lab.prompts import Prompt
from tools.fidelity_lab.tape import (
    BETWEEN,
    JOINED,
    LONG_SILENCES,
    NO_SPEECH,
    NOISY,
    PHONE,
    PLAIN,
    SWITCHING,
    SpeechSet,
    Tape,
)

PAUSES = (0.25, 0.9)
STRETCHES = (12.0, 45.0)
SILENCES = (8.0, 40.0)
BETWEEN_SECONDS = (3.0, 8.0)
NOISE_DECIBELS = (5, 10, 20)
"""The loudest in the first language, which models know best."""
ROOM_SECONDS = 600.0
NO_SPEECH_SHARE = 2.0
"""Minutes of each sound without speech for each minute of speech in one language."""
Random = np.random.Generator


@dataclass(frozen=True)
class SetMaker:
    """`minutes`: of the plain set of each language; the others are half as long or the same."""

    prompts: Mapping[str, Sequence[Prompt]]
    minutes: float
    seed: int = 0

    def make(self) -> Iterator[SpeechSet]:
        """All sets, one by one; the languages take turns where not each has a set of its own."""
        languages, whole = list(self.prompts), self.minutes * 60
        for language in languages:
            yield self.one_language(f"{PLAIN} {language}", PLAIN, language, whole)
            yield self.one_language(f"{JOINED} {language}", JOINED, language, whole / 2)
        for pattern in patterns(languages):
            yield self.switching(pattern, whole)
        turns = cycle(languages)
        for decibels, language in zip(NOISE_DECIBELS, turns, strict=False):
            yield self.noisy(language, decibels, whole / 2)
        for codec, language in zip(CODECS, turns, strict=False):
            name = f"{PHONE} {codec} {language}"
            clean = self.one_language(name, PHONE, language, whole / 2)
            yield _changed(clean, through_phone(clean.samples, codec))
        yield self.long_silences(next(turns), whole)
        yield self.between(next(turns), whole)
        yield from self.without_speech(whole)

    def one_language(self, name: str, kind: str, language: str, seconds: float) -> SpeechSet:
        random, tape = self._random(name), Tape()
        for prompt in self._shuffled(language, random):
            tape.say(prompt)
            if tape.seconds >= seconds:
                return tape.finish(name, kind)
            tape.pause(0 if kind == JOINED else random.uniform(*PAUSES))
        raise AssertionError("prompts never end")

    def switching(self, pattern: Sequence[str], seconds: float) -> SpeechSet:
        """Stretches of 12 to 45 s in the languages of `pattern`, in turn; at least two."""
        name = f"{SWITCHING} {'-'.join(pattern)}"
        random, tape = self._random(name), Tape()
        voices = {one: self._shuffled(one, random) for one in sorted(set(pattern))}
        for count, language in enumerate(cycle(pattern)):
            if count >= len(pattern) and tape.seconds >= seconds:
                break
            end = tape.seconds + random.uniform(*STRETCHES)
            while tape.seconds < end:
                tape.say(next(voices[language]))
                tape.pause(random.uniform(*PAUSES))
        return tape.finish(name, SWITCHING)

    def noisy(self, language: str, decibels: float, seconds: float) -> SpeechSet:
        """Pink noise, so many decibels below the speech."""
        name = f"{NOISY} {decibels} dB {language}"
        clean = self.one_language(name, NOISY, language, seconds)
        noise = no_speech.coloured_noise(self._random(f"{name}:"), len(clean.samples), 1)
        return _changed(clean, mixed(clean, noise, decibels))

    def long_silences(self, language: str, seconds: float) -> SpeechSet:
        """One to three prompts, then 8 to 40 seconds of silence, and so on."""
        name = f"{LONG_SILENCES} {language}"
        random, tape = self._random(name), Tape()
        prompts = self._shuffled(language, random)
        while tape.seconds < seconds:
            for prompt in islice(prompts, int(random.integers(1, 4))):
                tape.say(prompt)
                tape.pause(random.uniform(*PAUSES))
            tape.pause(random.uniform(*SILENCES))
        return tape.finish(name, LONG_SILENCES)

    def between(self, language: str, seconds: float) -> SpeechSet:
        """One to four prompts, then 3 to 8 seconds of a sound without speech, and so on."""
        name = f"{BETWEEN} {language}"
        random, tape = self._random(name), Tape()
        prompts = self._shuffled(language, random)
        sounds = cycle(random.permutation(list(no_speech.SOUNDS)))
        while tape.seconds < seconds:
            for prompt in islice(prompts, int(random.integers(1, 5))):
                tape.say(prompt)
                tape.pause(random.uniform(*PAUSES))
            sound = no_speech.SOUNDS[next(sounds)]
            tape.add(no_speech.to_samples(sound(random, random.uniform(*BETWEEN_SECONDS))))
            tape.pause(random.uniform(*PAUSES))
        return tape.finish(name, BETWEEN)

    def without_speech(self, seconds: float) -> Iterator[SpeechSet]:
        """Each sound by itself, and ten minutes of a room."""
        for sound, make in no_speech.SOUNDS.items():
            name = f"{NO_SPEECH}: {sound}"
            length = ROOM_SECONDS if sound == "room" else NO_SPEECH_SHARE * seconds
            wave = make(self._random(name), length)
            yield SpeechSet(name, NO_SPEECH, no_speech.to_samples(wave))

    def _random(self, name: str) -> Random:
        """The same for the same name, whichever sets are made beside it."""
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])

    def _shuffled(self, language: str, random: Random) -> Iterator[Prompt]:
        """All prompts in random order, and again in another order, without end."""
        while True:
            for index in random.permutation(len(self.prompts[language])):
                yield self.prompts[language][index]


def patterns(languages: Sequence[str]) -> list[tuple[str, ...]]:
    """Which languages the switching sets have: two, and two again, three, and many in turn."""
    if len(languages) < 2:
        return []
    first, second, *more = languages
    found: list[tuple[str, ...]] = [(first, second)]
    if more:
        found += [(first, more[0], first), (languages[-1], first, languages[-2])]
    if len(languages) > 3:
        found.append((first, languages[-2], first, second, first, languages[-1]))
    return found


def mixed(clean: SpeechSet, noise: no_speech.Wave, decibels: float) -> Samples:
    """Speech and noise (of RMS 1), `decibels` apart; pauses do not count as speech."""
    speech = clean.samples.astype(np.float32) / 32768
    spans = [
        speech[round(one.start * SAMPLE_RATE) : round(one.end * SAMPLE_RATE)]
        for one in clean.spoken
    ]
    loudness = float(np.sqrt(np.square(np.concatenate(spans)).mean()))
    return no_speech.to_samples(speech + noise * np.float32(loudness * 10 ** (-decibels / 20)))


def _changed(clean: SpeechSet, samples: Samples) -> SpeechSet:
    return SpeechSet(clean.name, clean.kind, samples, clean.spoken)
