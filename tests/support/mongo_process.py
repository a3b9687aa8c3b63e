"""Starts a real database server for the tests, and says why when it cannot."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pymongo
import pytest
from pymongo.errors import PyMongoError

from stt.store.database import Database

_BINARY = Path(sys.executable).with_name("secantusd-py")


def missing(what: str) -> None:
    """Skip the test for want of a service; fail it in CI."""
    if os.environ.get("CI"):
        pytest.fail(f"missing in CI: {what}")
    pytest.skip(f"missing here: {what}")


def free_port() -> int:
    """Return a free port below those that systems give to connections.

    So none of the many connections of the tests takes it before its server is there, or while that
    is started again.
    """
    while True:
        port = random.SystemRandom().randrange(15_000, 30_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class MongoProcess:
    """The embedded database server as a process of its own; may be killed and started again.

    `options` join those of the URL that reaches it.
    """

    def __init__(self, folder: Path, *flags: str, options: str = "") -> None:
        self.port = free_port()
        self.url = f"mongodb://127.0.0.1:{self.port}/?directConnection=true"
        self.url += f"&{options}" if options else ""
        self._command = [
            str(_BINARY), "--port", str(self.port), "--storage-path", str(folder),
            "--log-level", "WARNING", *flags,
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command)
        deadline = time.monotonic() + 180
        while not self._is_listening():  # a client would ask again only after half a second
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the database server did not start: {self._command}")
            time.sleep(0.02)
        with pymongo.MongoClient[dict[str, object]](
            self.url, serverSelectionTimeoutMS=500
        ) as client:
            while True:
                with contextlib.suppress(PyMongoError):
                    client.admin.command("ping")
                    return
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the database server did not start: {self._command}")

    def _is_listening(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """Keep its connections and answer nothing, until `resume()`."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.resume()
            self._process.terminate()
            try:
                self._process.wait(timeout=120)
            except subprocess.TimeoutExpired:
                self.kill()


@contextlib.contextmanager
def running_mongo(*flags: str, options: str = "") -> Iterator[MongoProcess]:
    if not _BINARY.exists():
        missing("the embedded database: pip install 'stt-fleet[embedded]'")
    with tempfile.TemporaryDirectory(prefix="stt-test-mongo-") as folder:
        server = MongoProcess(Path(folder), *flags, options=options)
        server.start()
        try:
            yield server
        finally:
            server.kill()  # nothing in it is needed any more


@contextlib.contextmanager
def new_database(mongo_url: str) -> Iterator[Database]:
    """Yield a new database on this server, with the indexes made; drop it at the end."""
    name = f"stt_test_{uuid.uuid4().hex[:12]}"
    with Database(mongo_url, name) as database:
        database.ensure_indexes()
        yield database
    with pymongo.MongoClient[dict[str, object]](mongo_url) as client:
        client.drop_database(name)
