"""What is known of a watched folder's files outlives the process that learned it."""

import os
from pathlib import Path

import pytest
from bson import ObjectId

from stt.errors import ConfigError, SttError
from stt.watch.state import FileVersion, KnownFile, WatchState, WrittenText

FOLDER = Path("/recordings")
TALK = FOLDER / "talk.mp3"
VERSION = FileVersion(1_000, 2_000_000_000_123, 3)


def test_files_and_texts_are_there_after_a_restart(tmp_path: Path) -> None:
    file = KnownFile(TALK, VERSION, ObjectId(), FOLDER / "talk", is_written=True)
    refused = KnownFile(FOLDER / "broken.mp3", VERSION, None)
    text = WrittenText(FOLDER / "talk.txt", TALK, ObjectId(), "abc", "def")
    with WatchState(tmp_path, FOLDER) as state:
        state.save(file)
        state.save(refused)
        state.save_text(text)
        state.save_fact("last_look", "today")
    with WatchState(tmp_path, FOLDER) as state:
        assert set(state.files()) == {file, refused}
        assert state.file(TALK) == file
        assert state.text(text.path) == text
        assert state.texts_of(text.recording) == [text]
        assert state.fact("last_look") == "today"


def test_names_that_are_no_utf_8_are_kept(tmp_path: Path) -> None:
    path = FOLDER / os.fsdecode(b"caf\xe9.wav")
    with WatchState(tmp_path, FOLDER) as state:
        state.save(KnownFile(path, VERSION, None))
        assert [file.path for file in state.files()] == [path]


def test_only_files_of_recordings_wait_for_transcripts(tmp_path: Path) -> None:
    recording = ObjectId()
    with WatchState(tmp_path, FOLDER) as state:
        state.save(KnownFile(FOLDER / "broken.mp3", VERSION, None))
        state.save(KnownFile(TALK, VERSION, recording, is_written=True))
        assert state.waiting() == []
        state.write_again(recording)
        assert [file.path for file in state.waiting()] == [TALK]


def test_what_is_forgotten_leaves_what_was_written(tmp_path: Path) -> None:
    text = WrittenText(FOLDER / "talk.txt", TALK, ObjectId(), "abc")
    with WatchState(tmp_path, FOLDER) as state:
        state.save(KnownFile(TALK, VERSION, text.recording))
        state.save_text(text)
        assert state.has_other_file_of(text.recording, FOLDER / "copy.mp3")
        assert not state.has_other_file_of(text.recording, TALK)
        state.forget(TALK)
        assert state.file(TALK) is None
        state.forget_all()
        assert state.text(text.path) == text
        state.forget_text(text.path)
        assert state.text(text.path) is None


def test_a_folder_has_one_watcher_and_another_folder_another(tmp_path: Path) -> None:
    with (
        WatchState(tmp_path, FOLDER),
        WatchState(tmp_path, Path("/others")),
        pytest.raises(ConfigError, match="/recordings is watched already"),
    ):
        WatchState(tmp_path, FOLDER)
    WatchState(tmp_path, FOLDER).__exit__()


def test_a_damaged_file_is_put_aside(tmp_path: Path) -> None:
    with WatchState(tmp_path, FOLDER) as state:
        state.save(KnownFile(TALK, VERSION, None))
    [file] = tmp_path.iterdir()
    file.write_bytes(b"no database" * 1_000)
    with WatchState(tmp_path, FOLDER) as state:
        assert list(state.files()) == []
    assert file.with_suffix(".damaged").exists()


def test_a_place_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SttError, match="cannot be used: Not a directory"):
        WatchState(tmp_path / "file" / "states", FOLDER)


def test_a_version_tells_whether_content_may_have_changed(tmp_path: Path) -> None:
    path = tmp_path / "talk.wav"
    assert FileVersion.of(path) is None
    path.write_bytes(b"a")
    before = FileVersion.of(path)
    path.chmod(0o600)
    after = FileVersion.of(path)
    assert before
    assert after
    assert after.has_same_content(before)
    path.write_bytes(b"ab")
    grown = FileVersion.of(path)
    assert grown
    assert not grown.has_same_content(after)
