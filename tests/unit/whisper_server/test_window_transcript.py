"""One window's attempts, checks and segments, with results that the tests make up."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from whisper_server.audio_windows import Span, Window
from whisper_server.engines.base import (
    SAMPLE_RATE,
    AlignedWord,
    Features,
    Options,
    Samples,
    WindowInput,
    WindowResult,
)
from whisper_server.quality import LADDER, SECOND_LADDER
from whisper_server.transcript import TranscribedWindow
from whisper_server.window_transcript import MARGIN_SECONDS, WindowTranscript

OFFSET = 100.0
"""Where the windows lie in the recording."""
ENGLISH = Options(language="en")
NOTHING = WindowResult("en", (), 0.0, -0.1, 0.0, 0.1)
SILENCE = WindowResult("en", (), 0.0, -1.5, 0.0, 0.9)

Stretch = tuple[float, float]


def features(samples: Samples) -> Features:
    return samples


class Decoding:
    """A window with sound in some stretches, and its transcript."""

    def __init__(
        self, seconds: float, *sounds: Stretch, options: Options = ENGLISH, sound: object = None
    ) -> None:
        times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
        noise = np.random.default_rng(0).normal(0, 0.1, len(times))
        heard = np.zeros(len(times))
        for start, end in sounds:
            heard[(times >= start) & (times < end)] = 1
        swelling = 0.2 + 0.8 * np.abs(np.cos(2 * np.pi * 5 * times))
        self.samples = (noise * swelling * heard).astype(np.float32)
        first = round(OFFSET * SAMPLE_RATE)
        window = Window(self.samples, (Span(first, len(times)),))
        entry = WindowInput(self.samples, seconds, options, options.temperature, sound)
        self.inputs: list[WindowInput] = []
        self.transcript = WindowTranscript(window, entry, features)

    def take(self, *results: WindowResult) -> "Decoding":
        for result in results:
            entry = self.transcript.next_input
            assert entry is not None
            self.inputs.append(entry)
            self.transcript.add(replace(result, temperature=entry.temperature))
        return self

    @property
    def is_done(self) -> bool:
        return self.transcript.next_input is None

    def result(self, **probs: float) -> TranscribedWindow:
        assert self.is_done
        return self.transcript.result(probs)

    def texts(self) -> list[str]:
        return [segment.text for segment in self.result().segments]


def said(
    *words: tuple[str, float, float],
    probability: float = 0.9,
    avg_logprob: float = -0.2,
    no_speech_prob: float = 0.0,
) -> WindowResult:
    """Return a result with these words, their starts and ends."""
    aligned = tuple(
        AlignedWord(f" {text}", (number,), start, end, probability)
        for number, (text, start, end) in enumerate(words)
    )
    return WindowResult("en", aligned, 0.0, avg_logprob, 1.0, no_speech_prob)


def temperatures(inputs: Sequence[WindowInput]) -> list[float]:
    return [entry.temperature for entry in inputs]


HELLO = said(("Hello", 1.0, 1.5), ("world", 1.5, 2.0))
UNLIKELY = replace(HELLO, avg_logprob=-2.0)


def test_a_good_window_takes_one_attempt_and_lies_on_the_recordings_clock() -> None:
    found = Decoding(3, (1.0, 2.0), sound="encoded").take(HELLO)
    assert found.inputs[0].sound == "encoded"
    result = found.result(en=0.9)
    (segment,) = result.segments
    assert (segment.start, segment.end, segment.text) == (101.0, 102.0, " Hello world")
    words = [(word.start, word.end, word.word) for word in segment.words]
    assert words == [(101.0, 101.5, "Hello"), (101.5, 102.0, "world")]
    assert (segment.seek, segment.tokens, segment.language) == (10_000, (0, 1), "en")
    assert (segment.avg_logprob, segment.no_speech_prob) == (-0.2, 0.0)
    assert (result.end, result.seconds, result.language) == (103.0, 3.0, "en")
    assert (dict(result.probs), result.silent_seconds) == ({"en": 0.9}, 0.0)


class TestLadder:
    def test_a_bad_window_is_decoded_again_warmer_with_the_same_sound(self) -> None:
        found = Decoding(3, (1.0, 2.0), sound="encoded").take(UNLIKELY, UNLIKELY, HELLO)
        assert temperatures(found.inputs) == [0.0, 0.2, 0.4]
        assert {entry.sound for entry in found.inputs} == {"encoded"}
        assert found.result().segments[0].temperature == 0.4

    def test_one_that_never_passes_ends_with_its_best_attempt(self) -> None:
        attempts = [replace(UNLIKELY, avg_logprob=p) for p in (-2, -1.9, -1.2, -1.8, -1.7, -1.6)]
        found = Decoding(3, (1.0, 2.0)).take(*attempts)
        assert len(attempts) == len(LADDER)
        assert found.result().segments[0].avg_logprob == -1.2

    def test_a_loop_of_words_is_decoded_again(self) -> None:
        loop = said(*(("test", n / 5, (n + 1) / 5) for n in range(20)))
        found = Decoding(4, (0.0, 4.0)).take(loop, said(("this", 0.0, 1.2), ("works", 1.2, 2.8)))
        assert temperatures(found.inputs[:2]) == [0.0, 0.2]

    def test_a_given_temperature_is_the_only_one(self) -> None:
        options = replace(ENGLISH, temperature=0.7)
        found = Decoding(3, (1.0, 2.0), options=options).take(UNLIKELY)
        assert temperatures(found.inputs) == [0.7]
        assert found.is_done


class TestLostSpeech:
    SOUNDS = ((1.0, 2.0), (4.0, 7.0))
    REST = said(("lost", 0.2, 1.2), ("and", 1.2, 2.0), ("found", 2.0, 3.2))
    """Times from the start of the rest."""

    def test_speech_without_text_is_decoded_again_alone(self) -> None:
        found = Decoding(10, *self.SOUNDS, sound="encoded").take(HELLO)
        entry = found.transcript.next_input
        assert entry is not None
        assert entry.sound is None
        assert entry.seconds == pytest.approx(3.0 + 2 * MARGIN_SECONDS, abs=0.05)
        first = round((4.0 - MARGIN_SECONDS) * SAMPLE_RATE)
        expected = found.samples[first : first + len(entry.features)]
        np.testing.assert_allclose(entry.features, expected, atol=1e-6)
        assert entry.options == ENGLISH
        assert (found.inputs[0].with_timestamps, entry.with_timestamps) == (False, True)
        assert found.take(self.REST).texts() == [" Hello world", " lost and found"]
        segment = found.result().segments[1]
        assert segment.start == pytest.approx(OFFSET + 4.0, abs=0.05)
        assert segment.end == pytest.approx(OFFSET + 7.0, abs=0.05)
        assert found.result().silent_seconds == 0.0

    def test_each_stretch_is_decoded_for_itself(self) -> None:
        found = Decoding(12, (1.0, 2.0), (4.0, 6.0), (8.0, 10.0)).take(HELLO, NOTHING)
        assert found.inputs[1].seconds == pytest.approx(2.4, abs=0.05)
        found.take(said(("first", 0.2, 2.0)), said(("second", 0.2, 2.0)))
        assert found.texts() == [" Hello world", " first", " second"]

    def test_it_is_tried_warmer_until_it_has_text(self) -> None:
        found = Decoding(10, *self.SOUNDS).take(HELLO, NOTHING, UNLIKELY, self.REST)
        assert temperatures(found.inputs) == [0.0, *SECOND_LADDER]
        assert found.texts() == [" Hello world", " lost and found"]

    def test_speech_that_gives_no_text_is_counted(self) -> None:
        found = Decoding(10, *self.SOUNDS).take(HELLO, *[NOTHING] * len(SECOND_LADDER))
        assert found.texts() == [" Hello world"]
        assert found.result().silent_seconds == pytest.approx(3.0, abs=0.1)

    def test_speech_that_a_second_text_leaves_out_is_decoded_again(self) -> None:
        sounds = ((1.0, 2.0), (4.0, 6.0), (6.4, 8.0))
        found = Decoding(10, *sounds).take(HELLO, said(("lost", 0.2, 2.2)))
        assert [entry.seconds for entry in found.inputs] == pytest.approx([10.0, 4.4], abs=0.1)
        found.take(said(("found", 0.2, 1.8)))
        assert found.inputs[-1].seconds == pytest.approx(2.0, abs=0.1)
        assert found.texts() == [" Hello world", " lost", " found"]
        assert found.result().silent_seconds == 0.0

    def test_speech_is_counted_when_its_part_hardly_shrinks(self) -> None:
        sounds = ((1.0, 2.0), (4.0, 4.6), (5.0, 8.0))
        found = Decoding(10, *sounds).take(HELLO, said(("lost", 0.2, 0.8)))
        assert found.texts() == [" Hello world", " lost"]
        assert found.result().silent_seconds == pytest.approx(3.0, abs=0.1)

    def test_sound_that_the_model_takes_for_silence_is_decoded_again_once(self) -> None:
        found = Decoding(10, (1.0, 6.0)).take(SILENCE)
        assert found.take(said(("lost", 0.2, 2.2), ("and", 2.2, 5.2))).texts() == [" lost and"]
        assert found.result().silent_seconds == 0.0
        found = Decoding(10, (1.0, 6.0)).take(SILENCE, *[SILENCE] * len(SECOND_LADDER))
        assert found.texts() == []
        assert found.result().silent_seconds == pytest.approx(5.0, abs=0.1)

    def test_a_window_without_sound_has_none(self) -> None:
        found = Decoding(10).take(NOTHING)
        assert (found.texts(), found.result().silent_seconds) == ([], 0.0)

    def test_words_of_a_rest_that_are_known_are_not_doubled(self) -> None:
        """The rest has a little of the sound around it."""
        sounds = ((1.0, 3.6), (3.9, 7.0))
        before = said(("Hello", 1.0, 2.0), ("my", 2.0, 3.0), ("world", 3.0, 3.6))
        found = Decoding(10, *sounds).take(before)
        entry = found.transcript.next_input
        assert entry is not None
        start = round((3.9 - MARGIN_SECONDS), 2)
        assert entry.seconds == pytest.approx(7.0 + MARGIN_SECONDS - start, abs=0.1)
        again = said(("world", 0.0, 0.01), ("lost", 0.3, 1.4), ("found", 1.4, 3.0))
        assert "".join(found.take(again).texts()).split() == [
            "Hello",
            "my",
            "world",
            "lost",
            "found",
        ]

    @pytest.mark.parametrize(
        "options",
        [Options(task="translate", language="de"), Options("transcribe", "en", vad_filter=False)],
    )
    def test_none_is_looked_for_in_translations_and_where_all_counts_as_speech(
        self, options: Options
    ) -> None:
        found = Decoding(10, *self.SOUNDS, options=options).take(HELLO)
        assert found.texts() == [" Hello world"]
        assert found.result().silent_seconds == 0.0


class TestSegments:
    def test_they_end_with_sentences_and_with_pauses(self) -> None:
        result = said(
            ("Good", 0.0, 0.4), ("morning.", 0.4, 1.0), ("How", 1.0, 1.3), ("are", 1.3, 1.6),
            ("you", 3.0, 3.5), ("Mr.", 3.5, 3.8), ("Smith?", 3.8, 4.5),
        )  # fmt: skip
        found = Decoding(5, (0.0, 1.6), (3.0, 4.5)).take(result)
        assert found.texts() == [" Good morning.", " How are", " you Mr. Smith?"]

    def test_an_abbreviation_ends_one_where_a_pause_follows(self) -> None:
        result = said(("Yes.", 0.0, 0.5), ("No.", 1.0, 1.5))
        assert Decoding(2, (0.0, 0.5), (1.0, 1.5)).take(result).texts() == [" Yes.", " No."]

    def test_words_lie_within_the_audio(self) -> None:
        found = Decoding(2.5, (0.0, 2.5)).take(said(("one", 0.0, 1.2), ("two", 1.2, 9.0)))
        (segment,) = found.result().segments
        assert segment.end <= OFFSET + 2.5
        assert all(word.end <= OFFSET + 2.5 for word in segment.words)

    def test_words_are_cut_to_their_sound(self) -> None:
        found = Decoding(6, (1.0, 1.5), (4.0, 4.5))
        found.take(said(("one", 0.0, 4.0), ("two", 4.0, 6.0)))
        times = [(s.start - OFFSET, s.end - OFFSET) for s in found.result().segments]
        assert times == [pytest.approx((1.0, 1.5), abs=0.05), pytest.approx((4.0, 4.5), abs=0.05)]

    def test_a_window_of_two_spans_has_its_times_in_both(self) -> None:
        samples = Decoding(4, (0.0, 1.0), (2.0, 3.0)).samples
        spans = (Span(10 * SAMPLE_RATE, 2 * SAMPLE_RATE), Span(50 * SAMPLE_RATE, 2 * SAMPLE_RATE))
        entry = WindowInput(samples, 4.0, ENGLISH, 0.0)
        transcript = WindowTranscript(Window(samples, spans), entry, features)
        transcript.add(said(("one", 0.0, 1.0), ("two", 2.0, 3.0)))
        found = transcript.result({})
        starts = [segment.start for segment in found.segments]
        assert starts == [pytest.approx(10.0, abs=0.05), pytest.approx(50.0, abs=0.15)]
        assert found.end == 52.0

    @pytest.mark.parametrize(
        "noise", [Decoding(4, (0.0, 4.0)), Decoding(4)], ids=["with sound", "without"]
    )
    @pytest.mark.parametrize(
        ("start", "end", "expected"),
        [(1.2, 2.2, (11.2, 12.0)), (1.8, 2.5, (50.0, 50.5)), (1.0, 2.05, (11.0, 12.0))],
    )
    def test_no_word_reaches_over_a_pause_that_is_left_out(
        self, start: float, end: float, expected: tuple[float, float], noise: Decoding
    ) -> None:
        """Neither where noise fills the pause."""
        samples = noise.samples
        spans = (Span(10 * SAMPLE_RATE, 2 * SAMPLE_RATE), Span(50 * SAMPLE_RATE, 2 * SAMPLE_RATE))
        entry = WindowInput(samples, 4.0, ENGLISH, 0.0)
        transcript = WindowTranscript(Window(samples, spans), entry, features)
        transcript.add(said(("before", 0.0, 1.0), ("across", start, end), ("after", 2.6, 4.0)))
        words = [word for segment in transcript.result({}).segments for word in segment.words]
        (across,) = (word for word in words if word.word == "across")
        assert (across.start, across.end) == pytest.approx(expected, abs=0.2)
        assert all(word.end - word.start < 2 for word in words)

    def test_a_pause_that_is_left_out_of_the_window_ends_one(self) -> None:
        samples = Decoding(4, (0.0, 1.9), (2.1, 4.0)).samples
        spans = (Span(10 * SAMPLE_RATE, 2 * SAMPLE_RATE), Span(15 * SAMPLE_RATE, 2 * SAMPLE_RATE))
        entry = WindowInput(samples, 4.0, ENGLISH, 0.0)
        transcript = WindowTranscript(Window(samples, spans), entry, features)
        transcript.add(said(("one", 0.5, 1.9), ("two", 2.1, 3.0), ("three", 3.0, 4.0)))
        times = [
            (segment.text, segment.start, segment.end) for segment in transcript.result({}).segments
        ]
        assert times == [
            (" one", 10.5, pytest.approx(11.9, abs=0.05)),
            (" two three", pytest.approx(15.1, abs=0.05), 17.0),
        ]


class TestPhantoms:
    def test_what_cannot_be_speech_is_dropped_and_logged(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG, "whisper_server")
        phantom = said(("Thank", 0.5, 0.8), ("you.", 0.8, 1.2), no_speech_prob=0.5)
        result = Decoding(2, (0.5, 1.2)).take(phantom).result()
        assert (result.segments, result.dropped_segments) == ((), 1)
        (record,) = caplog.records
        assert record.levelno == logging.DEBUG
        assert "Thank you." in record.getMessage()

    def test_the_rest_of_the_window_stays(self) -> None:
        result = said(
            ("Hello", 1.0, 1.5), ("world.", 1.5, 2.0), ("Thank", 4.0, 4.2), ("you.", 4.2, 4.4),
            no_speech_prob=0.5,
        )  # fmt: skip
        assert Decoding(5, (1.0, 2.0), (4.0, 4.4)).take(result).texts() == [" Hello world."]

    def test_a_thank_you_that_is_sure_stays(self) -> None:
        result = said(("Thank", 0.5, 0.8), ("you.", 0.8, 1.2))
        assert Decoding(2, (0.5, 1.2)).take(result).texts() == [" Thank you."]

    def test_unlikely_words_without_sound_go(self) -> None:
        result = said(("Hello", 1.0, 1.5), ("there", 6.0, 6.4), probability=0.5)
        assert Decoding(8, (1.0, 1.5)).take(result).texts() == [" Hello"]
