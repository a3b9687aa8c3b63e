"""A node on a machine of its own: its whisper stand-in, and a real `stt node start`."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tools.chaos_lab.evidence import WorkerEnd
from tools.chaos_lab.folders import Folders
from tools.chaos_lab.network import Machine
from tools.chaos_lab.processes import close
from tools.chaos_lab.processes import spawn as spawn_process
from tools.chaos_lab.worker_slot import stats_in

CALLS_AT_ONCE = 2
_WHISPER_PORT = 8081
_STEP_SECONDS = 180.0
_LOOK_SECONDS = 0.1
_REACH = """
import socket, sys
for place in sys.argv[1:]:
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
        print("reached")
    except OSError as error:
        print(error.strerror or "no answer")
"""
_TURN = """
import sys, urllib.request
url, told = sys.argv[1:]
request = urllib.request.Request(url, told.encode(), method="PUT")
urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5)
"""


class FarNode:
    """A machine, its whisper stand-in and its `stt node start`."""

    def __init__(self, machine: Machine, number: int, folders: Folders, coordinator: str) -> None:
        self.machine = machine
        self.actor = f"node-{number}.1"
        self.name = f"node {number}"
        self.log = folders.logs / f"{self.actor}.log"
        self._coordinator = coordinator
        self._folders = folders
        self._config = folders.root / f"config-{number}"
        self._environment = {
            "STT_CONFIG_DIR": str(self._config),
            "STT_DATA_DIR": str(folders.root / f"data-{number}"),
            "STT_SERVER_URL": f"http://127.0.0.1:{_WHISPER_PORT}",
            "STT_API_KEY": self.actor,
            "STT_LOG_FORMAT": "text",
            "SEQUENCE_SECONDS": "4",
            "MAX_PARALLEL_WORKERS": str(CALLS_AT_ONCE),
        }

    @contextlib.contextmanager
    def at_work(self, code: str) -> Iterator[None]:
        """Registered and started; everything of it ends here."""
        with contextlib.ExitStack() as closing:
            stand_in = self._spawn("tools.chaos_lab.stand_in", "stand-in", self._stand_in_flags())
            closing.callback(close, stand_in)
            until(lambda: "listening" in self._log_of("stand-in").read_text(), "its whisper server")
            self._register(code)
            flags = ["--history", str(self._folders.node_history / f"{self.actor}.jsonl")]
            flags += ["--actor", self.actor, "--coordinator", self._coordinator]
            flags += ["--", "node", "start", "--no-browser"]
            self.process = self._spawn("tools.chaos_lab.worker", "node", flags)
            closing.callback(close, self.process)
            yield

    @property
    def id(self) -> str:
        """As its coordinator has named it."""
        told = json.loads((self._config / "node.json").read_text())
        return str(told["node_id"])

    def turn(self, **told: object) -> None:
        """Tells its whisper stand-in how to answer."""
        url = f"http://127.0.0.1:{_WHISPER_PORT}/mood"
        self.run(_TURN, url, json.dumps(told))

    @property
    def calls_that_hang(self) -> int:
        """As its whisper stand-in counts them. Raises RuntimeError if the node has ended."""
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} has ended: {self.log.read_text()[-300:]}")
        return self._folders.calls_of(self.actor).read_text().count('"outcome": "hang"')

    def reach(self, *places: str) -> list[str]:
        """What becomes of a connection from there to each place."""
        return self.run(_REACH, *places).split("\n")[: len(places)]

    def run(self, script: str, *arguments: str) -> str:
        command = [*self.machine.within, sys.executable, "-c", script, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_STEP_SECONDS)
        if done.returncode != 0:
            raise RuntimeError(f"in {self.machine.namespace}: {done.stderr.strip()}")
        return done.stdout

    def end(self) -> WorkerEnd:
        """Told to go; how it went."""
        close(self.process, _STEP_SECONDS)
        code = self.process.returncode
        return WorkerEnd(self.actor, None if code < 0 else code, stats_in(self.log))

    def _register(self, code: str) -> None:
        words = ["--server", self._coordinator, "--name", self.name, "--code", code]
        log = self._folders.logs / f"{self.actor}-register.log"
        process = spawn_process(
            "stt", ["node", "register", *words], log, self._environment, self.machine.within
        )
        try:
            if process.wait(_STEP_SECONDS) != 0:
                raise RuntimeError(f"{self.name} could not register: {log.read_text()}")
        finally:
            close(process)

    def _stand_in_flags(self) -> list[str]:
        calls = self._folders.calls_of(self.actor)
        flags = ["--name", self.actor, "--log", str(calls), "--port", str(_WHISPER_PORT)]
        return [*flags, "--pace", "0.1", "0.3", "0.3", "0"]

    def _spawn(self, module: str, what: str, flags: list[str]) -> "subprocess.Popen[bytes]":
        log, within = self._log_of(what), self.machine.within
        return spawn_process(module, flags, log, self._environment, within)

    def _log_of(self, what: str) -> Path:
        return self.log if what == "node" else self.log.with_suffix(f".{what}.log")


def until(condition: Callable[[], object], what: str) -> None:
    """Waits for it. Raises RuntimeError, naming `what`, if it takes too long."""
    deadline = time.monotonic() + _STEP_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {_STEP_SECONDS:g} s for {what}")
        time.sleep(_LOOK_SECONDS)
