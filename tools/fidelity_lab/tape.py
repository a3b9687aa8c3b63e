"""A recording with known words, put together from prompts and pauses."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from stt.media.audio import SAMPLE_RATE, Samples
from tools.fidelity_lab.prompts import Prompt

PLAIN, JOINED, SWITCHING = "plain", "without pauses", "switching"
NOISY, LONG_SILENCES, PHONE = "noisy", "long silences", "phone"
BETWEEN, NO_SPEECH = "no speech between", "no speech"
ONE_LANGUAGE = (PLAIN, JOINED, NOISY, LONG_SILENCES, PHONE, BETWEEN)


@dataclass(frozen=True, slots=True)
class Spoken:
    """A prompt in a recording; the speech lies between `start` and `end`, seconds."""

    start: float
    end: float
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """Seconds of a recording in one language, from border to border."""

    start: float
    end: float
    language: str


@dataclass(frozen=True, slots=True)
class SpeechSet:
    """A recording whose words are known; `samples` are mono at 16 kHz."""

    name: str
    kind: str
    samples: Samples
    spoken: tuple[Spoken, ...] = ()

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one.language for one in self.spoken))

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """Borders lie in the middle of the pause in which the language changes."""
        changes = [
            (before.end + after.start) / 2
            for before, after in pairwise(self.spoken)
            if before.language != after.language
        ]
        begins, ends = [0.0, *changes], [*changes, self.seconds]
        languages = [self.spoken[0].language] if self.spoken else []
        languages += [b.language for a, b in pairwise(self.spoken) if a.language != b.language]
        return tuple(map(Stretch, begins, ends, languages))

    def language_at(self, seconds: float) -> str:
        """The language of the prompt that is nearest; English where nothing is said."""
        nearest = min(
            self.spoken,
            key=lambda one: max(one.start - seconds, seconds - one.end, 0.0),
            default=None,
        )
        return nearest.language if nearest else "en"


@dataclass
class Tape:
    """What was put together so far."""

    _parts: list[Samples] = field(default_factory=list)
    _spoken: list[Spoken] = field(default_factory=list)
    _length: int = 0

    @property
    def seconds(self) -> float:
        return self._length / SAMPLE_RATE

    def add(self, samples: Samples) -> None:
        self._parts.append(samples)
        self._length += len(samples)

    def pause(self, seconds: float) -> None:
        self.add(np.zeros(round(seconds * SAMPLE_RATE), np.int16))

    def say(self, prompt: Prompt) -> None:
        start = self.seconds
        self.add(prompt.samples)
        self._spoken.append(Spoken(start, self.seconds, prompt.language, prompt.text))

    def finish(self, name: str, kind: str) -> SpeechSet:
        return SpeechSet(name, kind, joined(self._parts), tuple(self._spoken))


def joined(parts: Sequence[Samples]) -> Samples:
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)
