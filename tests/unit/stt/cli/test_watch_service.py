"""`stt watch service`: the command that the service runs, and what is refused before."""

import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from stt.system.service.base import Program, ServiceState
from tests.unit.stt.cli.conftest import Run

_INSTALL = ("watch", "service", "install")


@pytest.fixture
def service(stt: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Mock:
    monkeypatch.setenv("STT_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.delenv("MONGO_URL")
    for name in ("in", "calls"):
        (tmp_path / name).mkdir()
    service = Mock(path=Path("/home/ann/stt-watch.service"), advice=Mock(return_value=""))
    monkeypatch.setattr("stt.cli.service_commands.service_of_this_machine", lambda _: service)
    return service


def installed(service: Mock) -> list[str]:
    [program] = service.install.call_args.args
    return list(program.command)


def test_install_runs_the_watch_with_whole_paths(stt: Run, service: Mock, tmp_path: Path) -> None:
    assert stt(*_INSTALL, "in", "calls") == 0
    command = (sys.executable, "-P", "-m", "stt", "ingest", "--watch")
    folders = (str(tmp_path / "in"), str(tmp_path / "calls"))
    service.install.assert_called_once_with(Program((*command, *folders), tmp_path / "config"))
    assert (tmp_path / "config").is_dir()
    assert stt.out == "The watch runs as a service: /home/ann/stt-watch.service\n"


@pytest.mark.parametrize("dashes", [(), ("--",)], ids=["", "--"])
def test_flags_of_ingest_are_passed_on(
    stt: Run, service: Mock, tmp_path: Path, dashes: tuple[str, ...]
) -> None:
    flags = ("--format", "srt", "--language", "de", "--output", "texts")
    assert stt(*_INSTALL, "in", *dashes, *flags) == 0
    whole = str(tmp_path / "texts")
    assert installed(service)[6:] == [str(tmp_path / "in"), *flags, "--output", whole]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("in", "--no-such-flag"), "No such option"),
        (("in", "--settle", "x"), "--settle"),
        (("in", "--format", "docx"), "Unknown format"),
        (("in", "--language", "de", "calls"), "Write the folders before the flags"),
    ],
)
def test_what_the_service_would_refuse_is_not_installed(
    stt: Run, service: Mock, words: tuple[str, ...], reason: str
) -> None:
    assert stt(*_INSTALL, *words) == 2
    assert reason in stt.err
    service.install.assert_not_called()


def test_a_folder_that_is_not_there_is_not_installed(stt: Run, service: Mock) -> None:
    assert stt(*_INSTALL, "nowhere") == 1
    assert stt.err == "Error: nowhere: no such folder\n"
    service.install.assert_not_called()


def test_settings_that_the_service_would_not_see_are_named(
    stt: Run, service: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONGO_URL", "mongodb://box")
    assert stt(*_INSTALL, "in") == 0
    assert "Note: the service does not see" in stt.err
    assert "MONGO_URL" in stt.err


def test_the_other_commands_are_those_of_every_service(stt: Run, service: Mock) -> None:
    service.state.return_value = ServiceState(False, False, "")
    assert stt("watch", "service", "status") == 1
    assert stt.out == "There is no service of the watch here: stt watch service install\n"
    assert stt("watch", "service", "restart") == 0
    service.control.assert_called_once_with("restart")
