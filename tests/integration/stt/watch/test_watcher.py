"""A folder is watched: through restarts, a database that is another, and a folder that goes."""

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from unittest.mock import Mock

import numpy as np
import pytest
from bson import ObjectId

from stt.errors import SttError
from stt.store.database import Database
from stt.store.ingest import ingest
from stt.store.ingest_options import IngestOptions
from stt.store.recordings import MongoRecordings
from stt.store.recutting import remove_earlier
from stt.store.retranscription import transcribe_again
from stt.transcripts.files import save
from stt.watch import watcher as module
from stt.watch.state import WatchState
from stt.watch.watcher import FolderWatcher, WatchOptions, watch_folders
from tests.support.pace import until
from tests.support.recordings import babble, write_wav
from tests.support.recordings_in_queue import set_chunk, transcribe

_LONG_AGO = 1_700_000_000
_SOON = WatchOptions(settle_seconds=0.1, search_seconds=0.5)

Watching = Callable[[], FolderWatcher]


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(module, "_REST", 0.0)


@pytest.fixture
def watching(folder: Path, state: WatchState, database: Database) -> Iterator[Watching]:
    """Start a watcher anew; the one before has ended."""
    open_watchers: list[FolderWatcher] = []

    def start() -> FolderWatcher:
        while open_watchers:
            open_watchers.pop().__exit__()
        watcher = FolderWatcher(folder, state, database, _SOON, lambda *_: None, lambda: None)
        open_watchers.append(watcher)
        return watcher

    yield start
    while open_watchers:
        open_watchers.pop().__exit__()


def write(path: Path, seconds: float = 1.0) -> Path:
    path.parent.mkdir(exist_ok=True)
    write_wav(path, babble(seconds))
    os.utime(path, (_LONG_AGO, _LONG_AGO))
    return path


def hear(database: Database, text: str) -> None:
    """Transcribe every pending chunk."""
    for one in list(database.chunks.find({"transcribed_at": None, "failed_at": None})):
        transcribe(database, str(one["original_id"]), one["index"], text)
        now = database.server_time()
        set_chunk(database, str(one["original_id"]), one["index"], transcribed_at=now)


def step_until(watcher: FolderWatcher, condition: Callable[[], bool]) -> None:
    def holds() -> bool:
        watcher.step()
        return condition()

    until(holds)


def says(path: Path, text: str) -> Callable[[], bool]:
    return lambda: path.exists() and path.read_text() == f"{text}\n"


def waits(database: Database, count: int = 1) -> Callable[[], bool]:
    return lambda: database.chunks.count_documents({"transcribed_at": None}) == count


def test_new_files_go_in_and_transcripts_come_out(
    watching: Watching, folder: Path, database: Database
) -> None:
    watcher = watching()
    watcher.step()
    write(folder / "sub" / "talk.wav")
    step_until(watcher, waits(database))
    assert not (folder / "sub" / "talk.txt").exists()
    hear(database, "Hello.")
    step_until(watcher, says(folder / "sub" / "talk.txt", "Hello."))


def test_a_text_that_is_made_again_is_followed_also_while_nobody_watches(
    watching: Watching, folder: Path, database: Database
) -> None:
    write(folder / "talk.wav")
    watcher = watching()
    step_until(watcher, waits(database))
    hear(database, "One.")
    step_until(watcher, says(folder / "talk.txt", "One."))
    [recording] = MongoRecordings(database).all()
    assert isinstance(recording.id, ObjectId)
    transcribe_again(database, recording.id, {})
    hear(database, "Two.")
    step_until(watcher, says(folder / "talk.txt", "Two."))
    transcribe_again(database, recording.id, {})
    hear(database, "Three.")
    step_until(watching(), says(folder / "talk.txt", "Three."))


def test_a_recording_that_is_cut_anew_is_followed_also_while_nobody_watches(
    watching: Watching, folder: Path, database: Database
) -> None:
    def cut_anew(channels: Literal["mix", "split"]) -> ObjectId:
        options = IngestOptions(channels=channels)
        return ingest(database, file, options, cut_anew=frozenset({"channels"})).recording.id

    file = write_wav(folder / "talk.wav", babble(1), np.roll(babble(1, seed=1), 8000))
    watcher = watching()
    step_until(watcher, waits(database))
    hear(database, "One.")
    step_until(watcher, says(folder / "talk.txt", "One."))
    cut_anew("split")
    watcher.step()
    assert says(folder / "talk.txt", "One.")()
    hear(database, "Two.")
    step_until(watcher, lambda: "Two." in (folder / "talk.txt").read_text())
    new = cut_anew("mix")
    hear(database, "Three.")
    assert remove_earlier(database, new) == []
    step_until(watching(), says(folder / "talk.txt", "Three."))


def test_a_file_that_is_gone_gets_no_transcript(
    watching: Watching, folder: Path, database: Database
) -> None:
    write(folder / "talk.wav")
    watcher = watching()
    step_until(watcher, waits(database))
    (folder / "talk.wav").rename(folder / "lecture.wav")
    hear(database, "Hello.")
    step_until(watcher, says(folder / "lecture.txt", "Hello."))
    assert sorted(path.name for path in folder.iterdir()) == ["lecture.txt", "lecture.wav"]


