"""`stt` without a command: run a worker."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

import stt
from stt.cli.console import live_progress, setup_logging
from stt.cli.notifying import notifying
from stt.cli.options import (
    DATABASE_SETTINGS,
    STOP_SETTINGS,
    LogMore,
    NewestFirst,
    Quiet,
    with_settings,
)
from stt.cli.summary import RunSummary
from stt.errors import EXIT_INTERRUPTED
from stt.local.stack import open_database
from stt.settings import Settings

if TYPE_CHECKING:
    from stt.store.database import Database
    from stt.worker.context import WorkOptions
    from stt.worker.stats import Stats

EXAMPLES = """\b
Examples:
  stt --limit 500                      transcribe 500 chunks with the server on this machine
  stt --server http://gpu-box:8081     use the whisper server of another machine
  stt --watch --workers 8              stay, and transcribe new chunks as they come
  stt ingest talks/ && stt             ingest recordings, then transcribe them
  stt --limit 100 --required-empty-checks 1 --log-format text
                                       for cron: one plain line per event
  stt --max-minutes 55                 a machine that is paid for by the hour
  stt --on-done 'mail -s "$RECORDING_NAME: $EVENT_TYPE" me@example.org'
                                       run a command when a recording is done
\b
A flag wins over the environment, and that over `.env`. The server's key has no flag, since others
can read the flags of a running program: set STT_API_KEY. Nor have webhooks: STT_ON_DONE names them,
STT_ON_DONE_SECRET signs them, STT_ON_DONE_EVENTS chooses among recording.done, recording.failed and
queue.empty.
\b
Exit codes: 0 all well · 1 finished, some chunks failed · 2 usage · 3 configuration or key
            4 database unreachable · 5 whisper server unreachable · 130 interrupted
\b
After the first Ctrl-C (or SIGTERM, or when the terminal closes) the calls in flight are finished.
After the second their chunks are released, and finished transcripts are written within 5 s.
"""


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"stt {stt.__version__}")
        raise typer.Exit


@with_settings(
    "limit", "max_parallel_workers", "max_concurrent_jobs", "server_urls", "model", *STOP_SETTINGS,
    "sequence_seconds", "border_seconds", "lease_seconds", "chunk_timeout_seconds", "max_attempts",
    "max_expirations", "page_size", "on_done_command", *DATABASE_SETTINGS, "log_format",
)  # fmt: skip
def worker_command(
    settings: Settings,
    newest_first: NewestFirst = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay when the queue is empty, and poll it.")
    ] = False,
    quiet: Quiet = False,
    verbose: LogMore = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            "-V",
            callback=_print_version,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Turn recordings into transcripts, with many machines that share one MongoDB database.

    Without a command, this machine works: it claims chunks of the queue, sends them to a Whisper
    server and writes the transcripts back.
    """
    # Import it here: it imports HTTP and audio libraries, which slow down other commands.
    from stt.worker.context import WorkOptions

    setup_logging(settings.log_format, quiet=quiet, verbose=verbose)
    with open_database(settings) as database, notifying(database, settings):
        options = WorkOptions(settings.limit, newest_first, watch)
        stats = run_worker(database, settings, options, RunSummary().log)
    raise typer.Exit(int(stats.has_failures))


def run_worker(
    database: "Database",
    settings: Settings,
    options: "WorkOptions",
    sum_up: "Callable[[Stats], None]" = lambda _: None,
) -> "Stats":
    """Run a worker and draw its bar; exit with 130 if it was interrupted."""
    from stt.worker.worker import Worker

    worker = Worker.at_database(database, settings, options)
    with live_progress(worker.progress):
        stats = worker.run(sum_up)
    if worker.was_interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    return stats
