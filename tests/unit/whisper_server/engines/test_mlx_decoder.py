"""A batch of windows decoded by mlx, on the CPU, with the sample model in mlx form."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.mlx_engine import WORDS, window
from tests.support.speech import BIRTHDAY, MILK, words
from tests.support.whisper_stand_in import text_of
from whisper_server.engines.base import Options, Samples, WindowResult
from whisper_server.engines.mlx import MlxEngine
from whisper_server.engines.segments import Split, split_at_timestamps

pytestmark = pytest.mark.mlx


def test_every_window_of_a_batch_gets_its_own_words(crowd: list[WindowResult]) -> None:
    said = [words(sentence.text) for sentence in (MILK, BIRTHDAY, MILK)]
    assert [words(text_of(result)) for result in crowd] == said


def test_a_window_does_not_hear_its_neighbours(
    mlx_engine: MlxEngine, birthday: Samples, crowd: list[WindowResult]
) -> None:
    assert mlx_engine.decode([window(mlx_engine, birthday, WORDS)]) == [crowd[1]]


def test_words_come_in_order_and_within_the_sound(
    crowd: list[WindowResult], speech: Samples
) -> None:
    timed = [word for segment in crowd[0].segments for word in segment.words]
    assert words(" ".join(word.word for word in timed)) == words(MILK.text)
    times = [time for word in timed for time in (word.start, word.end)]
    assert times == sorted(times)
    assert 0 <= times[0] < 0.5
    assert times[-1] <= len(speech) / 16_000
    late = [word for segment in crowd[2].segments for word in segment.words]
    assert late[-1].start == pytest.approx(timed[-1].start + 0.5, abs=0.2)


def test_every_number_is_a_plain_one(crowd: list[WindowResult]) -> None:
    segment = crowd[0].segments[0]
    numbers = [segment.start, segment.end, segment.avg_logprob, crowd[0].no_speech_prob]
    numbers += [segment.words[0].start, segment.words[0].probability, crowd[0].compression_ratio]
    assert {type(number) for number in numbers} == {float}
    assert {type(token) for token in segment.tokens} == {int}
    assert -1 < crowd[0].avg_logprob < 0
    assert crowd[0].no_speech_prob < 0.1


def test_the_language_is_detected_where_none_is_given(
    mlx_engine: MlxEngine, speech: Samples
) -> None:
    found, *_ = mlx_engine.decode([window(mlx_engine, speech, Options())])
    assert found.language == "en"
    assert words(text_of(found)) == words(MILK.text)
    assert not mlx_engine.can_translate()
    assert (mlx_engine.knows("en"), mlx_engine.knows("de")) == (True, False)


def test_a_given_language_is_not_doubted(crowd: list[WindowResult]) -> None:
    assert crowd[0].language == "en"
    assert crowd[0].language_probs == ()


def test_sampled_text_is_the_likeliest_of_several(mlx_engine: MlxEngine, birthday: Samples) -> None:
    found, *_ = mlx_engine.decode([window(mlx_engine, birthday, Options(language="en"), 0.2)])
    assert found.temperature == 0.2
    assert "birthday" in text_of(found)
    assert found.avg_logprob > -1


def test_marks_in_a_prompt_and_unknown_languages_are_taken_as_they_can_be(
    mlx_engine: MlxEngine, birthday: Samples
) -> None:
    """What looks like one of Whisper's own tokens is text when a caller sends it."""
    options = Options(prompt="<|endoftext|>", hotwords="birthday", language="xx")
    found, *_ = mlx_engine.decode([window(mlx_engine, birthday, options)])
    assert found.language == "en"
    assert "birthday" in text_of(found)


def test_what_is_said_behind_the_sound_is_left_out(
    mlx_engine: MlxEngine, speech: Samples, birthday: Samples
) -> None:
    both = np.concatenate([birthday, np.zeros(16_000, np.float32), speech])
    entry = window(mlx_engine, both, Options(language="en"))
    found, *_ = mlx_engine.decode([replace(entry, seconds=len(birthday) / 16_000)])
    assert words(text_of(found)) == words(BIRTHDAY.text)


def test_what_was_left_unheard_at_the_end_is_decoded_again(
    mlx_engine: MlxEngine, speech: Samples, birthday: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fake: none of these windows ends within a sentence."""
    from whisper_server.engines import mlx_decoder

    def split(tokens: list[int], first_timestamp: int, seconds: float) -> Split:
        found = split_at_timestamps(tokens, first_timestamp, seconds)
        if seconds < whole:
            return found
        return Split([part for part in found.drafts if part["start"] < border], border)

    monkeypatch.setattr(mlx_decoder, "split_at_timestamps", split)
    samples = np.concatenate([speech, np.zeros(16_000, np.float32), birthday])
    whole, border = len(samples) / 16_000, len(speech) / 16_000 + 0.5
    found, *_ = mlx_engine.decode([window(mlx_engine, samples, WORDS)])
    timed = [word for segment in found.segments for word in segment.words]
    first = words(MILK.text)
    assert words(" ".join(word.word for word in timed)) == first + words(BIRTHDAY.text)
    assert timed[len(first)].start == pytest.approx(border + 0.75, abs=0.3)
    assert found.avg_logprob == found.segments[-1].avg_logprob
