"""What came of a run: measures by contestant and set, and rates with bootstrap intervals."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tools.fidelity_lab.measures import Measured, PromptErrors, Segment
from tools.fidelity_lab.tape import SpeechSet

RESAMPLES = 1000
INTERVAL = (2.5, 97.5)
SEED = 11


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, and the interval that holds it with a probability of 95 %."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass
class Results:
    """`measured` and `segments` by contestant and name of the set; `seconds` it took, likewise."""

    model: str
    minutes: float
    sets: list[SpeechSet] = field(default_factory=list)
    measured: dict[str, dict[str, Measured]] = field(default_factory=dict)
    segments: dict[str, dict[str, Sequence[Segment]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def of(self, contestant: str, kinds: Iterable[str], language: str | None = None) -> set[str]:
        """Names of the sets of these kinds, in this language alone, that it has transcribed."""
        done, wanted = self.measured.get(contestant, {}), set(kinds)
        return {
            one.name
            for one in self.sets
            if one.name in done
            and one.kind in wanted
            and (language is None or one.languages == (language,))
        }

    def wrong(self, contestant: str, names: Iterable[str]) -> Estimate | None:
        """Percent of words wrong in these sets."""
        prompts = self._prompts(contestant, names)
        return _bootstrapped(_wrong(prompts), _words(prompts))

    def difference(self, one: str, other: str, names: Iterable[str]) -> Estimate | None:
        """Percentage points that `one` has more words wrong than `other`, on the same sets."""
        ours, theirs = (self._prompts(name, names) for name in (one, other))
        return _bootstrapped(_wrong(ours) - _wrong(theirs), _words(ours))

    def ratio(self, one: str, other: str, names: Iterable[str]) -> Estimate | None:
        """Wrong words of `one` for each hundred of `other`, on the same sets."""
        ours, theirs = (self._prompts(name, names) for name in (one, other))
        return _bootstrapped(_wrong(ours), _wrong(theirs))

    def share(
        self, contestant: str, names: Iterable[str], count: Callable[[PromptErrors], float]
    ) -> Estimate | None:
        """Percent of words that `count` counts in each prompt."""
        prompts = self._prompts(contestant, names)
        return _bootstrapped(np.array([count(one) for one in prompts]), _words(prompts))

    def languages(self, contestant: str, names: Iterable[str]) -> list[str | None]:
        """The language that is reported for each prompt of these sets."""
        return [one.reported_language for one in self._prompts(contestant, names)]

    def every(self, contestant: str, names: Iterable[str] | None = None) -> list[Measured]:
        done: Mapping[str, Measured] = self.measured.get(contestant, {})
        return [done[name] for name in (sorted(names) if names is not None else done)]

    def _prompts(self, contestant: str, names: Iterable[str]) -> list[PromptErrors]:
        return [one for found in self.every(contestant, names) for one in found.prompts]


def _wrong(prompts: Sequence[PromptErrors]) -> NDArray[np.float64]:
    return np.array([prompt.wrong for prompt in prompts], float)


def _words(prompts: Sequence[PromptErrors]) -> NDArray[np.float64]:
    return np.array([prompt.words for prompt in prompts], float)


def _bootstrapped(counts: NDArray[np.float64], words: NDArray[np.float64]) -> Estimate | None:
    """Counts per hundred words, with prompts drawn anew a thousand times; None without words."""
    if not words.sum():
        return None
    random = np.random.default_rng(SEED)
    drawn = random.integers(0, len(words), (RESAMPLES, len(words)))
    rates = 100 * counts[drawn].sum(axis=1) / np.maximum(words[drawn].sum(axis=1), 1)
    low, high = np.percentile(rates, INTERVAL)
    return Estimate(float(100 * counts.sum() / words.sum()), float(low), float(high))
