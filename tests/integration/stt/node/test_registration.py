"""A machine joins and leaves a real coordinator, and what the channel between them carries."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from stt.domain.node import Job
from stt.errors import ConfigError, DatabaseUnavailable, KeyRejected, NodeRemoved, SttError
from stt.node.credentials import Credentials, CredentialsFile
from stt.node.handshake import agree_on_name, greet
from stt.node.instance_lock import InstanceLock
from stt.node.registration import node_status, register, unregister
from stt.node.socket import CoordinatorSocket
from stt.node.whisper_server import WhisperServer
from stt.remote.client import CoordinatorClient
from stt.remote.messages import NodeSettings, ReportMessage
from stt.settings import Settings
from stt.store.database import Database
from tests.support.coordinator_app import CoordinatorThread, running_coordinator
from tests.support.scripted_server import Answer, ScriptedServer, always

NOBODY = "http://127.0.0.1:9"


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
    client = CoordinatorClient(made.server_url, made.api_key)

    def agreed() -> str:
        """As at a node's start; what it is called in its file, at the coordinator, and here."""
        ours = file.load()
        told = greet(client, ours, ReportMessage(worker_id=f"{made.node_id}_1"))
        name = agree_on_name(client, ours, file, lock, told).name
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
    told = greet(client, file.load(), ReportMessage(worker_id=f"{made.node_id}_1"))
    refused = agree_on_name(client, file.load(), file, lock, told)
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
    file.save(Credentials(NOBODY, "m4-3fa2", "key", "M4"))
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
class Heard:
    """Stands for the node: notes what the channel tells it."""

    settings: list[NodeSettings] = field(default_factory=list)
    removals: int = 0
    cancels: int = 0
    work: tuple[Job, ...] = ()
    trouble: SttError | None = None

    def settings_changed(self, settings: NodeSettings) -> None:
        self.settings.append(settings)

    def claims_were_cancelled(self) -> None:
        self.cancels += 1

    def was_removed(self) -> None:
        self.removals += 1

    def jobs(self) -> tuple[Job, ...]:
        return self.work

    def test(self, limit_seconds: float) -> str:
        if self.trouble is not None:
            raise self.trouble
        return "all is well"


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def test_the_channel_brings_settings_tests_and_the_end(
    coordinator: CoordinatorThread, file: CredentialsFile
) -> None:
    made, heard = join(coordinator, file), Heard()
    client = CoordinatorClient(made.server_url, made.api_key)
    heard.work = (Job(("6903ce2e3006e94c81d59b3f",), "talk.mp3", 30.0, 1.5),)
    channel = CoordinatorSocket(client, made.node_id, made.api_key, heard)
    channel.start()
    path = f"/api/nodes/{made.node_id}"
    try:
        with coordinator.person() as person:
            until(lambda: heard.settings)
            person.patch(path, json={"model": "large-v3"})
            until(lambda: heard.settings[-1].model == "large-v3")
            # The coordinator puts tests to a node that it has heard of.
            report = {"worker_id": f"{made.node_id}_1"}
            client.ask("POST", f"{path}/heartbeat", body=report)
            assert person.post(f"{path}/test").json()["detail"] == "all is well"
            heard.trouble = SttError("its whisper server is away")
            failed = person.post(f"{path}/test").json()
            assert (failed["ok"], failed["detail"]) == (False, "its whisper server is away")
            until(lambda: person.get(path).json()["jobs"])
            assert person.get(path).json()["jobs"][0]["filename"] == "talk.mp3"
        remove(coordinator, made.node_id)
        until(lambda: heard.removals)
    finally:
        channel.stop()


def test_a_channel_of_a_removed_node_says_so_at_once(
    coordinator: CoordinatorThread, file: CredentialsFile
) -> None:
    made, heard = join(coordinator, file), Heard()
    remove(coordinator, made.node_id)
    client = CoordinatorClient(made.server_url, made.api_key)
    channel = CoordinatorSocket(client, made.node_id, made.api_key, heard)
    channel.start()
    until(lambda: heard.removals)
    channel.stop()


def test_where_no_websocket_passes_the_channel_stays_closed_and_says_it_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stt.node.socket._MIN_REST_SECONDS", 0.01)
    caplog.set_level("INFO", "stt")
    with ScriptedServer(always()).running() as plain:
        channel = CoordinatorSocket(CoordinatorClient(plain.url, "key"), "n", "key", Heard())
        channel.start()
        until(lambda: "No live channel" in caplog.text)
        time.sleep(0.1)
        assert not channel.is_open
        channel.stop()
    assert caplog.text.count("No live channel") == 1


def test_a_server_of_ones_own_that_is_silent_is_gone() -> None:
    with ScriptedServer(always()).running() as server:
        settings = Settings(server_urls=(server.url,))
        own = WhisperServer(settings, is_own=True)
        assert not any(own.is_gone() for _ in range(4))
        assert own.test(5).startswith("Transcribed a short recording")
        server.canary = Answer(500)
        with pytest.raises(SttError):
            own.test(5)
    assert [own.is_gone() for _ in range(3)] == [False, False, True]
    assert not any(WhisperServer(settings, is_own=False).is_gone() for _ in range(4))
