"""Run the embedded database: one server process that all commands of a user share.

Locks in the data folder coordinate the commands:

    database.gate    held while a command joins, starts, leaves or stops the server
    database.users   held shared by each command that uses the server; a command that leaves and
                     gets it exclusively was the last one, and stops the server, or lets it stay
                     for the next: its modification time is the moment until which that is
    database.server  held by the server process itself, which inherits it at its start
    database.pid     held by the server process too; the process id in it counts while it is held

The system releases the locks of a process that ends, so nothing has to be cleaned up after `kill
-9`: if the last command is killed, the server finds it out within a second, and ends. It stays for
the next command only after one that ended well. The server runs in a session of its own, so that
Ctrl-C in the terminal does not reach it. All our writes wait for the journal, so they survive `kill
-9` of any process and a full disk. A server that ran into a full disk stays broken when there is
space again: the next command that joins it restarts it.

The server listens on this machine only and asks for a password, so that other users of the machine
are kept out. Each start makes a new one, in a file that its user alone can read.
"""

import contextlib
import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from pymongo.errors import OperationFailure

from stt.errors import ConfigError, DatabaseUnavailable
from stt.local.data_folder import DataFolder
from stt.local.server_checks import answers, is_broken, listens, reply, url_without_password
from stt.system.processes import end, free_port
from stt.system.users_lock import stay_until, take

_MAX_LOG_BYTES = 1_000_000
_PORT_TRIES = 3
_START_SECONDS = 120.0
# SIGKILL loses nothing, see above.
_STOP_SECONDS = 8.0
_POLL_SECONDS = 0.02

logger = logging.getLogger(__name__)


def is_installed() -> bool:
    """Return whether the `embedded` extra is installed."""
    return find_spec("secantus") is not None


