"""Recordings are found in folders, with their paths below them."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from stt.media.folders import find_recordings
from stt.media.recording_path import RecordingPath


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.mp3", "a.WAV", "notes.txt", ".hidden.mp3", "sub/c.mkv", ".git/d.mp3"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def paths_of(named: Iterable[Path]) -> list[Path]:
    return [found.path for found in find_recordings(named)]


def test_folders_are_searched_for_recordings_in_order(folder: Path) -> None:
    found = [path.relative_to(folder).as_posix() for path in paths_of([folder])]
    assert found == ["a.WAV", "b.mp3", "sub/c.mkv"]


def test_a_file_is_taken_as_it_is_named(folder: Path) -> None:
    named = [folder / "notes.txt", folder / ".hidden.mp3"]
    assert paths_of(named) == named


def test_a_missing_path_does_not_stop_the_others(folder: Path) -> None:
    found = paths_of([folder / "nowhere", folder / "sub"])
    assert found == [folder / "nowhere", folder / "sub" / "c.mkv"]


def test_links_that_lead_in_a_circle_end(folder: Path) -> None:
    (folder / "sub" / "up").symlink_to(folder)
    assert len(paths_of([folder])) == 3


def test_a_file_in_a_folder_has_its_path_below_it_and_a_named_one_its_name(folder: Path) -> None:
    found = list(find_recordings([folder, folder / "sub" / "c.mkv"]))
    assert [(f.place.path, f.place.folder, f.is_named) for f in found] == [
        ("a.WAV", folder.name, False),
        ("b.mp3", folder.name, False),
        ("sub/c.mkv", folder.name, False),
        ("c.mkv", "sub", True),
    ]


def test_the_folder_that_one_is_in_has_a_name_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder / "sub")
    assert [f.place for f in find_recordings([Path()])] == [RecordingPath("c.mkv", "sub")]
    assert [f.place for f in find_recordings([Path("c.mkv")])] == [RecordingPath("c.mkv", "sub")]
