"""Upload now, fetch later, over HTTP."""

import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.pace import until
from tests.support.whisper_jobs import ended, get_json
from tests.support.whisper_stand_in import Running, StandInEngine, running, wav
from whisper_server.engines.base import WindowInput
from whisper_server.errors import EngineFailed


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(MAX_QUEUE=4) as server:
        yield server


def hand_in(server: Running, **more: Any) -> str:
    """The path of a new job."""
    response = server.post("/jobs", **more)
    assert response.status_code == 202, response.text
    path = response.headers["Location"]
    assert path == f"/jobs/{response.json()['id']}"
    return path


def spooled_files() -> int:
    """Uploads of more than a megabyte that this process holds open: files without a name."""
    links = Path("/proc/self/fd").iterdir()
    return sum("(deleted)" in str(link.readlink()) for link in links if link.is_symlink())


@pytest.mark.parametrize("response_format", ["json", "verbose_json", "text", "srt", "vtt"])
def test_a_result_is_what_the_endpoint_would_have_answered(
    server: Running, response_format: str
) -> None:
    fields = {"response_format": response_format, "task": "transcribe"}
    job = ended(server, hand_in(server, data=fields))
    plain = server.post(data=fields)
    is_json = plain.headers["Content-Type"] == "application/json"
    assert job["result"] == (plain.json() if is_json else plain.text)
    assert (job["status"], job["progress"], job["instances"]) == ("done", 1.0, [0])
    assert (job["filename"], job["seconds_done"], job["error"]) == ("a.wav", 1.0, None)
    assert job["created_at"] <= job["started_at"] <= job["finished_at"]


def test_a_job_may_translate(server: Running) -> None:
    assert ended(server, hand_in(server, data={"task": "translate"}))["task"] == "translate"
    assert server.engine.calls[-1].task == "translate"
    assert server.post("/jobs", data={"task": "sing"}).status_code == 400


def test_a_file_that_gets_no_place_in_the_line_makes_no_job(server: Running) -> None:
    before = get_json(server, "/jobs")["data"]
    response = server.post("/jobs", files={"file": ("a.wav", b"no audio" * 100)})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_audio")
    assert get_json(server, "/jobs")["data"] == before


def test_what_is_wrong_with_the_request_is_told_at_once(server: Running) -> None:
    for fields, status in (({"model": "other"}, 404), ({"stream": "true"}, 400)):
        assert server.post("/jobs", data=fields).status_code == status


def test_the_list_has_the_newest_first_and_can_be_narrowed(server: Running) -> None:
    for _ in range(3):
        ended(server, hand_in(server))
    body = get_json(server, "/jobs?limit=2&status=done")
    assert body["object"] == "list"
    created = [job["created_at"] for job in body["data"]]
    assert len(created) == 2
    assert created == sorted(created, reverse=True)
    assert "result" not in body["data"][0]
    assert not get_json(server, "/jobs?status=queued")["data"]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "status=lost"])
def test_a_wrong_question_is_a_400(server: Running, query: str) -> None:
    response = requests.get(f"{server.url}/jobs?{query}", timeout=60)
    assert response.status_code == 400
    name, error = query.partition("=")[0], response.json()["error"]
    assert error["param"] == name
    assert error["message"].startswith(f"Invalid '{name}': ")


def test_an_unknown_job_is_a_404_that_says_why(server: Running) -> None:
    for method in ("GET", "DELETE"):
        response = requests.request(method, server.url + "/jobs/nonesuch", timeout=60)
        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (404, "job_not_found")
        assert "this server has run since" in error["message"]


def test_a_finished_job_can_be_forgotten(server: Running) -> None:
    path = hand_in(server)
    ended(server, path)
    response = requests.delete(server.url + path, timeout=60)
    assert (response.status_code, response.text) == (204, "")
    assert requests.get(server.url + path, timeout=60).status_code == 404


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_deleted_job_gives_its_place_and_its_upload_back() -> None:
    engine = StandInEngine()
    with running(engine, busy=True, MAX_QUEUE=1) as server:
        before = spooled_files()
        paths = [hand_in(server, files={"file": ("a.wav", wav(60.0))}) for _ in range(2)]
        assert spooled_files() == before + 2
        until(lambda: len(engine.calls) == 1)
        assert server.service.jobs.counts().total() == 2
        full = server.post("/jobs")
        assert (full.status_code, full.json()["error"]["code"]) == (503, "queue_full")
        for path in reversed(paths):
            assert requests.delete(server.url + path, timeout=60).status_code == 204
        until(lambda: server.service.scheduler.state().waiting == 0)
        until(lambda: server.service.scheduler.state().in_work == 0)
        until(lambda: not server.service.jobs._running)
        assert spooled_files() == before
        engine.go.set()
        assert ended(server, hand_in(server))["result"] == {"text": "1.0"}
        assert len(engine.calls) == 2


def test_a_job_is_processing_with_progress_while_it_is_worked_on() -> None:
    engine, may_go_on = StandInEngine(), threading.Event()

    def all_but_the_first_wait(windows: Sequence[WindowInput]) -> None:
        if len(engine.calls) > 1:
            may_go_on.wait(60)

    engine.refuses = all_but_the_first_wait
    with running(engine) as server:
        path = hand_in(server, files={"file": ("a.wav", wav(100.0))})
        until(lambda: get_json(server, path)["progress"] > 0)
        job = get_json(server, path)
        assert (job["status"], job["progress"] < 1) == ("processing", True)
        assert (job["seconds_total"], job["finished_at"], job["result"]) == (100.0, None, None)
        may_go_on.set()
        assert ended(server, path)["seconds_done"] == 100.0


def test_a_fault_inside_fails_the_job_and_tells_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with running(StandInEngine(failure=EngineFailed("/secret/path"))) as server:
        job = ended(server, hand_in(server))
    assert (job["status"], job["error"]["type"]) == ("failed", "server_error")
    assert "secret" not in json.dumps(job)
    assert "secret" in caplog.text


def test_a_stopping_server_waits_for_no_job() -> None:
    engine = StandInEngine()
    with running(engine, busy=True) as server:
        hand_in(server)
        until(lambda: server.service.scheduler.state().in_work == 1)
        stopped = time.monotonic()
    assert time.monotonic() - stopped < 8
    assert not server.service.jobs._running
