"""`stt coordinator` as a person starts and stops it."""

import re
import signal
import threading
import time
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from stt.store.database import Database
from tests.support.coordinator_process import CoordinatorProcess, running_process

WAIT_SECONDS = 25


def wait_for_work(running: CoordinatorProcess, answers: list[int]) -> None:
    with running.person() as person:
        answer = person.get(f"/tasks/next?worker_id=x_1&wait={WAIT_SECONDS}")
    answers.append(answer.status_code)


def test_it_makes_a_key_shows_it_once_and_ends_at_once_whoever_waits(
    database: Database, mongo_url: str, tmp_path: Path
) -> None:
    place = (mongo_url, database.chunks.database.name, tmp_path)
    with running_process(*place, STT_COORDINATOR_KEY="") as first:
        assert "STT_COORDINATOR_KEY is not set" in first.log
        shown = re.search(r"shown this once: (\S{43})\n", first.log)
        assert shown
        first.key = shown[1]
        with first.person() as person:
            assert person.get("/api/session").status_code == 200
        first.signal(signal.SIGINT)
        assert first.wait() == 130
        assert "Traceback" not in first.log

    answers: list[int] = []
    flags = ("--host", "0.0.0.0", "--port", "0")
    with running_process(*place, *flags, STT_COORDINATOR_KEY="") as second:
        assert "shown this once" not in second.log
        assert "speaks plain HTTP" in second.log
        second.key = shown[1]
        waiting = threading.Thread(target=wait_for_work, args=[second, answers])
        waiting.start()
        socket_url = second.url.replace("http", "ws") + "/ws/dashboard"
        with pytest.raises(InvalidStatus, match="401"):
            connect(socket_url + "?key=in-the-query")
        with connect(
            socket_url, additional_headers={"Authorization": f"Bearer {second.key}"}
        ) as page:
            page.recv(60)
            asked_at = time.monotonic()
            second.signal(signal.SIGTERM)
            assert second.wait() == 0
            assert time.monotonic() - asked_at < WAIT_SECONDS / 2
        waiting.join(60)
        assert answers == [204]
        assert "Error" not in second.log
        assert "in-the-query" not in second.log
