"""Marks where another speaker or channel speaks."""

import pytest

from stt.domain.transcript import Segment
from stt.transcripts.formats import WRITERS, Cue, Gap, TranscriptHeader
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
        "[Ada] Hello.", "[?] Ada here.", "[SPEAKER_02] Hi.", "So?", "", "[Ada] Yes.",
    ]  # fmt: skip


def test_a_mark_is_where_the_channel_changes() -> None:
    assert texts(
        said("Hello.", 1), said("Hi.", 2), said("", 1), said("It is me.", 2), said("Oh.", 1)
    ) == ["[Channel 1] Hello.", "[Channel 2] Hi.", "", "It is me.", "[Channel 1] Oh."]


def test_mixed_channels_have_no_marks_and_gaps_stay() -> None:
    cues: list[Cue] = [said("Hello.", None), Gap(1.0, 2.0), said("Hi.", None)]
    assert list(with_speaker_marks(cues)) == cues


def test_one_who_is_not_known_is_not_taken_for_the_one_before() -> None:
    cues: list[Cue] = [
        said("Hm."), said("I think,", speaker="Ada"), said("no,"), said("wrong."), Gap(1.0, 2.0),
        said("Is it?"), said("It is.", speaker="Ada"),
    ]  # fmt: skip
    assert texts(*cues) == [
        "Hm.", "[Ada] I think,", "[?] no,", "wrong.", "Is it?", "[Ada] It is.",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["txt", "srt", "vtt", "tsv"])
def test_two_who_share_a_sentence_have_a_line_each(name: str) -> None:
    cues: list[Cue] = [
        Segment(0.0, 1.0, "I think,", speaker="Ada"), Segment(1.0, 2.0, "no, wrong."),
        Segment(2.0, 3.0, "you are right.", speaker="Ada"),
    ]  # fmt: skip
    header = TranscriptHeader("1", "talk.mp3", 1)
    text = "".join(WRITERS[name](header, lambda: with_speaker_marks(cues)))
    lines = [line[line.index("[") :] for line in text.splitlines() if "[" in line]
    assert lines == ["[Ada] I think,", "[?] no, wrong.", "[Ada] you are right."]


@pytest.mark.parametrize(("speaker", "mark"), [("Ann Jr.", "[Ann Jr.]"), (None, "[?]")])
def test_a_mark_stands_on_the_line_of_the_text(speaker: str | None, mark: str) -> None:
    cues = [said("Hello.", speaker="Bo"), said("Hello.", speaker=speaker)]
    text = "".join(
        WRITERS["txt"](TranscriptHeader("1", "a.mp3", 1), lambda: with_speaker_marks(cues))
    )
    assert text == f"[Bo] Hello.\n{mark} Hello.\n"
