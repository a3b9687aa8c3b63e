"""Recordings are found in folders, with their paths below them."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from stt.media.folders import PassedOver, find_recordings
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


class TestPassedOver:
    def names(self, paths: list[Path], folder: Path) -> list[str]:
        return [path.relative_to(folder).as_posix() for path in paths]

    def test_what_is_no_recording_is_known_and_what_usually_lies_beside_one_is_apart(
        self, folder: Path
    ) -> None:
        for name in ("report.pdf", "sub/c.srt", "sub/cover.JPG", "all.m3u8", "noname"):
            (folder / name).touch()
        passed_over = PassedOver()
        assert len(list(find_recordings([folder], passed_over))) == 3
        assert self.names(passed_over.unexpected, folder) == ["noname", "report.pdf"]
        assert self.names(passed_over.expected, folder) == [
            ".hidden.mp3", "all.m3u8", "notes.txt", "sub/c.srt", "sub/cover.JPG",
        ]  # fmt: skip

    def test_a_link_to_another_folder_is_followed_and_one_that_leads_in_a_circle_is_named(
        self, folder: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        elsewhere = tmp_path_factory.mktemp("elsewhere")
        (elsewhere / "far.wav").touch()
        (folder / "a_link").symlink_to(elsewhere)
        (folder / "a_sub").symlink_to(folder / "sub")
        (elsewhere / "back").symlink_to(folder)
        passed_over = PassedOver()
        found = [f.place.path for f in find_recordings([folder], passed_over)]
        assert found == ["a.WAV", "b.mp3", "sub/c.mkv", "a_link/far.wav"]
        assert self.names(passed_over.loops, folder) == ["a_link/back", "a_sub"]

    def test_a_link_to_itself_is_passed_on_and_the_rest_goes_on(self, folder: Path) -> None:
        (folder / "loop.mp3").symlink_to(folder / "loop.mp3")
        assert [path.name for path in paths_of([folder])] == [
            "a.WAV", "b.mp3", "loop.mp3", "c.mkv",
        ]  # fmt: skip

    def test_a_folder_that_vanishes_or_cannot_be_read_is_passed_on(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        listed = Path.iterdir

        def iterdir(path: Path) -> Iterator[Path]:
            if path.name == "sub":
                raise PermissionError(13, "Permission denied")
            return listed(path)

        monkeypatch.setattr(Path, "iterdir", iterdir)
        assert [path.name for path in paths_of([folder])] == ["a.WAV", "b.mp3", "sub"]
