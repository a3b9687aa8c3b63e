"""The process of a whisper server of this machine, for one command."""

import contextlib
import logging
import os
import re
import secrets
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from stt.errors import ConfigError, ServerBusy, ServerUnavailable
from stt.system.processes import end, free_port
from stt.system.waiting import waiting

if TYPE_CHECKING:
    from stt.local.kept_server import KeptServer, ServerFile

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


class ServerProcess:
    """A server that this process has started, or one that an earlier command left.

    `folder`: where its file is, None if it must not stay. `speakers`: whether it finds them.
    """

    def __init__(self, model: str | None, folder: Path | None, *, speakers: bool = False) -> None:
        self._file: ServerFile | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._log: _LogReader | None = None
        self._made_for = ""
        self._said = ""
        flags = [] if model is None else ["--model", model]
        flags += ["--speakers", "true"] if speakers else []
        if folder is not None and (kept := self._find(flags, folder)) is not None:
            self._server = LocalServer(kept.url, SecretStr(kept.key))
            logger.debug("using the whisper server that an earlier command left")
            return
        port = free_port()
        # Others on this machine reach the port, but cannot read a process's environment. A key of
        # the settings is for servers that are shared.
        self._server = LocalServer(f"http://127.0.0.1:{port}", SecretStr(secrets.token_urlsafe(32)))
        self._spawn(["--host", "127.0.0.1", "--port", str(port), *flags])

    def _find(self, flags: list[str], folder: Path) -> "KeptServer | None":
        """Return the server that an earlier command left; make the file of a new one if none is."""
        from stt.local.kept_server import ServerFile, fingerprint

        self._made_for = fingerprint(flags)
        found = ServerFile.find(folder, self._made_for)
        if found is not None:
            self._file, kept = found
            return kept
        with contextlib.suppress(OSError):
            self._file = ServerFile.new(folder)
        return None

    def _spawn(self, arguments: list[str]) -> None:
        # It ends with this process, see `stt.system.exit_with_parent`.
        command = [sys.executable, "-P", "-m", "stt.system.exit_with_parent"]
        users = self._file.open_for_server() if self._file else None
        command += [] if users is None else ["--users", str(users)]
        command += ["whisper_server", *arguments]
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
        with waiting(self._describe) as is_shown:
            while True:
                try:
                    client.ready()
                    return self._server
                except ServerBusy as busy:
                    self._said = busy.reason
                except ServerUnavailable:
                    pass
                self._check_alive()
                if not is_shown and time.monotonic() > log_at:
                    logger.info("Waiting for the whisper server: %s", self._describe())
                    log_at += _LOG_SECONDS
                time.sleep(_POLL_SECONDS)

    def _describe(self) -> str:
        """Return what the server does before it is ready, in its own words."""
        return self._said or (self._log.last_line if self._log else "it starts")

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
            try:
                self._let_stay(keep_alive_seconds)
            except OSError as error:  # the disk is full, or the data folder is gone
                logger.debug("the whisper server does not stay for the next command: %s", error)
            else:
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
        self.last_line = "it starts"

    def run(self) -> None:
        with self._lines:
            for raw in self._lines:
                if line := raw.decode(errors="replace").rstrip():
                    self.last_line = re.sub(r"^[\d:, -]*[A-Z]+:\s+", "", line)
                    logger.debug("whisper server: %s", line)
