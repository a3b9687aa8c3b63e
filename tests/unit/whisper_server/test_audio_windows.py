"""How a recording is cut into windows, and how their times map back."""

import math
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise, repeat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whisper_server import audio_windows as windows
from whisper_server.audio_windows import Span, Window, cut_into_pieces, cut_into_windows
from whisper_server.engines.base import Samples
from whisper_server.map_ahead import map_ahead

SECOND = 16_000
WINDOW_SECONDS = 30


def noise(seconds: float) -> Samples:
    return np.random.default_rng(0).normal(0, 0.1, round(seconds * SECOND)).astype(np.float32)


def counting(seconds: float) -> Samples:
    """Every sample tells where it is; exact up to 17 minutes."""
    return np.arange(round(seconds * SECOND), dtype=np.float32)


def in_blocks(samples: Samples, seconds: float) -> Iterator[Samples]:
    step = round(seconds * SECOND)
    for start in range(0, len(samples), step):
        yield samples[start : start + step]


def speech_at(*stretches: tuple[float, float]) -> windows.FindSpeech:
    """A detector for `counting` recordings: speech is from … to … seconds."""

    def find(piece: Samples, longest_seconds: float) -> list[Span]:
        first, end = int(piece[0]), int(piece[-1]) + 1
        within = [
            (max(first, round(a * SECOND)), min(end, round(b * SECOND))) for a, b in stretches
        ]
        return [Span(a - first, b - a) for a, b in within if a < b]

    return find


def cut(
    samples: Samples,
    find_speech: windows.FindSpeech | None = None,
    window_seconds: float = WINDOW_SECONDS,
) -> list[Window]:
    lists = cut_into_windows(in_blocks(samples, 1.3), window_seconds, find_speech)
    return [window for some in lists for window in some]


def lengths(found: list[Window]) -> list[float]:
    return [round(window.seconds, 1) for window in found]


def test_a_short_recording_is_one_window() -> None:
    samples = noise(29.9)
    (window,) = cut(samples)
    np.testing.assert_array_equal(window.samples, samples)
    assert window.spans == (Span(0, len(samples)),)


def test_a_recording_without_speech_gives_no_windows() -> None:
    assert cut(noise(200), lambda *_: []) == []


def test_an_empty_recording_gives_no_lists() -> None:
    assert list(cut_into_windows([], WINDOW_SECONDS, None)) == []
    assert list(cut_into_pieces([])) == []


def test_what_is_said_far_apart_shares_a_window() -> None:
    (window,) = cut(counting(300), speech_at((10, 15), (100, 104), (250, 251)))
    assert window.spans == (
        Span(10 * SECOND, 5 * SECOND),
        Span(100 * SECOND, 4 * SECOND),
        Span(250 * SECOND, 1 * SECOND),
    )


def test_a_short_pause_stays_and_a_long_one_goes() -> None:
    (window,) = cut(counting(20), speech_at((1, 3), (3.8, 5), (7, 8)))
    assert window.spans == (Span(SECOND, 4 * SECOND), Span(7 * SECOND, SECOND))


def test_a_rest_of_two_seconds_gets_half_of_the_window_before() -> None:
    assert lengths(cut(noise(32))) == [pytest.approx(16, abs=3), pytest.approx(16, abs=3)]


def test_as_few_windows_as_can_be_hold_what_is_left() -> None:
    assert len(cut(noise(57.5))) == 2
    assert len(cut(noise(59.9))) == 3  # two would leave their border no room to move


def test_a_window_ends_in_a_pause_rather_than_within_a_word() -> None:
    samples = noise(40)
    samples[round(18.9 * SECOND) : round(19.1 * SECOND)] = 0
    assert lengths(cut(samples))[0] == pytest.approx(19, abs=0.11)


def test_a_detected_pause_goes_before_a_quiet_place() -> None:
    ever_louder = counting(40)
    found = cut(ever_louder, speech_at((0, 21), (21.5, 40)))
    assert lengths(found)[0] == 21.5


def test_a_border_between_two_pieces_is_no_border_of_windows() -> None:
    talk = noise(windows.PIECE_SECONDS * 4)
    found = cut(talk)
    assert len(found) <= math.ceil(talk.size / SECOND / (WINDOW_SECONDS * windows.FULL_SHARE))
    assert sum(len(window.samples) for window in found) == len(talk)


