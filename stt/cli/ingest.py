"""`stt ingest`: cut files and folders into chunks in the queue."""

import logging
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Set
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stt.cli.console import print_note, recording_progress, setup_logging
from stt.cli.formatting import plural
from stt.cli.log_lines import RESULT
from stt.cli.missing_model import note_missing_model
from stt.cli.options import (
    DATABASE_SETTINGS,
    Channels,
    Hotwords,
    Language,
    MaxSpeakers,
    Prompt,
    Quiet,
    Recordings,
    Speakers,
    Strict,
    Task,
    Track,
    Verbose,
    given_only,
    speaker_options,
    with_settings,
)
from stt.cli.progress_bar import FilesBar
from stt.cli.standard_input import STDIN, with_standard_input
from stt.cli.summary import in_words
from stt.cli.watch import (
    OnDone,
    Watch,
    WatchFormats,
    WatchOutput,
    Work,
    log_ingested,
    watch_command,
)
from stt.errors import ConfigError, RecordingError
from stt.local.stack import open_database
from stt.settings import Settings
from stt.store.database import Database

if TYPE_CHECKING:
    from stt.cli.early_work import EarlyWork
    from stt.media.folders import FoundFile, PassedOver
    from stt.media.settling import Settling
    from stt.store.cutting import Progress
    from stt.store.ingest import Ingested
    from stt.store.ingest_options import IngestOptions

EXAMPLES = """\b
Examples:
  stt ingest talk.mp3
  stt ingest recordings/ --language de --priority 5
  stt ingest meeting.mkv --hotwords "Ann Müller, Bo Li"
  stt ingest vortrag.mp3 --language de --task translate
  stt ingest call.wav --channels split
  stt ingest meeting.mp3 --speakers              who speaks when; --speakers 3 if three speak,
                                                 --max-speakers 5 if at most five do
  stt ingest --watch ~/Recordings                transcripts appear next to new recordings
  stt ingest --watch calls/ --output texts/ --format srt --format txt

\b
A file that was ingested before is skipped, and an interrupted ingest is continued. For a file that
cannot be read one line is printed, the others are ingested, and the exit code is 1. A file in a
folder that is still being written is left to the next time; one that is named is waited for.

\b
With --watch it stays until Ctrl-C, and goes on where it was when it is started again; `stt watch
service install` makes a service of it. Without MONGO_URL it transcribes too, for no other machine
can; with it, the fleet's workers do, or this machine as well with --work.
"""

_MAX_NAMED = 3
_FOR_WATCH = {"server_urls", "watch_search_seconds"}

logger = logging.getLogger(__name__)


