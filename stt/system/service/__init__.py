"""A command as a service of its user: a systemd unit on Linux, a launchd agent on macOS.

Neither needs an administrator. The service runs in the configuration folder, so that it reads a
`.env` there (STT_SERVER_URL, WHISPER_MODEL, ...).
"""

import os
import sys
from pathlib import Path

import platformdirs

from stt.errors import ConfigError, SttError
from stt.system.service.base import Command, Program, ServiceKind, last_line, run_tool
from stt.system.service.launchd import LaunchAgent
from stt.system.service.systemd import SystemdUnit

__all__ = ["Command", "Program", "Service", "ServiceKind", "service_of_this_machine"]

Service = SystemdUnit | LaunchAgent
"""Both have the same methods, which raise SttError with the system's message if it refuses."""


def service_of_this_machine(kind: ServiceKind) -> Service:
    """Return the service of this machine's kind.

    Raises ConfigError where there is none, as in a container; SttError where there is a unit and
    its systemd cannot be reached, as after `su`.
    """
    if sys.platform == "darwin":
        return LaunchAgent(Path.home(), os.getuid(), kind)
    if sys.platform == "win32":
        raise ConfigError(f"On Windows the Task Scheduler starts programs: {kind.by_hand}")
    unit = SystemdUnit(platformdirs.user_config_path() / "systemd" / "user", kind)
    result = run_tool("systemctl", "--user", "show-environment")
    if result.returncode == 0:
        return unit
    reason = last_line(result)
    if unit.path.exists():
        raise SttError(f"Log in as this user to change its service {unit.path}: {reason}")
    raise ConfigError(
        f"This machine keeps no services for its users ({reason}). Start {kind.what} from a"
        f" script or by hand instead: {kind.by_hand}"
    )
