"""Dealing a transcript of joined audio to the chunks it was made of."""

from dataclasses import replace

import pytest

from stt.domain.transcript import LocalSpeaker, Segment, Transcript, Word
from stt.worker.transcript_splitting import split, with_own_speakers, without_words


def transcript_of(*segments: Segment) -> Transcript:
    return Transcript(segments=segments, language="en", model="base")


def cues(pieces: list[Transcript]) -> list[list[tuple[float, float, str]]]:
    return [[(s.start, s.end, s.text) for s in piece.segments] for piece in pieces]


def test_each_segment_goes_to_its_chunk_in_the_chunks_own_time() -> None:
    whole = transcript_of(Segment(1, 2, "one"), Segment(31, 32.5, "two"), Segment(70, 71, "three"))
    assert cues(split(whole, [30, 30, 30])) == [
        [(1, 2, "one")],
        [(1, 2.5, "two")],
        [(10, 11, "three")],
    ]


def test_a_segment_over_a_border_is_cut_between_two_words() -> None:
    words = (Word(28, 28.5, " so"), Word(29, 29.9, " long"), Word(30.1, 30.6, " and"))
    whole = transcript_of(Segment(28, 30.6, "so long and", words=words))
    assert cues(split(whole, [30, 30])) == [[(28, 29.9, "so long")], [(0.1, 0.6, "and")]]


def test_words_of_servers_that_strip_blanks_are_joined_with_them() -> None:
    whole = transcript_of(
        Segment(
            29, 31, "a b c", words=(Word(29, 29.2, "a"), Word(29.3, 29.4, "b"), Word(30.5, 31, "c"))
        )
    )
    assert [piece.text for piece in split(whole, [30, 30])] == ["a b", "c"]


def test_without_words_a_segment_goes_whole_to_where_its_middle_lies() -> None:
    whole = transcript_of(Segment(29, 34, "mostly second"))
    assert cues(split(whole, [30, 30])) == [[], [(0.0, 4, "mostly second")]]


def test_times_beyond_the_audio_are_brought_back_into_the_chunk() -> None:
    assert cues(split(transcript_of(Segment(8, 12, "end")), [10])) == [[(8, 10, "end")]]
    assert cues(split(transcript_of(Segment(11, 12, "end")), [10])) == [[(10, 10, "end")]]


def test_silence_gives_every_chunk_an_empty_transcript() -> None:
    pieces = split(transcript_of(), [30, 30])
    assert [piece.segments for piece in pieces] == [(), ()]
    assert {piece.language for piece in pieces} == {"en"}


def test_speech_without_text_is_shared_out_by_the_time_that_has_none() -> None:
    whole = replace(transcript_of(Segment(0, 20, "long")), silent_speech_seconds=8)
    assert [part.silent_speech_seconds for part in split(whole, [30, 30])] == [2.0, 6.0]
    full = replace(transcript_of(Segment(0, 10, "all of it")), silent_speech_seconds=8)
    assert [part.silent_speech_seconds for part in split(full, [10])] == [8.0]


@pytest.mark.parametrize("count", [1, 2, 7])
def test_no_word_is_lost_or_doubled(count: int) -> None:
    words = tuple(Word(n * 0.7, n * 0.7 + 0.5, f" w{n}") for n in range(40))
    text = " ".join(f"w{n}" for n in range(40))
    pieces = split(transcript_of(Segment(0, 28, text, words=words)), [28 / count] * count)
    assert " ".join(piece.text for piece in pieces if piece.text) == text


def test_words_are_dropped_unless_they_are_kept() -> None:
    whole = transcript_of(Segment(0, 1, "a", words=(Word(0, 1, " a"),)))
    assert without_words(whole).segments[0].words == ()
    assert whole.segments[0].words != ()


def test_when_words_are_left_out_their_segment_keeps_their_times() -> None:
    words = (Word(4.0, 4.3, " for"), Word(4.3, 16.0, " them."))
    stretched = Segment(0.0, 16.0, "for them.", words=words)
    other = Segment(16.0, 20.0, "No words.")
    [first, second] = without_words(Transcript((stretched, other))).segments
    assert (first.start, first.end) == (4.0, 4.8)
    assert second == other


def test_speakers_go_with_their_segments_and_their_seconds() -> None:
    speakers = (LocalSpeaker("A", 25.0, "aa=="), LocalSpeaker("B", 4.0, "bb=="))
    whole = replace(
        transcript_of(
            Segment(0, 10, "one", speaker="A"),
            Segment(30, 34, "two", speaker="B"),
            Segment(40, 55, "three", speaker="A"),
            Segment(56, 57, "who?"),
        ),
        speakers=speakers,
    )
    first, second = split(whole, [30, 30])
    assert first.speakers == (LocalSpeaker("A", 10.0, "aa=="),)
    assert second.speakers == (LocalSpeaker("A", 15.0, "aa=="), LocalSpeaker("B", 4.0, "bb=="))
    assert split(replace(whole, speakers=None), [60])[0].speakers is None


def test_the_speakers_of_each_call_have_ids_of_their_own() -> None:
    found = replace(
        transcript_of(Segment(0, 1, "x", speaker="A"), Segment(1, 2, "y")),
        speakers=(LocalSpeaker("A", 1.0, "aa=="),),
    )
    one, other = with_own_speakers(found), with_own_speakers(found)
    assert one.speakers is not None
    assert other.speakers is not None
    assert one.speakers[0].id != other.speakers[0].id
    assert [segment.speaker for segment in one.segments] == [one.speakers[0].id, None]
    assert with_own_speakers(replace(found, speakers=None)).speakers is None
