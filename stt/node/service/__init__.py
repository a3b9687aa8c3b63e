"""The node as a service of its user: a systemd unit on Linux, a launchd agent on macOS.

Neither needs an administrator. The service runs in the node's configuration folder, so that it
reads a `.env` there (STT_SERVER_URL, WHISPER_MODEL, ...).
"""

import os
import sys
from pathlib import Path

import platformdirs

from stt.errors import ConfigError, SttError
from stt.node.service.base import Command, Program, last_line, run_tool
from stt.node.service.launchd import LaunchAgent
from stt.node.service.systemd import SystemdUnit

__all__ = ["Command", "Program", "Service", "service_of_this_machine"]

Service = SystemdUnit | LaunchAgent
"""Both have the same methods, which raise SttError with the system's message if it refuses."""


def service_of_this_machine() -> Service:
    """Return the service of this machine's kind.

    Raises ConfigError where there is none, as in a container; SttError where there is a unit and
    its systemd cannot be reached, as after `su`.
    """
    if sys.platform == "darwin":
        return LaunchAgent(Path.home(), os.getuid())
    if sys.platform == "win32":
        raise ConfigError("On Windows the Task Scheduler starts programs: stt node start")
    unit = SystemdUnit(platformdirs.user_config_path() / "systemd" / "user")
    result = run_tool("systemctl", "--user", "show-environment")
    if result.returncode == 0:
        return unit
    reason = last_line(result)
    if unit.path.exists():
        raise SttError(f"Log in as this user to change its service {unit.path}: {reason}")
    raise ConfigError(
        f"This machine keeps no services for its users ({reason}). Start the node from a script or"
        " by hand instead: stt node start --no-browser"
    )
