"""A place in the fleet, its worker process, and what can be done to that; clocks included."""

import ast
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.chaos_lab.clock import with_wrong_clock
from tools.chaos_lab.coordinators import Membership, join_as
from tools.chaos_lab.evidence import WorkerEnd
from tools.chaos_lab.processes import mongo_url, spawn
from tools.chaos_lab.proxy import Proxy


@dataclass(eq=False)
class WorkerSlot:
    """A place in the fleet: when its worker ends another takes its place, as with systemd.

    `queue` is its way to the database.
    """

    number: int
    queue: Proxy
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

    def is_called(self, worker_id: str) -> bool:
        """True if that is the id under which its worker claims."""
        return worker_id.rpartition("_")[2] == str(self.pid)

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
        module, *flags = self._command()
        command = [module, "--history", str(self.history / f"{self.actor}.jsonl")]
        command += ["--actor", self.actor]
        if self.mutation:
            command += ["--mutation", self.mutation]
        command += flags
        own = {
            # The server's log then tells whose call it was.
            "STT_API_KEY": self.actor,
            "STT_SERVER_URL": ",".join(f"http://127.0.0.1:{p.port}" for p in self.servers),
            **self._place(),
        }
        if self.clock_offset:
            command, own = with_wrong_clock(command, own, self.clock_offset)
            self.clock_offset = None
        self._process = spawn(command[0], command[1:], self.log, {**self.environment, **own})

    def _command(self) -> list[str]:
        """The module that is the worker, and what it is told besides who it is."""
        return ["tools.chaos_lab.worker", "--", "--watch", "--log-format", "text"]

    def _place(self) -> dict[str, str]:
        """Where the queue is, as settings."""
        url = mongo_url(
            self.queue.port,
            serverSelectionTimeoutMS=1_500, connectTimeoutMS=1_000,
            socketTimeoutMS=round(self._database_seconds * 1_000),
        )  # fmt: skip
        return {"MONGO_URL": url}

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


@dataclass(eq=False)
class NodeSlot(WorkerSlot):
    """The same for a worker of another machine: `queue` is its way to the coordinators."""

    membership: Membership = field(kw_only=True)

    @property
    def actor(self) -> str:
        return f"node-{self.number}.{self.starts}"

    def is_called(self, worker_id: str) -> bool:
        return worker_id.rpartition("_")[0] == self.membership.id

    def _command(self) -> list[str]:
        flags = ["--coordinator", self._url, "--", "node", "start", "--no-browser"]
        return ["tools.chaos_lab.worker", *flags, "--page-port", "0", "--log-format", "text"]

    def _place(self) -> dict[str, str]:
        folder = self.logs / f"node-{self.number}"
        if not folder.exists():
            join_as(self.membership, self._url, folder)
        return {"STT_CONFIG_DIR": str(folder), "STT_DATA_DIR": str(folder)}

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self.queue.port}"


def stats_in(log: Path) -> dict[str, int] | None:
    """The last stats that a worker printed."""
    found = re.findall(r"(?m)  Completed processing\. Stats: (\{.*\})$", log.read_text("utf-8"))
    return ast.literal_eval(found[-1]) if found else None
