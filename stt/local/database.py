"""Run the embedded database: one server process that all commands of a user share.

Three locks in the data folder coordinate the commands; a process id counts only while its lock is
held:

    database.gate    held while a command joins, starts, leaves or stops the server
    database.users   held shared by each command that uses the server; a command that leaves and
                     gets it exclusively was the last one, and stops the server
    database.server  held by the server process itself, which inherits it at its start

The system releases the locks of a process that ends, so nothing has to be cleaned up after
`kill -9`: if the last command is killed, the server goes on, and the next command joins it and
stops it at its end. The server runs in a session of its own, so that Ctrl-C in the terminal does
not reach it. All our writes wait for the journal, so they survive `kill -9` of any process and a
full disk. A server that ran into a full disk stays broken when there is space again: the next
command that joins it restarts it.

The server listens on this machine only and asks for no password. On a machine with several users,
use a MongoDB with users instead.
"""

import contextlib
import fcntl
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from stt.errors import ConfigError, DatabaseUnavailable
from stt.system.processes import end, free_port
from stt.system.signals import ExitAtOnce

_CACHE_SIZE = "256M"
_MAX_LOG_BYTES = 1_000_000
_MIN_FREE_BYTES = 16_000_000  # the journal takes ten million at once
_PORT_TRIES = 3
_INTERNAL_ERROR = 1  # MongoDB's code for it
_START_SECONDS = 120.0
# SIGTERM takes about 2 s. One in some forty gets lost: Python does not wake the main thread, which
# alone handles signals, if another thread receives it. SIGKILL loses nothing, see above.
_STOP_SECONDS = 8.0
_POLL_SECONDS = 0.05

logger = logging.getLogger(__name__)


def is_installed() -> bool:
    """Return whether the `embedded` extra is installed.

    Never import it: its licence is GPL-2.0, so it has to stay a process of its own.
    """
    return find_spec("secantus") is not None


