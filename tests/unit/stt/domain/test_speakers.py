"""Speakers, their names, and who was merged into whom."""

from dataclasses import replace

import pytest

from stt.domain.speakers import RecordingSpeakers, Speaker
from stt.errors import ConfigError, EditConflict, NotFound

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


def test_one_that_was_merged_is_said_to_be() -> None:
    with pytest.raises(NotFound, match=r"^SPEAKER_02 was merged into Ada; there are:"):
        ALL.find("SPEAKER_02")


def test_an_id_is_found_before_a_name_like_it() -> None:
    odd = RecordingSpeakers((Speaker("A", 1.0, "", name="B"), Speaker("B", 1.0, "")))
    assert odd.find("b").id == "B"


@pytest.mark.parametrize(
    ("who", "given", "stored"),
    [
        ("SPEAKER_03", " Cy\tof\nthe\x00 north ", "Cy of the north"),
        ("SPEAKER_03", "\u202eC\u200by\u2060 ", "Cy"),  # what does not show
        ("SPEAKER_03", "\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),  # Persian has it
        ("Ada", "", None),
        ("Ada", " \u200b", None),
        ("Ada", None, None),
        ("Ada", "speaker_01", None),  # its own id
        ("Ada", "ada", "ada"),
        ("SPEAKER_03", "Dee", "Dee"),  # of one who does not speak in the text as it is now
        ("SPEAKER_03", "x" * 100, "x" * 100),
    ],
)
def test_one_is_named(who: str, given: str | None, stored: str | None) -> None:
    id_ = ALL.find(who).id
    changed = ALL.renamed(who, given, before=ALL.find(who).label)
    assert changed.find(id_).name == stored
    others = [one for one in changed.speakers if one.id != id_]
    earlier = [one for one in ALL.speakers if one.id != id_]
    free = replace(GONE, name=None)
    assert others == [free if stored and one.name == stored else one for one in earlier]
    assert changed.find(id_).seconds == ALL.find(id_).seconds


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ADA", "There is a speaker Ada already: if both are one, merge them."),
        ("speaker_01", "SPEAKER_01 is another speaker."),
        ("SPEAKER_02", "SPEAKER_02 is another speaker."),
        ("speaker_09", "speaker_09 is an id: speakers without a name are called so."),
        ("SPEAKER_1\u200b", "SPEAKER_1 is an id"),
        ("A\u200bda", "There is a speaker Ada already"),
        ("x" * 101, "at most 100 characters"),
    ],
)
def test_a_name_of_another_one_is_refused(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ALL.renamed("SPEAKER_03", name)


def test_what_someone_else_has_named_meanwhile_is_not_overwritten() -> None:
    with pytest.raises(EditConflict, match=r"Eve was given another name in the meantime: Ada\."):
        ALL.renamed("SPEAKER_01", "Eva", before="Eve")
    assert ALL.renamed("SPEAKER_01", "Ada", before="Eve") is ALL  # it is done


def test_one_is_merged_into_another_and_no_name_is_lost() -> None:
    assert [one.label for one in ALL.merged("SPEAKER_03", "ada").listed()] == ["Ada"]
    merged = ALL.merged("Ada", "SPEAKER_03", before="Ada", into_before="SPEAKER_03")
    assert [(one.id, one.label, one.seconds) for one in merged.listed()] == [
        ("SPEAKER_03", "Ada", 32.2)
    ]
    assert ALL.merged("Ada", "SPEAKER_01") is ALL
    for before in ({"before": "SPEAKER_03"}, {"into_before": "Cy"}):
        with pytest.raises(EditConflict):
            ALL.merged("Ada", "SPEAKER_03", **before)


def test_a_name_is_the_same_however_its_accents_are_written() -> None:
    named = ALL.renamed("SPEAKER_03", "Zoe\u0301")
    assert named.find("Zo\u00e9 ").id == "SPEAKER_03"
    with pytest.raises(ConfigError, match="already"):
        named.renamed("Ada", "ZO\u00c9")


def test_a_name_is_found_however_it_was_copied() -> None:
    assert ALL.find("\ufeffAda\u200b").id == "SPEAKER_01"
    assert ALL.local_ids("\u202aada\u202c") == {"1:A", "1:B"}
