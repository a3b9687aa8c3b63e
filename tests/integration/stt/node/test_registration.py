"""A machine joins and leaves a real coordinator, and what the socket between them carries."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from stt.domain.claim import ClaimRules
from stt.domain.node import Job
from stt.errors import ConfigError, DatabaseUnavailable, KeyRejected, NodeRemoved, SttError
from stt.node.credentials import Credentials, CredentialsFile
from stt.node.handshake import perform_handshake, reconcile_name
from stt.node.instance_lock import InstanceLock
from stt.node.registration import node_status, register, unregister
from stt.node.socket import CoordinatorSocket
from stt.node.whisper_server import WhisperServer
from stt.remote.client import CoordinatorClient
from stt.remote.membership import Membership
from stt.remote.messages import ReportMessage
from stt.settings import Settings
from stt.store.database import Database
from tests.support.coordinator_app import CoordinatorThread, running_coordinator
from tests.support.pace import until
from tests.support.remote_claims import node_settings
from tests.support.scripted_server import Answer, ScriptedServer, always

NO_COORDINATOR = "http://127.0.0.1:9"


@pytest.fixture
def coordinator(database: Database, tmp_path: Path) -> Iterator[CoordinatorThread]:
    with running_coordinator(database, tmp_path / "coordinator") as thread:
        yield thread


@pytest.fixture
def file(tmp_path: Path) -> CredentialsFile:
    return CredentialsFile(tmp_path / "config")


def join(coordinator: CoordinatorThread, file: CredentialsFile, name: str = "M4") -> Credentials:
    with coordinator.person() as person:
        code = person.post("/api/nodes/join-codes").json()["code"]
    return register(file, coordinator.url, name, f" {code} ")


def names(coordinator: CoordinatorThread) -> list[str]:
    with coordinator.person() as person:
        return [node["name"] for node in person.get("/api/nodes").json()["nodes"]]


def remove(coordinator: CoordinatorThread, node_id: str) -> None:
    with coordinator.person() as person:
        person.delete(f"/api/nodes/{node_id}").raise_for_status()


def test_a_machine_joins_once_and_leaves(
    coordinator: CoordinatorThread, file: CredentialsFile
) -> None:
    made = join(coordinator, file)
    assert file.load() == made
    found = node_status(file)
    assert (found.name, found.coordinator_state, found.is_running) == ("M4", "offline", False)
    assert found.trouble is None
    with pytest.raises(ConfigError, match="registered already, as 'M4'"):
        join(coordinator, file)
    assert unregister(file, force=False) == made
    assert names(coordinator) == []
    assert not node_status(file).is_registered


def test_of_two_names_the_newer_one_stands(
    coordinator: CoordinatorThread, file: CredentialsFile
) -> None:
    made = join(coordinator, file)
    lock = InstanceLock(file.folder)
    membership = membership_of(made)
    report = ReportMessage(worker_id=f"{made.node_id}_1")

    def agreed() -> str:
        """As at a node's start; what it is called in its file, at the coordinator, and here."""
        ours = file.load()
        perform_handshake(membership, report)
        name = reconcile_name(membership, ours, file, lock).name
        assert (file.load().name, names(coordinator)) == (name, [name])
        return name

    assert agreed() == "M4"
    with coordinator.person() as person:
        person.patch(f"/api/nodes/{made.node_id}", json={"name": "renamed there"})
    assert agreed() == "renamed there"
    file.save(replace(file.load(), name="renamed here"))
    assert agreed() == "renamed here"
    assert agreed() == "renamed here"
    file.save(replace(made, name="x" * 101))
    perform_handshake(membership, report)
    refused = reconcile_name(membership, file.load(), file, lock)
    assert (refused.name, names(coordinator)) == ("x" * 101, ["renamed here"])


def test_a_wrong_code_joins_nothing(coordinator: CoordinatorThread, file: CredentialsFile) -> None:
    with pytest.raises(KeyRejected):
        register(file, coordinator.url, "M4", "ABCD-EFGH-JKLM")
    assert names(coordinator) == []
    assert list(file.folder.iterdir()) == []


def test_a_removed_machine_is_told_so_and_may_join_again(
    coordinator: CoordinatorThread, file: CredentialsFile
) -> None:
    remove(coordinator, join(coordinator, file).node_id)
    found = node_status(file)
    assert isinstance(found.trouble, NodeRemoved)
    assert found.coordinator_state == "removed"
    join(coordinator, file, "M4 again")
    assert names(coordinator) == ["M4 again"]


def test_leaving_a_coordinator_that_is_away_takes_force(file: CredentialsFile) -> None:
    file.save(Credentials(NO_COORDINATOR, "m4-3fa2", "key", "M4"))
    with pytest.raises(DatabaseUnavailable, match="--force"):
        unregister(file, force=False)
    assert file.path.exists()
    assert unregister(file, force=True) is not None
    assert not file.path.exists()


def test_a_broken_file_can_be_given_up(file: CredentialsFile) -> None:
    file.folder.mkdir()
    file.path.write_text("{")
    with pytest.raises(ConfigError):
        unregister(file, force=False)
    assert unregister(file, force=True) is None
    assert not file.path.exists()


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


def membership_of(made: Credentials) -> Membership:
    client = CoordinatorClient(made.server_url, made.api_key)
    return Membership(client, node_settings(made.node_id, ClaimRules()))


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


def test_a_server_of_ones_own_that_is_silent_is_gone() -> None:
    def is_gone(server: WhisperServer) -> bool:
        server.check()
        return server.is_gone

    with ScriptedServer(always()).running() as server:
        settings = Settings(server_urls=(server.url,))
        own = WhisperServer(settings, is_own=True)
        assert not any(is_gone(own) for _ in range(4))
        assert own.test(5).startswith("Transcribed a short recording")
        server.canary = Answer(500)
        with pytest.raises(SttError):
            own.test(5)
    assert [is_gone(own) for _ in range(3)] == [False, False, True]
    other = WhisperServer(settings, is_own=False)
    assert not any(is_gone(other) for _ in range(4))
