"""The processes of a chaos run, each of which ends when this one does; servers come back."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pymongo
import requests
from pymongo.errors import PyMongoError

from stt.system.processes import end, free_port
from tools.chaos_lab.clock import with_wrong_clock
from tools.chaos_lab.proxy import Proxy

ROOT = Path(__file__).resolve().parents[2]
DATABASE_NAME = "stt_chaos"
_START_SECONDS = 60.0
_END_SECONDS = 10.0
_POLL_SECONDS = 0.05
# A person's own settings must not change what is tried out here.
_OURS = (
    "STT_", "MONGO_", "DATABASE_", "MAX_", "CHUNK_", "LEASE_", "SEQUENCE_", "USE_", "NODE_",
    "WHISPER_", "MODEL_", "WORKER_", "API_KEY", "HOST", "PORT", "FAKETIME", "LD_PRELOAD",
)  # fmt: skip


def spawn(
    module: str,
    arguments: Sequence[str],
    log: Path,
    environment: Mapping[str, str],
    within: Sequence[str] = (),
) -> subprocess.Popen[bytes]:
    """`python -m module`, out of the terminal's reach, that ends when this process does.

    `within` is a command that becomes the one behind it, such as `ip netns exec NAME`.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    with log.open("ab") as file:
        return subprocess.Popen(
            [
                *within,
                sys.executable,
                "-P",
                "-m",
                "stt.system.exit_with_parent",
                module,
                *arguments,
            ],
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=file,
            cwd=log.parent,  # where no `.env` of a person lies
            env=kept | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | dict(environment),
            start_new_session=True,
        )


def close(process: subprocess.Popen[bytes], patience_seconds: float = _END_SECONDS) -> None:
    """Ends a process of `spawn`, whatever state it is in."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGCONT)
    end(process, patience_seconds)
    if process.stdin is not None:
        process.stdin.close()


@dataclass(eq=False)
class Server:
    """A server process that is started again whenever it dies, on the same port.

    While it is away its proxies refuse connections, as its own port does.
    """

    name: str
    module: str
    arguments: Sequence[str]
    log: Path
    answers: Callable[[], bool]
    port: int
    environment: Mapping[str, str] = field(default_factory=dict)
    proxies: list[Proxy] = field(default_factory=list)
    rest_seconds: float = 0.3
    """How long it stays away when it dies."""
    starts: int = 0
    is_up: bool = False
    is_moody: bool = False
    """It was told to misbehave, if it can be told."""
    is_paused: bool = False
    clock_offset: str | None = None
    """Its clock is so many seconds off, from its next start on."""
    _closing: threading.Event = field(default_factory=threading.Event)
    _keeper: threading.Thread | None = None
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns at once; `wait` for it. Raises RuntimeError there if it does not start."""
        self._launch()
        self._keeper = threading.Thread(target=self._keep, name=f"keeper of {self.name}")
        self._keeper.daemon = True
        self._keeper.start()

    def wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self.is_up:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} does not start, see {self.log}")
            time.sleep(_POLL_SECONDS)

    def kill(self, rest_seconds: float) -> None:
        """SIGKILL, as a power cut would; it comes back by itself."""
        assert self._process is not None
        self.rest_seconds = rest_seconds
        self.is_up = False
        self._process.kill()

    def signal(self, number: signal.Signals) -> None:
        """Nothing happens to one that is gone."""
        if self._process is not None and self._process.poll() is None:
            self.is_paused = number == signal.SIGSTOP
            self._process.send_signal(number)

    def close(self) -> None:
        self._closing.set()
        if self._process is not None:
            close(self._process)
        if self._keeper is not None:
            self._keeper.join(_END_SECONDS)

    def _launch(self) -> None:
        self.starts += 1
        self.is_paused = False
        command, environment = [self.module, *self.arguments], dict(self.environment)
        if self.clock_offset:
            command, environment = with_wrong_clock(command, environment, self.clock_offset)
        self._process = spawn(command[0], command[1:], self.log, environment)

    def _keep(self) -> None:
        assert self._process is not None
        while not self._closing.is_set():
            if self._wait_until_it_answers():
                for proxy in self.proxies:
                    proxy.accept()
                self.is_up = True
            self._process.wait()
            if self._closing.is_set():
                return
            self.is_up = False
            for proxy in self.proxies:
                proxy.refuse()
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._closing.wait(self.rest_seconds)
            self._launch()

    def _wait_until_it_answers(self) -> bool:
        assert self._process is not None
        while self._process.poll() is None and not self._closing.is_set():
            if self.answers():
                return True
            time.sleep(_POLL_SECONDS)
        return False


def database_server(folder: Path, logs: Path) -> Server:
    """The embedded database on a port of its own; its data in `folder`."""
    port = free_port()
    config = logs / "database.toml"
    config.touch()  # an empty one keeps it from looking for a configuration elsewhere
    arguments = ["--config", str(config), "--port", str(port), "--storage-path", str(folder)]
    arguments += ["--log-level", "WARNING"]

    def answers() -> bool:
        with pymongo.MongoClient[dict[str, object]](
            mongo_url(port), serverSelectionTimeoutMS=500, socketTimeoutMS=5_000
        ) as client:
            try:
                client.admin.command("ping")
            except PyMongoError:
                return False
        return True

    return Server("database", "secantus", arguments, logs / "database.log", answers, port)


def mongo_url(port: int, **options: int) -> str:
    more = "".join(f"&{name}={value}" for name, value in options.items())
    return f"mongodb://127.0.0.1:{port}/?directConnection=true{more}"


def http_server(
    name: str,
    module: str,
    arguments: Sequence[str],
    logs: Path,
    environment: Mapping[str, str] | None = None,
    address: str = "127.0.0.1",
    ready_path: str = "/ready",
) -> Server:
    """A server on a port of its own, such as a whisper server, real or not.

    `environment` in place of what keeps those small.
    """
    port = free_port()

    def answers() -> bool:
        with contextlib.suppress(requests.RequestException), requests.Session() as session:
            session.trust_env = False
            return session.get(f"http://{address}:{port}{ready_path}", timeout=2).ok
        return False

    given = [*arguments, "--port", str(port)]
    one_thread = {"CPU_THREADS": "1", "WORKER_COUNT": "1", "HF_HUB_OFFLINE": "1"}
    log = logs / f"{name}.log"
    return Server(name, module, given, log, answers, port, environment or one_thread)
