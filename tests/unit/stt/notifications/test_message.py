"""What people read about an event."""

import json
from typing import Any

from stt.notifications.message import Message, message_of


def body(type_: str, failed: int = 0, **recording: Any) -> str:
    about = {"name": "A/talk.mp3", "duration_seconds": 754.0, "url": None, **recording}
    failure = {"kind": "bad_audio", "message": "no frames", "chunk": "1", "offset_seconds": 0.0}
    data = {
        "recording": about,
        "chunks": {"transcribed": 3, "failed": failed},
        "failures": [failure] * failed,
    }
    return json.dumps({"type": type_, "timestamp": "2026-11-27T06:00:00+00:00", "data": data})


def test_a_recording_that_is_done() -> None:
    assert message_of(body("recording.done", url="https://stt.example/recordings/1")) == Message(
        "Done: A/talk.mp3",
        "A/talk.mp3 (13 min) is transcribed.",
        url="https://stt.example/recordings/1",
    )


def test_a_recording_that_failed_says_why() -> None:
    message = message_of(body("recording.failed", failed=1))
    assert message.is_failure
    assert message.text == "A/talk.mp3 (13 min): 1 of 4 chunks failed.\nbad_audio: no frames"


def test_a_name_cannot_disguise_itself() -> None:
    message = message_of(body("recording.done", name="talk\u202e3pm.\n.exe", duration_seconds=None))
    assert message.title == "Done: talk\ufffd3pm.\ufffd.exe"


def test_the_empty_queue() -> None:
    empty = {"type": "queue.empty", "timestamp": "", "data": {"chunks": {"failed": 0}}}
    assert message_of(json.dumps(empty)).text == "Nothing is left to do."
    empty["data"] = {"chunks": {"failed": 2}}
    message = message_of(json.dumps(empty))
    assert (message.text, message.is_failure) == ("2 chunks failed: stt status", True)
