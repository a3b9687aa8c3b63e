"""Which speaker gets which words."""

import numpy as np

from stt.transcripts.speakers import Voice
from whisper_server.engines.base import Segment, Transcription, Word
from whisper_server.speakers.attribution import MAX_DISTANCE_SECONDS, with_speakers
from whisper_server.speakers.turns import PieceSpeakers, Turn

VOICES = tuple(Voice(np.ones(2, np.float32), 10.0) for _ in range(2))


def segment(*words: Word, text: str | None = None) -> Segment:
    joined = "".join(f" {word.word}" for word in words) if text is None else text
    return Segment(words[0].start, words[-1].end, joined, 0, (1, 2), 0.0, -0.1, 1.0, 0.0, words)


def word(text: str, start: float, end: float) -> Word:
    return Word(start, end, text, 1.0)


def found(turns: list[Turn], *segments: Segment) -> list[tuple[str | None, str]]:
    transcription = Transcription("en", 1.0, (("en", 1.0),), 100.0, segments)
    result = with_speakers(transcription, PieceSpeakers(tuple(turns), VOICES))
    return [(segment.speaker, segment.text) for segment in result.segments]


def test_a_segment_is_cut_where_the_speaker_changes() -> None:
    spoken = segment(word("Are", 0.0, 0.4), word("you?", 0.4, 1.0), word("Yes!", 1.1, 1.6))
    turns = [Turn(0.0, 1.05, 0), Turn(1.05, 2.0, 1)]
    assert found(turns, spoken) == [("A", " Are you?"), ("B", " Yes!")]


def test_the_parts_have_the_times_of_their_words() -> None:
    spoken = segment(word("no", 3.0, 3.5), word("yes", 4.0, 4.5))
    turns = (Turn(3.0, 3.6, 1), Turn(3.9, 4.5, 0))
    transcription = Transcription("en", 1.0, (), 9.0, (spoken,))
    first, second = with_speakers(transcription, PieceSpeakers(turns, VOICES)).segments
    assert (first.start, first.end, second.start, second.end) == (3.0, 3.5, 4.0, 4.5)
    assert [len(part.words) for part in (first, second)] == [1, 1]


def test_text_without_blanks_and_words_that_are_not_in_it_lose_nothing() -> None:
    turns = [Turn(0.0, 1.0, 0), Turn(1.0, 3.0, 1)]
    spoken = segment(word("你好", 0.0, 1.0), word("再见", 1.0, 2.0), text="你好再见。")
    assert found(turns, spoken) == [("A", "你好"), ("B", "再见。")]
    odd = segment(word("one", 0, 1), word("zwei", 1.0, 2.0), word("3", 2.0, 3.0), text=" one two 3")
    assert "".join(text for _, text in found(turns, odd)) == " one two 3"


def test_a_word_belongs_to_who_has_the_most_of_it() -> None:
    turns = [Turn(0.0, 1.0, 0), Turn(1.0, 2.0, 1)]
    assert found(turns, segment(word("so", 0.5, 1.2))) == [("A", " so")]
    assert found(turns, segment(word("so", 0.9, 1.2))) == [("B", " so")]


def test_a_word_near_a_turn_belongs_to_it_and_one_far_off_to_none() -> None:
    turns = [Turn(10.0, 12.0, 1)]
    near, far = 10.0 - MAX_DISTANCE_SECONDS / 2, 10.0 - MAX_DISTANCE_SECONDS * 2
    assert found(turns, segment(word("hm", near - 0.3, near))) == [("B", " hm")]
    assert found(turns, segment(word("hm", far - 0.3, far))) == [(None, " hm")]


def test_words_in_a_hole_go_with_those_around_them() -> None:
    spoken = segment(word("a", 0.0, 0.2), word("b", 5.0, 5.2), word("c", 9.8, 10.0))
    assert found([Turn(0.0, 0.3, 0), Turn(9.7, 10.0, 0)], spoken) == [("A", " a b c")]
    late = segment(word("a", 0.0, 0.2), word("b", 5.0, 5.2))
    assert found([Turn(5.0, 6.0, 1)], late) == [("B", " a b")]


def test_a_segment_without_words_goes_as_a_whole() -> None:
    plain = Segment(0.0, 4.0, " all of it", 0, (), 0.0, -0.1, 1.0, 0.0)
    assert found([Turn(0.0, 3.0, 1), Turn(3.0, 4.0, 0)], plain) == [("B", " all of it")]


def test_segments_that_overlap_earlier_ones_find_their_turns() -> None:
    """Turns are looked for from where the last segment was."""
    turns = [Turn(float(n), n + 1.0, n % 2) for n in range(100)]
    segments = [segment(word("x", s, s + 0.9)) for s in (50.0, 49.0, 51.0, 98.0)]
    assert [speaker for speaker, _ in found(turns, *segments)] == ["A", "B", "B", "A"]


def test_only_speakers_with_text_are_listed() -> None:
    transcription = Transcription("en", 1.0, (), 9.0, (segment(word("x", 0.0, 1.0)),))
    result = with_speakers(transcription, PieceSpeakers((Turn(0.0, 1.0, 1),), VOICES))
    assert result.speakers is not None
    assert [(speaker.id, speaker.seconds) for speaker in result.speakers] == [("B", 10.0)]
    assert with_speakers(transcription, PieceSpeakers()).speakers == ()
