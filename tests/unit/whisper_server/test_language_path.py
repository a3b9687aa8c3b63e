"""The likeliest languages of a recording's windows, by what the slices of each say."""

import random
from collections.abc import Mapping, Sequence
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whisper_server.engines.base import SLICE_SECONDS, LanguageSlice
from whisper_server.engines.language_slices import slice_times
from whisper_server.language_path import LanguagePath, LanguageStretch

WINDOW_SECONDS = 25.0
Speech = Sequence[tuple[str, float]]
"""Languages, and until which second of the recording each is spoken."""


def probs(code: str, probability: float = 0.9) -> dict[str, float]:
    rest = (1 - probability) / 2
    return dict.fromkeys({"en", "de", "fr"} - {code}, rest) | {code: probability}


def language_at(speech: Speech, seconds: float) -> str:
    return next((code for code, end in speech if seconds < end), speech[-1][0])


def window_of(
    speech: Speech, start: float, seconds: float = WINDOW_SECONDS, probability: float = 0.9
) -> list[LanguageSlice]:
    """Return the slices of a window; each has the language of its middle."""
    return [
        LanguageSlice(first, last, probs(language_at(speech, start + (first + last) / 2)))
        for first, last in slice_times(seconds)
    ]


def path_of(windows: Sequence[Sequence[LanguageSlice]]) -> list[list[LanguageStretch]]:
    """Return the stretches of windows that are added one by one, and taken as soon as possible."""
    path, found = LanguagePath(), []
    for slices in windows:
        path.add(slices, WINDOW_SECONDS)
        while (stretches := path.take(is_last=False)) is not None:
            found.append(stretches)
    while (stretches := path.take(is_last=True)) is not None:
        found.append(stretches)
    return found


def spoken(speech: Speech, count: int) -> list[list[LanguageSlice]]:
    return [window_of(speech, number * WINDOW_SECONDS) for number in range(count)]


def joined(found: Sequence[Sequence[LanguageStretch]]) -> list[tuple[str, float]]:
    """Return the languages of a recording in order, and where each ends."""
    stretches = [
        (part.language, number * WINDOW_SECONDS + part.end)
        for number, parts in enumerate(found)
        for part in parts
    ]
    return [list(same)[-1] for _, same in groupby(stretches, key=lambda stretch: stretch[0])]


def with_probs(slices: Sequence[LanguageSlice], number: int, new: Mapping[str, float]) -> None:
    assert isinstance(slices, list)
    slices[number] = LanguageSlice(slices[number].start, slices[number].end, new)


def test_one_language_is_one_stretch_a_window() -> None:
    found = path_of(spoken([("de", 100)], 4))
    assert found == [[LanguageStretch("de", 0.0, WINDOW_SECONDS)]] * 4


@pytest.mark.parametrize("number", [0, 4, -1])
def test_a_doubtful_slice_changes_nothing(number: int) -> None:
    windows = spoken([("en", 75)], 3)
    for slices in windows:
        with_probs(slices, number, probs("fr", 0.6))
    assert joined(path_of(windows)) == [("en", 75.0)]


@pytest.mark.parametrize("other", [probs("fr", 0.99), {"xx": 1.0}])
@pytest.mark.parametrize("number", [1, 4, -2])
def test_nor_does_one_whose_neighbours_hold_against_it(
    other: dict[str, float], number: int
) -> None:
    windows = spoken([("en", 75)], 3)
    for slices in windows:
        with_probs(slices, number, other)
    assert joined(path_of(windows)) == [("en", 75.0)]


def test_a_window_that_is_as_likely_in_another_language_follows_its_neighbours() -> None:
    windows = spoken([("en", 75)], 3)
    for number in range(len(windows[1])):
        with_probs(windows[1], number, {"en": 0.45, "de": 0.5, "fr": 0.05})
    assert joined(path_of(windows)) == [("en", 75.0)]


@pytest.mark.parametrize("end", [20.0, 25.0, 37.0, 48.0])
def test_a_switch_is_found_within_a_window_and_at_its_border(end: float) -> None:
    speech = [("en", end), ("fr", 100.0)]
    (first, border), (second, _) = joined(path_of(spoken(speech, 4)))
    assert (first, second) == ("en", "fr")
    assert border == pytest.approx(end, abs=SLICE_SECONDS / 2)


def test_three_languages_and_one_that_comes_back_are_found() -> None:
    speech = [("en", 18.0), ("fr", 36.0), ("de", 60.0), ("en", 100.0)]
    found = joined(path_of(spoken(speech, 4)))
    assert [language for language, _ in found] == ["en", "fr", "de", "en"]
    for (_, border), (_, end) in zip(found, speech, strict=True):
        assert border == pytest.approx(end, abs=SLICE_SECONDS / 2)


def test_stretches_of_a_window_follow_each_other_from_its_start_to_its_end() -> None:
    (stretches,) = path_of([window_of([("en", 12.0), ("fr", 30.0)], 0.0)])
    assert [part.language for part in stretches] == ["en", "fr"]
    assert stretches[0].start == 0.0
    assert stretches[0].end == stretches[1].start
    assert stretches[-1].end == WINDOW_SECONDS


def test_a_window_needs_the_one_after_it_unless_it_is_the_last() -> None:
    path = LanguagePath()
    assert path.take(is_last=True) is None
    path.add(window_of([("en", 25)], 0.0), WINDOW_SECONDS)
    assert path.take(is_last=False) is None
    path.add(window_of([("en", 25)], 0.0), WINDOW_SECONDS)
    assert path.take(is_last=False) is not None
    assert path.take(is_last=False) is None
    assert path.take(is_last=True) is not None
    assert path.take(is_last=True) is None


