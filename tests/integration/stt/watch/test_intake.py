"""Files of a watched folder are ingested once each, when they are at rest."""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from stt.errors import RecordingError
from stt.store.database import Database
from stt.store.ingest import Ingested
from stt.store.ingest_options import IngestOptions
from stt.store.recordings import MongoRecordings
from stt.watch import intake as module
from stt.watch.intake import Intake
from stt.watch.state import WatchState
from tests.support.recordings import babble, write_wav

_LONG_AGO = 1_700_000_000


class Taken:
    """An intake, and the names of what it has ingested."""

    def __init__(self, folder: Path, state: WatchState, database: Database) -> None:
        self.names: list[str] = []
        self.statuses: list[str] = []
        self.intake = Intake(folder, state, database, IngestOptions(), 5.0, self._note)

    def _note(self, path: Path, ingested: Ingested) -> None:
        self.names.append(path.name)
        self.statuses.append(ingested.status)

    def search(self) -> list[str]:
        """Return the names of what is ingested now."""
        before = len(self.names)
        self.intake.search()
        while self.intake.take_one():
            pass
        return self.names[before:]


@pytest.fixture
def taken(folder: Path, state: WatchState, database: Database) -> Taken:
    return Taken(folder, state, database)


@pytest.fixture
def write(folder: Path) -> Callable[..., Path]:
    def write(name: str, seconds: float = 1.0, *, seed: int = 0) -> Path:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        write_wav(path, babble(seconds, seed=seed) if seed else babble(seconds))
        os.utime(path, (_LONG_AGO + seed, _LONG_AGO + seed))
        return path

    return write


def test_each_file_is_ingested_once_with_its_place(
    taken: Taken, database: Database, write: Callable[..., Path]
) -> None:
    write("a.wav", 1.0)
    write("sub/b.wav", 2.0)
    assert taken.search() == ["a.wav", "b.wav"]
    assert taken.search() == []
    assert {one["path"] for one in database.recordings.find()} == {"a.wav", "sub/b.wav"}


def test_a_file_that_changes_is_left_alone_until_it_rests(
    taken: Taken, write: Callable[..., Path]
) -> None:
    path = write("a.wav")
    os.utime(path)
    assert taken.search() == []
    os.utime(path, (_LONG_AGO, _LONG_AGO))
    assert taken.search() == ["a.wav"]


def test_what_is_known_is_not_read_again_by_the_next_process(
    folder: Path, state: WatchState, database: Database, write: Callable[..., Path]
) -> None:
    write("a.wav")
    assert Taken(folder, state, database).search() == ["a.wav"]
    assert Taken(folder, state, database).search() == []


def test_a_copy_and_a_moved_file_are_the_same_recording(
    taken: Taken, database: Database, write: Callable[..., Path]
) -> None:
    path = write("a.wav")
    taken.search()
    path.with_name("copy.wav").write_bytes(path.read_bytes())
    os.utime(path.with_name("copy.wav"), (_LONG_AGO, _LONG_AGO))
    path.rename(path.with_name("moved.wav"))
    assert taken.search() == ["copy.wav", "moved.wav"]
    assert taken.statuses == ["ingested", "already there", "already there"]
    assert database.recordings.count_documents({}) == 1


