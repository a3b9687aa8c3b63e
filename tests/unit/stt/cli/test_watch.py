"""`stt ingest --watch`: what it is asked for, and how it ends."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from stt.cli import watch as module
from stt.domain.chunk import Recording
from stt.errors import DatabaseUnavailable
from stt.settings import Settings
from stt.store.ingest import Ingested
from stt.system.log_context import PLAIN
from stt.watch.watcher import WatchOptions
from tests.unit.stt.cli.conftest import Run


class Watched:
    """Stands in for the watcher; `errors` are raised one after the other, then Ctrl-C comes."""

    def __init__(self) -> None:
        self.folders: list[Path] = []
        self.options = WatchOptions()
        self.errors: list[Exception] = []
        self.found: list[Ingested] = []
        self.opened = 0
        self.refused = 0
        self.before: Callable[[], object] = lambda: None

    def watch(
        self,
        folders: dict[Path, Any],
        _: object,
        options: WatchOptions,
        log: Callable[[Path, Ingested], None],
        *__: Any,
    ) -> None:
        self.folders, self.options = list(folders), options
        for ingested in self.found:
            log(Path("in/talk.mp3"), ingested)
        self.before()
        if self.errors:
            raise self.errors.pop(0)
        os.kill(os.getpid(), signal.SIGINT)

    @contextmanager
    def database(self, _: Settings) -> Iterator[object]:
        if self.refused:
            self.refused -= 1
            raise DatabaseUnavailable("away")
        self.opened += 1
        yield object()


FOR_WATCH = "--output, --format, --work, --on-done, --server and --search-every are for --watch."


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Watched:
    watched = Watched()
    monkeypatch.setattr("stt.watch.watcher.watch_folders", watched.watch)
    monkeypatch.setattr(module, "open_database", watched.database)
    monkeypatch.setattr(module, "note_missing_model", lambda *_: None)
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.0)
    monkeypatch.setenv("STT_DATA_DIR", str(tmp_path / "data"))
    for name in ("in/sub", "other"):
        (tmp_path / name).mkdir(parents=True)
    return watched


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Return the models of the workers that were started; they do nothing."""
    models: list[str | None] = []

    class Worker:
        def __init__(self, _: object, settings: Settings, *, speakers: bool) -> None:
            self._model = f"{settings.model} with speakers" if speakers else settings.model

        def __enter__(self) -> "Worker":
            models.append(self._model)
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def check(self) -> None:
            pass

        def hurry(self) -> None:
            pass

    monkeypatch.setattr("stt.watch.local_worker.LocalWorker", Worker)
    return models


def test_it_stays_until_ctrl_c(stt: Run, watched: Watched, tmp_path: Path) -> None:
    assert stt("ingest", "--watch", "in", "other", "in/sub", "in") == 130
    assert watched.folders == [tmp_path / "in", tmp_path / "other"]
    assert watched.options.output.folder is None
    assert watched.options.output.formats == ("txt",)
    assert f"Watching {tmp_path}/in, {tmp_path}/other" in stt.out


def test_a_server_of_this_machine_finds_speakers_if_they_are_asked_for(
    stt: Run, watched: Watched, workers: list[str | None]
) -> None:
    assert stt("ingest", "--watch", "in", "--work", "--max-speakers", "3", "-m", "tiny") == 130
    assert watched.options.ingest.max_speakers == 3
    assert workers == ["tiny with speakers"]


def test_output_formats_and_times_can_be_chosen(stt: Run, watched: Watched, tmp_path: Path) -> None:
    flags = ("--output", "out", "-f", "srt", "-f", "txt", "--settle", "2", "--search-every", "9")
    assert stt("ingest", "--watch", "in", *flags, "--language", "de") == 130
    output = watched.options.output
    assert (output.folder, output.formats) == (tmp_path / "out", ("srt", "txt"))
    assert (tmp_path / "out").is_dir()
    assert (watched.options.settle_seconds, watched.options.search_seconds) == (2, 9)
    assert watched.options.ingest.language == "de"


def test_no_transcripts_need_be_written(stt: Run, watched: Watched) -> None:
    assert stt("ingest", "--watch", "in", "--output", "none") == 130
    assert watched.options.output.formats == ()


def test_a_database_that_goes_away_is_waited_for(stt: Run, watched: Watched) -> None:
    watched.errors = [DatabaseUnavailable("no answer")]
    assert stt("ingest", "--watch", "in") == 130
    assert watched.opened == 2
    assert "Warning: no answer" in stt.out


