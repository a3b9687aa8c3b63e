"""Real `stt` processes on a test's queue, and what they print."""

import ast
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

from tests.support.pace import scaled


class WorkerProcesses:
    """Starts `stt` on one database; it ends when the queue is empty, unless set otherwise."""

    def __init__(self, mongo_url: str, database_name: str) -> None:
        self._database = {"MONGO_URL": mongo_url, "DATABASE_NAME": database_name}
        self._processes: list[subprocess.Popen[str]] = []

    def start(self, server_url: str, *flags: str, **settings: str) -> subprocess.Popen[str]:
        """Start a process; `settings` go by their names in the environment."""
        usual = {"STT_SERVER_URL": server_url, "SEQUENCE_SECONDS": "0"}
        usual |= {"NODE_REQUIRED_EMPTY_CHECKS": "1", "STT_LOG_FORMAT": "text"}
        process = subprocess.Popen(
            [sys.executable, "-m", "stt", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | self._database | usual | settings,
        )
        self._processes.append(process)
        return process

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.communicate()


@contextlib.contextmanager
def worker_processes(mongo_url: str, database_name: str) -> Iterator[WorkerProcesses]:
    processes = WorkerProcesses(mongo_url, database_name)
    try:
        yield processes
    finally:
        processes.close()


def interrupt(process: subprocess.Popen[str], times: int = 1) -> None:
    """Press Ctrl-C so often, slowly: signals that arrive together count as one."""
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(scaled(0.3))


def stats_in(output: str) -> dict[str, int]:
    found = re.search(r"  Completed processing\. Stats: (\{.*\})$", output, re.MULTILINE)
    assert found, output
    stats: dict[str, int] = ast.literal_eval(found[1])
    return stats
