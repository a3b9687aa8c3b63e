"""A place in the fleet, its worker process, and what can be done to that; clocks included."""

import ast
import random
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.chaos_lab.evidence import WorkerEnd
from tools.chaos_lab.processes import mongo_url, spawn
from tools.chaos_lab.proxy import Proxy

_AN_HOUR = "3600"


@dataclass(eq=False)
class WorkerSlot:
    """A place in the fleet: when its worker ends another takes its place, as with systemd."""

    number: int
    database: Proxy
    servers: Sequence[Proxy]
    logs: Path
    history: Path
    environment: Mapping[str, str]
    mutation: str | None = None
    starts: int = 0
    is_paused: bool = False
    clock_offset: str | None = None
    """The next worker's clock is so many seconds off."""
    ends: list[WorkerEnd] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None
    _has_begun: bool = False
    _was_told_to_go: bool = False

    @property
    def actor(self) -> str:
        return f"worker-{self.number}.{self.starts}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def log(self) -> Path:
        return self.logs / f"{self.actor}.log"

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def is_at_work(self) -> bool:
        """True once it has looked at the queue, unless it is paused or was told to go."""
        if not self.is_alive or self.is_paused or self._was_told_to_go:
            return False
        self._has_begun = self._has_begun or b"Using " in self.log.read_bytes()
        return self._has_begun

    @property
    def _database_seconds(self) -> float:
        """For an answer: short enough that a claim outlives a black hole, long enough for a
        database that is merely slow, which more of the same questions would only make slower."""
        return max(1.5, float(self.environment["LEASE_SECONDS"]) / 2)

    def start(self) -> None:
        self.starts += 1
        self._has_begun = self._was_told_to_go = self.is_paused = False
        flags = ["--history", str(self.history / f"{self.actor}.jsonl"), "--actor", self.actor]
        if self.mutation:
            flags += ["--mutation", self.mutation]
        own = {
            # The server's log then tells whose call it was.
            "STT_API_KEY": self.actor,
            "STT_SERVER_URL": ",".join(f"http://127.0.0.1:{p.port}" for p in self.servers),
            "MONGO_URL": mongo_url(
                self.database.port,
                serverSelectionTimeoutMS=1_500, connectTimeoutMS=1_000,
                socketTimeoutMS=round(self._database_seconds * 1_000),
            ),
        }  # fmt: skip
        flags += ["--", "--watch", "--log-format", "text"]
        command = ["tools.chaos_lab.worker", *flags]
        if self.clock_offset:
            own |= clock_environment(self.clock_offset)
            command.insert(0, "tools.chaos_lab.wrong_clock")
            self.clock_offset = None
        self._process = spawn(command[0], command[1:], self.log, {**self.environment, **own})

    def signal(self, number: signal.Signals) -> None:
        """Nothing happens to a worker that is gone already."""
        if self._process is not None and self.is_alive:
            self._was_told_to_go = self._was_told_to_go or number == signal.SIGTERM
            self.is_paused = number == signal.SIGSTOP
            self._process.send_signal(number)

    def bury(self) -> bool:
        """Notes how the worker ended; False if it lives."""
        if self._process is None or self._process.poll() is None:
            return False
        code = self._process.returncode
        self.ends.append(WorkerEnd(self.actor, None if code < 0 else code, stats_in(self.log)))
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None
        return True

    def ask_to_go(self) -> None:
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)

    def finish(self, patience_seconds: float) -> bool:
        """Waits for its end; False if it had to be killed."""
        if self._process is None:
            return True
        try:
            self._process.wait(patience_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            self.bury()
            return False
        self.bury()
        return True

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()  # what is stopped dies of it too
            self._process.wait()
            self.bury()


def stats_in(log: Path) -> dict[str, int] | None:
    """The last stats that a worker printed."""
    found = re.findall(r"(?m)^Completed processing\. Stats: (\{.*\})$", log.read_text("utf-8"))
    return ast.literal_eval(found[-1]) if found else None


def has_clock_faker() -> bool:
    return shutil.which("faketime") is not None


def clock_environment(offset_seconds: str) -> dict[str, str]:
    """Variables that move a process's date, and not its monotonic clock.

    libfaketime without its wrapper, which would be a process between us and our child.
    """
    command = ["faketime", "-f", "+0", "printenv", "LD_PRELOAD"]
    library = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return {
        "LD_PRELOAD": library,
        "FAKETIME": offset_seconds,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def an_hour_off(rng: random.Random) -> str:
    """A clock's offset, forwards or backwards, as libfaketime reads it."""
    return rng.choice("+-") + _AN_HOUR
