"""The goals, each with its limit; `judged` gives their values in a run and whether they are met."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tools.fidelity_lab.contestants import BATCHED, GIVEN, MULTILINGUAL, ORACLE, SEQUENTIAL, SERVER
from tools.fidelity_lab.fleet import FLEET, FLEETS, FOREIGN, FOREIGN_ALONE
from tools.fidelity_lab.results import Estimate, Results
from tools.fidelity_lab.tape import NO_SPEECH, ONE_LANGUAGE, SWITCHING


@dataclass(frozen=True, slots=True)
class Goal:
    """A value that may be at most `limit`; `find` returns None where the run does not say."""

    text: str
    unit: str
    limit: float
    find: Callable[[Results], Estimate | float | None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal and what was measured."""

    goal: Goal
    value: float
    interval: tuple[float, float] | None

    @property
    def is_met(self) -> bool:
        return self.value <= self.goal.limit + 1e-9

    def __str__(self) -> str:
        low_high = f" ({self.interval[0]:.2f} to {self.interval[1]:.2f})" if self.interval else ""
        met = "PASS  " if self.is_met else "MISSED"
        goal = self.goal
        return f"{met} {goal.text}: {self.value:.2f}{low_high} {goal.unit}, limit {goal.limit:g}"


def judged(results: Results) -> list[Verdict]:
    """Each goal that this run says something about."""
    verdicts = []
    languages = sorted({lang for one in results.sets for lang in one.languages})
    regrouped = [
        (who, kind)
        for kind in FLEETS
        for who in results.measured
        if who.startswith(f"{kind}@") and kind in results.measured
    ]
    for goal in goals(languages, regrouped):
        found = goal.find(results)
        if isinstance(found, Estimate):
            verdicts.append(Verdict(goal, found.value, (found.low, found.high)))
        elif found is not None:
            verdicts.append(Verdict(goal, found, None))
    return verdicts


def goals(languages: Sequence[str], regrouped: Sequence[tuple[str, str]]) -> Iterator[Goal]:
    """All goals; differences are percentage points of words wrong.

    `regrouped`: fleets with another number of workers, each with the fleet that it is like.
    """
    points = "points"
    for one in languages:
        yield Goal(f"fleet − server, {one}", points, 0.1, _more(FLEET, SERVER, one))
    for one in languages:
        yield Goal(f"server − the better of faster-whisper, {one}", points, 0.1, _against(one))
    yield Goal(f"{FOREIGN} − {SERVER}", points, 0.3, _more(FOREIGN, SERVER))
    yield Goal(f"{FOREIGN_ALONE} − {SERVER}", points, 1.5, _more(FOREIGN_ALONE, SERVER))
    for one in languages:
        text = f"{SERVER} − {GIVEN}, {one}"
        yield Goal(text, points, 0.2, _more(SERVER, GIVEN, one))
    for who in (SERVER, FLEET):
        yield Goal(f"{who} − oracle, switching", points, 3.0, _switching(who))
        text = f"{who} : multilingual=True, switching"
        yield Goal(text, "% of its errors", 50, _ratio(who))
        yield Goal(f"{who}: longest speech without text, switching", "s", 3.0, _silence(who))
        yield Goal(f"{who}: phantom words where nothing is said", "words", 0, _phantoms(who))
        yield Goal(f"{who}: error of cue ends, median", "s", 0.2, _cue_error(who, 50))
        yield Goal(f"{who}: error of cue ends, 95th percentile", "s", 0.6, _cue_error(who, 95))
    for one in (FLEET, FOREIGN):
        yield Goal(f"|{one} − {SERVER}|, switching", points, 0.5, _apart(one, SERVER))
    for one, other in regrouped:
        yield Goal(f"|{one} − {other}|, switching", points, 0.5, _apart(one, other))
        text = f"{one}: prompts in another language than {other}'s, switching"
        yield Goal(text, "%", 0, _languages_differ(one, other))


def _more(
    one: str, other: str, language: str | None = None
) -> Callable[[Results], Estimate | None]:
    def find(results: Results) -> Estimate | None:
        names = [results.of(who, ONE_LANGUAGE, language) for who in (one, other)]
        return results.difference(one, other, names[0] & names[1])

    return find


def _against(language: str) -> Callable[[Results], Estimate | None]:
    def find(results: Results) -> Estimate | None:
        found = [_more(SERVER, peer, language)(results) for peer in (SEQUENTIAL, BATCHED)]
        known = [one for one in found if one is not None]
        return max(known, key=lambda one: one.value) if len(known) == len(found) else None

    return find


def _switching(who: str) -> Callable[[Results], Estimate | None]:
    def find(results: Results) -> Estimate | None:
        names = results.of(who, [SWITCHING]) & results.of(ORACLE, [SWITCHING])
        return results.difference(who, ORACLE, names)

    return find


def _ratio(who: str) -> Callable[[Results], Estimate | None]:
    def find(results: Results) -> Estimate | None:
        names = results.of(who, [SWITCHING]) & results.of(MULTILINGUAL, [SWITCHING])
        return results.ratio(who, MULTILINGUAL, names)

    return find


def _apart(one: str, other: str) -> Callable[[Results], float | None]:
    def find(results: Results) -> float | None:
        names = results.of(one, [SWITCHING]) & results.of(other, [SWITCHING])
        found = results.difference(one, other, names)
        return abs(found.value) if found else None

    return find


def _languages_differ(one: str, other: str) -> Callable[[Results], float | None]:
    def find(results: Results) -> float | None:
        names = results.of(one, [SWITCHING]) & results.of(other, [SWITCHING])
        ours, theirs = (results.languages(who, names) for who in (one, other))
        if not any(ours) or not any(theirs):
            return None
        differ = sum(a != b for a, b in zip(ours, theirs, strict=True))
        return 100 * differ / len(ours)

    return find


def _silence(who: str) -> Callable[[Results], float | None]:
    def find(results: Results) -> float | None:
        found = results.every(who, results.of(who, [SWITCHING]))
        lengths = [end - start for one in found for start, end in one.silent_stretches]
        return max(lengths, default=0.0) if found else None

    return find


def _phantoms(who: str) -> Callable[[Results], float | None]:
    def find(results: Results) -> float | None:
        found = results.every(who, results.of(who, [NO_SPEECH]))
        return float(sum(len(one.phantoms) for one in found)) if found else None

    return find


def _cue_error(who: str, percent: float) -> Callable[[Results], float | None]:
    def find(results: Results) -> float | None:
        names = results.of(who, ONE_LANGUAGE)
        errors = [abs(e) for one in results.every(who, names) for e in one.cue_end_errors]
        return float(np.percentile(errors, percent)) if errors else None

    return find
