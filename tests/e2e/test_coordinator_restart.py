"""Real coordinator processes that are killed in the middle of uploads: nothing lost, nothing twice,
no half left behind."""

import signal
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from stt.media.audio import SAMPLE_RATE
from stt.store.database import Database
from tests.support.coordinator_app import PEOPLES_KEY
from tests.support.coordinator_process import CoordinatorProcess, running_process
from tests.support.pace import until
from tests.support.recordings import babble, write_wav

SECONDS = 150


def upload_of(coordinator: CoordinatorProcess, filename: str) -> dict[str, Any]:
    with coordinator.person() as person:
        uploads = person.get("/api/uploads").json()["uploads"]
    return next((dict(u) for u in uploads if u["filename"] == filename), {})


def send(coordinator: CoordinatorProcess, filename: str, data: bytes) -> None:
    with coordinator.person() as person:
        answer = person.post("/upload", files={"file": (filename, data)})
    assert answer.status_code == 202, answer.text


def send_half(coordinator: CoordinatorProcess, filename: str) -> socket.socket:
    """The connection of an upload of which the rest does not come."""
    part = f'--x\r\nContent-Disposition: form-data; name="f"; filename="{filename}"\r\n\r\n'
    address = urlsplit(coordinator.url)
    connection = socket.create_connection((str(address.hostname), address.port or 0))
    connection.sendall(
        f"POST /upload HTTP/1.1\r\nHost: {address.netloc}\r\n"
        f"Authorization: Bearer {PEOPLES_KEY}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 9000000\r\n\r\n"
        f"{part}".encode()
        + bytes(3_000_000)
    )
    return connection


def assert_whole(database: Database) -> None:
    """One recording, whose chunks hold all of it once, each with its audio."""
    [recording] = database.recordings.find()
    chunks = list(database.chunks.find().sort("index"))
    assert [chunk["index"] for chunk in chunks] == list(range(recording["chunk_count"]))
    assert sum(chunk["duration"] for chunk in chunks) == pytest.approx(SECONDS)
    ends = [round((chunk["offset"] + chunk["duration"]) * SAMPLE_RATE) for chunk in chunks]
    starts = [round(chunk["offset"] * SAMPLE_RATE) for chunk in chunks]
    assert starts == [0, *ends[:-1]]
    ids = {chunk["_id"] for chunk in chunks}
    assert {audio["_id"] for audio in database.audio.find({}, ["_id"])} == ids


@pytest.mark.parametrize("other_runs", [False, True], ids=["started again", "another goes on"])
def test_a_coordinator_that_is_killed_loses_nothing_and_leaves_no_half(
    mongo_url: str, database: Database, tmp_path: Path, other_runs: bool
) -> None:
    talk = write_wav(tmp_path / "talk.wav", babble(SECONDS)).read_bytes()
    place = (mongo_url, database.chunks.database.name, tmp_path)  # and one spool

    with ExitStack() as processes:
        first = processes.enter_context(running_process(*place))
        if other_runs:
            second = processes.enter_context(running_process(*place))
        with first.person() as person:
            assert person.patch("/api/options", json={"chunk_seconds": 1}).ok
        with send_half(first, "half.wav"):
            until(lambda: upload_of(first, "half.wav"))
            send(first, "talk.wav", talk)
            until(lambda: database.chunks.count_documents({}) > 10)
            assert upload_of(first, "talk.wav")["state"] == "cutting"
            assert upload_of(first, "half.wav")["state"] == "receiving"
            first.signal(signal.SIGKILL)
            first.wait()
            already_cut = database.chunks.count_documents({})
            if not other_runs:  # else it may be the other one who cuts
                assert not database.recordings.find_one({"ingested_at": {"$ne": None}})
        if not other_runs:
            second = processes.enter_context(running_process(*place))

        until(lambda: upload_of(second, "talk.wav")["state"] == "done")
        assert already_cut <= database.chunks.count_documents({})
        assert_whole(database)
        half = until(lambda: u if (u := upload_of(second, "half.wav"))["error"] else None)
        assert (half["state"], half["error"]) == ("failed", "It broke off; send it again.")
        spool = tmp_path / "uploads"
        until(lambda: [path.name for path in spool.iterdir()] == [".id"])

        send(second, "again.wav", talk)
        until(lambda: upload_of(second, "again.wav")["state"] == "already there")
        assert_whole(database)
