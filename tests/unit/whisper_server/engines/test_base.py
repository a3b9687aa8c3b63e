"""A transcript as text."""

from whisper_server.engines.base import Segment, Transcription


def test_the_text_of_a_transcript_is_that_of_its_segments_as_they_come() -> None:
    numbers = (0, (), 0.0, 0.0, 1.0, 0.0)
    segments = (Segment(0, 1, " Hello,", *numbers), Segment(1, 2, " you.", *numbers))
    assert Transcription("en", 1.0, (), 2.0, segments).text == "Hello, you."
    assert Transcription("en", 0.0, (), 2.0, ()).text == ""
