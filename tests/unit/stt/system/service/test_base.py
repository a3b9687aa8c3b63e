"""What both kinds of services have in common."""

from pathlib import Path
from typing import get_args

import pytest

from stt.errors import ConfigError
from stt.system.service import Service, ServiceKind
from stt.system.service.base import Command
from stt.system.service.launchd import LaunchAgent
from stt.system.service.systemd import SystemdUnit


def test_starting_what_was_never_installed_says_how_to_install_it(
    tmp_path: Path, kind: ServiceKind
) -> None:
    services: tuple[Service, ...] = (SystemdUnit(tmp_path, kind), LaunchAgent(tmp_path, 501, kind))
    for service in services:
        for command in get_args(Command):
            with pytest.raises(ConfigError, match="stt node service install"):
                service.control(command)
