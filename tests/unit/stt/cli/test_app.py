"""The command line itself: usage errors, help, exit codes, secrets; no database is reached."""

import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from stt.cli import app as program
from stt.errors import ConfigError, DatabaseUnavailable, KeyRejected, NotFound, ServerUnavailable
from tests.unit.stt.cli.conftest import Run


def test_the_version_is_told(stt: Run) -> None:
    assert stt("--version") == 0
    assert stt.out.startswith("stt 0.")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--no-such-flag"],
        ["no-such-command"],
        ["--limit", "0"],
        ["--limit", "many"],
        ["--limit", "3", "status"],
        ["--persistent", "status"],
        ["--server", "http://a", "status"],
        ["ingest"],
        ["export"],
        ["export", "a", "--all"],
        ["export", "a", "b"],
        ["export", "--all", "--output", "one.txt"],
        ["export", "a", "--format", "docx"],
        ["export", "a", "--output", "a.docx"],
        ["release"],
        ["release", "not-an-id"],
        ["retry", "not-an-id"],
        ["status", "--interval", "0"],
        ["status", "--interval", "inf"],
    ],
)
def test_wrong_usage_exits_with_2_and_says_why(stt: Run, arguments: list[str]) -> None:
    assert stt(*arguments) == 2
    assert "Error: " in stt.err
    assert "Traceback" not in stt.err


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["--workers", "0"], "MAX_PARALLEL_WORKERS"),
        (["--lease-seconds", "0"], "LEASE_SECONDS"),
        (["--max-minutes", "0"], "NODE_MAX_MINUTES"),
        (["--empty-queue-wait", "inf"], "NODE_EMPTY_QUEUE_WAIT"),
        (["--required-empty-checks", "0"], "NODE_REQUIRED_EMPTY_CHECKS"),
        (["--server", "gpu-box:8081"], "STT_SERVER_URL"),
        (["--log-format", "xml"], "STT_LOG_FORMAT"),
        (["--log-format", "xml", "status"], "STT_LOG_FORMAT"),
    ],
)
def test_a_wrong_flag_exits_with_2_and_is_named(stt: Run, arguments: list[str], name: str) -> None:
    assert stt(*arguments) == 2
    assert stt.err.startswith(f"Error: Wrong setting. {arguments[0]} ({name}): ")
    assert len(stt.err.splitlines()) == 1


def test_a_wrong_setting_of_the_environment_exits_with_3_and_is_named(
    stt: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEASE_SECONDS", "soon")
    for arguments in ([], ["--workers", "0"], ["status"]):
        assert stt(*arguments) == 3
        assert "LEASE_SECONDS: " in stt.err


def test_a_database_that_is_down_exits_with_4_and_one_line(stt: Run) -> None:
    assert stt("status") == 4
    assert stt.err.startswith("Error: The database does not answer")
    assert len(stt.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFound("no such"), 1),
        (ConfigError("wrong"), 3),
        (KeyRejected("wrong key"), 3),
        (DatabaseUnavailable("gone"), 4),
        (ServerUnavailable("gone"), 5),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_error_has_its_exit_code_and_no_traceback(
    stt: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def fail(*_: object, **__: object) -> NoReturn:
        raise error

    monkeypatch.setattr("stt.cli.status.open_database", fail)
    assert stt("status") == code
    assert stt.err == ("" if code == 130 else f"Error: {error}\n")


def test_what_the_log_has_said_is_not_said_twice(stt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> NoReturn:
        error = ServerUnavailable("gone")
        error.is_logged = True
        raise error

    monkeypatch.setattr("stt.cli.status.open_database", fail)
    assert (stt("status"), stt.err) == (5, "")


def test_an_unforeseen_error_shows_where_it_happened(
    stt: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> NoReturn:
        raise ZeroDivisionError

    monkeypatch.setattr("stt.cli.status.open_database", fail)
    monkeypatch.setattr("sys.argv", ["stt", "status"])
    with pytest.raises(ZeroDivisionError):
        program.main()


def test_only_console_and_tables_import_rich_and_only_the_cli_imports_typer() -> None:
    package = Path(program.__file__).parent.parent
    importers: dict[str, set[str]] = {"rich": set(), "typer": set()}
    for path in package.rglob("*.py"):
        for line in path.read_text().splitlines():
            for library, files in importers.items():
                if line.lstrip().startswith((f"import {library}", f"from {library}")):
                    files.add(path.relative_to(package).as_posix())
    drawn = {"cli/fitting_table.py", "cli/progress_bar.py", "cli/tables.py"}
    assert importers["rich"] == {"cli/console.py", *drawn}
    assert all(name.startswith("cli/") for name in importers["typer"])


def test_the_end_does_not_wait_for_the_sleep_of_the_drivers_threads() -> None:
    code = (
        "import atexit, sys\nimport pymongo.synchronous.monitor as driver\n"
        "from stt.cli.app import main\n"
        "driver._shutdown_resources.__code__ = (lambda: print('waits')).__code__\n"
        "sys.argv = ['stt', '--version']\nmain()"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "waits" not in ended.stdout
