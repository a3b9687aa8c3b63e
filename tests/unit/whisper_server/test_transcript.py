"""A recording's transcript, put together of its windows."""

from dataclasses import replace
from itertools import permutations

import pytest

from whisper_server.engines.base import Segment, Word
from whisper_server.transcript import (
    PROMPT_CHARACTERS,
    PROMPT_SEGMENTS,
    TranscribedWindow,
    Transcript,
)

SECONDS = 10.0


def segment(start: float, text: str, word_seconds: float = 0.3) -> Segment:
    """Return a segment whose words follow one another."""
    words = tuple(
        Word(
            round(start + n * word_seconds, 3), round(start + (n + 1) * word_seconds, 3), word, 0.9
        )
        for n, word in enumerate(text.split())
    )
    return Segment(
        words[0].start, words[-1].end, f" {text}", 0, (1,), 0.0, -0.2, 1.1, 0.0, words, "en"
    )


def window(
    number: int,
    *segments: Segment,
    language: str = "en",
    seconds: float = SECONDS,
    silent_seconds: float = 0.0,
    dropped_segments: int = 0,
    **probs: float,
) -> TranscribedWindow:
    end = (number + 1) * SECONDS
    return TranscribedWindow(
        end, seconds, segments, language, probs, silent_seconds, dropped_segments
    )


def texts(transcript: Transcript) -> list[str]:
    return [segment.text for segment in transcript.result(99.0).segments]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_windows_come_in_any_order_and_leave_in_theirs(order: tuple[int, ...]) -> None:
    windows = [window(n, segment(n * SECONDS, f"text {n}")) for n in range(3)]
    transcript, seconds = Transcript("en"), []
    ready: list[Segment] = []
    for number in order:
        ready += transcript.put(number, windows[number])
        seconds.append(transcript.seconds_done)
    assert [one.text for one in ready] == [" text 0", " text 1", " text 2"]
    assert texts(transcript) == [one.text for one in ready]
    assert seconds == sorted(seconds)
    assert seconds[-1] == 3 * SECONDS
    assert transcript.result(33.0).duration_seconds == 33.0


def test_a_window_behind_a_gap_is_not_ready() -> None:
    transcript = Transcript("en")
    assert transcript.put(1, window(1, segment(10, "later"))) == ()
    assert transcript.seconds_done == 0.0
    assert len(transcript.put(0, window(0, segment(0, "sooner")))) == 2


class TestLanguage:
    def test_it_is_the_one_with_the_most_speech(self) -> None:
        transcript = Transcript(None)
        transcript.put(0, window(0, segment(0, "one"), seconds=8.0, en=0.9, de=0.1))
        transcript.put(1, window(1, segment(10, "zwei"), language="de", seconds=9.0, de=1.0))
        transcript.put(2, window(2, segment(20, "three"), seconds=3.0, en=1.0))
        found = transcript.result(30.0)
        assert found.language == "en"
        assert found.language_probability == pytest.approx((8 * 0.9 + 3) / 20)
        assert [code for code, _ in found.top_language_probs] == ["en", "de"]
        shares = [probability for _, probability in found.top_language_probs]
        assert shares == pytest.approx([(8 * 0.9 + 3) / 20, (8 * 0.1 + 9) / 20])

    def test_windows_without_text_count_only_where_none_has_any(self) -> None:
        transcript = Transcript(None)
        transcript.put(0, window(0, language="nn", seconds=30.0, nn=0.5))
        assert transcript.result(30.0).language == "nn"
        transcript.put(1, window(1, segment(10, "one"), seconds=2.0, en=0.9))
        assert transcript.result(40.0).language == "en"

    def test_a_given_one_is_certain(self) -> None:
        transcript = Transcript("fr")
        transcript.put(0, window(0, segment(0, "un"), language="fr"))
        found = transcript.result(10.0)
        assert (found.language, found.language_probability) == ("fr", 1.0)
        assert found.top_language_probs == (("fr", 1.0),)

    def test_a_window_whose_languages_were_not_looked_for_is_certain(self) -> None:
        transcript = Transcript(None)
        transcript.put(0, window(0, segment(0, "one")))
        assert transcript.result(10.0).top_language_probs == (("en", 1.0),)

    def test_without_windows_it_is_english_at_no_probability(self) -> None:
        found = Transcript(None).result(5.0)
        assert (found.language, found.language_probability, found.segments) == ("en", 0.0, ())
        assert found.top_language_probs == (("en", 0.0),)


def test_speech_without_text_and_dropped_segments_add_up() -> None:
    transcript = Transcript("en")
    transcript.put(0, window(0, silent_seconds=1.254, dropped_segments=2))
    transcript.put(1, window(1, segment(10, "one"), silent_seconds=2.0, dropped_segments=1))
    found = transcript.result(20.0)
    assert (found.silent_speech_seconds, found.dropped_segments) == (3.25, 3)


class TestSeam:
    """A word that is cut in two by the border of two windows may be recognized in both."""

    BEFORE = segment(9.1, "we are going")  # its last word ends at 10

    def joined(self, after: Segment, before: Segment = BEFORE) -> list[str]:
        transcript = Transcript("en")
        ready = transcript.put(0, window(0, before)) + transcript.put(1, window(1, after))
        assert [one.text for one in ready] == texts(transcript)
        return texts(transcript)

    def test_a_word_in_both_windows_is_written_once(self) -> None:
        assert self.joined(segment(10.0, "Going, home", 0.2)) == [" we are going", " home"]

    def test_the_rest_begins_with_its_own_word(self) -> None:
        transcript = Transcript("en")
        transcript.put(0, window(0, self.BEFORE))
        (rest,) = transcript.put(1, window(1, segment(10.0, "going home", 0.2)))
        assert (rest.start, rest.end) == (10.2, 10.4)
        assert [word.word for word in rest.words] == ["home"]

    def test_a_segment_of_that_word_alone_is_left_out(self) -> None:
        assert self.joined(segment(10.0, "going", 0.2)) == [" we are going"]

    def test_another_word_stays(self) -> None:
        assert self.joined(segment(10.0, "gone home", 0.2)) == [" we are going", " gone home"]

    def test_a_word_that_is_said_twice_stays(self) -> None:
        later, whole = segment(10.5, "going home", 0.2), segment(10.0, "going home", 0.5)
        assert self.joined(later) == [" we are going", " going home"]
        assert self.joined(whole) == [" we are going", " going home"]

    def test_windows_without_words_stay_as_they_are(self) -> None:
        bare = replace(segment(10.0, "going home"), words=())
        assert self.joined(bare) == [" we are going", " going home"]
        assert self.joined(segment(10.0, "going"), bare) == [" going home", " going"]


def test_the_prompt_is_the_end_of_the_text() -> None:
    transcript = Transcript("en")
    assert transcript.prompt == ""
    count = PROMPT_SEGMENTS + 5
    transcript.put(0, window(0, *(segment(n, f"s{n}") for n in range(count))))
    assert transcript.prompt == "".join(f" s{n}" for n in range(5, count))
    transcript.put(1, window(1, segment(100.0, "word " * 200)))
    assert len(transcript.prompt) == PROMPT_CHARACTERS
    assert transcript.prompt.endswith("word ")
