"""What the harness counts: words, inventions, languages, silences, times."""

import numpy as np
import pytest

from stt.media.audio import SAMPLE_RATE
from tools.fidelity_lab.measures import Segment, measure
from tools.fidelity_lab.tape import NO_SPEECH, PLAIN, SpeechSet, Spoken
from tools.fidelity_lab.words import words_of

FIRST = Spoken(1.0, 3.0, "en", "Please enter your number.")
SECOND = Spoken(4.0, 6.0, "en", "The line is busy.")
THIRD = Spoken(7.0, 12.0, "fr", "Composez votre numéro de téléphone.")
SPEECH = SpeechSet("test", PLAIN, np.zeros(15 * SAMPLE_RATE, np.int16), (FIRST, SECOND, THIRD))
RIGHT = [
    Segment(1.0, 3.2, "Please enter your number."),
    Segment(4.0, 5.9, "The line is busy."),
    Segment(7.0, 12.0, "Composez votre numero de téléphone !"),
]


@pytest.mark.parametrize(
    ("one", "other", "language"),
    [
        ("Press one, two.", "press 12", "en"),
        ("It's the caller’s line", "It is the caller is line", "en"),
        ("twenty-one", "21", "en"),
        ("Marque el número dos", "marque el numero 2", "es"),
        ("premere uno", "Premere 1!", "it"),
        ("appuyez sur vingt et un", "Appuyez sur 21.", "fr"),
        ("Нажмите три", "нажмите 3…", "ru"),
    ],
)
def test_words_are_alike_however_they_are_written(one: str, other: str, language: str) -> None:
    assert words_of(one, language) == words_of(other, language)


def test_words_of_nothing_are_none() -> None:
    assert words_of(" … - !", "en") == words_of("", "ru") == []


def test_a_right_transcript_has_no_error() -> None:
    found = measure(SPEECH, RIGHT)
    assert (found.words, found.wrong, found.phantoms, found.mistakes) == (13, 0, [], [])
    assert found.silent_stretches == []
    assert found.cue_end_errors == pytest.approx([0.2, -0.1, 0.0])
    assert all(prompt.is_in_its_language for prompt in found.prompts)
    assert {prompt.reported_language for prompt in found.prompts} == {None}


def test_deleted_inserted_and_changed_words_are_counted_at_their_prompt() -> None:
    transcript = [
        Segment(1.0, 3.0, "Please your number"),
        Segment(4.0, 6.0, "The line is very dizzy"),
        RIGHT[2],
    ]
    found = measure(SPEECH, transcript)
    first, second, third = found.prompts
    assert (first.deleted, first.inserted, first.changed) == (1, 0, 0)
    assert (second.deleted, second.inserted, second.changed) == (0, 1, 1)
    assert third.wrong == 0
    assert found.phantoms == []  # two at most, and where speech is
    assert [mistake.partition(": ")[2] for mistake in found.mistakes] == [
        "enter → -",
        "busy → very dizzy",
    ]


def test_many_inserted_words_in_a_row_are_phantoms() -> None:
    transcript = [*RIGHT[:2], Segment(6.1, 6.5, "Thank you for watching"), RIGHT[2]]
    assert measure(SPEECH, transcript).phantoms == ["thank", "you", "for", "watching"]


def test_a_single_word_is_a_phantom_far_from_speech() -> None:
    transcript = [*RIGHT, Segment(13.0, 14.0, "Merci.")]
    assert measure(SPEECH, transcript).phantoms == ["merci"]


def test_every_word_without_speech_is_a_phantom() -> None:
    quiet = SpeechSet("quiet", NO_SPEECH, np.zeros(SAMPLE_RATE, np.int16))
    found = measure(quiet, [Segment(0.0, 1.0, "you.")])
    assert (found.phantoms, found.words) == (["you"], 0)
    assert measure(quiet, []).phantoms == []


def test_speech_of_more_than_three_seconds_without_text_is_found() -> None:
    found = measure(SPEECH, RIGHT[:2])
    assert found.silent_stretches == [pytest.approx((7.0, 12.0))]
    assert measure(SPEECH, RIGHT[1:]).silent_stretches == []  # two seconds of it
    assert measure(SPEECH, []).silent_stretches == [pytest.approx((1.0, 12.0))]


def test_a_translated_prompt_is_not_in_its_language() -> None:
    transcript = [*RIGHT[:2], Segment(7.0, 12.0, "Dial your telephone code", "en")]
    found = measure(SPEECH, transcript)
    assert [prompt.is_in_its_language for prompt in found.prompts] == [True, True, False]
    assert found.silent_stretches == []


def test_the_language_that_most_segments_of_a_prompt_report_is_kept() -> None:
    transcript = [
        Segment(1.0, 3.0, RIGHT[0].text, "en"),
        Segment(7.0, 8.0, "Composez", "en"),
        Segment(8.0, 12.0, "votre numero de téléphone", "fr"),
    ]
    reported = [prompt.reported_language for prompt in measure(SPEECH, transcript).prompts]
    assert reported == ["en", None, "fr"]


def test_only_segments_that_end_with_a_prompt_say_how_far_cue_ends_are() -> None:
    transcript = [
        Segment(1.0, 2.0, "Please enter"),
        Segment(2.0, 5.0, "your number. The line"),
        Segment(5.0, 6.5, "is busy."),
        RIGHT[2],
    ]
    assert measure(SPEECH, transcript).cue_end_errors == pytest.approx([0.5, 0.0])


def test_stretches_are_cut_in_the_middle_of_the_pause_where_the_language_changes() -> None:
    first, second = SPEECH.stretches
    assert (first.start, first.end, first.language) == (0.0, 6.5, "en")
    assert (second.start, second.end, second.language) == (6.5, 15.0, "fr")
