"""Words of an edited text keep their times, or share what is between."""

import pytest

from stt.domain.transcript import Segment, Word
from stt.transcripts.edited_text import with_text

SAID = Segment(
    0.0,
    4.0,
    "My name is Jon Smith.",
    words=tuple(
        Word(start, start + 0.5, f" {text}", 0.9)
        for start, text in ((0.0, "My"), (1.0, "name"), (2.0, "is"), (3.0, "Jon"), (3.5, "Smith."))
    ),
)


def texts(segment: Segment) -> list[str]:
    return [word.word.strip() for word in segment.words]


def test_words_that_stay_keep_their_times_and_the_others_lie_between() -> None:
    edited = with_text(SAID, "My  name is\nJohn Smith.")
    assert edited.text == "My name is John Smith."
    assert texts(edited) == ["My", "name", "is", "John", "Smith."]
    assert [edited.words[n] for n in (0, 1, 2, 4)] == [SAID.words[n] for n in (0, 1, 2, 4)]
    john = edited.words[3]
    assert SAID.words[2].end <= john.start < john.end <= SAID.words[4].start
    assert john.probability is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("Smith.", ["Smith."]),
        ("Well, my name is Jon Smith.", ["Well,", "my", "name", "is", "Jon", "Smith."]),
        ("Something else entirely", ["Something", "else", "entirely"]),
        ("Jon Smith is my name", ["Jon", "Smith", "is", "my", "name"]),
    ],
)
def test_all_words_of_the_text_are_there_in_order_of_time(text: str, words: list[str]) -> None:
    edited = with_text(SAID, text)
    assert texts(edited) == words
    times = [time for word in edited.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert all(0.0 <= time <= 4.0 for time in times)


def test_scripts_without_blanks_are_divided_too() -> None:
    said = Segment(0.0, 2.0, "你好世界", words=(Word(0.0, 1.0, "你好"), Word(1.0, 2.0, "世界")))
    edited = with_text(said, "你好新世界")
    assert "".join(texts(edited)) == "你好新世界"
    assert edited.words[0].start == 0.0
    assert edited.words[-1].end <= 2.0


def test_a_segment_without_words_gets_none() -> None:
    assert with_text(Segment(0.0, 1.0, "Jon"), "John") == Segment(0.0, 1.0, "John")
