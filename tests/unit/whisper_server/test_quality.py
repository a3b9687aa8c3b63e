"""Whisper's checks and its ladder."""

import pytest

from whisper_server.engines.base import Segment, WindowResult
from whisper_server.quality import LADDER, best_of, next_temperature

SEGMENT = Segment(0.0, 1.0, " yes", 0, (), 0.0, -0.2, 1.1, 0.0)


def attempt(
    avg_logprob: float = -0.2,
    compression_ratio: float = 1.1,
    no_speech_prob: float = 0.0,
    temperature: float = 0.0,
) -> WindowResult:
    return WindowResult(
        "en", (), (SEGMENT,), temperature, avg_logprob, compression_ratio, no_speech_prob
    )


def test_the_first_attempt_is_at_the_ladders_foot() -> None:
    assert next_temperature([], LADDER) == 0.0


def test_a_good_window_is_done_at_once() -> None:
    assert next_temperature([attempt()], LADDER) is None
    assert best_of([attempt()]) == attempt()


@pytest.mark.parametrize("bad", [attempt(compression_ratio=2.5), attempt(avg_logprob=-1.1)])
def test_a_bad_window_climbs_the_ladder_to_its_end(bad: WindowResult) -> None:
    attempts: list[WindowResult] = []
    taken = []
    while (temperature := next_temperature(attempts, LADDER)) is not None:
        taken.append(temperature)
        attempts.append(bad)
    assert tuple(taken) == LADDER


def test_the_climb_ends_with_the_first_good_attempt() -> None:
    good = attempt(temperature=0.2)
    assert next_temperature([attempt(avg_logprob=-2), good], LADDER) is None
    assert best_of([attempt(avg_logprob=-2), good]) == good


def test_a_given_temperature_is_the_only_one() -> None:
    assert next_temperature([], (0.7,)) == 0.7
    assert next_temperature([attempt(avg_logprob=-2, temperature=0.7)], (0.7,)) is None


def test_silence_is_not_tried_again_and_has_no_text() -> None:
    silence = attempt(avg_logprob=-1.5, no_speech_prob=0.9, compression_ratio=5.0)
    assert next_temperature([silence], LADDER) is None
    assert best_of([silence]).segments == ()


def test_text_that_the_model_is_sure_of_stays_whatever_it_thinks_of_the_sound() -> None:
    sure = attempt(avg_logprob=-0.5, no_speech_prob=0.99)
    assert next_temperature([sure], LADDER) is None
    assert best_of([sure]).segments == (SEGMENT,)


def test_of_all_failures_the_likeliest_that_does_not_repeat_itself_counts() -> None:
    circles = attempt(avg_logprob=-0.1, compression_ratio=9.0)
    likelier, less_likely = attempt(avg_logprob=-1.2), attempt(avg_logprob=-1.4)
    assert best_of([circles, likelier, less_likely]) == likelier


def test_if_all_repeat_themselves_the_likeliest_counts() -> None:
    first, second = (attempt(avg_logprob=p, compression_ratio=9.0) for p in (-0.6, -0.3))
    assert best_of([first, second, first]) == second


def test_a_window_without_text_is_done() -> None:
    assert next_temperature([attempt(avg_logprob=0.0, compression_ratio=0.0)], LADDER) is None
