"""Starts a real whisper server for the tests."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping

import requests
from pydantic import AliasChoices

from tests.support.file_limit import command_with_limit
from tests.support.models import sample_model
from whisper_server.settings import Settings

START_SECONDS = 180
_LISTENING = "Listening on "


class WhisperProcess:
    """`python -m whisper_server` as a process of its own; `url` is set once it listens."""

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        max_files: int | None = None,
        **flags: object,
    ) -> None:
        self.url = ""
        self.lines: list[str] = []
        arguments = [f"--{name.replace('_', '-')}={value}" for name, value in flags.items()]
        # In a folder of its own, so that no .env of the person running the tests is read.
        self._folder = tempfile.TemporaryDirectory(prefix="stt-test-whisper-")
        self._process = subprocess.Popen(
            command_with_limit([sys.executable, "-m", "whisper_server", *arguments], max_files),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self._folder.name,
            env=_environment(self._folder.name) | dict(environment or {}),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def log(self) -> str:
        return "".join(self.lines)

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_alive(self) -> None:
        """Until `/health` answers; the model may still be loading."""
        self._wait_for("/health")

    def wait_until_ready(self) -> None:
        """Until the model is loaded."""
        self._wait_for("/ready")

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, timeout_seconds: float) -> int:
        """The exit code; raises `subprocess.TimeoutExpired`."""
        code = self._process.wait(timeout_seconds)
        self._reader.join(60)
        return code

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join(60)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._folder.cleanup()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line)
            if _LISTENING in line:
                self.url = line.partition(_LISTENING)[2].strip()

    def _wait_for(self, path: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if self.url:
                with contextlib.suppress(requests.RequestException):
                    if requests.get(self.url + path, timeout=60).ok:
                        return
            time.sleep(0.05)
        raise RuntimeError(f"the whisper server did not answer {path}:\n{self.log}")


@contextlib.contextmanager
def started_server(
    environment: Mapping[str, str] | None = None, max_files: int | None = None, **flags: object
) -> Iterator[WhisperProcess]:
    """A server that may still be starting; `model` and `port` have defaults."""
    if "model" not in flags:
        flags["model"] = sample_model()
    server = WhisperProcess(environment, max_files, **({"port": 0} | flags))
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def running_server(
    environment: Mapping[str, str] | None = None, max_files: int | None = None, **flags: object
) -> Iterator[WhisperProcess]:
    """A server that is ready: `with running_server(worker_count=2) as server: server.url`."""
    with started_server(environment, max_files, **flags) as server:
        server.wait_until_ready()
        yield server


def run_server(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A start that is expected to fail; its code and what it says."""
    with tempfile.TemporaryDirectory(prefix="stt-test-whisper-") as folder:
        return subprocess.run(
            [sys.executable, "-m", "whisper_server", *arguments],
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            cwd=folder,
            env=_environment(folder) | environment,
            check=False,
        )


def _environment(folder: str) -> dict[str, str]:
    """The environment without settings of the server and with no way to a model hub; what a
    calibration remembers is in `folder`."""
    ours = {
        name
        for field in Settings.model_fields.values()
        if isinstance(field.validation_alias, AliasChoices)
        for name in field.validation_alias.choices
    }
    ours.add("NUMBA_DISABLE_JIT")  # which is for the tests' own process
    kept = {name: value for name, value in os.environ.items() if name.upper() not in ours}
    return kept | {"HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1", "XDG_CACHE_HOME": folder}