def test_one_that_was_never_there_is_not(stt: Run, watched: Watched) -> None:
    watched.refused = 1
    assert stt("ingest", "--watch", "in") == 4
    assert stt.err == "Error: away\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--watch", "file"), "--watch needs folders: file is none."),
        (("--watch", "in", "--format", "docx"), "Unknown format 'docx'"),
        (("--watch", "in", "--output", "none", "-f", "srt"), "exclude each other"),
        (("--watch", "in", "--output", "file/out"), "cannot be made: Not a directory"),
        (("in", "--output", "beside"), FOR_WATCH),
        (("in", "--no-work"), FOR_WATCH),
        (("in", "--on-done", "x"), FOR_WATCH),
        (("in", "--search-every", "3"), FOR_WATCH),
        (("in", "--server", "http://gpu:8081"), FOR_WATCH),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(
    stt: Run, watched: Watched, arguments: tuple[str, ...], words: str
) -> None:
    Path("file").touch()
    assert stt("ingest", *arguments) == 2
    assert words in " ".join(stt.err.replace("\u2502", "").split())
    assert watched.opened == 0


def test_a_folder_that_is_not_there_is_no_wrong_usage(stt: Run, watched: Watched) -> None:
    """A service would not be started again after that."""
    assert stt("ingest", "--watch", "in", "nowhere") == 1
    assert stt.err == "Error: nowhere: no such folder\n"


def test_a_folder_is_watched_by_one_command_at_a_time(
    stt: Run, watched: Watched, tmp_path: Path
) -> None:
    from stt.watch.state import WatchState

    with WatchState(tmp_path / "data" / "watch", tmp_path / "in"):
        assert stt("ingest", "--watch", "in") == 3
    assert "is watched already" in stt.err


@pytest.mark.parametrize(
    ("flags", "url", "works"),
    [
        ((), "", True),
        ((), "mongodb://nowhere", False),
        (("--work",), "mongodb://nowhere", True),
        (("--no-work",), "", False),
    ],
)
def test_it_transcribes_where_no_other_machine_can(
    stt: Run,
    watched: Watched,
    monkeypatch: pytest.MonkeyPatch,
    flags: tuple[str, ...],
    url: str,
    works: bool,
    workers: list[str | None],
) -> None:
    monkeypatch.setenv("MONGO_URL", url)
    assert stt("ingest", "--watch", "in", "--model", "tiny", *flags) == 130
    assert workers == (["tiny"] if works else [])


HOOK = "https://hooks.example.org/stt"


@pytest.mark.parametrize(
    ("flags", "environment", "command"),
    [
        ((), {}, None),
        ((), {"STT_ON_DONE_COMMAND": "a"}, None),
        ((), {"STT_ON_DONE": HOOK}, None),
        (("--work",), {}, ""),
        (("--work",), {"STT_ON_DONE": HOOK}, ""),
        (("--work",), {"STT_ON_DONE_COMMAND": "a"}, "a"),
        (("--work", "--on-done", "b"), {"STT_ON_DONE_COMMAND": "a"}, "b"),
        (("--on-done", "b"), {}, "b"),
    ],
)
def test_it_notifies_where_it_transcribes_and_where_it_has_a_command(
    stt: Run,
    watched: Watched,
    workers: list[str | None],
    monkeypatch: pytest.MonkeyPatch,
    flags: tuple[str, ...],
    environment: dict[str, str],
    command: str | None,
) -> None:
    commands: list[str] = []

    @contextmanager
    def notifying(_: object, settings: Settings, *, finishes: bool) -> Iterator[None]:
        assert not finishes
        assert not workers  # what ends before it begins is not notified
        assert settings.on_done == () or "STT_ON_DONE" in environment
        commands.append(settings.on_done_command or "")
        yield

    monkeypatch.setattr(module, "notifying", notifying)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert stt("ingest", "--watch", "in", *flags) == 130
    assert commands == ([] if command is None else [command])


@pytest.mark.parametrize(("flags", "is_shown"), [((), False), (("-v",), True)])
def test_the_lines_of_its_worker_are_for_verbose_logs(
    stt: Run,
    watched: Watched,
    workers: list[str | None],
    log: logging.Logger,
    flags: tuple[str, ...],
    is_shown: bool,
) -> None:
    watched.before = lambda: log.info("Stopping: nothing to do for 60 s", extra=PLAIN)
    assert stt("ingest", "--watch", "in", "--work", *flags) == 130
    assert ("Stopping" in stt.out) is is_shown
    assert "Watching" in stt.out


def test_the_second_signal_is_for_the_worker(stt: Run, tmp_path: Path) -> None:
    hurried = threading.Event()
    watch = module._Watch(Settings(), {}, WatchOptions(), works=False, notifies=False)
    watch._worker = type("Worker", (), {"hurry": lambda _: hurried.set()})()
    watch._signal()
    assert not hurried.is_set()
    watch._signal()
    assert hurried.is_set()


@pytest.mark.parametrize(
    ("flags", "is_said"), [(["--speakers", "3"], True), (["--speakers", "2"], False), ([], False)]
)
def test_what_keeps_its_speakers_is_said(
    stt: Run, watched: Watched, flags: list[str], is_said: bool
) -> None:
    recording = Recording(ObjectId(), "talk.mp3", speakers=2)
    watched.found = [Ingested(recording, 1, "already there")]
    assert stt("ingest", "--watch", "in", *flags) == 130
    text = " ".join((stt.out + stt.err).split())
    assert ("to change its speakers, use `stt again FILE --speakers 3`" in text) is is_said
