"""Windows of one batch, decoded by CTranslate2 with real weights."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.support.faster_whisper_engine import PLAIN, PLAN, WORDS, loaded_engine, ready
from tests.support.speech import MILK, words
from tests.support.whisper_stand_in import Patched, text_of
from whisper_server.audio_windows import Window
from whisper_server.engines.base import SAMPLE_RATE, Options, Samples, WindowInput, WindowResult
from whisper_server.engines.faster_whisper import FasterWhisperEngine
from whisper_server.quality import MAX_COMPRESSION, MAX_NO_SPEECH

FIRST_TIMESTAMP = 50_363
"""Its token, in models that know English alone."""


@pytest.fixture(scope="module")
def inputs(engine: FasterWhisperEngine, windows: list[Window]) -> list[WindowInput]:
    return [ready(engine, window.samples, WORDS) for window in windows]


@pytest.fixture(scope="module")
def alone(engine: FasterWhisperEngine, inputs: list[WindowInput]) -> list[WindowResult]:
    return [engine.decode([window])[0] for window in inputs]


class Shortened:
    """A result of `generate` whose tokens end where the second segment begins."""

    def __init__(self, result: Any) -> None:
        tokens = result.sequences_ids[0]
        stamps = [i for i, token in enumerate(tokens) if token >= FIRST_TIMESTAMP]
        self.sequences_ids = [tokens[: stamps[2] + 1]]
        self.scores = result.scores
        self.no_speech_prob = result.no_speech_prob


@pytest.mark.parametrize("batch_size", [2, 4])
def test_a_window_is_heard_alike_alone_and_in_company(
    engine: FasterWhisperEngine,
    inputs: list[WindowInput],
    alone: list[WindowResult],
    batch_size: int,
) -> None:
    """Every token, time and number: with int8 on a CPU the arithmetic of a row is its own."""
    assert engine.decode(inputs[:batch_size]) == alone[:batch_size]
    assert all(text_of(found) for found in alone)


def test_with_float32_only_the_last_digits_of_a_probability_know_the_company(
    windows: list[Window],
) -> None:
    engine = loaded_engine(replace(PLAN, compute_type="float32"))
    inputs = [ready(engine, window.samples, WORDS) for window in windows[:2]]
    for found, lone in zip(
        engine.decode(inputs), (engine.decode([one])[0] for one in inputs), strict=True
    ):
        assert [s.tokens for s in found.segments] == [s.tokens for s in lone.segments]
        assert [(s.start, s.end) for s in found.segments] == [
            (s.start, s.end) for s in lone.segments
        ]
        assert found.avg_logprob == pytest.approx(lone.avg_logprob, abs=1e-5)


def test_a_lone_window_is_heard_as_faster_whisper_itself_hears_it(
    engine: FasterWhisperEngine, windows: list[Window]
) -> None:
    for window in windows[::3]:  # the others are heard in two goes, from places of our own
        (found,) = engine.decode([ready(engine, window.samples, WORDS)])
        reference, _ = engine._whisper.transcribe(
            window.samples, language="en", word_timestamps=True
        )
        for theirs, ours in zip(reference, found.segments, strict=True):
            assert ours.tokens == tuple(theirs.tokens)
            assert (ours.start, ours.end) == pytest.approx((theirs.start, theirs.end))
            assert ours.avg_logprob == pytest.approx(theirs.avg_logprob)
            assert ours.no_speech_prob == pytest.approx(theirs.no_speech_prob)
            assert [(w.word, w.start, w.end, w.probability) for w in ours.words] == [
                (w.word.strip(), *map(pytest.approx, (w.start, w.end, w.probability)))
                for w in theirs.words
            ]


@pytest.mark.words
def test_rows_of_one_batch_may_have_different_languages(
    multilingual: FasterWhisperEngine, windows: list[Window]
) -> None:
    engine = multilingual
    mixed = [
        ready(engine, window.samples, replace(WORDS, language=language))
        for window, language in zip(windows, ["en", "de", None], strict=False)
    ]
    assert len({engine.batch_key(window) for window in mixed}) == 1
    found = engine.decode(mixed)
    assert found == [engine.decode([window])[0] for window in mixed]
    assert [one.language for one in found] == ["en", "de", "en"]
    timed = [segment.words for one in found for segment in one.segments]
    assert all(timed)


@pytest.mark.words
def test_only_a_language_that_was_not_given_is_detected(
    multilingual: FasterWhisperEngine, windows: list[Window]
) -> None:
    engine = multilingual
    given, unknown = engine.decode(
        [ready(engine, windows[0].samples, Options(language=code)) for code in ("en", None)]
    )
    assert given.language_probs == ()
    likeliest, probability = unknown.language_probs[0]
    assert likeliest == "en"
    assert probability > 0.9
    assert text_of(given) == text_of(unknown)


@pytest.mark.words
def test_a_language_that_this_model_was_never_taught_is_detected_instead(
    multilingual: FasterWhisperEngine, speech: Samples
) -> None:
    (found,) = multilingual.decode([ready(multilingual, speech, Options(language="yue"))])
    assert found.language == "en"
    assert words(text_of(found)) == words(MILK.text)


def test_different_prompts_of_equal_length_share_a_batch(
    engine: FasterWhisperEngine, speech: Samples, windows: list[Window]
) -> None:
    prompts = [
        replace(PLAIN, prompt="red house"),
        replace(PLAIN, prompt="old dog"),
        replace(PLAIN, hotwords="old dog"),
    ]
    mixed = [
        ready(engine, samples, options)
        for samples, options in zip(
            [speech, windows[0].samples, windows[1].samples], prompts, strict=True
        )
    ]
    assert len({engine.batch_key(window) for window in mixed}) == 1
    assert engine.decode(mixed) == [engine.decode([window])[0] for window in mixed]


@pytest.mark.parametrize("beam_size", [1, 3])
def test_any_beam_hears_plain_words(
    engine: FasterWhisperEngine, speech: Samples, beam_size: int
) -> None:
    (found,) = engine.decode([ready(engine, speech, replace(PLAIN, beam_size=beam_size))])
    assert words(text_of(found)) == words(MILK.text)


def test_a_temperature_samples_and_is_told(engine: FasterWhisperEngine, speech: Samples) -> None:
    (found,) = engine.decode([ready(engine, speech, PLAIN, 0.4)])
    assert found.temperature == found.segments[0].temperature == 0.4
    assert "milk" in text_of(found)


@pytest.mark.parametrize("options", [WORDS, Options(word_timestamps=True, beam_size=1)])
@pytest.mark.parametrize("length", [0, 1, 300, 2 * SAMPLE_RATE])
def test_in_silence_the_model_hears_nobody_speak(
    engine: FasterWhisperEngine, length: int, options: Options
) -> None:
    (found,) = engine.decode([ready(engine, np.zeros(length, np.float32), options)])
    assert found.no_speech_prob > MAX_NO_SPEECH
    assert found.compression_ratio < MAX_COMPRESSION


def test_a_silent_row_does_not_disturb_its_neighbours(
    engine: FasterWhisperEngine, inputs: list[WindowInput], alone: list[WindowResult]
) -> None:
    silence = ready(engine, np.zeros(SAMPLE_RATE, np.float32), WORDS)
    found = engine.decode([silence, inputs[0], silence, inputs[1]])
    assert [found[1], found[3]] == alone[:2]
    assert found[0] == found[2] == engine.decode([silence])[0]


def test_times_are_plain_numbers_within_the_window(
    engine: FasterWhisperEngine, speech: Samples
) -> None:
    # The window claims to be shorter than what is heard in it, as if the rest were padding.
    window = replace(ready(engine, speech, WORDS), seconds=1.5)
    (found,) = engine.decode([window])
    words = [word for segment in found.segments for word in segment.words]
    times = [(one.start, one.end) for one in found.segments]
    times += [(one.start, one.end) for one in words]
    numbers = [number for pair in times for number in pair]
    assert all(type(number) is float for number in numbers)
    assert all(0 <= number <= 1.5 for number in numbers)
    assert type(found.avg_logprob) is float
    assert type(found.no_speech_prob) is float
    assert all(type(token) is int for token in found.segments[0].tokens)
    assert words[0].word == "Do"


def test_what_the_model_leaves_unheard_at_a_windows_end_is_decoded_again(
    engine: FasterWhisperEngine,
    windows: list[Window],
    model: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whisper opens a segment and leaves it empty where a window ends within a sentence. Here the
    window ends in a pause, so its tokens are cut behind the first segment."""
    samples = windows[0].samples
    whole = text_of(engine.decode([ready(engine, samples)])[0])
    generate = model.generate
    calls: list[int] = []

    def cut_short(encoded: Any, prompts: Any, **options: Any) -> Any:
        results = generate(encoded, prompts, **options)
        calls.append(len(prompts))
        if len(calls) == 1:
            results[0] = Shortened(results[0])
        return results

    monkeypatch.setattr(engine._decoder, "_model", Patched(model, generate=cut_short))
    found, other = engine.decode([ready(engine, samples, WORDS), ready(engine, samples, WORDS)])
    assert calls == [2, 1]
    assert text_of(other) == whole
    assert text_of(found).split()[:2] == whole.split()[:2]
    assert text_of(found).split()[-2:] == whole.split()[-2:]
    words = [word for segment in found.segments for word in segment.words]
    assert [word.start for word in words] == sorted(word.start for word in words)
    assert words[-1].end == pytest.approx(other.segments[-1].words[-1].end, abs=0.3)
    assert [segment.seek > 0 for segment in found.segments][:2] == [False, True]


def test_text_that_has_no_room_is_heard_in_two_goes(
    engine: FasterWhisperEngine,
    windows: list[Window],
    model: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Dense speech takes more tokens than there is room for; here the room is made small."""
    window = ready(engine, windows[0].samples)
    (whole,) = engine.decode([window])
    room = len(whole.segments[0].tokens) + 3
    monkeypatch.setattr(engine._whisper, "max_length", 2 * room)
    found, again = engine.decode([window, window])
    assert found == again
    assert found.segments[0].text == whole.segments[0].text
    assert [segment.seek > 0 for segment in found.segments] == [False, True]
    assert text_of(found).split()[-2:] == text_of(whole).split()[-2:]
