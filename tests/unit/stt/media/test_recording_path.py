"""Where a recording lay, as it is stored."""

import os
from pathlib import Path

import pytest

from stt.media.recording_path import RecordingPath


def test_it_is_the_path_below_the_folder_that_was_given() -> None:
    place = RecordingPath.below(Path("/srv/talks"), Path("/srv/talks/A/ep01.wav"))
    assert place == RecordingPath("A/ep01.wav", "talks")
    assert place.filename == "ep01.wav"


def test_a_file_of_the_root_has_no_folder() -> None:
    assert RecordingPath.of_file(Path("/talk.wav")) == RecordingPath("talk.wav", None)


def test_the_same_letters_are_the_same_path_however_they_are_written() -> None:
    place = RecordingPath.below(Path("x"), Path("x/U\u0308bung/cafe\u0301.wav"))
    assert place.path == "\u00dcbung/caf\u00e9.wav"


def test_what_cannot_be_shown_is_replaced_in_every_part() -> None:
    name = os.fsdecode(b"x/caf\xe9\n/a\x1b.wav")
    assert RecordingPath.below(Path("x"), Path(name)).path == "caf\ufffd\ufffd/a\ufffd.wav"


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("talk.wav", RecordingPath("talk.wav")),
        ("talks/A/ep01.wav", RecordingPath("A/ep01.wav", "talks")),
        ("talks/ep01.wav", RecordingPath("ep01.wav", "talks")),
        ("../../x.wav", RecordingPath("../../x.wav")),
        ("/etc/x.wav", RecordingPath("/etc/x.wav")),
        ("a//x.wav", RecordingPath("a//x.wav")),
        ("a/ ../x.wav", RecordingPath("a/ ../x.wav")),
    ],
)
def test_an_upload_may_be_named_by_its_path(name: str, place: RecordingPath) -> None:
    assert RecordingPath.sent(name) == place


@pytest.mark.parametrize(
    ("name", "filename"), [("talks/A/ep01.wav", "ep01.wav"), ("../../x.wav", "../../x.wav")]
)
def test_a_name_that_leads_elsewhere_is_text(name: str, filename: str) -> None:
    assert RecordingPath.sent(name).filename == filename
