"""Find a port for a server process, and end it."""

import socket
import subprocess


def free_port() -> int:
    """Return a loopback port that is free now; another process may take it first."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def end(process: subprocess.Popen[bytes], timeout_seconds: float) -> None:
    """Send SIGTERM, and SIGKILL if the process has not ended in time; wait for it."""
    process.terminate()
    try:
        process.wait(timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
