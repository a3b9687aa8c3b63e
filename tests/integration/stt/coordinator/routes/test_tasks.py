"""The claim protocol over HTTP, as a node without a Python of ours speaks it."""

import socket
import threading
import time
from typing import Any

import pytest
import requests
from bson import ObjectId

from stt.coordinator.dispatch import Dispatcher
from stt.coordinator.routes import tasks
from stt.domain.claim import Claim
from stt.store.database import Database
from tests.support.coordinator_app import CoordinatorThread, logged_in
from tests.support.queue_builder import add_chunks, add_recording, document
from tests.support.remote_member import HELLO, Member


def test_next_claims_a_sequence_and_the_same_question_gets_the_same_answer(
    database: Database, mac: Member, opus: bytes
) -> None:
    recording = add_recording(
        database, language="de", prompt="Ann", model="large-v3", task="translate"
    )
    ids = add_chunks(database, 3, recording_id=recording, audio=opus)
    claim_id = str(ObjectId())
    query = {"worker_id": mac.worker, "wait": "0", "claim_id": claim_id}
    first = mac.session.get("/tasks/next", params=query).json()
    again = mac.session.get("/tasks/next", params=query).json()
    assert first == again
    assert [task["chunk"]["id"] for task in first["tasks"]] == [str(id_) for id_ in ids]
    assert first["claim_id"] == claim_id
    assert first["options"]["language"] == "de"
    assert first["options"]["model"] == "large-v3"
    assert first["options"]["task"] == "translate"
    assert mac.session.get(first["tasks"][0]["audio"]).content == opus
    for id_ in ids:
        done = {
            "worker_id": mac.worker, "chunk_id": str(id_), "claim_id": claim_id,
            "transcript": {"segments": [{"start": 0, "end": 1, "text": "ja"}]},
        }  # fmt: skip
        assert mac.session.post("/tasks/complete", json=done).json() == {"ok": True}
        assert mac.session.post("/tasks/complete", json=done).json() == {"ok": True}
    assert mac.session.get("/tasks/next", params=query).status_code == 204


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "same-site"}],
    ids=["over plain HTTP", "our own page", "another port"],
)
def test_an_image_on_another_port_claims_nothing_with_a_browsers_session(
    database: Database, fresh_coordinator: CoordinatorThread, headers: dict[str, str]
) -> None:
    [id_] = add_chunks(database, 1)
    query = {"worker_id": "x_1", "wait": "0"}
    with logged_in(fresh_coordinator) as browser, fresh_coordinator.person() as program:
        answer = browser.get("/tasks/next", params=query, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "csrf")
        assert document(database, id_)["processing_by"] is None
        assert program.get("/tasks/next", params=query).status_code == 200


def test_who_has_hung_up_is_given_no_claim(
    database: Database,
    fresh_coordinator: CoordinatorThread,
    mac: Member,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    has_read, take = threading.Event(), Dispatcher.take

    def watched(*arguments: Any, **options: Any) -> list[Claim]:
        found = take(*arguments, **options)
        has_read.set()
        return found

    monkeypatch.setattr(Dispatcher, "take", watched)
    host, port = fresh_coordinator.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as impatient:
        impatient.sendall(
            f"GET /tasks/next?worker_id={mac.worker} HTTP/1.1\r\nHost: {host}\r\n"
            f"Authorization: Bearer {mac.key}\r\n\r\n".encode()
        )
        assert has_read.wait(60)  # the coordinator has read the queue once, and waits
    [id_] = add_chunks(database, 1)
    time.sleep(1.2)
    assert document(database, id_)["processing_by"] is None


def test_a_node_speaks_for_no_other_worker(database: Database, mac: Member) -> None:
    [id_] = add_chunks(database, 1)
    for worker in ("other_1", f"{mac.id}x_1", f"x{mac.id}_1"):
        query = {"worker_id": worker, "wait": "0"}
        assert mac.session.get("/tasks/next", params=query).status_code == 403
        request = {"worker_id": worker, "chunk_id": str(id_), "claim_id": str(ObjectId())}
        assert mac.session.post("/tasks/claim", json=request).status_code == 403
    assert document(database, id_)["processing_by"] is None


def test_the_queue_is_listed_page_by_page(
    database: Database, fresh_coordinator: CoordinatorThread, mac: Member
) -> None:
    ids = add_chunks(database, 5)
    mac.queue.complete(mac.claim(database, ids[0]), HELLO)
    person = fresh_coordinator.person()
    listed, cursor = [], None
    for _ in range(5):
        answer = person.get("/tasks", params={"limit": 2, "cursor": cursor}).json()
        listed += answer["tasks"]
        if (cursor := answer["cursor"]) is None:
            break
    assert [task["id"] for task in listed] == [str(id_) for id_ in ids]
    assert [task["state"] for task in listed] == ["transcribed"] + ["pending"] * 4
    assert listed[0]["text"] == "hello"
    assert requests.codes.forbidden == mac.session.get("/tasks").status_code


def test_a_page_has_no_more_chunks_than_are_quickly_written(
    database: Database, mac: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "_MAX_PAGE", 3)
    add_chunks(database, 5)
    query = {"worker_id": mac.worker, "limit": "200000"}
    page = mac.session.get("/tasks/pending", params=query).json()
    assert (len(page["chunks"]), page["is_last"]) == (3, False)
