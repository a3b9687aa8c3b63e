"""Which language is spoken when: the likeliest path through a recording's windows. Pure.

A model gives each language a probability for slices of a window, a few seconds each. The path
through time is found by Viterbi's algorithm (doi 10.1109/TIT.1967.1054010): each moment costs what
the slices around it say against a language, each change of language costs SWITCH_COST. So a single
doubtful slice changes nothing, and neither does a window whose likeliest language differs a little
from that of its neighbours. A window is decided once the one after it is known.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from whisper_server.engines.base import LanguageSlice

CELL_SECONDS = 0.5
SWITCH_COST = 6.0
"""In seconds of speech that are e times as likely in another language."""
LEAST_PROBABILITY = 0.15
"""A slice counts no more than this against a language: it may be a name or a noise."""

_UNSPOKEN = frozenset({"la", "sa"})
"""Hardly ever spoken, but Whisper takes unclear speech for Latin more often than for any other."""
_UNSPOKEN_PRIOR = 0.1

Costs = npt.NDArray[np.float64]
"""Negative logarithms of probabilities; shape (cells, languages), or (languages,)."""


@dataclass(frozen=True)
class LanguageStretch:
    """A part of a window in one language; seconds from the window's start."""

    language: str
    start: float
    end: float

    def mean_of(self, slices: Sequence[LanguageSlice]) -> dict[str, float]:
        """Return each language's mean probability in the slices whose middle lies in it."""
        own = [s for s in slices if self.start <= (s.start + s.end) / 2 < self.end] or slices
        codes = {code for part in own for code in part.probs}
        return {code: sum(s.probs.get(code, 0.0) for s in own) / len(own) for code in codes}


class LanguagePath:
    """The path through one recording's windows, which are added in their order."""

    def __init__(self) -> None:
        self._codes: list[str] = []
        self._reached: Costs = np.zeros(0)
        self._waiting: deque[Costs] = deque()

    def add(self, slices: Sequence[LanguageSlice], seconds: float) -> None:
        """Add a window of so many seconds."""
        new = sorted({code for part in slices for code in part.probs}.difference(self._codes))
        if new:
            # A language that had no probability so far has cost the most that there is.
            self._codes += new
            worst = max(self._reached, default=0.0) + SWITCH_COST
            self._reached = np.append(self._reached, np.full(len(new), worst))
            most = -np.log(LEAST_PROBABILITY) * CELL_SECONDS
            self._waiting = deque(
                np.pad(costs, ((0, 0), (0, len(new))), constant_values=most)
                for costs in self._waiting
            )
        self._waiting.append(_costs(slices, seconds, self._codes))

    def take(self, *, is_last: bool) -> list[LanguageStretch] | None:
        """Return the next window's stretches; None if it needs the window after it first."""
        if len(self._waiting) < (1 if is_last else 2):
            return None
        window = self._waiting[0]
        ahead = np.concatenate(list(self._waiting)[:2])
        choices = np.zeros(ahead.shape, np.intp)
        reached = self._reached
        for cell, costs in enumerate(ahead):
            cheapest = reached.argmin()
            switched = reached[cheapest] + SWITCH_COST
            choices[cell] = np.where(reached <= switched, np.arange(len(reached)), cheapest)
            reached = np.minimum(reached, switched) + costs
            if cell == len(window) - 1:
                self._reached = reached - reached.min()
        state = int(reached.argmin())
        path = []
        for choice in reversed(choices):
            path.append(state)
            state = int(choice[state])
        self._waiting.popleft()
        return self._stretches(path[::-1][: len(window)])

    def _stretches(self, path: Sequence[int]) -> list[LanguageStretch]:
        borders = [0, *(i for i in range(1, len(path)) if path[i] != path[i - 1]), len(path)]
        return [
            LanguageStretch(self._codes[path[first]], first * CELL_SECONDS, last * CELL_SECONDS)
            for first, last in pairwise(borders)
        ]


def _costs(slices: Sequence[LanguageSlice], seconds: float, codes: Sequence[str]) -> Costs:
    """Return what each cell of a window costs in each language, by the slices around its middle."""
    middles = (np.arange(max(1, round(seconds / CELL_SECONDS))) + 0.5) * CELL_SECONDS
    starts = np.array([part.start for part in slices])[:, None]
    halves = np.array([(part.end - part.start) / 2 for part in slices])[:, None]
    # The nearer to a slice's middle, the more it counts; the last cell may lie behind all slices.
    weights = np.maximum(1 - np.abs(middles - starts - halves) / halves, 1e-6)
    weights /= weights.sum(axis=0)
    priors = np.array([_UNSPOKEN_PRIOR if code in _UNSPOKEN else 1.0 for code in codes])
    probabilities = priors * [[part.probs.get(code, 0.0) for code in codes] for part in slices]
    probabilities /= np.maximum(probabilities.sum(axis=1, keepdims=True), 1e-9)
    costs = -np.log(np.maximum(probabilities, LEAST_PROBABILITY))
    return np.asarray(weights.T @ costs * CELL_SECONDS)
