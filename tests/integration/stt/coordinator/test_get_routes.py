"""No GET route writes: an image or a link of any page can send one, with the browser's cookie."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stt.domain.transcript import LocalSpeaker, Segment, Transcript
from stt.store.database import Database
from stt.store.documents import write_transcript
from tests.support.coordinator_app import (
    CoordinatorThread,
    KeyedSession,
    logged_in,
    running_coordinator,
)
from tests.support.database_writes import DatabaseWrites
from tests.support.queue_builder import add_chunks, add_recording
from tests.support.routes import addresses
from tests.support.tus import TUS, begin

MAY_WRITE = {("person", "/tasks/next"), ("node", "/tasks/next")}
"""It claims, with a key alone: browsers add keys to no request."""
TEXT_INDEX = "createIndexes audio_chunks"
"""By the first search of a process, in a thread of its own; nothing if the index is there."""
SPEAKERS = "insert recording_speakers"
"""Made of the recording's transcripts for its first reader: nothing of the request is in it."""
BACKGROUND = ("lease reaper", "upload processor")
QUERIES = {
    "/tasks/next": {"worker_id": "x_1", "wait": "0", "limit": "1"},
    "/tasks/pending": {"worker_id": "x_1"},
    "/api/search": {"q": "hello"},
}
VOICE = LocalSpeaker("1:A", 10.0, "ADwAAA==")
NOTHING_THERE = {"/docs-files/anything"}


@pytest.fixture
def writes(database: Database, mongo_url: str) -> Iterator[DatabaseWrites]:
    recorder = DatabaseWrites(mongo_url, database.chunks.database.name, BACKGROUND)
    with recorder.database:
        yield recorder


@pytest.fixture
def running(writes: DatabaseWrites, tmp_path: Path) -> Iterator[CoordinatorThread]:
    with running_coordinator(writes.database, tmp_path) as coordinator:
        yield coordinator


def test_no_get_route_writes_to_the_database(
    database: Database, writes: DatabaseWrites, running: CoordinatorThread, opus: bytes
) -> None:
    recording_id = add_recording(database, language="en", speakers=0)
    chunk_ids = add_chunks(database, 4, recording_id=recording_id, audio=opus)
    spoken = Transcript((Segment(0, 1, "Hi.", speaker="1:A"),), speakers=(VOICE,))
    fields = {"transcript": write_transcript(spoken)}
    database.chunks.update_one({"_id": chunk_ids[1]}, {"$set": fields})
    node_id, key = running.join()
    values = {
        "source_id": str(recording_id), "recording_id": str(recording_id), "node_id": node_id,
        "filename": f"{chunk_ids[0]}.opus", "side": "after", "upload_id": _upload(running),
        "speaker": "SPEAKER_01",
    }  # fmt: skip
    routes = sorted({(m, p) for m, p in addresses(running.app.routes) if m in ("GET", "HEAD")})
    assert len(routes) > 30
    written: dict[tuple[str, str], list[str]] = {}
    answered = set(NOTHING_THERE)
    with (
        logged_in(running) as browser,
        running.person() as person,
        running.node(key) as node,
    ):
        callers = {"browser": browser, "person": person, "node": node}
        for session in callers.values():  # that a key is right here is recorded once
            session.get("/api/session")
        for method, template in routes:
            for caller, session in callers.items():
                writes.recorded.clear()
                worker = {"node": f"{node_id}_1"}.get(caller, "x_1")
                if _request(session, method, template, values, worker) < 400:
                    answered.add(template)
                if found := [one for one in writes.recorded if one not in (TEXT_INDEX, SPEAKERS)]:
                    written[caller, template] = found
    assert {path for _, path in routes} - answered == set()
    assert written.keys() == MAY_WRITE, written


def _request(
    session: KeyedSession, method: str, template: str, values: dict[str, str], worker: str
) -> int:
    """Return the status of a request to this route with values that exist."""
    path = template.replace("{path:path}", _file_of(template)).replace(":path}", "}")
    path = path.format(**values)
    query = dict(QUERIES.get(template, {}))
    if "worker_id" in query:
        query["worker_id"] = worker
    return session.request(method, path, params=query, headers=TUS).status_code


def _upload(running: CoordinatorThread) -> str:
    """Begin a resumable upload; return its id."""
    with running.person() as person:
        return begin(person, 10).rpartition("/")[2]


def _file_of(template: str) -> str:
    return "login.css" if template.startswith("/login") else "app.js"
