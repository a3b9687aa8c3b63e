"""`stt transcribe`: transcribe recordings; start a database and a server if none are set."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from stt.cli.console import Progress, live_progress, print_note, recording_progress, setup_logging
from stt.cli.database import open_database
from stt.cli.formatting import plural, span
from stt.cli.options import DATABASE_SETTINGS, Flags, settings_of, with_settings
from stt.domain.chunk import Recording
from stt.errors import RecordingError
from stt.settings import Settings
from stt.store.database import Database
from stt.store.export import FORMATS, Export
from stt.store.status import queue_status
from stt.system.signals import on_signals
from stt.transcripts.files import file_name, save

EXAMPLES = """\b
Examples:
  stt transcribe talk.mp3                        text to the terminal
  stt transcribe talk.mp3 --format srt > talk.srt
  stt transcribe *.m4a --format vtt --output subs/
  stt transcribe talk.mp3 --model demo           the test model in the package: no download

\b
Without settings it uses an embedded database, and starts a whisper server for the time of the run.
MONGO_URL and STT_SERVER_URL (or --server) name others to use instead. The transcript of a recording
that was transcribed before is read from the database, whatever the options.

\b
Exit codes: 0 all well · 1 a recording could not be read, or a chunk failed · 2 usage
            3 configuration or key · 4 database unreachable · 5 whisper server unreachable
            130 interrupted: the next run continues
