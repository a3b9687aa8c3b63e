"""`stt ingest --watch`: folders whose new recordings are transcribed, until Ctrl-C."""

import logging
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from stt.cli.formatting import clock, plural, printable
from stt.cli.missing_model import note_missing_model
from stt.cli.notifying import notifying
from stt.cli.options import speaker_flags
from stt.cli.output import checked_formats
from stt.errors import EXIT_INTERRUPTED, DatabaseUnavailable, NotFound
from stt.local.stack import open_database
from stt.setting_types import WATCHING
from stt.settings import Settings, field_of
from stt.store.database import Database
from stt.store.export import FORMATS
from stt.system.signals import on_signals

if TYPE_CHECKING:
    from stt.store.ingest import Ingested
    from stt.store.ingest_options import IngestOptions
    from stt.watch.local_worker import LocalWorker
    from stt.watch.state import WatchState
    from stt.watch.texts import TextOutput
    from stt.watch.watcher import WatchOptions

_BESIDE, _NONE = "beside", "none"
_RETRY_SECONDS = 5.0

Watch = Annotated[
    bool,
    typer.Option(
        "--watch", rich_help_panel=WATCHING,
        help="Stay, and take what is new in folders; write the transcripts when they are there.",
    ),
]  # fmt: skip
WatchOutput = Annotated[
    str | None,
    typer.Option(
        "--output", "-o", metavar="WHERE", rich_help_panel=WATCHING,
        help="beside each recording (the default), in a folder DIR, or none.",
    ),
]  # fmt: skip
WatchFormats = Annotated[
    list[str] | None,
    typer.Option(
        "--format", "-f", metavar="FORMAT", rich_help_panel=WATCHING,
        help=f"Of the transcripts: {', '.join(FORMATS)} or all; may be repeated. [txt]",
    ),
]  # fmt: skip
Work = Annotated[
    bool | None,
    typer.Option(
        "--work/--no-work", rich_help_panel=WATCHING, show_default=False,
        help="Transcribe here too, if need be with a whisper server of its own; done by default"
        " without MONGO_URL.",
    ),
]  # fmt: skip
OnDone = Annotated[
    str | None,
    typer.Option(
        "--on-done", metavar="COMMAND", rich_help_panel=WATCHING, show_default=False,
        help=f"{field_of('on_done_command').description} (STT_ON_DONE_COMMAND).",
    ),
]  # fmt: skip

logger = logging.getLogger(__name__)


def watch_command(
    settings: Settings,
    paths: list[Path],
    options: "IngestOptions",
    output: str | None,
    format_names: list[str] | None,
    work: bool | None,
    on_done: str | None,
) -> NoReturn:
    """Watch folders until a signal comes; raise BadParameter before for what cannot be."""
    from stt.watch.state import WatchState
    from stt.watch.watcher import WatchOptions

    folders = distinct_folders(paths)
    watching = WatchOptions(
        options,
        text_output(output, format_names),
        settings.settle_seconds,
        settings.watch_search_seconds,
    )
    if options.model:
        settings = settings.model_copy(update={"model": options.model})
    if on_done:
        settings = settings.model_copy(update={"on_done_command": on_done})
    works = settings.mongo_url is None if work is None else work
    with ExitStack() as closing:
        states = {
            folder: closing.enter_context(WatchState(settings.data_dir / "watch", folder))
            for folder in folders
        }
        notifies = works or bool(on_done)
        _Watch(settings, states, watching, works=works, notifies=notifies).run()
    raise typer.Exit(EXIT_INTERRUPTED)


