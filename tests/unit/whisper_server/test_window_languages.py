"""Encoded windows in, windows of one language out, in their order."""

import random
from collections.abc import Sequence

import numpy as np
import pytest

from whisper_server.audio_windows import Span, Window
from whisper_server.engines.base import SAMPLE_RATE, EncodedWindow, LanguageSlice
from whisper_server.engines.language_slices import slice_times
from whisper_server.window_languages import DecidedWindow, WindowLanguages

SECONDS = 20.0


def window(number: int, seconds: float = SECONDS) -> Window:
    count = round(seconds * SAMPLE_RATE)
    start = round(number * SECONDS * SAMPLE_RATE)
    return Window(np.zeros(count, np.float32), (Span(start, count),))


def encoded(
    number: int, *codes: str, probability: float = 0.9, seconds: float = SECONDS
) -> EncodedWindow:
    """Return a window in which each of the languages is spoken for the same time."""
    slices = []
    for start, end in slice_times(seconds):
        code = codes[int((start + end) / 2 / seconds * len(codes))]
        slices.append(LanguageSlice(start, end, {code: probability, "xx": 1 - probability}))
    return EncodedWindow(f"sound {number}", tuple(slices))


def taken(languages: WindowLanguages, *, is_last: bool) -> list[list[DecidedWindow]]:
    return list(languages.take(is_last=is_last))


def codes_of(found: Sequence[Sequence[DecidedWindow]]) -> list[list[str | None]]:
    return [[part.language for part in parts] for parts in found]


def test_a_window_of_one_language_keeps_what_the_encoder_made_of_it() -> None:
    languages, only = WindowLanguages(), window(0)
    languages.add(languages.expect(), only, encoded(0, "de"))
    ((decided,),) = taken(languages, is_last=True)
    assert decided.window.spans == only.spans
    np.testing.assert_array_equal(decided.window.samples, only.samples)
    assert (decided.language, decided.sound) == ("de", "sound 0")
    assert decided.probs == pytest.approx({"de": 0.9, "xx": 0.1})


def test_a_window_of_two_languages_is_cut_and_encoded_again() -> None:
    languages, only = WindowLanguages(), window(0)
    languages.add(languages.expect(), only, encoded(0, "de", "fr"))
    ((first, second),) = taken(languages, is_last=True)
    assert (first.language, second.language) == ("de", "fr")
    assert (first.sound, second.sound) == (None, None)
    assert first.window.seconds == pytest.approx(SECONDS / 2, abs=2.5)
    assert first.window.seconds + second.window.seconds == pytest.approx(SECONDS)
    assert first.window.spans[-1].end == second.window.spans[0].start
    assert first.probs["de"] > 0.8
    assert second.probs["fr"] > 0.8


def test_a_window_is_cut_in_the_pause_between_the_languages() -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, round(SECONDS * SAMPLE_RATE))
    samples[round(9.6 * SAMPLE_RATE) : round(10.2 * SAMPLE_RATE)] = 0
    whole = Window(samples.astype(np.float32), (Span(0, len(samples)),))
    languages = WindowLanguages()
    languages.add(languages.expect(), whole, encoded(0, "de", "fr"))
    ((first, _),) = taken(languages, is_last=True)
    assert 9.6 < first.window.seconds < 10.2


def test_a_window_waits_for_the_one_after_it() -> None:
    languages = WindowLanguages()
    numbers = [languages.expect() for _ in range(3)]
    assert (numbers, languages.waiting) == ([0, 1, 2], 3)
    languages.add(0, window(0), encoded(0, "de"))
    assert taken(languages, is_last=False) == []
    languages.add(1, window(1), encoded(1, "fr"))
    assert codes_of(taken(languages, is_last=False)) == [["de"]]
    assert languages.waiting == 2
    assert taken(languages, is_last=True) == [], "the third is being encoded"
    languages.add(2, window(2), encoded(2, "fr"))
    assert codes_of(taken(languages, is_last=True)) == [["fr"], ["fr"]]
    assert languages.waiting == 0


@pytest.mark.parametrize("seed", range(8))
def test_neither_order_nor_time_of_encoding_matter(seed: int) -> None:
    spoken = [("en",), ("en", "fr"), ("fr",), ("fr",), ("de",), ("de", "en")]
    entries = [(n, window(n), encoded(n, *codes)) for n, codes in enumerate(spoken)]

    def found(order: Sequence[int], chance: random.Random) -> list[list[DecidedWindow]]:
        languages, decided = WindowLanguages(), []
        for _ in entries:
            languages.expect()
        for number in order:
            languages.add(*entries[number])
            if chance.random() < 0.5:
                decided += taken(languages, is_last=chance.random() < 0.5)
        return decided + taken(languages, is_last=True)

    def plain(parts: list[list[DecidedWindow]]) -> list[tuple[object, ...]]:
        return [(p.window.spans, p.language, p.sound, dict(p.probs)) for ps in parts for p in ps]

    chance = random.Random(seed)
    order = chance.sample(range(6), 6)
    in_order = found(range(6), random.Random(0))
    assert codes_of(in_order) == [["en"], ["en", "fr"], ["fr"], ["fr"], ["de"], ["de", "en"]]
    assert plain(found(order, chance)) == plain(in_order)


def test_windows_that_come_after_clearing_are_taken_alone() -> None:
    languages = WindowLanguages()
    languages.add(languages.expect(), window(0), encoded(0, "de"))
    languages.clear()
    assert languages.waiting == 0
    languages.add(languages.expect(), window(1), encoded(1, "fr"))
    ((decided,),) = taken(languages, is_last=True)
    assert (decided.window.spans, decided.language) == (window(1).spans, "fr")