def test_a_broken_file_is_one_warning_until_it_changes(
    taken: Taken, folder: Path, write: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    path = folder / "broken.mp3"
    path.write_bytes(b"no audio" * 100)
    os.utime(path, (_LONG_AGO, _LONG_AGO))
    assert taken.search() == taken.search() == []
    warnings = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert [str(path) in one.getMessage() for one in warnings] == [True]
    write_wav(path, babble(1))
    os.utime(path, (_LONG_AGO + 1, _LONG_AGO + 1))
    assert taken.search() == ["broken.mp3"]


def test_a_file_that_may_not_be_read_is_taken_when_it_may(
    taken: Taken, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("a.wav")
    monkeypatch.setattr(module, "ingest", Mock(side_effect=RecordingError("Permission denied")))
    assert taken.search() == []
    monkeypatch.undo()
    assert taken.search() == []
    path.chmod(0o600)
    assert taken.search() == ["a.wav"]


def test_a_file_that_changes_while_it_is_read_is_not_refused(
    taken: Taken, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("a.wav")

    def change(*_: object, **__: object) -> Ingested:
        os.utime(path, (_LONG_AGO + 9, _LONG_AGO + 9))
        raise RecordingError("it was changed while it was read")

    monkeypatch.setattr(module, "ingest", change)
    taken.intake.search()
    assert taken.intake.take_one()
    monkeypatch.undo()
    assert taken.search() == ["a.wav"]


def test_the_beginning_of_a_file_that_grew_on_is_removed(
    taken: Taken, database: Database, write: Callable[..., Path], state: WatchState
) -> None:
    path = write("a.wav", 3.0)
    whole = path.read_bytes()
    path.write_bytes(whole[:40_000])
    os.utime(path, (_LONG_AGO, _LONG_AGO))
    write("other.wav", 1.5)
    taken.search()
    state.forget(path)  # as if the process had ended before it was noted
    path.write_bytes(whole)
    os.utime(path, (_LONG_AGO + 1, _LONG_AGO + 1))
    assert taken.search() == ["a.wav"]
    assert {one["bytes"] for one in database.recordings.find({"filename": "a.wav"})} == {len(whole)}
    assert database.recordings.count_documents({}) == 2


def test_another_recording_of_the_same_name_stays_in_the_queue(
    taken: Taken, database: Database, write: Callable[..., Path]
) -> None:
    write("latest.wav", 1.0)
    taken.search()
    os.utime(write("latest.wav", 2.0), (_LONG_AGO + 1, _LONG_AGO + 1))
    assert taken.search() == ["latest.wav"]
    assert database.recordings.count_documents({}) == 2


def test_a_recording_that_was_removed_is_not_ingested_again(
    taken: Taken, database: Database, write: Callable[..., Path]
) -> None:
    write("a.wav")
    taken.search()
    [recording] = MongoRecordings(database).all()
    assert recording.id
    MongoRecordings(database).remove(recording.id)
    assert taken.search() == []


def test_reported_changes_are_looked_at_but_not_hidden_files_and_transcripts(
    taken: Taken, folder: Path, write: Callable[..., Path]
) -> None:
    files = [write("a.wav"), write(".part/b.wav"), write("sub/c.wav", 2.0), folder / "a.txt"]
    taken.intake.look_at([*files[:2], files[3], folder / "sub", folder.parent / "elsewhere.wav"])
    while taken.intake.take_one():
        pass
    assert taken.names == ["a.wav", "c.wav"]


def test_a_file_of_another_kind_is_looked_into_once(
    taken: Taken, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "program.ts").write_bytes(b"const a = 1;")
    looks: list[Path] = []
    monkeypatch.setattr(module, "is_recording", lambda path: looks.append(path))
    taken.search()
    taken.search()
    assert len(looks) == 1
    time.sleep(0.01)
    (folder / "program.ts").write_bytes(b"const a = 2; // changed")
    taken.search()
    assert len(looks) == 2


@pytest.mark.parametrize("mode", [0o755, 0o777], ids=["own", "shared"])
def test_links_are_followed_unless_another_user_may_have_made_them(
    taken: Taken, folder: Path, tmp_path: Path, write: Callable[..., Path], mode: int
) -> None:
    private = tmp_path / "private"
    private.mkdir()
    write("a.wav").rename(private.with_suffix(".wav"))
    write("c.wav", 2.0).rename(private / "c.wav")
    (folder / "talk.wav").symlink_to(private.with_suffix(".wav"))
    (folder / "sub").symlink_to(private)
    folder.chmod(mode)
    assert taken.search() == ([] if mode == 0o777 else ["talk.wav", "c.wav"])
