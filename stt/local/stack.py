"""Start the embedded database and a local whisper server for as long as they are needed."""

import contextlib
import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from importlib.util import find_spec

import requests

from stt.errors import ConfigError, ServerUnavailable, SttError
from stt.settings import Settings
from stt.store.database import Database
from stt.system.http import http_session
from stt.system.processes import end, free_port

_SERVER_MODULES = ("fastapi", "faster_whisper", "uvicorn")
_EXIT_CONFIGURATION = 3
_POLL_SECONDS = 0.05
_LOG_SECONDS = 10.0
_STOP_SECONDS = 8.0

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def open_database(settings: Settings) -> Iterator[Database]:
    """Open the embedded database in `settings.data_dir`; start it if no other command has.

    Stop it at the end if no other command uses it. Raise ConfigError if it is not installed or its
    folder cannot be used, DatabaseUnavailable if it does not start.
    """
    # Import it here: it needs POSIX file locks, and `local_server` works on Windows too.
    from stt.local import database as embedded_database

    if not embedded_database.is_installed():
        raise ConfigError(
            "No database is configured: set MONGO_URL, or install the embedded one:"
            " pip install 'stt-fleet[embedded]'"
        )
    with (
        embedded_database.EmbeddedServer(settings.data_dir).shared() as url,
        Database(url, settings.database_name) as database,
    ):
        yield database


@contextlib.contextmanager
def whisper_servers(settings: Settings) -> Iterator[Settings]:
    """Yield settings with the servers that are set, or else with a local one.

    Raise ConfigError and ServerUnavailable as `local_server` does.
    """
    if settings.server_urls:
        yield settings
        return
    with local_server(settings, settings.model) as url:
        # It has one model, and its name for that may differ from the folder's that it came from.
        yield settings.model_copy(update={"server_urls": (url,), "model": None})


@contextlib.contextmanager
def local_server(settings: Settings, model: str | None = None) -> Iterator[str]:
    """Start a whisper server, yield its URL once it is ready, and stop it at the end.

    `model` None: the server uses WHISPER_MODEL, or its preset for this machine. Raise ConfigError
    if the server is not installed or cannot serve that model, ServerUnavailable if it does not
    start for another reason.
    """
    if any(find_spec(module) is None for module in _SERVER_MODULES):
        raise ConfigError(
            "No whisper server is configured: set STT_SERVER_URL, or install the local one:"
            " pip install 'stt-fleet[server]'"
        )
    port = free_port()
    command = [sys.executable, "-P", "-m", "stt.system.exit_with_parent", "whisper_server"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    command += [] if model is None else ["--model", model]
    # API_KEY in our environment is meant for a server that others use; ours has our worker's key.
    environment = {name: value for name, value in os.environ.items() if name != "API_KEY"}
    if settings.api_key is not None:
        environment["API_KEY"] = settings.api_key.get_secret_value()
    server = _WhisperServer(command, environment, f"http://127.0.0.1:{port}")
    try:
        server.wait_until_ready()
        yield server.url
    finally:
        server.stop()


class _WhisperServer:
    """A whisper server that ends with this process, see `stt.system.exit_with_parent`."""

    def __init__(self, command: list[str], environment: dict[str, str], url: str) -> None:
        self.url = url
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._last_lines: deque[str] = deque(maxlen=20)
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()

    def wait_until_ready(self) -> None:
        """Wait for as long as the process runs: the first use of a model downloads it."""
        logger.info("Starting a whisper server")
        log_at = time.monotonic() + _LOG_SECONDS
        with http_session(self.url) as session:
            while not self._is_ready(session):
                if self._process.poll() is not None:
                    self._reader.join(timeout=1)
                    raise self._start_error()
                if time.monotonic() > log_at:
                    logger.info("Waiting for the whisper server: %s", self._last_line())
                    log_at += _LOG_SECONDS
                time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        end(self._process, _STOP_SECONDS)
        self._reader.join(timeout=1)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()

    def _is_ready(self, session: requests.Session) -> bool:
        try:
            return session.get(f"{self.url}/ready", timeout=5).ok
        except requests.RequestException:
            return False

    def _start_error(self) -> SttError:
        is_setting = self._process.returncode == _EXIT_CONFIGURATION
        kind = ConfigError if is_setting else ServerUnavailable
        return kind(f"The local whisper server did not start: {self._last_line()}")

    def _last_line(self) -> str:
        line = self._last_lines[-1] if self._last_lines else "it has said nothing yet"
        return re.sub(r"^[\d:, -]*[A-Z]+:\s+", "", line)

    def _read_log(self) -> None:
        assert self._process.stdout is not None
        for raw in self._process.stdout:
            line = raw.decode(errors="replace").rstrip()
            if line:
                self._last_lines.append(line)
                logger.debug("whisper server: %s", line)
