"""What the services of all systems share: a program, a file, and calls of the system's tools."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stt.errors import ConfigError, SttError
from stt.system.files import replacement

STOP_SECONDS = 120
"""Time to finish what is in flight; the rest goes back to the queue."""
COMMAND_SECONDS = STOP_SECONDS + 30

Command = Literal["start", "stop", "restart"]


@dataclass(frozen=True, slots=True)
class ServiceKind:
    """A service that a user has once; `name` is that of its files.

    `what` it is in a sentence, `description` for the system's lists, `commands`: the command whose
    `install` makes it, `by_hand`: the command that a person types without a service.
    """

    name: str
    what: str
    description: str
    commands: str
    by_hand: str


@dataclass(frozen=True, slots=True)
class Program:
    """What the service runs: absolute path and arguments, and the configuration folder."""

    command: tuple[str, ...]
    folder: Path


@dataclass(frozen=True, slots=True)
class ServiceState:
    """`detail` is the system's own word for it."""

    is_installed: bool
    is_running: bool
    detail: str


def check_installed(path: Path, kind: ServiceKind) -> None:
    if not path.exists():
        raise ConfigError(f"There is no service of {kind.what} here: {kind.commands} install")


def write_file(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacement(path) as file:
            file.write(text)
    except OSError as error:
        raise SttError(f"{path} cannot be written: {error.strerror}") from error


def run_tool(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a tool of the system; the exit code of one that is missing or hangs is 127."""
    environment = dict(os.environ)
    if sys.platform != "darwin":
        # It is missing after `su` and in cron, though the user's systemd runs.
        environment.setdefault("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=COMMAND_SECONDS,
            env=environment,
        )
    except FileNotFoundError:
        reason = f"{command[0]} is not there"
    except subprocess.TimeoutExpired:
        reason = f"no answer within {COMMAND_SECONDS} s"
    return subprocess.CompletedProcess(command, 127, stdout="", stderr=reason)


def output_of(*command: str) -> str:
    """Run a tool of the system and return its output. Raises SttError if it fails."""
    result = run_tool(*command)
    if result.returncode != 0:
        raise SttError(f"{' '.join(command)}: {last_line(result)}")
    return result.stdout


def last_line(result: subprocess.CompletedProcess[str]) -> str:
    """Return the last line of a tool's error output."""
    line = result.stderr.strip().rpartition("\n")[2].strip()
    return line or f"exit code {result.returncode}"
