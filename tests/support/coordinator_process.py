"""`stt coordinator` as a process of its own, for tests of its start and its end."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.coordinator_app import PEOPLES_KEY, KeyedSession
from tests.support.file_limit import command_with_limit

_START_SECONDS = 180.0
_LISTENING = "Listening on "


class CoordinatorProcess:
    """Starts at once; `url` is there once it listens."""

    def __init__(
        self, folder: Path, *flags: str, max_files: int | None = None, **environment: str
    ) -> None:
        self.lines: list[str] = []
        self.url = ""
        self.key = environment.get("STT_COORDINATOR_KEY", "")
        command = [sys.executable, "-m", "stt", "coordinator", *(flags or ("--port", "0"))]
        self._process = subprocess.Popen(
            command_with_limit(command, max_files),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env=_environment() | {"STT_DATA_DIR": str(folder)} | environment,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def log(self) -> str:
        return "".join(self.lines)

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if self.url:
                with contextlib.suppress(OSError), KeyedSession(self.url, None) as session:
                    if session.get("/health", timeout=60).ok:
                        return
            time.sleep(0.05)
        raise RuntimeError(f"the coordinator did not start:\n{self.log}")

    def person(self) -> KeyedSession:
        return KeyedSession(self.url, self.key)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, timeout_seconds: float = 20.0) -> int:
        """Return the exit code. Raises `subprocess.TimeoutExpired`."""
        code = self._process.wait(timeout_seconds)
        self._reader.join(60)
        return code

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join(60)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line)
            if _LISTENING in line:
                self.url = line.partition(_LISTENING)[2].strip()


@contextlib.contextmanager
def running_process(
    mongo_url: str,
    database_name: str,
    folder: Path,
    *flags: str,
    max_files: int | None = None,
    **environment: str,
) -> Iterator[CoordinatorProcess]:
    """Run one until it is ready, with the people's key PEOPLES_KEY unless another is given."""
    given = {
        "MONGO_URL": mongo_url,
        "DATABASE_NAME": database_name,
        "STT_COORDINATOR_KEY": PEOPLES_KEY,
        **environment,
    }
    process = CoordinatorProcess(folder, *flags, max_files=max_files, **given)
    try:
        process.wait_until_ready()
        yield process
    finally:
        process.stop()


def _environment() -> dict[str, str]:
    """Leave out the settings of the person who runs the tests."""
    ours = ("STT_", "MONGO_URL", "DATABASE_NAME", "NODE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"PYTHONUNBUFFERED": "1"}