@with_settings("settle_seconds", *DATABASE_SETTINGS, "server_urls", "watch_search_seconds")
def ingest_command(
    settings: Settings,
    given_settings: Set[str],
    paths: Recordings,
    language: Language = None,
    task: Task = None,
    prompt: Prompt = None,
    hotwords: Hotwords = None,
    track: Track = None,
    strict: Strict = False,
    priority: Annotated[
        int, typer.Option(min=-(10**9), max=10**9, metavar="N", help="Higher is transcribed first.")
    ] = 0,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME",
            help="Model to transcribe with; each worker's if not given.",
        ),
    ] = None,
    chunk_seconds: Annotated[
        float, typer.Option(metavar="S", help="Longest chunk in seconds, 1 to 600.")
    ] = 30.0,
    channels: Channels = None,
    speakers: Speakers = None,
    max_speakers: MaxSpeakers = None,
    watch: Watch = False,
    output: WatchOutput = None,
    format_names: WatchFormats = None,
    work: Work = None,
    on_done: OnDone = None,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Put recordings into the queue, cut into chunks; with --watch as they come into folders."""
    from stt.media.folders import PassedOver

    wanted = speaker_options(speakers, max_speakers)
    options = checked_options(
        **given_only(task=task, channels=channels), language=language, prompt=prompt,
        hotwords=hotwords, priority=priority, model=model, chunk_seconds=chunk_seconds, track=track,
        strict=strict, **wanted,
    )  # fmt: skip
    setup_logging(settings.log_format, quiet=quiet, verbose=verbose, hides_worker=not verbose)
    if watch:
        watch_command(settings, paths, options, output, format_names, work, on_done)
    elif given_settings & _FOR_WATCH or {output, work, on_done} != {None} or format_names:
        raise typer.BadParameter(
            "--output, --format, --work, --on-done, --server and --search-every are for --watch."
        )
    paths, missing = existing(paths)
    if missing and not paths:
        raise typer.Exit(1)
    endings, began, seconds = Counter(failed=missing), time.monotonic(), 0.0
    passed_over = PassedOver()
    with (
        with_standard_input(paths, settings.settle_seconds) as paths,
        open_database(settings) as database,
    ):
        note_missing_model(database, options.model)
        files = ingest_files(database, paths, options, settings.settle_seconds, passed_over)
        for path, ingested in files:
            endings[ingested.status if ingested else "failed"] += 1
            if ingested:
                log_ingested(path, ingested, wanted, **RESULT)
                is_new = ingested.status != "already there"
                seconds += (ingested.recording.duration or 0.0) if is_new else 0.0
    found_none = not endings.total() and not passed_over.growing
    print_passed_over(passed_over, is_verbose=verbose, found_none=found_none)
    if found_none:
        print_note("Nothing to ingest: no recordings found.")
        raise typer.Exit(1)
    if endings.total() > 1:
        order = ("ingested", "resumed", "already there", "failed")
        summary = ", ".join(f"{endings[ending]} {ending}" for ending in order if endings[ending])
        if seconds:
            done = plural(endings["ingested"] + endings["resumed"], "recording")
            words = in_words(f"Cut {done}", seconds, time.monotonic() - began)
            logger.info("%s", words, extra={**RESULT, "audio_seconds": round(seconds, 1)})
        logger.info("%s", summary, extra={**RESULT, **endings})
    if endings["failed"]:
        raise typer.Exit(1)


def checked_options(**flags: Any) -> "IngestOptions":
    """Return the options of recordings. Raise BadParameter."""
    from stt.store.ingest_options import IngestOptions

    try:
        return IngestOptions(**flags)
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from error


def existing(paths: Iterable[Path]) -> tuple[list[Path], int]:
    """Return the paths that are there, and how many are not; say at once which."""
    found, missing = [], 0
    for path in paths:
        if path == STDIN or os.path.lexists(path):
            found.append(path)
        else:
            missing += 1
            print_note(f"Error: {path}: no such file")
    return found, missing


def ingest_files(
    database: Database,
    paths: Iterable[Path],
    options: "IngestOptions",
    settle_seconds: float,
    passed_over: "PassedOver",
    cut_anew: Set[str] = frozenset(),
    early: "EarlyWork | None" = None,
) -> "Iterator[tuple[Path, Ingested | None]]":
    """Ingest files and folders of them; yield None for a file that cannot be read, and say why.

    Pass over files in folders that are still being written, and wait for those that are named.
    `cut_anew`: as for `ingest`. `early`: the worker that transcribes what is cut meanwhile.
    """
    from stt.media.folders import find_recordings
    from stt.media.settling import Settling
    from stt.store.ingest import ingest

    settling = Settling(settle_seconds)
    files = list(find_recordings(paths, passed_over))
    for found in files:  # so that all of them settle at the same time
        settling.seconds_left(found.path)
    bar = FilesBar([_size(found.path) for found in files])
    for index, found in enumerate(files):
        if not _settle(settling, found):
            passed_over.growing.append(found.path)
            print_note(f"Passed over, still being written: {found.path}")
            continue
        ingested = None
        try:
            with recording_progress(found.path.name, bar, index) as progress:
                ingested = ingest(
                    database, found.path, options, _with_work(progress, bar, early),
                    place=found.place, cut_anew=cut_anew, begun=early.begun if early else None,
                )  # fmt: skip
        except RecordingError as error:
            print_note(f"Error: {error}")
        yield found.path, ingested


def _with_work(progress: "Progress", bar: FilesBar, early: "EarlyWork | None") -> "Progress":
    def advance(done_seconds: float, total_seconds: float | None) -> None:
        progress(done_seconds, total_seconds)
        if early is not None:
            early.cut(done_seconds, bar.expected_seconds)

    return advance


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # reading it says why
        return 0


def _settle(settling: "Settling", found: "FoundFile") -> bool:
    """Wait until a file is at rest; return False for one of a folder that does not come to it."""
    if settling.wait(found.path):
        return True
    if found.is_named:
        print_note(
            f"{found.path} is still being written: waiting until it has not changed for"
            f" {settling.settle_seconds:g} s (--settle)."
        )
        while not settling.wait(found.path):
            pass
    return found.is_named


def print_passed_over(passed_over: "PassedOver", *, is_verbose: bool, found_none: bool) -> None:
    """Name what was passed over in folders.

    Files that usually lie beside recordings are only counted, unless `is_verbose` or `found_none`.
    """
    for link in passed_over.loops:
        print_note(f"Passed over: {link} leads to a folder that is searched already.")
    files = [*passed_over.unexpected, *passed_over.expected]
    if not files or not (passed_over.unexpected or is_verbose or found_none):
        return
    shown = files if is_verbose else (passed_over.unexpected or files)[:_MAX_NAMED]
    more = len(files) - len(shown)
    names = ", ".join(map(str, shown)) + (f" and {more} more (-v names them)" if more else "")
    which = (
        "1 file that is no recording"
        if len(files) == 1
        else (f"{len(files)} files that are no recordings")
    )
    print_note(f"Passed over {which}: {names}")
