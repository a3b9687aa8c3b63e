"""Names that tell recordings apart, and what a person may call them."""

import unicodedata

import pytest
from bson import ObjectId

from stt.domain.chunk import Recording
from stt.store.database import Database
from stt.store.recording_names import RecordingName, labels_of, named, recording_names, spellings
from tests.support.queue_builder import add_recording


def recording(path: str, folder: str | None = None, filename: str = "") -> Recording:
    return Recording(
        ObjectId(), filename or path.rpartition("/")[2], path=path or None, folder=folder
    )


A = recording("A/ep01.wav", "talks")
B = recording("B/ep01.wav", "talks")
ALONE = recording("A/x/talk.mp3", "talks")
OLD = recording("", None, "ep01.wav")


def labels(*recordings: Recording) -> list[str]:
    found = labels_of(recordings)
    return [found[recording.id] for recording in recordings]


class TestLabels:
    def test_a_name_that_is_alone_is_a_file_name(self) -> None:
        assert labels(ALONE, A) == ["talk.mp3", "ep01.wav"]

    def test_namesakes_have_as_many_folders_as_they_need(self) -> None:
        deep = recording("x/A/ep01.wav", "more")
        assert labels(A, B, ALONE) == ["A/ep01.wav", "B/ep01.wav", "talk.mp3"]
        assert labels(A, B, deep) == ["talks/A/ep01.wav", "B/ep01.wav", "x/A/ep01.wav"]

    def test_folders_that_were_given_one_after_the_other_tell_apart(self) -> None:
        first, second = recording("ep01.wav", "season1"), recording("ep01.wav", "season2")
        assert labels(first, second, OLD) == ["season1/ep01.wav", "season2/ep01.wav", "ep01.wav"]

    def test_the_id_tells_apart_what_lay_in_one_place(self) -> None:
        twin = recording("A/ep01.wav", "talks")
        assert labels(A, twin) == [f"talks/A/ep01.wav ({r.id})" for r in (A, twin)]
        assert labels(A, A) == ["ep01.wav", "ep01.wav"]

    def test_a_path_of_another_program_that_does_not_fit_the_name_counts_for_nothing(self) -> None:
        assert labels(recording("x/y.wav", None, "ep01.wav"), B) == ["ep01.wav", "B/ep01.wav"]


class TestWhatAPersonMayMean:
    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("ep01.wav", [A, B, OLD]),
            ("A/ep01.wav", [A, OLD]),
            ("./A/ep01.wav", [A, OLD]),
            ("talks/A/ep01.wav", [A]),
            ("/srv/talks/B/ep01.wav", [B, OLD]),
            ("C/ep01.wav", [OLD]),
            ("01.wav", []),
            ("", []),
            ("/", []),
        ],
    )
    def test_a_name_or_the_end_of_a_path(self, name: str, meant: list[Recording]) -> None:
        assert named(name, [A, B, ALONE, OLD]) == meant

    def test_a_whole_path_goes_before_the_end_of_another(self) -> None:
        longer = recording("x/talks/A/ep01.wav", "more")
        assert named("talks/A/ep01.wav", [longer, A]) == [A]
        assert named("A/ep01.wav", [longer, A]) == [longer, A]

    def test_a_name_that_looks_like_a_path_is_a_name_too(self) -> None:
        odd = recording("../../x.wav", None, "../../x.wav")
        assert named("../../x.wav", [odd, A]) == [odd]

    def test_letters_are_the_same_in_every_form(self) -> None:
        mixed = recording("", None, "U\u0308bung caf\u00e9.wav")
        for form in ("NFC", "NFD"):
            assert named(unicodedata.normalize(form, mixed.filename), [mixed]) == [mixed]
        assert spellings("caf\u00e9") == {"caf\u00e9", "cafe\u0301"}


def test_names_are_read_from_the_database(database: Database) -> None:
    first, second = (
        add_recording(database, filename="ep01.wav", path=f"{folder}/ep01.wav", folder="talks")
        for folder in "AB"
    )
    unknown = ObjectId()
    assert recording_names(database, [first, unknown, "text", None]) == {
        first: RecordingName("ep01.wav", "A/ep01.wav", "A/ep01.wav"),
        unknown: RecordingName(str(unknown), None, str(unknown)),
        "text": RecordingName("text", None, "text"),
        None: RecordingName("", None, ""),
    }
    assert recording_names(database, [second])[second].label == "B/ep01.wav"
