"""The command line itself: usage errors, help, exit codes, secrets; no database is reached."""

import dataclasses
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import pytest
import typer
from bson import ObjectId

from stt.cli import app as program
from stt.cli.database import place_of
from stt.coordinator.store.options import Options
from stt.errors import ConfigError, DatabaseUnavailable, KeyRejected, NotFound, ServerUnavailable
from stt.settings import Settings, flag_of, load_settings
from stt.worker.stats import Stats
from stt.worker.worker import WorkOptions

COMMANDS = ["transcribe", "ingest", "status", "workers", "export", "retry", "release"]
NOWHERE = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100"


class Run:
    """Runs `stt` in this process, as its console script does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *arguments: str) -> int:
        self._monkeypatch.setattr("sys.argv", ["stt", *arguments])
        with pytest.raises(SystemExit) as stopped:
            program.main()
        self.out, self.err = self._capsys.readouterr()
        return int(stopped.value.code or 0)


@pytest.fixture
def stt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    for name in ("MONGO_URL", "DATABASE_NAME", "STT_SERVER_URL", "LEASE_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MONGO_URL", NOWHERE)
    return Run(monkeypatch, capsys)


def test_the_version_is_told(stt: Run) -> None:
    assert stt("--version") == 0
    assert stt.out.startswith("stt 0.")


def test_the_help_lists_every_command_and_every_exit_code(stt: Run) -> None:
    assert stt("--help") == 0
    assert all(f"  {command} " in stt.out for command in COMMANDS)
    assert all(f"{code} " in stt.out for code in (0, 1, 2, 3, 4, 5, 130))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_examples_in_its_help(stt: Run, command: str) -> None:
    assert stt(command, "--help") == 0
    assert f"Examples:\n    stt {command}" in stt.out


ON_THE_PAGE = {field.name for field in dataclasses.fields(Options)}
"""What has its place on the coordinator's page "Settings", and no flag."""


def test_every_setting_has_a_flag_but_for_keys(stt: Run) -> None:
    helps = ""
    for command in ((), ("coordinator",), ("node",), ("node", "register")):
        stt(*command, "--help")
        helps += stt.out
    names = {
        str(field.validation_alias or name).upper()
        for name, field in Settings.model_fields.items()
        if name not in ON_THE_PAGE
    }
    assert {name for name in names if name not in helps} == set()
    assert "--api-key" not in helps
    assert "--coordinator-key" not in helps


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
def test_a_wrong_setting_exits_with_3_and_is_named(
    stt: Run, arguments: list[str], name: str
) -> None:
    assert stt(*arguments) == 3
    assert stt.err.startswith(f"Error: Wrong setting. {arguments[0]} ({name}): ")
    assert len(stt.err.splitlines()) == 1


def test_a_database_that_is_down_exits_with_4_and_one_line(stt: Run) -> None:
    assert stt("status") == 4
    assert stt.err.startswith("Error: The database does not answer")
    assert len(stt.err.splitlines()) == 1


