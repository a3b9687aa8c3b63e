"""A coordinator with STT_KEEP_AUDIO removes audio that is kept no longer."""

from datetime import timedelta
from pathlib import Path

from stt.store.database import Database
from tests.support.coordinator_app import running_coordinator
from tests.support.pace import until
from tests.support.queue_builder import add_chunks, add_recording


def test_audio_is_removed_in_the_background(database: Database, tmp_path: Path) -> None:
    then = database.server_time() - timedelta(days=31)
    recording_id = add_recording(database, ingested_at=then)
    add_chunks(database, 2, recording_id=recording_id, audio=b"opus", transcribed_at=then)
    with running_coordinator(database, tmp_path, keep_audio=30 * 86_400.0) as coordinator:
        until(lambda: database.audio.count_documents({}) == 0)
        with coordinator.person() as person:
            answer = person.post(f"/api/recordings/{recording_id}/transcribe")
            assert answer.status_code == 409
            assert answer.json()["error"]["code"] == "audio_removed"
