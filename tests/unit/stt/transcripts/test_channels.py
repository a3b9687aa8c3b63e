"""Marks where another channel speaks."""

from stt.domain.transcript import Segment
from stt.transcripts.channels import with_channel_marks
from stt.transcripts.formats import Cue, Gap


def texts(*cues: Cue) -> list[str]:
    return [cue.text for cue in with_channel_marks(cues) if isinstance(cue, Segment)]


def said(text: str, channel: int | None) -> Segment:
    return Segment(0.0, 1.0, text, channel=channel)


def test_a_mark_is_where_the_channel_changes() -> None:
    assert texts(
        said("Hello.", 1), said("Hi.", 2), said("", 1), said("It is me.", 2), said("Oh.", 1)
    ) == ["[Channel 1] Hello.", "[Channel 2] Hi.", "", "It is me.", "[Channel 1] Oh."]


def test_mixed_channels_have_no_marks_and_gaps_stay() -> None:
    cues: list[Cue] = [said("Hello.", None), Gap(1.0, 2.0), said("Hi.", None)]
    assert list(with_channel_marks(cues)) == cues
