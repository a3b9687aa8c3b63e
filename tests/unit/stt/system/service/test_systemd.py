"""The unit of systemd, and the commands that systemctl is given.

A small script stands in for `systemctl`; the unit itself is read by the real systemd."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stt.errors import ConfigError, SttError
from stt.system.service import Program, ServiceKind, service_of_this_machine
from stt.system.service.systemd import SystemdUnit, unit_text
from tests.support.mongo_process import missing
from tests.support.service_tools import Tool


def test_systemd_understands_the_unit_whatever_is_in_its_paths(
    program: Program, tmp_path: Path, kind: ServiceKind
) -> None:
    if shutil.which("systemd-analyze") is None:
        missing("systemd-analyze")
    unit = tmp_path / "stt-node.service"
    unit.write_text(unit_text(program, kind))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--user", str(unit)],
        capture_output=True,
        text=True,
        env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)},
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_that_look_at_the_unit_sees_what_is_wrong(tmp_path: Path, kind: ServiceKind) -> None:
    if shutil.which("systemd-analyze") is None:
        missing("systemd-analyze")
    unit = tmp_path / "stt-node.service"
    unit.write_text(unit_text(Program((str(tmp_path / "absent"),), tmp_path), kind))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--user", str(unit)],
        capture_output=True,
        env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)},
        check=False,
    )
    assert checked.returncode != 0


def test_arguments_reach_the_node_as_they_were_typed(program: Program, kind: ServiceKind) -> None:
    text = unit_text(program, kind)
    assert r'"--model" "a\"b\\c $$d %%e"' in text
    assert f"WorkingDirectory={program.folder}".replace("%", "%%") in text.splitlines()


def test_a_node_that_was_removed_or_set_up_wrongly_is_not_started_again(
    program: Program, kind: ServiceKind
) -> None:
    lines = unit_text(program, kind).splitlines()
    assert "Restart=on-failure" in lines
    assert f"RestartPreventExitStatus=2 {ConfigError.exit_code}" in lines


def test_a_database_that_other_commands_use_outlives_the_service(
    program: Program, kind: ServiceKind
) -> None:
    kills = [line for line in unit_text(program, kind).splitlines() if "Kill" in line]
    assert kills == ["KillMode=process"]


@pytest.mark.parametrize("letter", ["\n", "\x1b", "\x00"])
def test_a_path_that_would_add_a_line_to_the_unit_is_refused(
    letter: str, kind: ServiceKind
) -> None:
    with pytest.raises(ConfigError, match="control characters"):
        unit_text(Program(("/bin/true", f"x{letter}ExecStartPre=/bin/false"), Path("/")), kind)


def test_a_unit_is_written_and_started_and_taken_away_again(
    tools: Path, tmp_path: Path, program: Program, kind: ServiceKind
) -> None:
    systemctl = Tool(tools, "systemctl", "true")
    folder = tmp_path / "systemd" / "user"
    service = SystemdUnit(folder, kind)
    service.install(program)
    assert service.path.read_text() == unit_text(program, kind)
    assert systemctl.calls == [
        "--user daemon-reload",
        "--user enable stt-node.service",
        "--user restart stt-node.service",
    ]
    assert service.uninstall()
    assert list(folder.iterdir()) == []
    assert "--user disable --now stt-node.service" in systemctl.calls
    assert not service.uninstall(), "there is none any more"


def test_what_systemd_says_of_the_node_is_passed_on(
    tools: Path, tmp_path: Path, kind: ServiceKind
) -> None:
    Tool(tools, "systemctl", "printf 'ActiveState=failed\\nSubState=failed\\nExecMainStatus=3\\n'")
    state = SystemdUnit(tmp_path, kind).state()
    assert not state.is_installed
    assert not state.is_running
    assert state.detail == "failed (failed), exit code 3"


def test_a_refusal_of_systemd_is_told_in_its_own_words(
    tools: Path, program: Program, kind: ServiceKind
) -> None:
    Tool(tools, "systemctl", "echo 'Access denied' >&2; exit 4")
    with pytest.raises(SttError, match=r"systemctl --user daemon-reload: Access denied"):
        SystemdUnit(tools, kind).install(program)


def test_a_container_has_no_services_and_is_told_what_to_do_instead(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: ServiceKind
) -> None:
    Tool(tools, "systemctl", "echo 'Failed to connect to bus: No medium found' >&2; exit 1")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=r"No medium found.*by hand.*stt node start"):
        service_of_this_machine(kind)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="systemctl is not there"):
        service_of_this_machine(kind)


def test_a_service_that_is_there_but_out_of_reach_is_not_taken_for_none(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: ServiceKind
) -> None:
    Tool(tools, "systemctl", "echo 'Failed to connect to bus' >&2; exit 1")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    unit = tmp_path / "systemd" / "user" / "stt-node.service"
    unit.parent.mkdir(parents=True)
    unit.touch()
    with pytest.raises(SttError, match="Log in as this user") as refusal:
        service_of_this_machine(kind)
    assert not isinstance(refusal.value, ConfigError)


def test_the_log_is_the_journal_s(kind: ServiceKind) -> None:
    command = SystemdUnit(Path("/"), kind).log_command(20, follow=True)
    assert command[0] == "journalctl"
    assert command[-1] == "--follow"
    assert "20" in command
