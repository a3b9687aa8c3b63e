"""A launchd agent of its user's session on a Mac."""

import plistlib
import re
import time
from pathlib import Path

from stt.errors import SttError
from stt.system.service import base

_CHECK_SECONDS = 0.2


class LaunchAgent:
    """An agent of the user with this home and id."""

    def __init__(self, home: Path, user_id: int, kind: base.ServiceKind) -> None:
        self._kind = kind
        self._label = f"local.{kind.name}"
        self.path = home / "Library" / "LaunchAgents" / f"{self._label}.plist"
        self._log = home / "Library" / "Logs" / f"{kind.name}.log"
        self._domain = f"gui/{user_id}"
        self._target = f"{self._domain}/{self._label}"

    def install(self, program: base.Program) -> None:
        self._unload()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        base.write_file(self.path, agent_plist(program, self._log, self._label).decode())
        self.control("start")

    def uninstall(self) -> bool:
        if not self.path.exists():
            return False
        self._unload()
        self.path.unlink()
        self._log.unlink(missing_ok=True)
        return True

    def control(self, command: base.Command) -> None:
        base.check_installed(self.path, self._kind)
        if command != "start":
            # KeepAlive would undo a plain stop. The next login loads the agent again.
            self._unload()
        if command != "stop" and self._is_loaded():
            base.output_of("launchctl", "kickstart", self._target)
        elif command != "stop":
            base.output_of("launchctl", "bootstrap", self._domain, str(self.path))

    def state(self) -> base.ServiceState:
        result = base.run_tool("launchctl", "print", self._target)
        found = re.search(r"^\s*state = (.+)$", result.stdout, re.MULTILINE)
        word = found[1].strip() if found and result.returncode == 0 else "not loaded"
        exit_code = re.search(r"^\s*last exit code = (\d+)", result.stdout, re.MULTILINE)
        detail = word
        if word != "running" and exit_code:
            detail += f", exit code {exit_code[1]}"
        return base.ServiceState(self.path.exists(), word == "running", detail)

    def log_command(self, lines: int, follow: bool) -> list[str]:
        return ["tail", "-n", str(lines), *(["-F"] if follow else []), str(self._log)]

    def advice(self) -> str:
        return "It runs while you are logged in, and not while the Mac sleeps."

    def _is_loaded(self) -> bool:
        return base.run_tool("launchctl", "print", self._target).returncode == 0

    def _unload(self) -> None:
        """Unload the agent and wait for its end: launchd loads none that is still ending."""
        if not self._is_loaded():
            return
        base.run_tool("launchctl", "bootout", self._target)  # its code also says "still ending"
        deadline = time.monotonic() + base.COMMAND_SECONDS
        while self._is_loaded():
            if time.monotonic() > deadline:
                raise SttError(f"launchctl bootout {self._target}: {self._kind.what} does not end")
            time.sleep(_CHECK_SECONDS)


def agent_plist(program: base.Program, log: Path, label: str) -> bytes:
    """Return the agent's property list, as XML."""
    return plistlib.dumps(
        {
            "Label": label,
            "ProgramArguments": list(program.command),
            "WorkingDirectory": str(program.folder),
            "EnvironmentVariables": {"STT_CONFIG_DIR": str(program.folder)},
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            # launchd knows no final exit codes: a node that was removed starts once a minute.
            "ThrottleInterval": 60,
            "ExitTimeOut": base.STOP_SECONDS,
            "StandardOutPath": str(log),
            "StandardErrorPath": str(log),
        },
        sort_keys=False,
    )
