"""`stt ingest`: cut files and folders into chunks in the queue."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stt.cli.console import print_note, recording_progress, setup_logging
from stt.cli.formatting import clock, plural
from stt.cli.log_lines import RESULT
from stt.cli.options import (
    DATABASE_SETTINGS,
    Channels,
    Hotwords,
    Language,
    Prompt,
    Recordings,
    Strict,
    Task,
    Track,
    with_settings,
)
from stt.errors import ConfigError, RecordingError
from stt.local.stack import open_database
from stt.settings import Settings
from stt.store.database import Database

if TYPE_CHECKING:
    from stt.store.ingest import Ingested, IngestOptions

EXAMPLES = """\b
Examples:
  stt ingest talk.mp3
  stt ingest recordings/ --language de --priority 5
  stt ingest meeting.mkv --hotwords "Ann Müller, Bo Li"
  stt ingest vortrag.mp3 --language de --task translate
  stt ingest call.wav --channels split

\b
A file that was ingested before is skipped, and an interrupted ingest is continued. For a file that
cannot be read one line is printed, the others are ingested, and the exit code is 1.
"""

logger = logging.getLogger(__name__)


@with_settings(*DATABASE_SETTINGS)
def ingest_command(
    settings: Settings,
    paths: Recordings,
    language: Language = None,
    task: Task = "transcribe",
    prompt: Prompt = None,
    hotwords: Hotwords = None,
    track: Track = None,
    strict: Strict = False,
    priority: Annotated[
        int, typer.Option(min=-(10**9), max=10**9, metavar="N", help="Higher is transcribed first.")
    ] = 0,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Model to transcribe with; each worker's if not given."),
    ] = None,
    chunk_seconds: Annotated[
        float, typer.Option(metavar="S", help="Longest chunk in seconds, 1 to 600.")
    ] = 30.0,
    channels: Channels = "mix",
) -> None:
    """Put recordings into the queue, cut into chunks."""
    options = checked_options(
        language=language, task=task, prompt=prompt, hotwords=hotwords, priority=priority,
        model=model, chunk_seconds=chunk_seconds, channels=channels, track=track, strict=strict,
    )  # fmt: skip
    setup_logging(settings.log_format)
    endings: Counter[str] = Counter()
    with open_database(settings) as database:
        for path, ingested in ingest_files(database, paths, options):
            endings[ingested.status if ingested else "failed"] += 1
            if ingested:
                _log(path, ingested)
    if not endings:
        print_note("Nothing to ingest: no recordings found.")
        raise typer.Exit(1)
    if endings.total() > 1:
        order = ("ingested", "resumed", "already there", "failed")
        summary = ", ".join(f"{endings[ending]} {ending}" for ending in order if endings[ending])
        logger.info("%s", summary, extra={**RESULT, **endings})
    if endings["failed"]:
        raise typer.Exit(1)


def checked_options(**flags: Any) -> "IngestOptions":
    """Return the options of recordings. Raise BadParameter."""
    from stt.store.ingest import IngestOptions

    try:
        return IngestOptions(**flags)
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from error


def ingest_files(
    database: Database, paths: Iterable[Path], options: "IngestOptions"
) -> "Iterator[tuple[Path, Ingested | None]]":
    """Ingest files and folders of them; yield None for a file that cannot be read, and say why."""
    from stt.media.folders import find_recordings
    from stt.store.ingest import ingest

    for found in find_recordings(paths):
        ingested = None
        try:
            with recording_progress(found.path.name) as progress:
                ingested = ingest(database, found.path, options, progress, place=found.place)
        except RecordingError as error:
            print_note(f"Error: {error}")
        yield found.path, ingested


def _log(path: Path, ingested: "Ingested") -> None:
    recording = ingested.recording
    logger.info(
        "%s: %s, %s, %s, id %s",
        path,
        ingested.status,
        plural(ingested.chunks, "chunk"),
        clock(recording.duration or 0.0),
        recording.id,
        extra=RESULT | {"recording": recording.id, "chunks": ingested.chunks},
    )
