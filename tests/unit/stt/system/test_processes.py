"""Ports for server processes, and their end."""

import signal
import socket
import subprocess
import sys

from stt.system.processes import end, free_port


def started(code: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def test_a_free_port_can_be_listened_on() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))
        listener.listen()


def test_a_process_that_heeds_sigterm_is_ended_by_it() -> None:
    with started("import time; print('ready', flush=True); time.sleep(600)") as process:
        end(process, 60)
    assert process.returncode == -signal.SIGTERM


def test_a_process_that_ignores_sigterm_is_killed() -> None:
    ignore = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    with started(f"{ignore} print('ready', flush=True); time.sleep(600)") as process:
        end(process, 0.3)
    assert process.returncode == -signal.SIGKILL