"""

_POLL_SECONDS = 2.0
# Formats of which several transcripts on one stdout can be told apart.
_STREAMABLE = {"txt", "json"}


@dataclass(frozen=True, slots=True)
class _Job:
    """A file to transcribe, and its recording in the queue."""

    path: Path
    recording: Recording


@with_settings("model", "server_urls", "max_parallel_workers", *DATABASE_SETTINGS)
def transcribe_command(
    ctx: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="Recordings, and folders of them.")
    ],
    format_name: Annotated[
        str, typer.Option("--format", "-f", metavar="FORMAT", help=f"{', '.join(FORMATS)}.")
    ] = "txt",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="A file for each, in this folder."),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="Spoken language, such as `en`; detected if not given."),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Names and words that occur in the recordings."),
    ] = None,
    *,
    flags: Flags,
) -> None:
    """Transcribe recordings and print or save their transcripts."""
    _check(format_name, output)
    settings = settings_of(ctx, flags)
    setup_logging(settings.log_format, to_stderr=True)
    with on_signals(_interrupt), open_database(settings) as database:
        jobs, refused = _ingest(database, files, language, prompt)
        if format_name not in _STREAMABLE and output is None and len(jobs) > 1:
            raise typer.BadParameter(f"Several recordings as {format_name} need --output DIR.")
        _work(database, settings, [job.recording for job in jobs])
        partial = _deliver(database, jobs, format_name, output)
    if refused or partial or not jobs:
        raise typer.Exit(1)


def _check(format_name: str, output: Path | None) -> None:
    """Check the output options before the work, not after it."""
    if format_name not in FORMATS:
        raise typer.BadParameter(f"{format_name!r} is no format: choose from {', '.join(FORMATS)}.")
    try:
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(
            f"--output must be a folder, and {output} is none: {error.strerror}."
        ) from error


def _interrupt() -> None:
    """Handle SIGTERM like Ctrl-C, so that servers that were started are stopped."""
    raise KeyboardInterrupt


def _ingest(
    database: Database, files: Sequence[Path], language: str | None, prompt: str | None
) -> tuple[list[_Job], int]:
    """Ingest the files; return each recording once, in order, and how many could not be read."""
    from stt.store.ingest import IngestOptions, find_recordings, ingest

    options = IngestOptions(language, prompt)
    jobs: list[_Job] = []
    refused = 0
    for path in find_recordings(files):
        try:
            with recording_progress(path.name) as progress:
                recording = ingest(database, path, options, progress).recording
        except RecordingError as error:
            print_note(f"Error: {error}")
            refused += 1
            continue
        if recording.id not in {job.recording.id for job in jobs}:
            jobs.append(_Job(path, recording))
    if not jobs and not refused:
        print_note("Nothing to transcribe: no recordings found.")
    return jobs, refused


def _work(database: Database, settings: Settings, recordings: Sequence[Recording]) -> None:
    """Run a worker until no chunk of these recordings is open, here or on another machine."""
    if not any(_open_chunks(database, recording) for recording in recordings):
        return
    # The settings for when a worker of the fleet stops do not apply to this run.
    own_end = {"required_empty_checks": 1, "max_minutes": None, "persistent": False}
    with _server(settings.model_copy(update=own_end)) as with_server:
        _run_worker(database, with_server, recordings)
        waiting_for = 0
        while any(_open_chunks(database, recording) for recording in recordings):
            queue = queue_status(database, settings.lease_seconds)
            ids = {recording.id for recording in recordings}
            mine = [progress.counts for progress in queue.sources if progress.id in ids]
            if not any(counts.open for counts in mine):
                return  # chunks were removed from the queue
            if any(counts.pending for counts in mine) or queue.stale:
                _run_worker(database, with_server, recordings)
                continue
            held = sum(counts.processing for counts in mine)
            if held != waiting_for:
                waiting_for = held
                print_note(
                    f"Waiting for {plural(held, 'chunk')} that other workers process; if those"
                    f" workers are gone, for {span(settings.lease_seconds)} at most."
                )
            time.sleep(_POLL_SECONDS)


def _open_chunks(database: Database, recording: Recording) -> int:
    export = Export(database, recording)
    return len(export.header.missing_chunks) - export.failed_chunks


@contextmanager
def _server(settings: Settings) -> Iterator[Settings]:
    """Yield settings with a server URL; start a server if none is set."""
    if settings.server_urls:
        yield settings
        return
    # Import it here: it needs an optional extra.
    from stt.local.stack import local_server

    with local_server(settings, settings.model) as url:
        # The server has one model, which it may call otherwise than `settings.model`.
        yield settings.model_copy(update={"server_urls": (url,), "model": None})


def _run_worker(database: Database, settings: Settings, recordings: Sequence[Recording]) -> None:
    from stt.worker.worker import Worker, WorkOptions

    options = WorkOptions(recordings=tuple(recording.id for recording in recordings))
    worker = Worker.at_database(database, settings, options)

    def snapshot() -> Progress:
        stats = worker.stats
        return Progress(stats.done, worker.total, stats.errors, worker.in_flight, worker.is_ending)

    with live_progress(snapshot):
        worker.run()
    if worker.was_interrupted:
        raise typer.Exit(130)


def _deliver(
    database: Database, jobs: Sequence[_Job], format_name: str, output: Path | None
) -> int:
    """Print or save the transcripts; return how many of them are partial."""
    partial = 0
    taken: set[str] = set()
    for job in jobs:
        export = Export(database, job.recording)
        if export.header.is_partial:
            partial += 1
            reason = f"{export.header.partial_notice}. `stt status` says why."
            print_note(f"Warning: {job.path}: {reason}")
        if output is None:
            title = f"==> {job.path} <==\n" if len(jobs) > 1 and format_name == "txt" else ""
            _print(chain([title], export.pieces(format_name)))
            continue
        # In the database the recording may have another file name.
        name = file_name(replace(job.recording, filename=job.path.name), format_name)
        if name.casefold() in taken:
            name = f"{Path(name).stem}_{job.recording.id}.{format_name}"
        taken.add(name.casefold())
        save(export.pieces(format_name), output / name)
        print_note(f"Wrote {output / name}")
    return partial


def _print(pieces: Iterable[str]) -> None:
    stdout = typer.get_binary_stream("stdout")
    for piece in pieces:
        stdout.write(piece.encode("utf-8", errors="replace"))
    stdout.flush()
