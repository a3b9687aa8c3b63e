"""A unit of its user's own systemd."""

import getpass
from pathlib import Path

from stt.errors import ConfigError
from stt.system.service import base

_UNIT_TEXT = """\
[Unit]
Description={description}
# It waits for the network by itself, and may be started again however often.
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
# Signals are for the command alone, which finishes what is in flight. Its servers end with it, but
# an embedded database that other commands use has to stay.
KillMode=process
TimeoutStopSec={stop_seconds}

[Install]
WantedBy=default.target
"""


class SystemdUnit:
    """A unit in the folder that is given."""

    def __init__(self, folder: Path, kind: base.ServiceKind) -> None:
        self._kind = kind
        self._unit = f"{kind.name}.service"
        self.path = folder / self._unit

    def install(self, program: base.Program) -> None:
        """Write the unit anew and start it, now and at every login."""
        base.write_file(self.path, unit_text(program, self._kind))
        _systemctl("daemon-reload")
        _systemctl("enable", self._unit)
        _systemctl("restart", self._unit)

    def uninstall(self) -> bool:
        """Stop the unit and remove its file; return False if there was none."""
        if not self.path.exists():
            return False
        _systemctl("disable", "--now", self._unit)
        self.path.unlink()
        _systemctl("daemon-reload")
        # Fails where there is nothing to reset.
        base.run_tool("systemctl", "--user", "reset-failed", self._unit)
        return True

    def control(self, command: base.Command) -> None:
        base.check_installed(self.path, self._kind)
        _systemctl(command, self._unit)

    def state(self) -> base.ServiceState:
        shown = _systemctl("show", self._unit, "--property=ActiveState,SubState,ExecMainStatus")
        fields = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        active = fields.get("ActiveState", "unknown")
        detail = f"{active} ({fields.get('SubState', '?')})"
        if active == "failed":
            detail += f", exit code {fields.get('ExecMainStatus', '?')}"
        return base.ServiceState(self.path.exists(), active in ("active", "activating"), detail)

    def log_command(self, lines: int, follow: bool) -> list[str]:
        command = [
            "journalctl",
            "--user",
            "--unit",
            self._unit,
            "--lines",
            str(lines),
            "--no-pager",
        ]
        return [*command, "--follow"] if follow else command

    def advice(self) -> str:
        """Return what the user should know, or nothing."""
        result = base.run_tool("loginctl", "show-user", getpass.getuser(), "--property=Linger")
        if result.stdout.strip() == "Linger=yes":
            return ""
        return "It ends when you log out; to let it go on: loginctl enable-linger"


def unit_text(program: base.Program, kind: base.ServiceKind) -> str:
    """Return the text of the unit. Raises ConfigError for a path that no unit can hold."""
    executable, *arguments = program.command
    words = (executable, *arguments, str(program.folder))
    if any(not word.isprintable() for word in words):
        raise ConfigError(f"A path with control characters cannot be made a service: {words!r}")
    # systemd expands variables in arguments, and takes the first word as it is.
    command = (executable, *(word.replace("$", "$$") for word in arguments))
    return _UNIT_TEXT.format(
        description=kind.description,
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
