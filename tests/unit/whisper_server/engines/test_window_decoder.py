"""Windows of one batch, encoded and decoded by CTranslate2 with real weights."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import pytest

from tests.support import human_speech
from tests.support.faster_whisper_engine import (
    PLAIN,
    PLAN,
    as_float,
    loaded_engine,
    ready,
    transcribed,
)
from tests.support.speech import AMIABLE, BIRTHDAY, MARRIED, MILK, Sentence, words
from tests.support.whisper_stand_in import Patched
from whisper_server.audio_windows import Window
from whisper_server.engines.base import (
    SAMPLE_RATE,
    EncodedWindow,
    LanguageSlice,
    Options,
    Samples,
    WindowInput,
    WindowResult,
)
from whisper_server.engines.faster_whisper import FasterWhisperEngine
from whisper_server.language_path import LanguagePath, LanguageStretch
from whisper_server.quality import MAX_COMPRESSION, MAX_NO_SPEECH

AUDIBLE = 0.01
BORDER_SECONDS = 2.5
"""How exactly a change of language is found: within half a slice."""
WORD_SECONDS = 0.3


@pytest.fixture(scope="module")
def inputs(engine: FasterWhisperEngine, windows: list[Window]) -> list[WindowInput]:
    return [ready(engine, window.samples) for window in windows]


@pytest.fixture(scope="module")
def alone(engine: FasterWhisperEngine, inputs: list[WindowInput]) -> list[WindowResult]:
    return [engine.decode([window])[0] for window in inputs]


@pytest.fixture(scope="module")
def mixed(multilingual: FasterWhisperEngine) -> list[WindowInput]:
    """French, English, and half French and half English."""
    french, english = (human_speech.prompts(code, 9) for code in ("fr", "en"))
    both = human_speech.joined([french, english])
    return [
        ready(multilingual, as_float(speech.samples), Options())
        for speech in (french, english, both)
    ]


@pytest.fixture(scope="module")
def encoded(multilingual: FasterWhisperEngine, mixed: list[WindowInput]) -> list[EncodedWindow]:
    return multilingual.encode(mixed)


def pause(seconds: float) -> Samples:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


class TestDecoding:
    @pytest.mark.parametrize("batch_size", [2, 4])
    def test_a_window_is_decoded_alike_alone_and_in_a_batch(
        self,
        engine: FasterWhisperEngine,
        inputs: list[WindowInput],
        alone: list[WindowResult],
        batch_size: int,
    ) -> None:
        """Every token, time and number: with int8 on a CPU the arithmetic of a row is its own."""
        assert engine.decode(inputs[:batch_size]) == alone[:batch_size]
        assert all(found.text for found in alone)

    def test_with_float32_only_the_last_digits_of_a_probability_depend_on_the_batch(
        self, windows: list[Window]
    ) -> None:
        engine = loaded_engine(replace(PLAN, compute_type="float32"))
        inputs = [ready(engine, window.samples) for window in windows[:2]]
        for found, lone in zip(
            engine.decode(inputs), (engine.decode([one])[0] for one in inputs), strict=True
        ):
            assert [(w.tokens, w.start, w.end) for w in found.words] == [
                (w.tokens, w.start, w.end) for w in lone.words
            ]
            assert found.avg_logprob == pytest.approx(lone.avg_logprob, abs=1e-5)

    def test_a_lone_window_has_the_words_and_numbers_of_faster_whisper_itself(
        self, engine: FasterWhisperEngine, windows: list[Window], alone: list[WindowResult]
    ) -> None:
        for window, ours in zip(windows[:2], alone, strict=False):
            reference, _ = engine._whisper.transcribe(
                window.samples, language="en", without_timestamps=True, word_timestamps=True
            )
            theirs = next(reference)  # what it goes on with is the silence behind the words
            assert [token for word in ours.words for token in word.tokens] == theirs.tokens
            assert ours.avg_logprob == pytest.approx(theirs.avg_logprob)
            assert ours.no_speech_prob == pytest.approx(theirs.no_speech_prob)
            assert ours.compression_ratio == pytest.approx(theirs.compression_ratio)
            assert [w.text for w in ours.words] == [w.word for w in theirs.words]
            assert [w.probability for w in ours.words] == pytest.approx(
                [w.probability for w in theirs.words]
            )
            assert [w.start for w in ours.words[1:]] == pytest.approx(
                [w.start for w in theirs.words[1:]], abs=0.25
            )

    def test_time_stamps_of_the_model_are_no_words(
        self, engine: FasterWhisperEngine, speech: Samples
    ) -> None:
        plain = ready(engine, speech)
        (stamped,) = engine.decode([replace(plain, with_timestamps=True)])
        assert stamped.avg_logprob != engine.decode([plain])[0].avg_logprob
        assert words(stamped.text) == words(MILK.text)
        eot = engine._whisper.hf_tokenizer.token_to_id("<|endoftext|>")
        assert all(token < eot for word in stamped.words for token in word.tokens)

    def test_different_prompts_of_equal_length_share_a_batch(
        self, engine: FasterWhisperEngine, speech: Samples, windows: list[Window]
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
    def test_any_beam_finds_plain_words(
        self, engine: FasterWhisperEngine, speech: Samples, beam_size: int
    ) -> None:
        (found,) = engine.decode([ready(engine, speech, replace(PLAIN, beam_size=beam_size))])
        assert words(found.text) == words(MILK.text)

    def test_a_temperature_samples_and_is_named(
        self, engine: FasterWhisperEngine, speech: Samples
    ) -> None:
        (found,) = engine.decode([ready(engine, speech, PLAIN, 0.4)])
        assert found.temperature == 0.4
        assert "milk" in found.text

    @pytest.mark.parametrize("options", [PLAIN, Options(beam_size=1)])
    @pytest.mark.parametrize("length", [0, 1, 300, 2 * SAMPLE_RATE])
    def test_silence_is_likely_no_speech(
        self, engine: FasterWhisperEngine, length: int, options: Options
    ) -> None:
        (found,) = engine.decode([ready(engine, np.zeros(length, np.float32), options)])
        assert found.no_speech_prob > MAX_NO_SPEECH
        assert found.compression_ratio < MAX_COMPRESSION

    def test_a_silent_row_does_not_disturb_its_neighbours(
        self, engine: FasterWhisperEngine, inputs: list[WindowInput], alone: list[WindowResult]
    ) -> None:
        silence = ready(engine, np.zeros(SAMPLE_RATE, np.float32))
        found = engine.decode([silence, inputs[0], silence, inputs[1]])
        assert [found[1], found[3]] == alone[:2]
        lone = engine.decode([silence])[0]
        for silent in (found[0], found[2]):
            assert silent.text == lone.text
            assert silent.avg_logprob == pytest.approx(lone.avg_logprob, abs=1e-5)

    def test_times_are_plain_numbers_within_the_window(
        self, engine: FasterWhisperEngine, speech: Samples
    ) -> None:
        # The window is said to be shorter than its speech, as if the rest were padding.
        (found,) = engine.decode([replace(ready(engine, speech), seconds=1.5)])
        numbers = [number for word in found.words for number in (word.start, word.end)]
        assert all(type(number) is float for number in numbers)
        assert numbers == sorted(numbers)
        assert all(0 <= number <= 1.5 for number in numbers)
        assert type(found.avg_logprob) is float
        assert type(found.no_speech_prob) is float
        assert all(type(token) is int for word in found.words for token in word.tokens)
        assert found.words[0].text == " Do"


class TestWholeWindows:
    """What the server makes of the decoder's words, with real speech."""

    def test_words_begin_and_end_with_their_sentences(self, engine: FasterWhisperEngine) -> None:
        sentences = (MILK, BIRTHDAY, MARRIED, AMIABLE)
        samples, times = apart(sentences, pause_seconds=1.0)
        found = transcribed(engine, samples)
        timed = [word for segment in found.segments for word in segment.words]
        said = [words(sentence.text) for sentence in sentences]
        assert [part for word in timed for part in words(word.word)] == [*chain(*said)]
        for sentence, (start, end) in zip(said, times, strict=True):
            own, timed = timed[: len(sentence)], timed[len(sentence) :]
            assert own[0].start == pytest.approx(start, abs=WORD_SECONDS)
            assert own[-1].end == pytest.approx(end, abs=WORD_SECONDS)
        assert found.silent_seconds == 0.0

    def test_padding_gives_no_words(self, engine: FasterWhisperEngine, speech: Samples) -> None:
        found = transcribed(engine, speech)
        assert words("".join(segment.text for segment in found.segments)) == words(MILK.text)
        assert found.segments[-1].end <= len(speech) / SAMPLE_RATE

    def test_speech_that_a_text_leaves_out_is_decoded_again(
        self, engine: FasterWhisperEngine, model: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whisper may stop before the speech does: here all but its first text is cut."""
        samples, times = apart((MILK, BIRTHDAY), pause_seconds=1.0)
        generate = model.generate
        calls: list[int] = []

        def cut_short(encoded: Any, prompts: Any, **options: Any) -> Any:
            results = generate(encoded, prompts, **options)
            calls.append(len(prompts))
            if len(calls) == 1:
                tokens = results[0].sequences_ids[0]
                results[0] = Patched(results[0], sequences_ids=[tokens[: len(tokens) // 2]])
            return results

        monkeypatch.setattr(engine._decoder, "_model", Patched(model, generate=cut_short))
        found = transcribed(engine, samples)
        assert len(calls) >= 2
        text = "".join(segment.text for segment in found.segments)
        assert words(text)[:4] == words(MILK.text)[:4]
        assert words(text)[-8:] == words(BIRTHDAY.text)[-8:]
        timed = [word for segment in found.segments for word in segment.words]
        assert [word.start for word in timed] == sorted(word.start for word in timed)
        assert timed[-1].end == pytest.approx(times[-1][1], abs=WORD_SECONDS)
        assert found.silent_seconds == 0.0

    def test_text_that_has_no_room_goes_on(
        self, engine: FasterWhisperEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Dense speech takes more tokens than there is room for; here the room is made small."""
        samples, _ = apart((MILK, BIRTHDAY, AMIABLE), pause_seconds=0.6)
        (whole,) = engine.decode([ready(engine, samples)])
        tokens = sum(len(word.tokens) for word in whole.words)
        monkeypatch.setattr(engine._whisper, "max_length", tokens * 2 // 3)
        (half,) = engine.decode([ready(engine, samples)])
        assert len(half.words) < len(whole.words)
        found = transcribed(engine, samples)
        text = words("".join(segment.text for segment in found.segments))
        assert text[-6:] == words(AMIABLE.text)[-6:]
        assert len(text) >= len(words(whole.text)) - 2


@pytest.mark.words
class TestLanguages:
    def test_windows_are_encoded_alike_alone_and_in_a_batch(
        self,
        multilingual: FasterWhisperEngine,
        mixed: list[WindowInput],
        encoded: list[EncodedWindow],
    ) -> None:
        for window, ours in zip(mixed, encoded, strict=True):
            (lone,) = multilingual.encode([window])
            np.testing.assert_array_equal(lone.sound, ours.sound)
            assert lone.slices == ours.slices

    def test_the_language_of_a_window_is_found(self, encoded: list[EncodedWindow]) -> None:
        for window, code in zip(encoded, ("fr", "en"), strict=False):
            assert {likeliest(part) for part in window.slices} == {code}
            for part in window.slices:
                assert sum(part.probs.values()) == pytest.approx(1.0, abs=0.01)

    def test_the_languages_of_both_halves_of_a_window_are_found(
        self, mixed: list[WindowInput], encoded: list[EncodedWindow]
    ) -> None:
        first, second = stretches(encoded[2], mixed[2].seconds)
        assert (first.language, second.language) == ("fr", "en")
        assert first.end == pytest.approx(mixed[0].seconds + 0.5, abs=BORDER_SECONDS)

    def test_rows_of_one_batch_may_have_different_languages(
        self,
        multilingual: FasterWhisperEngine,
        mixed: list[WindowInput],
        encoded: list[EncodedWindow],
    ) -> None:
        """Some of them are encoded already."""
        french, english = (replace(PLAIN, language=code) for code in ("fr", "en"))
        rows = [
            replace(mixed[0], options=french, sound=encoded[0].sound),
            replace(mixed[1], options=english),
            replace(mixed[1], options=french),
            replace(mixed[1], options=english, sound=encoded[1].sound),
        ]
        assert len({multilingual.batch_key(row) for row in rows}) == 1
        found = multilingual.decode(rows)
        assert found == [multilingual.decode([replace(row, sound=None)])[0] for row in rows]
        assert [one.language for one in found] == ["fr", "en", "fr", "en"]
        assert found[1] == found[3] != found[2]
        assert all(one.words for one in found)


def test_a_model_of_one_language_decodes_in_it_whatever_is_asked_for(
    engine: FasterWhisperEngine, speech: Samples
) -> None:
    results = engine.decode(
        [ready(engine, speech, Options(language=code)) for code in ("en", None, "de")]
    )
    assert [found.language for found in results] == ["en"] * 3
    assert results[0] == results[1] == results[2]


def apart(
    sentences: Sequence[Sentence], pause_seconds: float
) -> tuple[Samples, list[tuple[float, float]]]:
    """Return sentences with silence around each, and start and end of their sound in seconds."""
    parts, times, count = [pause(pause_seconds)], [], round(pause_seconds * SAMPLE_RATE)
    for sentence in sentences:
        samples = as_float(sentence.samples())
        audible = np.flatnonzero(np.abs(samples) > AUDIBLE)
        said = samples[audible[0] : audible[-1] + 1]
        times.append((count / SAMPLE_RATE, (count + len(said)) / SAMPLE_RATE))
        parts += [said, pause(pause_seconds)]
        count += len(said) + round(pause_seconds * SAMPLE_RATE)
    return np.concatenate(parts), times


def likeliest(part: LanguageSlice) -> str:
    return max(part.probs, key=lambda code: part.probs[code])


def stretches(window: EncodedWindow, seconds: float) -> list[LanguageStretch]:
    path = LanguagePath()
    path.add(window.slices, seconds)
    return path.take(is_last=True) or []