def test_full_windows_leave_before_the_recording_has_ended() -> None:
    read = 0.0

    def blocks() -> Iterator[Samples]:
        nonlocal read
        for block in in_blocks(noise(600), 1):
            read += len(block) / SECOND
            yield block

    first = next(cut_into_windows(blocks(), WINDOW_SECONDS, None))
    assert first
    assert read <= windows.PIECE_SECONDS + 1


def test_silence_counts_as_speech_where_nobody_looks_for_speech() -> None:
    found = cut(np.zeros(100 * SECOND, np.float32))
    assert sum(len(window.samples) for window in found) == 100 * SECOND
    assert len(found) == 4


def test_a_window_keeps_no_piece_alive() -> None:
    for window in cut(noise(100), lambda piece, _: [Span(0, len(piece) // 3)]):
        assert window.samples.base is None


def test_an_hour_takes_no_more_memory_than_minutes() -> None:
    second = noise(1)
    tracemalloc.start()
    try:
        for _ in cut_into_windows(repeat(second, 3600), WINDOW_SECONDS, None):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 * windows.PIECE_SECONDS * second.nbytes


def test_pieces_that_are_read_ahead_make_no_other_windows() -> None:
    samples, speech = counting(900), speech_at((10, 150), (200, 201), (290, 600), (700, 890))
    with ThreadPoolExecutor(4) as pool:
        ahead = partial(map_ahead, pool, lambda: 3)
        lists = cut_into_windows(in_blocks(samples, 1.3), WINDOW_SECONDS, speech, ahead)
        found = [window.spans for some in lists for window in some]
    assert found == [window.spans for window in cut(samples, speech)]


class TestTimes:
    WINDOW = Window(counting(6), (Span(10 * SECOND, 2 * SECOND), Span(50 * SECOND, 4 * SECOND)))

    def test_within_a_span_they_run_on(self) -> None:
        assert self.WINDOW.recording_time(0.5, is_end=False) == 10.5
        assert self.WINDOW.recording_time(3.5, is_end=True) == 51.5

    def test_at_a_seam_an_end_is_early_and_a_start_is_late(self) -> None:
        assert self.WINDOW.recording_time(2.0, is_end=True) == 12.0
        assert self.WINDOW.recording_time(2.0, is_end=False) == 50.0

    def test_seams_are_where_a_part_was_left_out(self) -> None:
        assert self.WINDOW.seams == [2.0]
        assert Window(counting(6), (Span(0, 6 * SECOND),)).seams == []

    def test_a_seam_is_met_exactly_though_seconds_are_not_exact(self) -> None:
        seam = round(1.1 * SECOND)
        window = Window(counting(2.2), (Span(0, seam), Span(9 * SECOND, seam)))
        assert window.recording_time(0.1 + 1.0000000001, is_end=True) == 1.1
        assert window.recording_time(1.1 - 1e-12, is_end=False) == 9.0

    @pytest.mark.parametrize("is_end", [True, False])
    def test_outside_they_are_the_windows_own_ends(self, is_end: bool) -> None:
        assert self.WINDOW.recording_time(-1, is_end=is_end) == 10.0
        assert self.WINDOW.recording_time(6, is_end=is_end) == 54.0
        assert self.WINDOW.recording_time(99, is_end=is_end) == 54.0


class TestSplit:
    def test_it_is_cut_in_the_pause_nearest_to_each_time(self) -> None:
        samples = noise(20)
        for start in (4.0, 9.5, 14.0):
            samples[round(start * SECOND) : round((start + 0.6) * SECOND)] = 0
        found = Window(samples, (Span(SECOND, len(samples)),)).split([9.0, 15.0])
        assert lengths(found) == [9.8, 4.5, 5.7]
        assert found[0].spans == (Span(SECOND, len(found[0].samples)),)
        assert found[1].spans[0].start == found[0].spans[0].end
        np.testing.assert_array_equal(np.concatenate([part.samples for part in found]), samples)

    def test_without_a_pause_near_it_is_cut_at_the_time_itself(self) -> None:
        samples = noise(20)
        samples[2 * SECOND : 3 * SECOND] = 0
        assert lengths(Window(samples, (Span(0, len(samples)),)).split([10.0])) == [10.0, 10.0]

    def test_no_time_is_no_cut(self) -> None:
        whole = Window(noise(3), (Span(5, 3 * SECOND),))
        (found,) = whole.split([])
        assert found.spans == whole.spans

    def test_no_part_is_empty_where_two_times_have_one_pause_or_lie_at_an_end(self) -> None:
        samples = noise(10)
        samples[5 * SECOND : 6 * SECOND] = 0
        whole = Window(samples, (Span(0, len(samples)),))
        for times in ([5.0, 5.3], [5.2, 5.8], [0.0, 10.0], [9.9, 10.0]):
            found = whole.split(times)
            assert len(found) == 3
            assert all(len(part.samples) for part in found)
            assert sum(len(part.samples) for part in found) == len(samples)

    def test_spans_of_the_recording_are_shared_out(self) -> None:
        samples = noise(6)
        spans = (Span(10 * SECOND, 2 * SECOND), Span(50 * SECOND, 4 * SECOND))
        first, second = Window(samples, spans).split([3.0])
        assert first.spans == (spans[0], Span(50 * SECOND, SECOND))
        assert second.spans == (Span(51 * SECOND, 3 * SECOND),)


stretches = st.lists(st.integers(1, 400), max_size=40).map(
    lambda steps: [
        (a / 10, b / 10) for a, b in pairwise(np.cumsum([0, *steps]).tolist()) if int(a + b) % 3
    ]
)


@settings(max_examples=40, deadline=None)
@given(stretches, st.integers(50, 1500), st.sampled_from([5, 10, 30]))
def test_windows_hold_the_speech_and_nothing_but_it_and_short_pauses(
    said: list[tuple[float, float]], tenths: int, window_seconds: int
) -> None:
    samples = counting(tenths / 10)
    found = cut(samples, speech_at(*said), window_seconds)
    covered = np.zeros(len(samples), int)
    for window in found:
        assert 0 < len(window.samples) <= window_seconds * SECOND
        assert len(window.samples) == sum(span.length for span in window.spans)
        expected = [samples[span.start : span.end] for span in window.spans]
        np.testing.assert_array_equal(window.samples, np.concatenate(expected))
        for span in window.spans:
            covered[span.start : span.end] += 1
    assert covered.max(initial=0) <= 1
    speech = np.zeros(len(samples), int)
    for start, end in said:
        speech[round(start * SECOND) : round(end * SECOND)] = 1
    assert (covered >= speech).all()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], covered - speech, [0]])))
    assert all(b - a <= windows.KEPT_GAP_SECONDS * SECOND for a, b in edges.reshape(-1, 2))
    fullest = window_seconds * windows.FULL_SHARE
    assert len(found) <= math.ceil(covered.sum() / SECOND / fullest)


