"""A batch of windows decoded by mlx, on the CPU, with the demo model in mlx form."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.mlx_engine import LETTERS, NUMBERS, WORDS, window
from tests.support.whisper_stand_in import text_of
from whisper_server.engines.base import Options, Samples, WindowResult
from whisper_server.engines.mlx import MlxEngine
from whisper_server.engines.segments import Split, split_at_timestamps

pytestmark = pytest.mark.mlx


def test_every_window_of_a_batch_gets_its_own_words(crowd: list[WindowResult]) -> None:
    assert [text_of(result) for result in crowd] == [NUMBERS, LETTERS, NUMBERS]


def test_a_window_does_not_hear_its_neighbours(
    mlx_engine: MlxEngine, letters: Samples, crowd: list[WindowResult]
) -> None:
    assert mlx_engine.decode([window(mlx_engine, letters, WORDS)]) == [crowd[1]]


def test_words_come_in_order_and_within_the_sound(
    crowd: list[WindowResult], numbers: Samples
) -> None:
    words = [word for segment in crowd[0].segments for word in segment.words]
    assert [word.word for word in words] == NUMBERS.split()
    times = [time for word in words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert 0 <= times[0] < 0.5
    assert times[-1] <= len(numbers) / 16_000
    late = [word for segment in crowd[2].segments for word in segment.words]
    assert late[-1].start == pytest.approx(words[-1].start + 0.5, abs=0.2)


def test_every_number_is_a_plain_one(crowd: list[WindowResult]) -> None:
    segment = crowd[0].segments[0]
    numbers = [segment.start, segment.end, segment.avg_logprob, crowd[0].no_speech_prob]
    numbers += [segment.words[0].start, segment.words[0].probability, crowd[0].compression_ratio]
    assert {type(number) for number in numbers} == {float}
    assert {type(token) for token in segment.tokens} == {int}
    assert -1 < crowd[0].avg_logprob < 0
    assert crowd[0].no_speech_prob < 0.1


def test_the_language_is_detected_where_none_is_given(
    mlx_engine: MlxEngine, numbers: Samples
) -> None:
    found, *_ = mlx_engine.decode([window(mlx_engine, numbers, Options())])
    assert found.language == "en"
    assert found.language_probs[0][0] == "en"
    assert len(found.language_probs) == 5
    assert found.language_probs[0][1] > 0.5
    assert text_of(found) == NUMBERS
    assert mlx_engine.can_translate()
    assert (mlx_engine.knows("de"), mlx_engine.knows("yue")) == (True, False)


def test_a_given_language_is_not_doubted(crowd: list[WindowResult]) -> None:
    assert crowd[0].language == "en"
    assert crowd[0].language_probs == ()


def test_sampled_text_is_the_likeliest_of_several(mlx_engine: MlxEngine, letters: Samples) -> None:
    found, *_ = mlx_engine.decode([window(mlx_engine, letters, Options(language="en"), 0.2)])
    assert found.temperature == 0.2
    assert "bravo" in text_of(found)
    assert found.avg_logprob > -1


def test_marks_in_a_prompt_and_unknown_languages_are_taken_as_they_can_be(
    mlx_engine: MlxEngine, letters: Samples
) -> None:
    """What looks like one of Whisper's own tokens is text when a caller sends it."""
    options = Options(prompt="<|endoftext|>", hotwords="alpha", language="xx")
    found, *_ = mlx_engine.decode([window(mlx_engine, letters, options)])
    assert found.language == "en"
    assert "alpha" in text_of(found)


def test_what_is_said_behind_the_sound_is_left_out(mlx_engine: MlxEngine, numbers: Samples) -> None:
    entry = window(mlx_engine, numbers, Options(language="en"))
    found, *_ = mlx_engine.decode([replace(entry, seconds=0.2)])
    assert found.segments == ()


def test_what_was_left_unheard_at_the_end_is_decoded_again(
    mlx_engine: MlxEngine, numbers: Samples, letters: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fake: the demo model does not break off within a sentence, as larger ones do."""
    from whisper_server.engines import mlx_decoder

    def split(tokens: list[int], first_timestamp: int, seconds: float) -> Split:
        found = split_at_timestamps(tokens, first_timestamp, seconds)
        if seconds < whole:
            return found
        return Split([part for part in found.drafts if part["start"] < border], border)

    monkeypatch.setattr(mlx_decoder, "split_at_timestamps", split)
    samples = np.concatenate([numbers, np.zeros(16_000, np.float32), letters])
    whole, border = len(samples) / 16_000, len(numbers) / 16_000 + 0.5
    found, *_ = mlx_engine.decode([window(mlx_engine, samples, WORDS)])
    words = [word for segment in found.segments for word in segment.words]
    assert [word.word for word in words] == f"{NUMBERS} {LETTERS}".split()
    assert words[3].start == pytest.approx(border + 0.75, abs=0.3)
    assert found.avg_logprob == found.segments[-1].avg_logprob
