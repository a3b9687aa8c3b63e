"""A queue in which recordings, nodes and uploads are in every state that the pages show."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bson import ObjectId

from stt.coordinator.store.nodes import NodeRegistry
from stt.domain.claim import WorkerReport
from stt.domain.node import Job
from stt.store.database import Database
from stt.store.workers import MongoRoster
from tests.support.conversation import add_conversation
from tests.support.queue_builder import START, add_chunks, add_recording
from tests.support.speech import opus_tone

_TEXTS = (
    "Good morning, and welcome to the harbour.",
    "The boat to the island leaves in ten minutes.",
    "Please have your tickets ready when you come on board.",
)
_FAULT = {
    "at": START,
    "worker": "mac_1",
    "server": "http://10.0.0.7:8081",
    "kind": "refused",
    "message": "There is no model large-v3 here.",
}


@dataclass(frozen=True)
class FullQueue:
    """The recordings by their states, as their pages are addressed."""

    done: str
    open: str
    failed: str
    cutting: str
    silent: str
    spoken: str


def fill(database: Database) -> FullQueue:
    """Put everything in; nothing works on it."""
    _add_nodes(database)
    recordings = FullQueue(
        done=_add_done(database),
        open=_add_open(database),
        failed=_add_failed(database),
        cutting=_path(
            add_recording(database, filename="long interview.m4a", start=START, ingested_at=None)
        ),
        silent=_add_silent(database),
        spoken=_path(add_conversation(database, *_conversation())),
    )
    _add_uploads(database)
    return recordings


def _conversation() -> Iterator[tuple[float, float, str, str]]:
    """Six people speak in turn, three sentences each."""
    for i in range(18):
        yield 3.0 * i, 3.0 * i + 2.5, "ABCDEF"[i // 3], _TEXTS[i % 3]


def _path(recording_id: ObjectId) -> str:
    return f"/recordings/{recording_id}"


def _transcript() -> dict[str, Any]:
    segments = [
        {"start": 5.0 * i, "end": 5.0 * i + 4, "text": text} for i, text in enumerate(_TEXTS)
    ]
    return {"segments": segments, "language": "en"}


def _done(database: Database, recording_id: ObjectId, count: int, **fields: Any) -> None:
    add_chunks(
        database, count, recording_id=recording_id, transcribed_at=START,
        transcript=_transcript(), processing_by="mac_1", **fields,
    )  # fmt: skip


def _add_done(database: Database) -> str:
    recording_id = add_recording(
        database, filename="talks/harbour.opus", folder="talks", duration=120.0, chunk_count=4,
        start=START, ingested_at=START, created_at=START, language="en", prompt="A guided tour.",
        hotwords="Zermatt", model="base", warnings=["The file ends early."],
    )  # fmt: skip
    for index in range(4):
        _done(
            database, recording_id, 1, audio=opus_tone(30), index=index, channels=2,
            channel=index // 2 + 1, offset=30.0 * (index % 2),
        )  # fmt: skip
    return _path(recording_id)


def _add_open(database: Database) -> str:
    """One chunk in each state, no model for them, and no speakers though they are asked for."""
    recording_id = add_recording(
        database, filename="board meeting.mp3", duration=120.0, chunk_count=4, start=START,
        ingested_at=START, created_at=START, model="large-v3", speakers=0,
    )  # fmt: skip
    _done(database, recording_id, 1, audio=opus_tone(30))
    others: list[dict[str, Any]] = [
        {"processing_by": "mac_1", "claimed_at": START, "claim_id": "1"},
        {},
        {"failed_at": START, "attempts": 3, "expirations": 1, "errors": [_FAULT] * 3},
    ]
    for index, fields in enumerate(others, start=1):
        add_chunks(
            database, 1, recording_id=recording_id, index=index, offset=30.0 * index, **fields
        )
    return _path(recording_id)


def _add_failed(database: Database) -> str:
    recording_id = add_recording(
        database, filename=f"{'a very long name of a recording ' * 5}.wav", duration=60.0,
        chunk_count=2, model="large-v3", start=START, ingested_at=START, created_at=START,
    )  # fmt: skip
    add_chunks(
        database, 2, recording_id=recording_id, audio=opus_tone(3), failed_at=START, attempts=3,
        errors=[_FAULT] * 3,
    )  # fmt: skip
    return _path(recording_id)


def _add_silent(database: Database) -> str:
    """A recording without a word, whose audio was removed."""
    recording_id = add_recording(
        database, filename="nothing.ogg", duration=30.0, chunk_count=1, start=START,
        ingested_at=START, created_at=START,
    )  # fmt: skip
    add_chunks(
        database, 1, recording_id=recording_id, transcribed_at=START, audio_removed_at=START,
        transcript={"segments": [], "language": "en"},
    )  # fmt: skip
    return _path(recording_id)


def _add_nodes(database: Database) -> None:
    """One at work, one paused, one offline; and a worker at the database."""
    registry, roster = NodeRegistry(database), MongoRoster(database)
    for name in ("Mac Studio", "M4 MacBook Pro of the second floor", "Old laptop"):
        node, _ = registry.add(name, "macOS 26 arm64")
        if name == "Old laptop":
            continue
        report = WorkerReport(slots=2, server="http://127.0.0.1:8081")
        roster.report(f"{node.id}_1", report)
        registry.record_heartbeat(node.id, report)
        if name == "Mac Studio":
            registry.set_jobs(node.id, "1", [Job(("1",), "board meeting.mp3", 30.0, 4.0)])
        else:
            registry.change(node.id, {"is_enabled": False, "model": "base", "priority": 5})
            registry.request_test(node.id)
    roster.report("mac_1", WorkerReport(slots=1, chunks=("1",), missing_models=("large-v3",)))
    # Without this a node that is older than its last message would be taken for offline.
    database.nodes.update_many(
        {"jobs_at": {"$ne": None}}, {"$max": {"jobs_at": database.server_time()}}
    )


def _add_uploads(database: Database) -> None:
    uploads: dict[str, dict[str, Any]] = {
        "receiving": {"received_bytes": 4_000_000},
        "waiting": {},
        "cutting": {"cut_seconds": 40.0, "total_seconds": 100.0},
        "failed": {"error": "This file has no sound."},
        "already there": {},
        "done": {"warnings": ["The file ends early."]},
    }
    for number, (state, fields) in enumerate(uploads.items()):
        recording = database.recordings.find_one({"chunk_count": 4})
        source = {"source_id": recording and recording["_id"]} if number > 3 else {}
        at = START + timedelta(minutes=number)
        database.uploads.insert_one(
            {"filename": f"{state} talk.mp3", "state": state, "bytes": 9_000_000,
             "created_at": at, "updated_at": at, **source, **fields}
        )  # fmt: skip
