"""`stt` without a command: works on the queue until it is empty, or the limit is reached."""

from typing import Annotated

import typer

import stt
from stt.cli.console import Progress, live_progress, setup_logging
from stt.cli.options import (
    DatabaseName,
    DataDir,
    MongoUrl,
    open_database,
    remember_flags,
    settings_of,
)

EXAMPLES = """\b
Examples:
  stt --limit 500                      transcribe 500 chunks with the server next door
  stt --server http://gpu-box:8081     use the whisper server of another machine
  stt --watch --workers 8              stay, and take new chunks as they come
  stt ingest talks/ && stt             put recordings in, then work on them
  stt --limit 100 --required-empty-checks 1 --log-format text
                                       for cron: one plain line an event
  stt --max-minutes 55                 a machine that is paid for by the hour

\b
A flag wins over the environment, and that over `.env`. The server's key has no flag, since others
can read the flags of a program that runs: set STT_API_KEY.

\b
Exit codes: 0 all well · 1 finished, some chunks failed · 2 usage · 3 configuration or key
            4 database unreachable · 5 whisper server unreachable · 130 interrupted

\b
The first Ctrl-C (or SIGTERM) finishes what is in flight, the second releases it and goes, but for
results that the database has yet to take: only the third drops those.
"""


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"stt {stt.__version__}")
        raise typer.Exit


