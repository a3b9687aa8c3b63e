"""Marks where another speaker or channel speaks."""

from stt.domain.transcript import Segment
from stt.transcripts.formats import Cue, Gap
from stt.transcripts.speaker_marks import with_speaker_marks


def texts(*cues: Cue) -> list[str]:
    return [cue.text for cue in with_speaker_marks(cues) if isinstance(cue, Segment)]


def said(text: str, channel: int | None = None, speaker: str | None = None) -> Segment:
    return Segment(0.0, 1.0, text, channel=channel, speaker=speaker)


def test_a_name_is_where_the_speaker_changes() -> None:
    assert texts(
        said("Hello.", speaker="Ada"), said("Ada here."), said("Hi.", speaker="SPEAKER_02"),
        said("So?", speaker="SPEAKER_02"), said("", speaker="Ada"), said("Yes.", speaker="Ada"),
    ) == [
        "[Ada] Hello.", "Ada here.", "[SPEAKER_02] Hi.", "So?", "", "[Ada] Yes.",
    ]  # fmt: skip


def test_a_mark_is_where_the_channel_changes() -> None:
    assert texts(
        said("Hello.", 1), said("Hi.", 2), said("", 1), said("It is me.", 2), said("Oh.", 1)
    ) == ["[Channel 1] Hello.", "[Channel 2] Hi.", "", "It is me.", "[Channel 1] Oh."]


def test_mixed_channels_have_no_marks_and_gaps_stay() -> None:
    cues: list[Cue] = [said("Hello.", None), Gap(1.0, 2.0), said("Hi.", None)]
    assert list(with_speaker_marks(cues)) == cues
