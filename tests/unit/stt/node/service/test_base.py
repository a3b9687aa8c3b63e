"""What both kinds of services have in common."""

from pathlib import Path
from typing import get_args

import pytest

from stt.errors import ConfigError
from stt.node.service import Service
from stt.node.service.base import Command
from stt.node.service.launchd import LaunchAgent
from stt.node.service.systemd import SystemdUnit


def test_starting_what_was_never_installed_says_how_to_install_it(tmp_path: Path) -> None:
    services: tuple[Service, ...] = (SystemdUnit(tmp_path), LaunchAgent(tmp_path, 501))
    for service in services:
        for command in get_args(Command):
            with pytest.raises(ConfigError, match="stt node service install"):
                service.control(command)
