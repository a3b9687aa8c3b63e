"""What starting a server of our own takes: a port for it, and an end."""

import socket
import subprocess


def free_port() -> int:
    """A loopback port that was free a moment ago; somebody may still take it first."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def end(process: subprocess.Popen[bytes], patience_seconds: float) -> None:
    """SIGTERM, and SIGKILL for a process that does not heed it."""
    process.terminate()
    try:
        process.wait(timeout=patience_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