class EmbeddedServer:
    """The database server of one data folder, for one command.

    Methods raise ConfigError if the folder cannot be used, DatabaseUnavailable if the server does
    not start.
    """

    def __init__(self, folder: Path, keep_alive_seconds: float = 0.0) -> None:
        self._folder = DataFolder(folder)
        self._keep_alive_seconds = keep_alive_seconds
        self._process: subprocess.Popen[bytes] | None = None

    @contextlib.contextmanager
    def shared(self) -> Iterator[str]:
        """Yield the server's URL; join the server if it runs, else start it."""
        self._folder.make_private()
        keep_alive_seconds = 0.0
        with self._folder.open_lock("users") as users:
            with self._gate():
                fcntl.flock(users, fcntl.LOCK_SH)
                stay_until(users.fileno(), 0.0)
                url = self._join(users) if self._is_alive() else self._start()
            try:
                yield url
                keep_alive_seconds = self._keep_alive_seconds
            except DatabaseUnavailable as error:
                if self._folder.is_full():
                    raise DatabaseUnavailable(
                        f"The disk is full, so the embedded database in {self._folder.path} cannot"
                        " write. Nothing that was stored is lost: make space, and run this again."
                    ) from error
                raise
            finally:
                with self._gate():
                    if keep_alive_seconds:
                        stay_until(users.fileno(), time.time() + keep_alive_seconds)
                    elif take(users.fileno()):
                        self._stop()
                    if self._process is not None:
                        # It still runs; Popen would warn that it was not waited for.
                        self._process.returncode = 0

    def _join(self, users: IO[bytes]) -> str:
        """Wait until the server answers; start it if it ends, restart it if it is broken."""
        port = self._folder.port()
        if port is None:
            raise self._unusable("it runs, but the file with its port is gone")
        hello = self._wait_for_reply(url_without_password(port), "hello")
        if hello is None:
            return self._start()
        if not hello.get("accessControlEnabled"):
            return self._replace(users, "asks for no password: an earlier version started it")
        if is_broken(port):
            return self._restart_broken()
        url = self._folder.url(port)
        try:
            if url is not None:
                return url if self._wait_for_reply(url, "ping") else self._start()
        except OperationFailure:
            if is_broken(port):  # since then
                return self._restart_broken()
        file = self._folder.password_file
        return self._replace(users, f"has another password than {file}: that was changed")

    def _wait_for_reply(self, url: str, command: str) -> dict[str, Any] | None:
        """Return the reply of a server that runs, None if it ends before.

        Raise OperationFailure if it refuses the command.
        """
        deadline = time.monotonic() + _START_SECONDS
        while (answer := reply(url, command)) is None:
            if not self._is_alive():
                return None
            if time.monotonic() > deadline:
                raise self._unusable("it runs, but does not answer")
            time.sleep(_POLL_SECONDS)
        return answer

    def _replace(self, users: IO[bytes], fault: str) -> str:
        """Restart a server that does not ask for our password, if no other command uses it."""
        if not take(users.fileno()):
            raise DatabaseUnavailable(
                f"The embedded database in {self._folder.path} {fault}. End the commands of stt"
                " that use it, and run this again: nothing is lost."
            )
        fcntl.flock(users, fcntl.LOCK_SH)
        return self._restart()

    def _restart_broken(self) -> str:
        logger.warning("The embedded database has broken down and is started anew")
        return self._restart()

    def _restart(self) -> str:
        self._stop()
        if self._is_alive():
            raise self._unusable("the one that runs does not end")
        return self._start()

    def _start(self) -> str:
        try:
            self._folder.make_password()
        except ConfigError as error:
            if self._folder.is_full():
                raise self._unusable("the disk is full") from error
            raise
        for _ in range(_PORT_TRIES):
            url = self._try_to_start(free_port())
            if url is not None:
                return url
        raise self._unusable("every port that was free is in use a moment later")

    def _try_to_start(self, port: int) -> str | None:
        """Return the URL, or None if another program took the port meanwhile."""
        self._folder.set_port(port)
        url = self._folder.url(port)
        assert url is not None
        process, log_start = self._spawn(port)
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not (listens(port) and answers(url)):
                if process.poll() is not None:
                    written = self._folder.log.read_bytes()[log_start:].decode(errors="replace")
                    reason = written.strip().rpartition("\n")[2].strip()
                    if "Address already in use" in reason:
                        return None
                    if self._folder.is_full():
                        reason = "the disk is full"
                    raise self._unusable(reason or f"exit code {process.returncode}")
                if time.monotonic() > deadline:
                    raise self._unusable(f"no answer within {_START_SECONDS:.0f} s")
                time.sleep(_POLL_SECONDS)
        except BaseException:
            end(process, _STOP_SECONDS)
            raise
        return url

    def _spawn(self, port: int) -> tuple[subprocess.Popen[bytes], int]:
        """Return the process, and the position in the log file where its lines begin."""
        folder = self._folder
        command = [sys.executable, "-P", "-m", "stt.local.secantus_server"]
        command += [str(port), str(folder.path)]
        is_long = folder.log.exists() and folder.log.stat().st_size > _MAX_LOG_BYTES
        with (
            folder.using(),
            folder.log.open("wb" if is_long else "ab") as log,
            folder.open_lock("server") as lock,
        ):
            fcntl.flock(lock, fcntl.LOCK_EX)
            log.seek(0, os.SEEK_END)
            logger.debug("starting the embedded database in %s", folder.path)
            self._process = subprocess.Popen(
                command,
                cwd=folder.path,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock.fileno(),),
                start_new_session=True,
            )
            return self._process, log.tell()

    def _is_alive(self) -> bool:
        with self._folder.open_lock("server") as server:
            return not take(server.fileno())

    def _stop(self, *, at_once: bool = False) -> None:
        """Stop the server: SIGTERM, then SIGKILL; SIGKILL alone `at_once`, or after Ctrl-C."""
        signals = [signal.SIGTERM, signal.SIGKILL]
        try:
            port = self._folder.port()
            pid = self._server_pid() if self._is_alive() else None
            if at_once or (pid is not None and port is not None and is_broken(port)):
                signals = signals[1:]  # SIGTERM may not end it; the journal has all writes
            for number in signals:
                if pid is not None and self._is_alive():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
                deadline = time.monotonic() + _STOP_SECONDS
                while self._is_alive() and time.monotonic() < deadline:
                    time.sleep(_POLL_SECONDS)
        except KeyboardInterrupt:
            if not at_once:
                self._stop(at_once=True)
            raise
        if self._process is not None:
            self._process.wait()

    def _server_pid(self) -> int | None:
        """Return the process id of the server that runs, None if it is unknown."""
        if self._process is not None and self._process.poll() is None:
            return self._process.pid
        pid, port = self._folder.server_pid(), self._folder.port()
        if pid is None and port is not None:  # of an earlier version
            with contextlib.suppress(OperationFailure):
                status = reply(url_without_password(port), "serverStatus")
                pid = None if status is None else int(status["pid"])
        return pid

    @contextlib.contextmanager
    def _gate(self) -> Iterator[None]:
        with self._folder.open_lock("gate") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            yield

    def _unusable(self, reason: str) -> DatabaseUnavailable:
        return DatabaseUnavailable(
            f"The embedded database did not start: {reason} (its log: {self._folder.log})"
        )
