"""What webhooks and commands are given about an event."""

import json

from stt.domain.chunk import Recording
from stt.store.database import Database
from stt.store.endings import Ending
from stt.store.event_bodies import of_empty_queue, of_ending
from tests.support.queue_builder import add_chunks, add_recording


def test_a_recording_is_named_as_people_know_it(database: Database) -> None:
    folders = [
        add_recording(database, filename="ep01.mp3", path=f"{folder}/ep01.mp3", folder="talks")
        for folder in ("A", "B")
    ]
    now = database.server_time()
    recording = Recording(
        folders[1], "ep01.mp3", duration=60.5, path="B/ep01.mp3", folder="talks", model="base"
    )
    failure = {"chunk": "1", "offset_seconds": 30.0, "kind": "bad_audio", "message": "no frames"}
    end = Ending("evt_1", now, recording, transcribed=2, failed=1, failures=(failure,))
    body = of_ending(database, end, now, "https://stt.example")
    assert json.loads(json.dumps(body)) == {
        "type": "recording.failed",
        "timestamp": now.isoformat(),
        "data": {
            "recording": {
                "id": str(folders[1]),
                "name": "B/ep01.mp3",
                "filename": "ep01.mp3",
                "path": "B/ep01.mp3",
                "folder": "talks",
                "duration_seconds": 60.5,
                "language": None,
                "model": "base",
                "url": f"https://stt.example/recordings/{folders[1]}",
            },
            "chunks": {"transcribed": 2, "failed": 1},
            "failures": [failure],
        },
    }


def test_a_recording_of_another_program_has_its_id_for_a_name(database: Database) -> None:
    end = Ending("evt_1", None, Recording("call 7", "call 7"), 1, 0, ())  # type: ignore[arg-type]
    body = of_ending(database, end, database.server_time(), None)
    assert body["data"]["recording"]["name"] == "call 7"
    assert body["data"]["recording"]["url"] is None


def test_the_empty_queue_tells_of_quarantine(database: Database) -> None:
    add_chunks(database, 2, failed_at=database.server_time())
    body = of_empty_queue(database, database.server_time())
    assert (body["type"], body["data"]) == ("queue.empty", {"chunks": {"failed": 2}})
