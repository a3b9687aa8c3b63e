"""The node as a service of its user: a systemd unit on Linux, a launchd agent on macOS.

Neither needs an administrator. The service works in the node's folder of settings, so that a
`.env` there (STT_SERVER_URL, WHISPER_MODEL, ...) counts for it as it does for a person.
"""

import contextlib
import getpass
import os
import plistlib
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stt.errors import ConfigError, SttError

_UNIT = "stt-node.service"
_LABEL = "local.stt-node"
_STOP_SECONDS = 120
"""What a node gets to finish what is in flight; the rest goes back to the queue."""
_COMMAND_SECONDS = _STOP_SECONDS + 30

_UNIT_TEXT = """\
[Unit]
Description=stt node: transcribes for a coordinator
# It waits for network and coordinator by itself, and may be started again however often.
StartLimitIntervalSec=0

[Service]
Type=exec
WorkingDirectory={folder}
Environment={environment}
ExecStart={command}
Restart=on-failure
RestartSec=10
# Wrong usage, a wrong setting, a node that was removed: another start would end the same way.
RestartPreventExitStatus=2 3
SuccessExitStatus=130
# The signal is for the node alone, which finishes what is in flight.
KillMode=mixed
TimeoutStopSec={stop_seconds}

[Install]
WantedBy=default.target
"""


@dataclass(frozen=True, slots=True)
class Program:
    """What the service runs: absolute path and arguments, and the node's folder of settings."""

    command: tuple[str, ...]
    folder: Path


@dataclass(frozen=True, slots=True)
class ServiceState:
    """`detail` is the system's own word for it."""

    is_installed: bool
    is_running: bool
    detail: str


class Service(Protocol):
    """Every method raises SttError with the system's own words if it refuses."""

    @property
    def path(self) -> Path:
        """The file that describes the service."""

    def install(self, program: Program) -> None:
        """Writes the file anew and starts the service, now and at every login."""

    def uninstall(self) -> bool:
        """Stops the service and removes its file; False if there was none."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def restart(self) -> None: ...
    def state(self) -> ServiceState: ...

    def log_command(self, lines: int, follow: bool) -> list[str]:
        """The command that shows its log."""

    def advice(self) -> str:
        """What its user should know, or nothing."""


def service_of_this_machine() -> Service:
    """Raises ConfigError where there is neither, as in a container; SttError where there is a unit
    and no way to its systemd, as after `su`."""
    if sys.platform == "darwin":
        return LaunchAgent(Path.home(), os.getuid())
    if sys.platform == "win32":
        raise ConfigError("On Windows the Task Scheduler starts programs: stt node start")
    config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    unit = SystemdUnit(Path(config) / "systemd" / "user")
    answer = _ask("systemctl", "--user", "show-environment")
    if answer.returncode == 0:
        return unit
    why = _last_line(answer)
    if unit.path.exists():
        raise SttError(f"Log in as this user to change its service {unit.path}: {why}")
    raise ConfigError(
        f"This machine keeps no services for its users ({why}). Start the node from a script or by"
        " hand instead: stt node start --no-browser"
    )


class SystemdUnit:
    """A unit of the user's own systemd, in the folder that is given."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / _UNIT

    def install(self, program: Program) -> None:
        _write(self.path, unit_text(program).encode())
        self._call("daemon-reload")
        self._call("enable", _UNIT)
        self._call("restart", _UNIT)

    def uninstall(self) -> bool:
        if not self.path.exists():
            return False
        self._call("disable", "--now", _UNIT)
        self.path.unlink()
        self._call("daemon-reload")
        _ask("systemctl", "--user", "reset-failed", _UNIT)  # fails where there is nothing to reset
        return True

    def start(self) -> None:
        _require(self.path)
        self._call("start", _UNIT)

    def stop(self) -> None:
        _require(self.path)
        self._call("stop", _UNIT)

    def restart(self) -> None:
        _require(self.path)
        self._call("restart", _UNIT)

    def state(self) -> ServiceState:
        shown = self._call("show", _UNIT, "--property=ActiveState,SubState,ExecMainStatus")
        fields = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        active = fields.get("ActiveState", "unknown")
        detail = f"{active} ({fields.get('SubState', '?')})"
        if active == "failed":
            detail += f", exit code {fields.get('ExecMainStatus', '?')}"
        return ServiceState(self.path.exists(), active in ("active", "activating"), detail)

    def log_command(self, lines: int, follow: bool) -> list[str]:
        command = ["journalctl", "--user", "--unit", _UNIT, "--lines", str(lines), "--no-pager"]
        return [*command, "--follow"] if follow else command

    def advice(self) -> str:
        answer = _ask("loginctl", "show-user", getpass.getuser(), "--property=Linger")
        if answer.stdout.strip() == "Linger=yes":
            return ""
        return "It ends when you log out; to let it go on: loginctl enable-linger"

    def _call(self, *arguments: str) -> str:
        return _checked(_ask("systemctl", "--user", *arguments))