class EmbeddedServer:
    """The database server of one data folder, for one command.

    Methods raise ConfigError if the folder cannot be used, DatabaseUnavailable if the server does
    not start.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.expanduser().absolute()
        self._log_path = self._folder / "database.log"
        self._port_path = self._folder / "database.port"
        self._url = ""
        self._pid = 0
        self._process: subprocess.Popen[bytes] | None = None

    @contextlib.contextmanager
    def shared(self) -> Iterator[str]:
        """Yield the server's URL; join the server if it runs, else start it."""
        with self._open_lock("users") as users:
            with self._gate():
                fcntl.flock(users, fcntl.LOCK_SH)
                url = self._join() if self._is_alive() else self._start()
            at_once = False
            try:
                yield url
            except ExitAtOnce:
                at_once = True
                raise
            except DatabaseUnavailable as error:
                if self._is_disk_full():
                    raise DatabaseUnavailable(
                        f"The disk is full, so the embedded database in {self._folder} cannot"
                        " write. Nothing that was stored is lost: make space, and run this again."
                    ) from error
                raise
            finally:
                with self._gate():
                    if _take(users):
                        self._stop(at_once=at_once)
                    elif self._process is not None:
                        # Others still use it; Popen would warn that it was not waited for.
                        self._process.returncode = 0

    def _join(self) -> str:
        """Wait until the server answers; start it if it ends, restart it if it is broken."""
        try:
            url = _mongo_url(int(self._port_path.read_text()))
        except (OSError, ValueError) as error:
            raise self._unusable(f"{self._port_path} is gone while it runs") from error
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers(url):
            if not self._is_alive():
                return self._start()
            if time.monotonic() > deadline:
                raise self._unusable("it runs, but does not answer")
            time.sleep(_POLL_SECONDS)
        if _is_broken(url):
            logger.warning("The embedded database has broken down and is started anew")
            self._stop()
            return self._start()
        return url

    def _start(self) -> str:
        for _ in range(_PORT_TRIES):
            url = self._try_to_start(free_port())
            if url is not None:
                return url
        raise self._unusable("every port that was free is in use a moment later")

    def _try_to_start(self, port: int) -> str | None:
        """Return the URL, or None if another program took the port meanwhile."""
        url = _mongo_url(port)
        with self._writing():
            self._port_path.write_text(str(port))
            log_start = self._spawn(port)
        assert self._process is not None
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not self._answers(url, self._process.pid):
                if self._process.poll() is not None:
                    written = self._log_path.read_bytes()[log_start:].decode(errors="replace")
                    reason = written.strip().rpartition("\n")[2].strip()
                    if "Address already in use" in reason:
                        return None
                    if self._is_disk_full():
                        reason = "the disk is full"
                    raise self._unusable(reason or f"exit code {self._process.returncode}")
                if time.monotonic() > deadline:
                    raise self._unusable(f"no answer within {_START_SECONDS:.0f} s")
                time.sleep(_POLL_SECONDS)
        except BaseException:
            end(self._process, _STOP_SECONDS)
            raise
        return url

    def _spawn(self, port: int) -> int:
        """Start the process; return the position in the log file where its lines begin."""
        # With an empty file it does not search for a configuration elsewhere.
        config = self._folder / "database.toml"
        config.touch()
        command = [
            sys.executable, "-P", "-m", "secantus", "--config", str(config),
            "--port", str(port), "--storage-path", str(self._folder / "database"),
            "--cache-size", _CACHE_SIZE, "--log-level", "WARNING",
        ]  # fmt: skip
        is_long = self._log_path.exists() and self._log_path.stat().st_size > _MAX_LOG_BYTES
        with self._log_path.open("wb" if is_long else "ab") as log, self._open_lock("server") as me:
            fcntl.flock(me, fcntl.LOCK_EX)
            log.seek(0, os.SEEK_END)
            logger.debug("starting the embedded database in %s", self._folder)
            self._process = subprocess.Popen(
                command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(me.fileno(),),
                start_new_session=True,
            )
            return log.tell()

    def _answers(self, url: str, expected_pid: int | None = None) -> bool:
        """Return whether our server answers, and not another program on its port.

        Record its URL and process id.
        """
        client: MongoClient[dict[str, Any]]
        with MongoClient(url, serverSelectionTimeoutMS=500, socketTimeoutMS=5_000) as client:
            try:
                status = client.admin.command("serverStatus")
            except PyMongoError:
                return False
        is_foreign = expected_pid is not None and status.get("pid") != expected_pid
        if is_foreign or status.get("process") != "secantus" or not self._is_alive():
            return False
        self._url, self._pid = url, int(status["pid"])
        return True

    def _is_alive(self) -> bool:
        with self._open_lock("server") as server:
            return not _take(server)

    def _stop(self, *, at_once: bool = False) -> None:
        """Stop the server: SIGTERM, then SIGKILL; SIGKILL alone `at_once` or after Ctrl-C."""
        signals = [signal.SIGTERM, signal.SIGKILL]
        try:
            is_known = self._is_alive() and self._knows_process()
            if at_once or (is_known and _is_broken(self._url)):
                signals = signals[1:]  # SIGTERM may not end it; the journal has all writes
            for number in signals:
                if self._is_alive() and self._knows_process():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(self._pid, number)
                deadline = time.monotonic() + _STOP_SECONDS
                while self._is_alive() and time.monotonic() < deadline:
                    time.sleep(_POLL_SECONDS)
        except KeyboardInterrupt:
            if not at_once:
                self._stop(at_once=True)
            raise
        if self._process is not None:
            self._process.wait()

    def _knows_process(self) -> bool:
        """Return whether `_pid` is the server's process; ask the server if it was restarted."""
        if self._process is not None and self._process.poll() is None:
            return True
        try:
            url = _mongo_url(int(self._port_path.read_text()))
        except (OSError, ValueError):
            return False
        return url == self._url or self._answers(url)

    def _is_disk_full(self) -> bool:
        try:
            return shutil.disk_usage(self._folder).free < _MIN_FREE_BYTES
        except OSError:  # the folder is gone
            return False

    @contextlib.contextmanager
    def _gate(self) -> Iterator[None]:
        with self._open_lock("gate") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            yield

    def _open_lock(self, name: str) -> IO[bytes]:
        with self._writing():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return (self._folder / f"database.{name}").open("ab")

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigError(
                f"The data folder {self._folder} cannot be used: {error.strerror or error}."
                " Set STT_DATA_DIR to another one."
            ) from error

    def _unusable(self, reason: str) -> DatabaseUnavailable:
        return DatabaseUnavailable(
            f"The embedded database did not start: {reason} (its log: {self._log_path})"
        )


def _take(lock: IO[bytes]) -> bool:
    """Take the lock exclusively if no other process holds it; return whether that worked."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _mongo_url(port: int) -> str:
    return f"mongodb://127.0.0.1:{port}/?directConnection=true"


def _is_broken(url: str) -> bool:
    """Return whether the server answers but cannot read: its storage engine has stopped."""
    client: MongoClient[dict[str, Any]]
    with MongoClient(url, serverSelectionTimeoutMS=5_000, socketTimeoutMS=5_000) as client:
        try:
            client.stt.source_files.find_one({}, ["_id"])
        except OperationFailure as error:
            return error.code == _INTERNAL_ERROR
        except PyMongoError:
            return False  # for example too slow
    return False
