"""The agent of launchd, and the commands of launchctl: a small script stands in for it."""

import plistlib
from pathlib import Path
from typing import Any

import pytest

from stt.errors import SttError
from stt.system.service import Program, ServiceKind, base
from stt.system.service.launchd import LaunchAgent, agent_plist
from tests.support.service_tools import Tool

# `print` shows whether the agent is loaded; `bootout` takes a moment, as the real one does.
_LAUNCHCTL = """
case $1 in
    bootstrap) touch loaded ;;
    bootout) (sleep 0.3; rm -f loaded) >/dev/null 2>&1 & exit 36 ;;
    print) [ -e loaded ] || { echo "Could not find service" >&2; exit 113; }
        printf '\\tstate = running\\n\\tlast exit code = 0\\n' ;;
esac
"""


def test_the_agent_of_a_mac_starts_at_login_and_again_after_a_failure(program: Program) -> None:
    agent: dict[str, Any] = plistlib.loads(agent_plist(program, Path("/log"), "local.stt-node"))
    assert agent["ProgramArguments"] == list(program.command)
    assert agent["WorkingDirectory"] == str(program.folder)
    assert agent["EnvironmentVariables"] == {"STT_CONFIG_DIR": str(program.folder)}
    assert agent["RunAtLoad"] is True
    assert agent["KeepAlive"] == {"SuccessfulExit": False}


def test_an_agent_is_loaded_changed_and_taken_away_again(
    tools: Path, tmp_path: Path, program: Program, kind: ServiceKind
) -> None:
    launchctl = Tool(tools, "launchctl", _LAUNCHCTL)
    service = LaunchAgent(tmp_path, 501, kind)
    service.install(program)
    assert service.state().is_running
    service.install(program)
    changes = [call for call in launchctl.calls if not call.startswith("print")]
    assert changes == [
        f"bootstrap gui/501 {service.path}",
        "bootout gui/501/local.stt-node",
        f"bootstrap gui/501 {service.path}",
    ], "loaded anew only when the old one had gone"
    service.control("stop")
    assert service.state().detail == "not loaded"
    assert service.uninstall()
    assert not service.path.exists()


def test_an_agent_that_does_not_end_is_named(
    tools: Path,
    tmp_path: Path,
    program: Program,
    kind: ServiceKind,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Tool(tools, "launchctl", "true")
    monkeypatch.setattr(base, "COMMAND_SECONDS", 0.3)
    with pytest.raises(SttError, match="does not end"):
        LaunchAgent(tmp_path, 501, kind).install(program)
