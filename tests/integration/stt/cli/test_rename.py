"""`stt rename` with a real database."""

from stt.store.database import Database
from tests.support.recordings_in_queue import post_recording, transcribe
from tests.unit.stt.cli.conftest import Run


def test_a_recording_is_listed_and_exported_by_its_new_name(stt: Run, database: Database) -> None:
    recording_id = post_recording(database, 1, filename="REC1.mp3")
    transcribe(database, recording_id, 0, "Hello.")
    assert stt("rename", "REC1.mp3", "Interview") == 0
    assert stt.out == "REC1.mp3 is called Interview.mp3 now\n"
    assert stt("export", "Interview.mp3") == 0
    assert stt.out == "Hello.\n"
    assert stt("rename", "REC1.mp3", "Other") == 1
    assert stt("rename", "Interview.mp3", "a/b") == 3
    assert "without folders" in stt.err