def test_the_window_after_it_decides_over_a_doubtful_one() -> None:
    """Its neighbours differ: it goes with the one whose language it is."""
    found = path_of(spoken([("en", 25), ("fr", 32), ("fr", 75)], 3))
    assert [part.language for part in found[1]] == ["fr"]


def test_a_language_that_had_no_probability_so_far_is_found_when_it_comes() -> None:
    english = [LanguageSlice(*time, {"en": 1.0}) for time in slice_times(WINDOW_SECONDS)]
    russian = [LanguageSlice(*time, {"ru": 1.0}) for time in slice_times(WINDOW_SECONDS)]
    found = path_of([english, english, russian, english])
    assert [[part.language for part in parts] for parts in found] == [
        ["en"],
        ["en"],
        ["ru"],
        ["en"],
    ]


def test_unclear_speech_that_is_taken_for_latin_is_in_the_language_that_is_likely_next() -> None:
    unclear = {"la": 0.6, "de": 0.2, "cy": 0.1}
    windows = [[LanguageSlice(a, b, unclear) for a, b in slice_times(WINDOW_SECONDS)]]
    windows[0][-1] = LanguageSlice(windows[0][-1].start, windows[0][-1].end, {"de": 0.98})
    assert joined(path_of(windows)) == [("de", WINDOW_SECONDS)]
    clear = [[LanguageSlice(a, b, {"la": 0.97}) for a, b in slice_times(WINDOW_SECONDS)]]
    assert joined(path_of(clear)) == [("la", WINDOW_SECONDS)]


def test_a_short_window_is_one_stretch() -> None:
    path = LanguagePath()
    path.add([LanguageSlice(0.0, 1.0, probs("de"))], 0.3)
    (stretch,) = path.take(is_last=True) or []
    assert (stretch.language, stretch.start) == ("de", 0.0)


def test_a_short_window_between_long_ones_of_another_language_is_one_of_its_own_if_sure() -> None:
    path = LanguagePath()
    for seconds, code in [(25.0, "en"), (10.0, "fr"), (25.0, "en")]:
        path.add(window_of([(code, 99)], 0.0, seconds), seconds)
    found = [path.take(is_last=position == 2) or [] for position in range(3)]
    assert [part.language for parts in found for part in parts] == ["en", "fr", "en"]


def test_the_mean_probability_is_that_of_the_slices_in_a_stretch() -> None:
    slices = [
        LanguageSlice(0.0, 5.0, {"en": 0.8, "de": 0.2}),
        LanguageSlice(2.5, 7.5, {"en": 0.6, "de": 0.4}),
        LanguageSlice(5.0, 10.0, {"fr": 1.0}),
    ]
    assert LanguageStretch("en", 0.0, 6.0).mean_of(slices) == pytest.approx({"en": 0.7, "de": 0.3})
    assert LanguageStretch("fr", 6.0, 10.0).mean_of(slices) == {"fr": 1.0}
    short = LanguageStretch("fr", 9.0, 9.5)
    assert short.mean_of(slices) == pytest.approx({"en": 1.4 / 3, "de": 0.2, "fr": 1 / 3})


def at_once(windows: Sequence[Sequence[LanguageSlice]]) -> list[list[str]]:
    """Return the languages of each half second by the whole recording, the plainest way."""
    from whisper_server import language_path

    codes = ["de", "en", "fr"]
    costs = [
        row
        for slices in windows
        for row in language_path._costs(slices, WINDOW_SECONDS, codes).tolist()
    ]
    reached, steps = [0.0] * 3, []
    for row in costs:
        cheapest = min(range(3), key=lambda i: reached[i])
        came = [
            i if reached[i] <= reached[cheapest] + language_path.SWITCH_COST else cheapest
            for i in range(3)
        ]
        switched = reached[cheapest] + language_path.SWITCH_COST
        reached = [min(reached[i], switched) + row[i] for i in range(3)]
        steps.append(came)
    state = min(range(3), key=lambda i: reached[i])
    path = []
    for came in reversed(steps):
        path.append(codes[state])
        state = came[state]
    path.reverse()
    per = len(costs) // len(windows)
    return [path[first : first + per] for first in range(0, len(path), per)]


def cells(found: Sequence[Sequence[LanguageStretch]]) -> list[list[str]]:
    return [
        [part.language for part in parts for _ in range(round((part.end - part.start) * 2))]
        for parts in found
    ]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_deciding_with_one_window_ahead_is_as_good_as_with_all_of_them(seed: int) -> None:
    """Speakers hold a language for a while; each slice is right four times of five."""
    chance = random.Random(seed)
    speech, end = [], 0.0
    while end < 10 * WINDOW_SECONDS:
        end += chance.uniform(15, 90)
        speech.append((chance.choice(("en", "de", "fr")), end))
    windows = spoken(speech, 10)
    for slices in windows:
        for number in range(len(slices)):
            if chance.random() < 0.2:
                with_probs(slices, number, probs(chance.choice(("en", "de", "fr")), 0.5))
    found, best = cells(path_of(windows)), at_once(windows)
    same = sum(
        a == b for one, two in zip(found, best, strict=True) for a, b in zip(one, two, strict=True)
    )
    assert same / sum(map(len, best)) > 0.97


def test_when_windows_are_taken_changes_nothing() -> None:
    speech = [("en", 31.0), ("fr", 80.0), ("de", 125.0)]
    windows = spoken(speech, 5)
    late = LanguagePath()
    for slices in windows:
        late.add(slices, WINDOW_SECONDS)
    assert [late.take(is_last=False) for _ in range(4)] + [late.take(is_last=True)] == path_of(
        windows
    )
