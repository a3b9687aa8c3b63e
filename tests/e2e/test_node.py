"""`stt node` as real processes, at a real coordinator."""

import contextlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from bson import ObjectId

from stt.store import claims
from stt.store.database import Database
from tests.support.coordinator_app import CoordinatorThread, running_coordinator
from tests.support.models import sample_model
from tests.support.pace import until
from tests.support.queue_builder import add_chunks, document
from tests.support.scripted_server import Answer, ScriptedServer, heard
from tests.support.speech import opus_tone

LEASE_SECONDS = 60
"""Far longer than a test: what is given back before was given back on purpose."""


class NodeProcess:
    """A running `stt node start`; `output` is what it has printed so far."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env=environment,
        )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        return "".join(self._lines)

    def wait_for(self, text: str) -> None:
        until(lambda: text in self.output or self._process.poll() is not None)
        assert text in self.output, self.output

    def end(self, number: signal.Signals | None = None) -> int:
        """Send the signal, if one is given, and return the exit code."""
        if number is not None:
            self._process.send_signal(number)
        code = self._process.wait(120)
        self._reader.join(60)
        return code

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join(60)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line)


@dataclass
class Machine:
    """A machine with a folder of settings of its own, and no database."""

    folder: Path
    processes: list[NodeProcess] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "STT_CONFIG_DIR": str(self.folder / "config"),
            "STT_LOG_FORMAT": "text",
            "PYTHONUNBUFFERED": "1",
        }

    def stt_node(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "stt", "node", *arguments],
            cwd=self.folder,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, *flags: str, **environment: str) -> NodeProcess:
        command = [sys.executable, "-m", "stt", "node", "start", "--page-port", "0", *flags]
        process = NodeProcess(command, self.folder, self.environment | environment)
        self.processes.append(process)
        return process

    @property
    def credentials(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.folder / "config" / "node.json").read_text())
        return found

    def write(self, **fields: str) -> None:
        """Write a `node.json` as a person may do it by hand."""
        path = self.folder / "config" / "node.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o600)
        path.write_text(json.dumps(fields))


@dataclass(frozen=True)
class Fleet:
    database: Database
    coordinator: CoordinatorThread
    whisper: ScriptedServer

    def machine(self, folder: Path, name: str = "M4 MacBook Pro") -> Machine:
        """One whose node was added by hand: quicker than a command."""
        node_id, key = self.coordinator.join(name)
        machine = Machine(folder)
        machine.write(server_url=self.coordinator.url, node_id=node_id, api_key=key, name=name)
        return machine

    def ask(self, method: str, path: str, **body: object) -> Any:
        with self.coordinator.person() as person:
            answer = person.request(method, path, json=body or None)
        answer.raise_for_status()
        return answer.json() if answer.content else None


@pytest.fixture(scope="module")
def coordinator(
    shared_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CoordinatorThread]:
    folder = tmp_path_factory.mktemp("coordinator")
    with running_coordinator(shared_database, folder, lease_seconds=LEASE_SECONDS) as thread:
        yield thread


@pytest.fixture
def whisper() -> Iterator[ScriptedServer]:
    with ScriptedServer(lambda number, upload: Answer(body=heard("hello"))).running() as server:
        yield server


@pytest.fixture
def fleet(
    shared_database: Database, coordinator: CoordinatorThread, whisper: ScriptedServer
) -> Iterator[Fleet]:
    yield Fleet(shared_database, coordinator, whisper)
    for collection in ("chunks", "recordings", "audio"):
        getattr(shared_database, collection).delete_many({})


@pytest.fixture
def machine(fleet: Fleet, tmp_path: Path) -> Iterator[Machine]:
    machine = fleet.machine(tmp_path)
    yield machine
    for process in machine.processes:
        process.close()


def is_done(fleet: Fleet, chunk_id: ObjectId) -> bool:
    return document(fleet.database, chunk_id)["transcribed_at"] is not None


def test_a_machine_joins_works_is_tested_and_is_removed(fleet: Fleet, tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    code = fleet.ask("POST", "/api/nodes/join-codes")["code"]
    joined = machine.stt_node(
        "register", "--server", fleet.coordinator.url, "--name", "M4", STT_JOIN_CODE=code
    )
    assert joined.returncode == 0, joined.stderr
    assert stat.S_IMODE((tmp_path / "config" / "node.json").stat().st_mode) == 0o600
    node_id = machine.credentials["node_id"]

    (chunk,) = add_chunks(fleet.database, 1, audio=opus_tone())
    node = machine.start("--server-url", fleet.whisper.url)
    with contextlib.closing(node):
        until(lambda: is_done(fleet, chunk))
        worker = document(fleet.database, chunk)["transcript"]["worker"]
        assert re.fullmatch(rf"{node_id}_\d+", worker)

        shown = machine.stt_node("status", "--json")
        assert shown.returncode == 0, shown.stdout
        status = json.loads(shown.stdout)
        assert (status["name"], status["phase"], status["is_running"]) == ("M4", "working", True)
        second = machine.start()
        with contextlib.closing(second):
            assert second.end() == 3
            assert "runs already" in second.output

        assert fleet.ask("POST", f"/api/nodes/{node_id}/test")["ok"]
        fleet.ask("DELETE", f"/api/nodes/{node_id}")
        assert node.end() == 3
    assert node.output.rstrip().splitlines()[-1].startswith("Error: This node was removed from")
    after = machine.stt_node("status")
    assert (after.returncode, "has removed this node" in after.stdout) == (3, True)


def test_a_killed_node_gives_back_at_its_next_start_what_it_held(
    fleet: Fleet, machine: Machine
) -> None:
    (chunk,) = add_chunks(fleet.database, 1, audio=opus_tone())
    hold = threading.Event()

    def script(number: int, upload: bytes) -> Answer:
        if number == 1:
            hold.wait(30)
        return Answer(body=heard("hello"))

    fleet.whisper.script = script
    flags = ("--server-url", fleet.whisper.url, "--limit", "1")
    first = machine.start(*flags)
    path = f"/api/nodes/{machine.credentials['node_id']}"
    until(lambda: fleet.ask("GET", path)["jobs"])
    assert fleet.ask("GET", path)["jobs"][0]["chunk_ids"] == [str(chunk)]
    assert document(fleet.database, chunk)["processing_by"]
    first.end(signal.SIGKILL)
    fleet.ask("PATCH", path, name="renamed there")
    second = machine.start(*flags)
    assert second.end() == 0  # long before the lease is over
    assert machine.credentials["name"] == "renamed there"
    hold.set()
    assert "Gave back 1 chunk(s) that it held before it was started" in second.output
    assert is_done(fleet, chunk)
    assert document(fleet.database, chunk)["expirations"] == 0


def test_a_node_keeps_its_result_while_the_coordinator_is_restarted(
    fleet: Fleet, machine: Machine, tmp_path: Path
) -> None:
    (chunk,) = add_chunks(fleet.database, 1, audio=opus_tone())
    is_called, may_answer = threading.Event(), threading.Event()

    def script(number: int, upload: bytes) -> Answer:
        is_called.set()
        may_answer.wait(30)
        return Answer(body=heard("kept"))

    fleet.whisper.script = script
    with running_coordinator(fleet.database, tmp_path, lease_seconds=LEASE_SECONDS) as before:
        machine.write(**machine.credentials | {"server_url": before.url})
        node = machine.start("--server-url", fleet.whisper.url)
        assert is_called.wait(30)
    may_answer.set()
    until(lambda: fleet.whisper.calls)
    port = int(before.url.rpartition(":")[2])
    folder = tmp_path / "again"
    with running_coordinator(fleet.database, folder, port=port, lease_seconds=LEASE_SECONDS):
        until(lambda: is_done(fleet, chunk))
        assert node.end(signal.SIGTERM) == 130
    assert len(fleet.whisper.calls) == 1
    assert document(fleet.database, chunk)["transcript"]["segments"][0]["text"] == "kept"


def test_a_node_heeds_what_a_person_changes_at_the_coordinator(
    fleet: Fleet, machine: Machine
) -> None:
    path = f"/api/nodes/{machine.credentials['node_id']}"
    fleet.ask("PATCH", path, is_enabled=False)
    (chunk,) = add_chunks(fleet.database, 1, audio=opus_tone())
    node = machine.start("--server-url", fleet.whisper.url, "--model", "of-its-own")
    node.wait_for("Paused by the coordinator")
    assert not fleet.whisper.calls
    fleet.ask("PATCH", path, is_enabled=True, model="large-v3")
    until(lambda: is_done(fleet, chunk))
    assert b"large-v3" in fleet.whisper.forms[0]
    fleet.ask("PATCH", path, model=None)
    node.wait_for("another model is wanted: our own choice")
    (other,) = add_chunks(fleet.database, 1, audio=opus_tone())
    until(lambda: is_done(fleet, other))
    assert b"of-its-own" in fleet.whisper.forms[1]
    assert node.end(signal.SIGINT) == 130


def test_a_claim_that_a_person_takes_away_is_known_to_be_lost_at_once(
    fleet: Fleet, machine: Machine
) -> None:
    (chunk,) = add_chunks(fleet.database, 1, audio=opus_tone())
    hold = threading.Event()

    def script(number: int, upload: bytes) -> Answer:
        if number == 1:
            hold.wait(30)
        return Answer(body=heard(f"call {number}"))

    fleet.whisper.script = script
    node = machine.start("--server-url", fleet.whisper.url)
    path = f"/api/nodes/{machine.credentials['node_id']}"
    until(lambda: fleet.ask("GET", path)["jobs"])
    assert claims.release(fleet.database, [chunk]) == 1
    node.wait_for("is no longer ours")
    until(lambda: is_done(fleet, chunk))  # by another thread, and not the one that lost it
    hold.set()
    node.wait_for("is no longer ours: its result is dropped")
    assert node.end(signal.SIGTERM) == 130
    assert document(fleet.database, chunk)["transcript"]["segments"][0]["text"] == "call 2"


def test_a_node_brings_a_whisper_server_up_with_the_model_that_it_is_told(
    fleet: Fleet, machine: Machine
) -> None:
    fleet.ask("PATCH", f"/api/nodes/{machine.credentials['node_id']}", model=sample_model())
    (chunk,) = add_chunks(fleet.database, 1, audio=opus_tone())
    node = machine.start("--limit", "1")
    assert node.end() == 0
    assert "Starting a whisper server" in node.output
    assert document(fleet.database, chunk)["transcript"]["model"] == Path(sample_model()).name


def test_the_page_of_a_node_tells_its_own_browser_alone(fleet: Fleet, machine: Machine) -> None:
    # No coordinator answers here: the page is there all the same.
    machine.write(**machine.credentials | {"server_url": "http://127.0.0.1:9"})
    node = machine.start("--server-url", fleet.whisper.url)
    node.wait_for("Waits for the coordinator: The coordinator at http://127.0.0.1:9 does not")
    found = re.search(r"The node's page: (http://127\.0\.0\.1:\d+)", node.output)
    assert found, node.output
    url = found[1]
    with requests.Session() as browser:
        browser.trust_env = False
        shown = browser.get(url, timeout=60)
        assert "script-src 'self'" in shown.headers["Content-Security-Policy"]
        assert "<script>" not in shown.text
        state = browser.get(f"{url}/api/state", timeout=60)
        status = state.json()
        assert (status["phase"], status["is_reached"], status["fleet"]) == (
            "connecting",
            False,
            None,
        )
        assert machine.credentials["api_key"] not in state.text + node.output
        rebound = browser.get(f"{url}/api/state", headers={"Host": "evil.example"}, timeout=60)
        assert rebound.status_code == 400
    assert node.end(signal.SIGTERM) == 130