class LaunchAgent:
    """An agent of the user's session on a Mac."""

    def __init__(self, home: Path, user_id: int) -> None:
        self.path = home / "Library" / "LaunchAgents" / f"{_LABEL}.plist"
        self._log = home / "Library" / "Logs" / "stt-node.log"
        self._domain = f"gui/{user_id}"
        self._target = f"{self._domain}/{_LABEL}"

    def install(self, program: Program) -> None:
        self._unload()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        _write(self.path, agent_plist(program, self._log))
        self.start()

    def uninstall(self) -> bool:
        if not self.path.exists():
            return False
        self._unload()
        self.path.unlink()
        self._log.unlink(missing_ok=True)
        return True

    def start(self) -> None:
        _require(self.path)
        if self._is_loaded():
            _checked(_ask("launchctl", "kickstart", self._target))
        else:
            _checked(_ask("launchctl", "bootstrap", self._domain, str(self.path)))

    def stop(self) -> None:
        # A plain stop would be undone by KeepAlive; the agent is back at the next login, or start.
        _require(self.path)
        self._unload()

    def restart(self) -> None:
        self.stop()
        self.start()

    def state(self) -> ServiceState:
        answer = _ask("launchctl", "print", self._target)
        found = re.search(r"^\s*state = (.+)$", answer.stdout, re.MULTILINE)
        word = found[1].strip() if found and answer.returncode == 0 else "not loaded"
        exit_code = re.search(r"^\s*last exit code = (\d+)", answer.stdout, re.MULTILINE)
        detail = word
        if word != "running" and exit_code:
            detail += f", exit code {exit_code[1]}"
        return ServiceState(self.path.exists(), word == "running", detail)

    def log_command(self, lines: int, follow: bool) -> list[str]:
        return ["tail", "-n", str(lines), *(["-F"] if follow else []), str(self._log)]

    def advice(self) -> str:
        return "It runs while you are logged in, and not while the Mac sleeps."

    def _is_loaded(self) -> bool:
        return _ask("launchctl", "print", self._target).returncode == 0

    def _unload(self) -> None:
        """Returns once the node is gone: launchd refuses to load an agent that still ends."""
        if not self._is_loaded():
            return
        _ask("launchctl", "bootout", self._target)  # its code also tells that it is still ending
        deadline = time.monotonic() + _COMMAND_SECONDS
        while self._is_loaded():
            if time.monotonic() > deadline:
                raise SttError(f"launchctl bootout {self._target}: the node does not end")
            time.sleep(0.2)


def unit_text(program: Program) -> str:
    """The systemd unit. Raises ConfigError for a path that no unit can hold."""
    executable, *arguments = program.command
    words = (executable, *arguments, str(program.folder))
    if any(not word.isprintable() for word in words):
        raise ConfigError(f"A path with control characters cannot be made a service: {words!r}")
    # systemd puts variables into arguments, and takes the first word as it is.
    command = (executable, *(word.replace("$", "$$") for word in arguments))
    return _UNIT_TEXT.format(
        folder=str(program.folder).replace("%", "%%"),
        environment=_quoted(f"STT_CONFIG_DIR={program.folder}"),
        command=" ".join(map(_quoted, command)),
        stop_seconds=_STOP_SECONDS,
    )


def agent_plist(program: Program, log: Path) -> bytes:
    """The launchd agent, as XML."""
    return plistlib.dumps(
        {
            "Label": _LABEL,
            "ProgramArguments": list(program.command),
            "WorkingDirectory": str(program.folder),
            "EnvironmentVariables": {"STT_CONFIG_DIR": str(program.folder)},
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            # launchd knows no exit codes that end it: a node that was removed says so each minute.
            "ThrottleInterval": 60,
            "ExitTimeOut": _STOP_SECONDS,
            "StandardOutPath": str(log),
            "StandardErrorPath": str(log),
        },
        sort_keys=False,
    )


def _quoted(word: str) -> str:
    """One word of a unit's line, as systemd.syntax(7) has it."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _require(path: Path) -> None:
    if not path.exists():
        raise ConfigError("There is no service of the node here: stt node service install")


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(path.name + ".new")
        new.write_bytes(content)
        new.replace(path)
    except OSError as error:
        raise SttError(f"{path} cannot be written: {error.strerror}") from error


def _ask(*command: str) -> subprocess.CompletedProcess[str]:
    """What the system's own tool says; a tool that is not there answers with 127."""
    environment = dict(os.environ)
    if sys.platform != "darwin":
        # After `su` or in cron it is missing, and the user's systemd is there all the same.
        environment.setdefault("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    with contextlib.suppress(FileNotFoundError):
        try:
            return subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=_COMMAND_SECONDS,
                env=environment,
            )
        except subprocess.TimeoutExpired:
            return _no_answer(command, f"no answer within {_COMMAND_SECONDS} s")
    return _no_answer(command, f"{command[0]} is not there")


def _no_answer(command: Sequence[str], why: str) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess(command, 127, stdout="", stderr=why)


def _checked(answer: subprocess.CompletedProcess[str]) -> str:
    if answer.returncode != 0:
        raise SttError(f"{' '.join(answer.args)}: {_last_line(answer)}")
    return answer.stdout


def _last_line(answer: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in answer.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"exit code {answer.returncode}"