def test_flags_of_the_database_may_stand_before_or_behind_the_command(
    stt: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MONGO_URL")
    assert stt("--mongo-url", NOWHERE, "status") == 4
    assert stt("status", "--mongo-url", NOWHERE) == 4
    assert stt("--mongo-url", "wrong://", "status", "--mongo-url", NOWHERE) == 4


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


def test_every_flag_that_a_wrong_setting_may_name_is_one_of_the_command() -> None:
    root: Any = typer.main.get_command(program.app)
    commands = [root, root.commands["coordinator"], root.commands["node"].commands["register"]]
    options = {o for command in commands for p in command.params for o in p.opts}
    named = {flag_of(field) for field in Settings.model_fields if field not in ON_THE_PAGE}
    # Keys, which others could read; and where they lie.
    assert named - options == {"--api-key", "--coordinator-key", "--config-dir"}


def test_an_unforeseen_error_shows_where_it_happened(
    stt: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> NoReturn:
        raise ZeroDivisionError

    monkeypatch.setattr("stt.cli.status.open_database", fail)
    monkeypatch.setattr("sys.argv", ["stt", "status"])
    with pytest.raises(ZeroDivisionError):
        program.main()


class FakeWorker:
    """Stands in for the worker: notes what it was given, and ends as it is told to."""

    given: ClassVar[tuple[Settings, WorkOptions]]
    errors: ClassVar[int] = 0
    was_interrupted: ClassVar[bool] = False

    @classmethod
    def at_database(cls, _: object, settings: Settings, options: WorkOptions) -> "FakeWorker":
        cls.given = settings, options
        return cls()

    def run(self) -> Stats:
        stats = Stats()
        for _ in range(self.errors):
            stats.failed(ObjectId())
        return stats


@pytest.fixture
def fake_worker(monkeypatch: pytest.MonkeyPatch) -> type[FakeWorker]:
    monkeypatch.setattr("stt.worker.worker.Worker", FakeWorker)
    monkeypatch.setattr("stt.cli.worker.open_database", lambda _: nullcontext())
    return FakeWorker


class TestWork:
    def test_the_flags_reach_the_worker_and_win_over_the_environment(
        self, stt: Run, monkeypatch: pytest.MonkeyPatch, fake_worker: type[FakeWorker]
    ) -> None:
        monkeypatch.setenv("STT_SERVER_URL", "http://other")
        monkeypatch.setenv("LEASE_SECONDS", "77")
        flags = "--limit 7 --newest-first --watch --workers 3 --server http://a --server http://b"
        assert stt(*flags.split(), "--one-at-a-time", "--no-word-timestamps") == 0
        settings, options = fake_worker.given
        assert options == WorkOptions(limit=7, newest_first=True, watch=True)
        assert settings.server_urls == ("http://a", "http://b")
        assert (settings.max_parallel_workers, settings.parallel_limit) == (3, 1)
        assert settings.lease_seconds == 77

    def test_what_stops_a_worker_can_be_said_with_flags(
        self, stt: Run, monkeypatch: pytest.MonkeyPatch, fake_worker: type[FakeWorker]
    ) -> None:
        monkeypatch.setenv("NODE_LIMIT", "9")
        flags = (
            "--required-empty-checks 5 --empty-queue-wait 7 --idle-timeout-minutes 8"
            " --server-unreachable-minutes 9 --max-consecutive-failures 4 --max-minutes 55"
            " --persistent"
        )
        assert stt(*flags.split()) == 0
        settings, options = fake_worker.given
        assert (settings.required_empty_checks, settings.empty_queue_wait_seconds) == (5, 7)
        assert (settings.idle_timeout_minutes, settings.server_unreachable_minutes) == (8, 9)
        assert (settings.max_consecutive_failures, settings.max_minutes) == (4, 55)
        assert settings.persistent
        assert options.limit == 9

    @pytest.mark.parametrize(("errors", "interrupted", "code"), [(0, 0, 0), (2, 0, 1), (2, 1, 130)])
    def test_the_exit_code_tells_how_it_ended(
        self,
        stt: Run,
        monkeypatch: pytest.MonkeyPatch,
        fake_worker: type[FakeWorker],
        errors: int,
        interrupted: int,
        code: int,
    ) -> None:
        monkeypatch.setattr(fake_worker, "errors", errors)
        monkeypatch.setattr(fake_worker, "was_interrupted", bool(interrupted))
        assert stt() == code


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mongodb://db", "stt at mongodb://db"),
        ("mongodb://ann:s3cret@db1:27017,db2/admin?tls=true", "stt at mongodb://db1:27017,db2"),
        ("mongodb+srv://ann:s3%40cret@db/?appName=s3cret", "stt at mongodb+srv://db"),
    ],
)
def test_the_place_of_the_database_is_shown_without_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, shown: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_NAME", raising=False)
    assert place_of(load_settings(mongo_url=url)) == shown


def test_a_wrong_url_does_not_print_its_password(stt: Run) -> None:
    assert stt("status", "--mongo-url", "mongodb://ann:s3cret@db:port") == 3
    assert "s3cret" not in stt.err + stt.out


def test_only_console_and_tables_import_rich_and_only_the_cli_imports_typer() -> None:
    package = Path(program.__file__).parent.parent
    importers: dict[str, set[str]] = {"rich": set(), "typer": set()}
    for path in package.rglob("*.py"):
        for line in path.read_text().splitlines():
            for library, files in importers.items():
                if line.lstrip().startswith((f"import {library}", f"from {library}")):
                    files.add(path.relative_to(package).as_posix())
    assert importers["rich"] == {"cli/console.py", "cli/tables.py"}
    assert all(name.startswith("cli/") for name in importers["typer"])
