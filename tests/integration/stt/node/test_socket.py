"""What the WebSocket between a node and its coordinator carries."""

import time
from dataclasses import dataclass
from unittest.mock import Mock

import pytest

from stt.domain.node import Job
from stt.errors import NodeRemoved, SttError
from stt.node.credentials import Credentials, CredentialsFile
from stt.node.socket import CoordinatorSocket
from tests.support.coordinator_app import CoordinatorThread
from tests.support.node_membership import join, membership_of, remove
from tests.support.pace import until
from tests.support.raw_server import RawServer, answer_of
from tests.support.scripted_server import ScriptedServer, always


@dataclass
class Listener:
    """Stands for the node behind the socket."""

    work: tuple[Job, ...] = ()
    trouble: SttError | None = None

    def jobs(self) -> tuple[Job, ...]:
        return self.work

    def check_claims(self) -> None:
        pass

    def test(self, timeout_seconds: float) -> str:
        if self.trouble is not None:
            raise self.trouble
        return "all is well"


def test_the_socket_brings_settings_tests_and_the_end(
    coordinator: CoordinatorThread, file: CredentialsFile
) -> None:
    made, listener = join(coordinator, file), Listener()
    membership = membership_of(made)
    listener.work = (Job(("6903ce2e3006e94c81d59b3f",), "talk.mp3", 30.0, 1.5),)
    socket = CoordinatorSocket(membership, lambda: listener)
    socket.start()
    path = f"/api/nodes/{made.node_id}"
    try:
        with coordinator.person() as person:
            until(lambda: membership.settings.name == "M4")
            person.patch(path, json={"model": "large-v3"})
            until(lambda: membership.settings.model == "large-v3")
            # The coordinator puts tests to a node that has sent a heartbeat.
            report = {"worker_id": f"{made.node_id}_1"}
            membership.client.ask("POST", f"{path}/heartbeat", body=report)
            assert person.post(f"{path}/test").json()["detail"] == "all is well"
            listener.trouble = SttError("its whisper server is away")
            failed = person.post(f"{path}/test").json()
            assert (failed["ok"], failed["detail"]) == (False, "its whisper server is away")
            until(lambda: person.get(path).json()["jobs"])
            assert person.get(path).json()["jobs"][0]["filename"] == "talk.mp3"
        remove(coordinator, made.node_id)
        until(lambda: isinstance(membership.rejection, NodeRemoved))
    finally:
        socket.stop()


def test_a_socket_of_a_removed_node_says_so_at_once(
    coordinator: CoordinatorThread, file: CredentialsFile
) -> None:
    made = join(coordinator, file)
    remove(coordinator, made.node_id)
    membership = membership_of(made)
    socket = CoordinatorSocket(membership, Listener)
    socket.start()
    until(lambda: isinstance(membership.rejection, NodeRemoved))
    socket.stop()


def test_where_no_websocket_passes_the_socket_stays_closed_and_says_it_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stt.node.socket._MIN_WAIT_SECONDS", 0.01)
    caplog.set_level("INFO", "stt")
    with ScriptedServer(always()).running() as plain:
        membership = membership_of(Credentials(plain.url, "n", "key", "n"))
        socket = CoordinatorSocket(membership, Listener)
        socket.start()
        until(lambda: "No live channel" in caplog.text)
        time.sleep(0.1)
        assert not socket.is_open
        socket.stop()
    assert caplog.text.count("No live channel") == 1


def test_a_socket_is_not_opened_where_a_redirect_leads() -> None:
    with RawServer([]).running() as other:
        place = f"Location: {other.url.replace('http', 'ws')}/ws"
        with RawServer([answer_of(b"", place, status="307 Moved")]).running() as server:
            socket = CoordinatorSocket(
                membership_of(Credentials(server.url, "n", "key", "n")), Listener
            )
            socket.start()
            until(lambda: len(server.requests) >= 2)  # it has tried again
            socket.stop()
    assert other.requests == []
    assert b"permessage-deflate" not in server.requests[0]


def test_a_message_that_is_nested_too_deeply_is_ignored() -> None:
    socket = CoordinatorSocket(membership_of(Credentials("http://h", "n", "key", "n")), Listener)
    socket._handle(Mock(), "[" * 200_000)