def work_command(
    ctx: typer.Context,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Stop after N chunks (NODE_LIMIT).")
    ] = None,
    max_minutes: Annotated[
        float | None,
        typer.Option(
            metavar="MIN", help="Stop after so long; what is in flight ends (NODE_MAX_MINUTES)."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", help="Calls in flight at most (MAX_PARALLEL_WORKERS; 4)."),
    ] = None,
    server: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Whisper server; may be repeated (STT_SERVER_URL)."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="M", help="Model to ask the server for (STT_MODEL).")
    ] = None,
    newest_first: Annotated[
        bool, typer.Option("--newest-first", help="Take the newest chunks first.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay when the queue is empty, and poll it.")
    ] = False,
    persistent: Annotated[
        bool,
        typer.Option(
            "--persistent",
            help="Stay through an empty queue, servers that are away or broken, and a database"
            " that is away; --max-minutes, --limit and a refused key still end it"
            " (NODE_PERSISTENT=1).",
        ),
    ] = False,
    one_at_a_time: Annotated[
        bool,
        typer.Option(
            "--one-at-a-time", help="No calls in parallel (USE_PARALLEL_TRANSCRIPTION=false)."
        ),
    ] = False,
    word_timestamps: Annotated[
        bool | None,
        typer.Option(
            "--word-timestamps/--no-word-timestamps",
            help="Ask for the time of each word (STT_WORD_TIMESTAMPS).",
            show_default=False,
        ),
    ] = None,
    sequence_seconds: Annotated[
        float | None,
        typer.Option(
            metavar="S", help="Audio that goes to the server as one piece (SEQUENCE_SECONDS; 300)."
        ),
    ] = None,
    lease_seconds: Annotated[
        float | None,
        typer.Option(metavar="S", help="A silent worker's claims end then (LEASE_SECONDS; 300)."),
    ] = None,
    chunk_timeout: Annotated[
        float | None,
        typer.Option(metavar="S", help="Longest time for a chunk (CHUNK_TIMEOUT; 600)."),
    ] = None,
    max_attempts: Annotated[
        int | None,
        typer.Option(metavar="N", help="Failures until quarantine (MAX_ATTEMPTS; 3)."),
    ] = None,
    max_expirations: Annotated[
        int | None,
        typer.Option(metavar="N", help="Lost workers until quarantine (MAX_EXPIRATIONS; 5)."),
    ] = None,
    page_size: Annotated[
        int | None,
        typer.Option(metavar="N", help="Chunks read at a time (STT_PAGE_SIZE; 500)."),
    ] = None,
    server_unreachable_minutes: Annotated[
        float | None,
        typer.Option(
            metavar="MIN",
            help="Give up when no server answers for so long (NODE_SERVER_UNREACHABLE_MINUTES; 5).",
        ),
    ] = None,
    max_consecutive_failures: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Give up when servers fail so often in a row, even on a recording that any"
            " server can do (NODE_MAX_CONSECUTIVE_FAILURES; 3).",
        ),
    ] = None,
    required_empty_checks: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Stop when so many looks in a row find the queue empty"
            " (NODE_REQUIRED_EMPTY_CHECKS; 2).",
        ),
    ] = None,
    empty_queue_wait: Annotated[
        float | None,
        typer.Option(
            metavar="S", help="Time between looks at an empty queue (NODE_EMPTY_QUEUE_WAIT; 60)."
        ),
    ] = None,
    idle_timeout_minutes: Annotated[
        float | None,
        typer.Option(
            metavar="MIN",
            help="Stop when there was nothing to do for so long (NODE_IDLE_TIMEOUT_MINUTES; 10).",
        ),
    ] = None,
    log_format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help="auto (a live bar on a terminal), text or json (STT_LOG_FORMAT; auto).",
        ),
    ] = None,
    mongo_url: MongoUrl = None,
    database_name: DatabaseName = None,
    data_dir: DataDir = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Recordings to transcripts, by many machines that share one MongoDB database.

    Without a command, this machine goes to work: it claims chunks of the queue, sends them to a
    Whisper server and writes the transcripts back.
    """
    everywhere = {
        "mongo_url": mongo_url,
        "database_name": database_name,
        "data_dir": data_dir,
        "log_format": log_format,
    }
    only_here: dict[str, object] = {
        "server_urls": tuple(server) if server else None,
        "model": model,
        "max_parallel_workers": workers,
        "use_parallel_transcription": False if one_at_a_time else None,
        "word_timestamps": word_timestamps,
        "sequence_seconds": sequence_seconds,
        "lease_seconds": lease_seconds,
        "chunk_timeout_seconds": chunk_timeout,
        "max_attempts": max_attempts,
        "max_expirations": max_expirations,
        "page_size": page_size,
        "server_unreachable_minutes": server_unreachable_minutes,
        "max_consecutive_failures": max_consecutive_failures,
        "required_empty_checks": required_empty_checks,
        "empty_queue_wait_seconds": empty_queue_wait,
        "idle_timeout_minutes": idle_timeout_minutes,
        "max_minutes": max_minutes,
        "limit": limit,
        "persistent": persistent or None,
    }
    remember_flags(ctx, **everywhere)
    if ctx.invoked_subcommand is None:
        _work(ctx, only_here, newest_first, watch)
    elif newest_first or watch or any(f is not None for f in only_here.values()):
        raise typer.BadParameter(
            f"Options before `{ctx.invoked_subcommand}` must be those of the database or"
            f" --log-format; write its own options behind it."
        )


def _work(
    ctx: typer.Context,
    flags: dict[str, object],
    newest_first: bool,
    watch: bool,
) -> None:
    # The worker brings HTTP and audio along: the other commands start faster without.
    from stt.worker.worker import Worker, WorkOptions

    settings = settings_of(ctx, **flags)
    setup_logging(settings.log_format)
    with open_database(settings) as database:
        worker = Worker.at_database(
            database, settings, WorkOptions(settings.limit, newest_first, watch)
        )

        def snapshot() -> Progress:
            stats = worker.stats
            # Who stays has no end to count towards.
            total = None if watch or settings.persistent else worker.total
            return Progress(stats.done, total, stats.errors, worker.in_flight, worker.is_ending)

        with live_progress(snapshot):
            stats = worker.run()
    if worker.was_interrupted:
        raise typer.Exit(130)
    if stats.has_failures:
        raise typer.Exit(1)
