"""The node as a unit of its user's own systemd."""

import getpass
from pathlib import Path

from stt.errors import ConfigError
from stt.node.service import base

_UNIT = "stt-node.service"
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


class SystemdUnit:
    """A unit in the folder that is given."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / _UNIT

    def install(self, program: base.Program) -> None:
        """Write the unit anew and start it, now and at every login."""
        base.write_file(self.path, unit_text(program))
        _systemctl("daemon-reload")
        _systemctl("enable", _UNIT)
        _systemctl("restart", _UNIT)

    def uninstall(self) -> bool:
        """Stop the unit and remove its file; return False if there was none."""
        if not self.path.exists():
            return False
        _systemctl("disable", "--now", _UNIT)
        self.path.unlink()
        _systemctl("daemon-reload")
        # Fails where there is nothing to reset.
        base.run_tool("systemctl", "--user", "reset-failed", _UNIT)
        return True

    def control(self, command: base.Command) -> None:
        base.check_installed(self.path)
        _systemctl(command, _UNIT)

    def state(self) -> base.ServiceState:
        shown = _systemctl("show", _UNIT, "--property=ActiveState,SubState,ExecMainStatus")
        fields = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        active = fields.get("ActiveState", "unknown")
        detail = f"{active} ({fields.get('SubState', '?')})"
        if active == "failed":
            detail += f", exit code {fields.get('ExecMainStatus', '?')}"
        return base.ServiceState(self.path.exists(), active in ("active", "activating"), detail)

    def log_command(self, lines: int, follow: bool) -> list[str]:
        command = ["journalctl", "--user", "--unit", _UNIT, "--lines", str(lines), "--no-pager"]
        return [*command, "--follow"] if follow else command

    def advice(self) -> str:
        """Return what the user should know, or nothing."""
        result = base.run_tool("loginctl", "show-user", getpass.getuser(), "--property=Linger")
        if result.stdout.strip() == "Linger=yes":
            return ""
        return "It ends when you log out; to let it go on: loginctl enable-linger"


def unit_text(program: base.Program) -> str:
    """Return the text of the unit. Raises ConfigError for a path that no unit can hold."""
    executable, *arguments = program.command
    words = (executable, *arguments, str(program.folder))
    if any(not word.isprintable() for word in words):
        raise ConfigError(f"A path with control characters cannot be made a service: {words!r}")
    # systemd expands variables in arguments, and takes the first word as it is.
    command = (executable, *(word.replace("$", "$$") for word in arguments))
    return _UNIT_TEXT.format(
        folder=str(program.folder).replace("%", "%%"),
        environment=_quoted(f"STT_CONFIG_DIR={program.folder}"),
        command=" ".join(map(_quoted, command)),
        stop_seconds=base.STOP_SECONDS,
    )


def _quoted(word: str) -> str:
    """Quote a word of a unit's line, as systemd.syntax(7) describes it."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _systemctl(*arguments: str) -> str:
    return base.output_of("systemctl", "--user", *arguments)
