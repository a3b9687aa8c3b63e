"""The watcher under test: a process that is killed and started again."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stt.local.database import EmbeddedServer
from stt.store.database import Database

_STOP_SECONDS = 120


class Watching:
    """`stt ingest --watch` on the folder `in`, with everything else beside it."""

    def __init__(self, root: Path, server_url: str, settle_seconds: float) -> None:
        self.folder = root / "in"
        self.starts = 0
        self.log = root / "watch.log"
        self._data = root / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._command = [
            sys.executable, "-P", "-m", "stt", "ingest", "--watch", str(self.folder),
            "--settle", str(settle_seconds), "--server", server_url, "--search-every", "5",
        ]  # fmt: skip

    def start(self) -> None:
        self.starts += 1
        environment = os.environ | {"STT_DATA_DIR": str(self._data)}
        environment.pop("MONGO_URL", None)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=environment, stdout=log, stderr=log, cwd=self.folder.parent
            )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(_STOP_SECONDS)
            self._process = None

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return None if self._process is None else self._process.poll()

    @property
    def resident_mb(self) -> float:
        if self._process is None:
            return 0.0
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    @contextmanager
    def database(self) -> Iterator[Database]:
        with EmbeddedServer(self._data).shared() as url, Database(url, "stt") as database:
            yield database