def test_a_recording_that_was_removed_from_the_queue_waits_for_nothing(
    watching: Watching, folder: Path, database: Database, state: WatchState
) -> None:
    write(folder / "talk.wav")
    watcher = watching()
    step_until(watcher, waits(database))
    [recording] = MongoRecordings(database).all()
    assert isinstance(recording.id, ObjectId)
    MongoRecordings(database).remove(recording.id)
    step_until(watcher, lambda: not state.waiting())
    assert database.recordings.count_documents({}) == 0


def test_with_another_database_all_is_ingested_anew(
    watching: Watching, folder: Path, database: Database
) -> None:
    write(folder / "talk.wav")
    step_until(watching(), waits(database))
    database.recordings.delete_many({})
    database.chunks.delete_many({})
    step_until(watching(), waits(database))


def test_a_transcript_that_cannot_be_written_is_a_warning_and_stops_no_other(
    watching: Watching,
    folder: Path,
    database: Database,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.1)
    write(folder / "a.wav")
    write(folder / "b.wav", 2.0)
    watcher = watching()
    step_until(watcher, waits(database, 2))
    hear(database, "Hello.")

    def refuse(pieces: list[str], path: Path, parent: Path) -> None:
        if path.name == "a.txt":
            raise SttError(f"Cannot write {path}: no space")
        save(pieces, path, parent)

    with monkeypatch.context() as patch:
        patch.setattr("stt.watch.texts.save", refuse)
        step_until(watcher, says(folder / "b.txt", "Hello."))
        assert "a.txt: no space" in caplog.text
    step_until(watcher, says(folder / "a.txt", "Hello."))


def test_a_folder_that_goes_is_waited_for(
    watching: Watching, folder: Path, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    watcher = watching()
    watcher.step()
    shutil.rmtree(folder)
    watcher.step()
    watcher.step()
    assert caplog.text.count("cannot be watched until it is back") == 1
    write(folder / "talk.wav")
    step_until(watcher, waits(database))


def test_a_file_system_that_fails_is_a_warning(
    watching: Watching,
    folder: Path,
    database: Database,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watcher = watching()
    watcher.step()
    write(folder / "talk.wav")
    with monkeypatch.context() as patch:
        stale = OSError(errno.ESTALE, "Stale file handle")
        patch.setattr("stt.watch.intake.find_recordings", Mock(side_effect=stale))
        step_until(watcher, lambda: "cannot be searched: Stale file handle" in caplog.text)
    step_until(watcher, waits(database))


def test_several_folders_are_watched_until_the_end(
    tmp_path: Path, folder: Path, state: WatchState, database: Database
) -> None:
    write(folder / "a.wav")
    write(tmp_path / "other" / "b.wav", 2.0)
    stop = threading.Event()
    taken: list[str] = []

    def note(path: Path, _: object) -> None:
        taken.append(path.name)
        if len(taken) == 2:
            stop.set()

    with other_state(tmp_path) as other:
        watch_folders({folder: state, tmp_path / "other": other}, database, _SOON, note, stop)
    assert sorted(taken) == ["a.wav", "b.wav"]


def test_an_error_of_the_check_ends_it(folder: Path, state: WatchState, database: Database) -> None:
    def check() -> None:
        raise SttError("the model is unknown")

    with pytest.raises(SttError, match="unknown"):
        watch_folders({folder: state}, database, _SOON, lambda *_: None, threading.Event(), check)


@contextmanager
def other_state(tmp_path: Path) -> Iterator[WatchState]:
    with WatchState(tmp_path / "states", tmp_path / "other") as state:
        yield state


def test_chunks_of_other_programs_are_passed_over(
    watching: Watching, folder: Path, database: Database
) -> None:
    now = database.server_time()
    database.chunks.insert_many(
        [
            {"original_id": {"odd": 1}, "index": 0},
            {"original_id": {"odd": 2}, "index": 0, "transcribed_at": now},
            {"index": 0, "transcribed_at": now},
        ]
    )
    write(folder / "talk.wav")
    watcher = watching()
    step_until(watcher, waits(database, 2))
    [chunk] = database.chunks.find({"original_id": {"$type": "objectId"}})
    transcribe(database, str(chunk["original_id"]), 0, "Hello.")
    set_chunk(database, str(chunk["original_id"]), 0, transcribed_at=database.server_time())
    step_until(watcher, says(folder / "talk.txt", "Hello."))


def test_a_file_system_that_fails_while_a_transcript_is_written_is_tried_again(
    watching: Watching, folder: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.0)
    write(folder / "talk.wav")
    watcher = watching()
    step_until(watcher, waits(database))
    hear(database, "Hello.")
    stale = OSError(errno.ESTALE, os.strerror(errno.ESTALE))
    with monkeypatch.context() as failing:
        failing.setattr(watcher._texts, "write", Mock(side_effect=stale))
        step_until(watcher, lambda: bool(watcher._retry_at))
    step_until(watcher, says(folder / "talk.txt", "Hello."))
