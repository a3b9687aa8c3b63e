"""Speakers, their names, and who was merged into whom."""

import pytest

from stt.domain.speakers import RecordingSpeakers, Speaker
from stt.errors import NotFound

ADA = Speaker("SPEAKER_01", 20.0, "", name="Ada")
BOB = Speaker("SPEAKER_02", 5.25, "", into="SPEAKER_01")
CY = Speaker("SPEAKER_03", 7.0, "")
GONE = Speaker("SPEAKER_04", 0.0, "", name="Dee")
ALL = RecordingSpeakers((ADA, BOB, CY, GONE), {"1:A": ADA.id, "1:B": BOB.id, "2:A": CY.id})


def test_those_who_speak_are_listed_with_the_time_of_those_merged_into_them() -> None:
    assert [(one.label, one.seconds) for one in ALL.listed()] == [
        ("Ada", 25.2),
        ("SPEAKER_03", 7.0),
    ]


def test_a_local_speaker_is_whom_it_was_merged_into() -> None:
    assert [ALL.label(id_) for id_ in ("1:A", "1:B", "2:A", "9:Z", None)] == [
        "Ada", "Ada", "SPEAKER_03", None, None,
    ]  # fmt: skip


def test_two_merged_into_each_other_are_the_first_of_them() -> None:
    first, second = Speaker("1", 1.0, "", into="2"), Speaker("2", 1.0, "", into="1")
    both = RecordingSpeakers((first, second), {"a": "1", "b": "2"})
    assert [both.label(id_) for id_ in ("a", "b")] == ["1", "1"]
    assert [(one.id, one.seconds) for one in both.listed()] == [("1", 2.0)]


def test_one_is_found_by_id_or_name_in_any_case() -> None:
    assert ALL.find("ada") == ALL.find("speaker_01") == ALL.listed()[0]
    for name in ("SPEAKER_02", "Dee", ""):  # merged, silent, none
        with pytest.raises(NotFound, match="there are: Ada, SPEAKER_03"):
            ALL.find(name)