@settings(max_examples=30, deadline=None)
@given(stretches, st.integers(50, 1500))
def test_every_time_maps_back_to_its_own_sample_and_never_runs_backwards(
    said: list[tuple[float, float]], tenths: int
) -> None:
    last = 0.0
    for window in cut(counting(tenths / 10), speech_at(*said)):
        for position in range(0, len(window.samples), 4_001):
            start = window.recording_time(position / SECOND, is_end=False)
            assert round(start * SECOND) == window.samples[position]
            assert start >= last
            last = start
            if position:
                end = window.recording_time(position / SECOND, is_end=True)
                assert round(end * SECOND) == window.samples[position - 1] + 1
                assert end <= start


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 2_000), st.integers(1, 90 * SECOND))
def test_windows_do_not_depend_on_how_the_recording_arrives(tenths: int, block: int) -> None:
    samples = np.tile(noise(3), 67)[: tenths * SECOND // 10]
    whole = [w.spans for some in cut_into_windows([samples], 30, None) for w in some]
    block = max(block, len(samples) // 500)
    arriving = in_blocks(samples, block / SECOND)
    assert [w.spans for some in cut_into_windows(arriving, 30, None) for w in some] == whole


class TestPiecesForSequentialDecoding:
    def test_a_short_recording_stays_whole(self) -> None:
        ((window,),) = cut_into_pieces(in_blocks(noise(60), 1))
        assert window.spans == (Span(0, 60 * SECOND),)

    def test_a_long_one_is_cut_where_it_is_quiet(self) -> None:
        samples = noise(400)
        samples[310 * SECOND : 311 * SECOND] = 0
        (first,), (second,) = cut_into_pieces(in_blocks(samples, 1))
        assert 310 < first.seconds < 311
        assert second.spans == (Span(len(first.samples), len(samples) - len(first.samples)),)
        np.testing.assert_array_equal(np.concatenate([first.samples, second.samples]), samples)

    def test_pieces_of_pure_silence_stay_long(self) -> None:
        silence = np.zeros(1600 * SECOND, np.float32)
        assert len(list(cut_into_pieces(in_blocks(silence, 5)))) == 5
