"""A batch of windows decoded by mlx, on the CPU, with real weights in mlx form."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.support import human_speech
from tests.support.faster_whisper_engine import as_float, transcribed
from tests.support.mlx_engine import WORDS, assert_same, window
from tests.support.speech import BIRTHDAY, MILK, words
from whisper_server.engines.base import Options, Samples, WindowResult
from whisper_server.engines.mlx import MlxEngine

pytestmark = pytest.mark.mlx


def test_every_window_of_a_batch_gets_its_own_words(crowd: list[WindowResult]) -> None:
    said = [words(sentence.text) for sentence in (MILK, BIRTHDAY, MILK)]
    assert [words(result.text) for result in crowd] == said


def test_a_window_does_not_hear_its_neighbours(
    mlx_engine: MlxEngine, birthday: Samples, crowd: list[WindowResult]
) -> None:
    assert_same(mlx_engine.decode([window(mlx_engine, birthday, WORDS)]), crowd[1:2])


def test_words_come_in_order_and_within_the_sound(
    crowd: list[WindowResult], speech: Samples
) -> None:
    timed = crowd[0].words
    assert words(crowd[0].text) == words(MILK.text)
    times = [time for word in timed for time in (word.start, word.end)]
    assert times == sorted(times)
    assert 0 <= times[0] < 0.5
    assert times[-1] <= len(speech) / 16_000
    late = crowd[2].words
    assert late[-1].start == pytest.approx(timed[-1].start + 0.5, abs=0.2)


def test_every_number_is_a_plain_one(crowd: list[WindowResult]) -> None:
    word = crowd[0].words[0]
    numbers = [word.start, word.end, word.probability, crowd[0].avg_logprob]
    numbers += [crowd[0].no_speech_prob, crowd[0].compression_ratio]
    assert {type(number) for number in numbers} == {float}
    assert {type(token) for token in word.tokens} == {int}
    assert -1 < crowd[0].avg_logprob < 0
    assert crowd[0].no_speech_prob < 0.1


def test_a_window_that_is_encoded_has_the_same_words(
    mlx_engine: MlxEngine, speech: Samples, birthday: Samples, crowd: list[WindowResult]
) -> None:
    entries = [window(mlx_engine, each, WORDS) for each in (speech, birthday)]
    (encoded,) = mlx_engine.encode(entries[:1])
    empty = np.zeros((0, 0), np.float32)
    known = replace(entries[0], features=empty, sound=encoded.sound)
    assert_same(mlx_engine.decode([known]), crowd[:1])
    assert_same(mlx_engine.decode([known, entries[1]]), crowd[:2])


@pytest.mark.words
def test_the_languages_of_windows_are_found(mlx_multilingual: MlxEngine) -> None:
    speeches = [human_speech.prompts(code, 3) for code in ("fr", "en")]
    entries = [window(mlx_multilingual, as_float(s.samples)[:160_000], Options()) for s in speeches]
    encoded = mlx_multilingual.encode(entries)
    for code, one in zip(("fr", "en"), encoded, strict=True):
        for part in one.slices:
            assert max(part.probs, key=lambda other: part.probs[other]) == code
            assert sum(part.probs.values()) == pytest.approx(1.0, abs=0.01)


def test_a_model_of_one_language_decodes_in_it_whatever_is_asked_for(
    mlx_engine: MlxEngine, speech: Samples
) -> None:
    found, *_ = mlx_engine.decode([window(mlx_engine, speech, Options())])
    assert found.language == "en"
    assert words(found.text) == words(MILK.text)
    assert not mlx_engine.can_translate()
    assert (mlx_engine.knows("en"), mlx_engine.knows("de")) == (True, False)


def test_sampled_text_is_the_likeliest_of_several(mlx_engine: MlxEngine, birthday: Samples) -> None:
    found, *_ = mlx_engine.decode([window(mlx_engine, birthday, Options(language="en"), 0.2)])
    assert found.temperature == 0.2
    assert "birthday" in found.text
    assert found.avg_logprob > -1


def test_marks_in_a_prompt_and_unknown_languages_are_taken_as_they_can_be(
    mlx_engine: MlxEngine, birthday: Samples
) -> None:
    """What looks like one of Whisper's own tokens is text when a caller sends it."""
    options = Options(prompt="<|endoftext|>", hotwords="birthday", language="xx")
    found, *_ = mlx_engine.decode([window(mlx_engine, birthday, options)])
    assert found.language == "en"
    assert "birthday" in found.text


def test_words_lie_within_the_sound_whatever_stands_behind_it(
    mlx_engine: MlxEngine, speech: Samples, birthday: Samples
) -> None:
    both = np.concatenate([birthday, np.zeros(16_000, np.float32), speech])
    entry = window(mlx_engine, both, Options(language="en"))
    seconds = len(birthday) / 16_000
    found, *_ = mlx_engine.decode([replace(entry, seconds=seconds)])
    assert words(found.text)[:9] == words(BIRTHDAY.text)
    assert all(0 <= word.start <= word.end <= seconds for word in found.words)


def test_speech_that_a_text_leaves_out_is_decoded_again(
    mlx_engine: MlxEngine, speech: Samples, birthday: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fake: of the first text, only the first half is kept."""
    decoder = mlx_engine._decoder
    assert decoder is not None
    generate = decoder._generate
    calls: list[int] = []

    def cut_short(*arguments: Any) -> list[Any]:
        texts = generate(*arguments)
        calls.append(len(texts))
        if len(calls) == 1:
            texts[0] = replace(texts[0], tokens=texts[0].tokens[: len(words(MILK.text))])
        return texts

    monkeypatch.setattr(decoder, "_generate", cut_short)
    samples = np.concatenate([speech, np.zeros(16_000, np.float32), birthday])
    found = transcribed(mlx_engine, samples, WORDS)
    assert len(calls) >= 2
    timed = [word for segment in found.segments for word in segment.words]
    text = words("".join(segment.text for segment in found.segments))
    assert text[:8] == words(MILK.text)[:8]
    assert text[-8:] == words(BIRTHDAY.text)[-8:]
    assert timed[-1].end == pytest.approx(len(samples) / 16_000, abs=0.5)
    assert found.silent_seconds == 0.0
