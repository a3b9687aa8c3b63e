"""`stt search` with a real database."""

from stt.store.database import Database
from tests.support.recordings_in_queue import post_recording, transcribe
from tests.unit.stt.cli.conftest import Run


def test_recordings_that_match_are_searched(stt: Run, database: Database) -> None:
    for folder in ("talks", "calls"):
        id_ = post_recording(database, 1, filename=f"{folder}.wav", path="a.wav", folder=folder)
        transcribe(database, id_, 0, f"A budget of {folder}.")
    database.recordings.update_many({}, {"$set": {"filename": "a.wav"}})
    assert stt("search", "budget", "--folder", "talks") == 0
    assert "A budget of talks." in stt.out
    assert "calls" not in stt.out
    assert stt("search", "budget", "--folder", "none") == 1
    assert stt("search", "budget", "--folder", "talks", "--source", "a.wav") == 2