class _Watch:
    """Watches until a signal comes, through times in which the database is away."""

    def __init__(
        self,
        settings: Settings,
        states: "dict[Path, WatchState]",
        options: "WatchOptions",
        *,
        works: bool,
        notifies: bool,
    ) -> None:
        self._settings = settings
        self._states = states
        self._options = options
        self._works = works
        self._notifies = notifies
        self._stop = threading.Event()
        self._worker: LocalWorker | None = None

    def run(self) -> None:
        names = ", ".join(map(str, self._states))
        logger.info("Watching %s", names)
        is_first = True
        with on_signals(lambda *_: self._signal()):
            while not self._stop.is_set():
                try:
                    with open_database(self._settings) as database:
                        is_first = False
                        self._watch(database)
                except DatabaseUnavailable as error:
                    if is_first:
                        raise
                    logger.warning("%s", error)
                    self._stop.wait(_RETRY_SECONDS)

    def _watch(self, database: Database) -> None:
        from stt.watch.local_worker import LocalWorker
        from stt.watch.watcher import watch_folders

        with ExitStack() as closing:
            if self._notifies:
                # Ctrl-C waits for no command: what is due then is delivered after the next start.
                closing.enter_context(notifying(database, self._settings, finishes=False))
            if self._works:
                speakers = self._options.ingest.speakers is not None
                worker = LocalWorker(database, self._settings, speakers=speakers)
                self._worker = closing.enter_context(worker)
            else:
                note_missing_model(database, self._options.ingest.model)
            watch_folders(self._states, database, self._options, self._log, self._stop, self._check)

    def _log(self, path: Path, ingested: "Ingested") -> None:
        options = self._options.ingest
        wanted = {"speakers": options.speakers, "max_speakers": options.max_speakers}
        log_ingested(path, ingested, wanted if options.speakers is not None else {})

    def _check(self) -> None:
        if self._worker is not None:
            self._worker.check()

    def _signal(self) -> None:
        if self._stop.is_set() and self._worker is not None:
            self._worker.hurry()
        self._stop.set()


def distinct_folders(paths: list[Path]) -> list[Path]:
    """Return the folders by their whole paths, without those inside of others.

    Raise BadParameter for a file, NotFound for a folder that is not there: a service that starts
    before its disk is mounted is started again after NotFound.
    """
    for path in paths:
        if not path.exists():
            raise NotFound(f"{path}: no such folder")
        if not path.is_dir():
            raise typer.BadParameter(f"--watch needs folders: {printable(str(path))} is none.")
    folders = list(dict.fromkeys(path.resolve() for path in paths))
    return [
        folder
        for folder in folders
        if not any(folder != other and folder.is_relative_to(other) for other in folders)
    ]


def text_output(output: str | None, format_names: list[str] | None) -> "TextOutput":
    """Raise BadParameter."""
    from stt.watch.texts import TextOutput

    formats = checked_formats(format_names or ()) or ("txt",)
    if output == _NONE:
        if format_names:
            raise typer.BadParameter("--output none and --format exclude each other.")
        return TextOutput(())
    if output in (None, _BESIDE):
        return TextOutput(formats)
    folder = Path(output).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(
            f"--output: the folder {printable(str(folder))} cannot be made: {error.strerror}."
        ) from error
    return TextOutput(formats, folder)


def log_ingested(
    path: Path, ingested: "Ingested", speakers: Mapping[str, int | None], **extra: object
) -> None:
    """Log the line about a recording that is in the queue now.

    `speakers`: the options of them that were given; warn if the recording keeps others.
    """
    recording = ingested.recording
    logger.info(
        "%s: %s, %s, %s, id %s",
        path,
        ingested.status,
        plural(ingested.chunks, "chunk"),
        clock(recording.duration or 0.0),
        recording.id,
        extra={**extra, "recording": recording.id, "chunks": ingested.chunks},
    )
    if dict(speakers) == {name: getattr(recording, name) for name in speakers}:
        return
    if recording.channels == "split":
        logger.warning("%s is in the queue: each of its channels is a speaker already", path)
    else:
        flags = speaker_flags(speakers["speakers"], speakers["max_speakers"])
        logger.warning(
            "%s is in the queue, with its own options: to change its speakers, use"
            " `stt again FILE %s`",
            path,
            flags,
        )
