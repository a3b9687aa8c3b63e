"""`stt transcribe`: transcribe recordings; start a database and a server if none are set."""

import time
from collections.abc import Collection, Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import typer
from bson import ObjectId

from stt.cli.console import print_note, setup_logging, stop
from stt.cli.early_work import INTERRUPTED, EarlyWork
from stt.cli.formatting import plural, span
from stt.cli.ingest import checked_options, existing, ingest_files, print_passed_over
from stt.cli.notifying import notifying
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
from stt.cli.output import Output, OutputOptions, with_output
from stt.cli.standard_input import STDIN, shown, with_standard_input
from stt.cli.stored_text import (
    as_they_are,
    end_recutting,
    renew_stored,
    say_without_speakers,
)
from stt.cli.summary import in_words, with_failed
from stt.cli.transcripts import write_transcripts
from stt.cli.worker import run_worker
from stt.domain.chunk import SPEAKERS, Recording
from stt.errors import EXIT_INTERRUPTED, ConfigError
from stt.local.stack import open_database
from stt.local.whisper_server import WhisperServers, starting_servers
from stt.settings import Settings
from stt.store.counts import StateCounts
from stt.store.database import Database
from stt.store.recordings import MongoRecordings
from stt.store.status import queue_status
from stt.system.signals import on_signals
from stt.whisper.first_check import warn_of_absent_servers
from stt.whisper.model_names import check_local_model, described

EXAMPLES = """\b
Examples:
  stt transcribe talk.mp3                        text to the terminal
  stt transcribe talk.mp3 --format srt > talk.srt
  stt transcribe vortrag.mp3 --task translate    English text of any language
  stt transcribe *.m4a --format vtt --output subs/
  stt transcribe film.mkv -f srt --beside        film.srt next to it, where players find it
  stt transcribe call.wav --channels split       a speaker on each channel
  stt transcribe meeting.mp3 --speakers          who speaks when; --speakers 3 if three speak
  stt transcribe - < talk.mp3                    a recording from standard input
  stt transcribe talk.mp3 --model tiny.en        small and English: quick to try things out

\b
Without settings it uses an embedded database, and starts a whisper server for the time of the run
and a minute longer. MONGO_URL and STT_SERVER_URL (or --server) name others to use instead. A
recording whose text is stored is transcribed again if another model, language, task, prompt or
hotwords are given, and with --speakers those of its chunks that have none; its earlier text stays
until the new one is there. `stt again` transcribes it again with the same ones.

\b
Exit codes: 0 all well · 1 a recording could not be read, or a chunk failed · 2 usage
            3 configuration or key · 4 database unreachable · 5 whisper server unreachable
            130 interrupted: the next run continues
"""

_POLL_SECONDS = 2.0
# The settings for when a worker of the fleet stops do not apply to this run.
_OWN_END: dict[str, Any] = {"required_empty_checks": 1, "max_minutes": None, "persistent": False}


@with_settings(
    "model", "server_urls", "max_parallel_workers", "max_concurrent_jobs", "word_timestamps",
    "server_unreachable_minutes", "settle_seconds", "on_done_command", *DATABASE_SETTINGS,
)  # fmt: skip
@with_output
def transcribe_command(
    files: Recordings,
    settings: Settings,
    output: OutputOptions,
    language: Language = None,
    task: Task = None,
    prompt: Prompt = None,
    hotwords: Hotwords = None,
    channels: Channels = None,
    track: Track = None,
    speakers: Speakers = None,
    max_speakers: MaxSpeakers = None,
    strict: Strict = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Transcribe recordings and print or save their transcripts."""
    from stt.media.folders import PassedOver

    given = given_only(language=language, task=task, prompt=prompt, hotwords=hotwords)
    given |= speaker_options(speakers, max_speakers)
    options = checked_options(**given, **given_only(channels=channels), track=track, strict=strict)
    cuts = given_only(channels=channels, track=track)
    cut_anew = {*given, *cuts} if cuts else set[str]()
    is_recut = bool(cuts)
    where, has_recordings = _checked(output, files)
    if settings.model and not settings.server_urls:
        check_local_model(settings.model)
    setup_logging(
        settings.log_format, to_stderr=True, quiet=quiet, verbose=verbose, hides_worker=not verbose
    )
    began = time.monotonic()
    files, refused = existing(files)
    failed: list[str] = []
    passed_over = PassedOver()
    # One that was given twice is printed once, but each of its files gets a transcript.
    by_file = where.beside or where.folder is not None
    recordings: dict[ObjectId | Path, tuple[str, Recording]] = {}
    stored: dict[ObjectId, tuple[str, Recording]] = {}
    ids: list[ObjectId] = []
    if refused and not files:
        raise typer.Exit(1)
    with (
        on_signals(stop),
        with_standard_input(files, settings.settle_seconds) as files,
        # The model loads while the database starts and the files are cut.
        starting_servers(
            settings.model_copy(update=_OWN_END),
            at_once=has_recordings,
            speakers=options.speakers is not None,
        ) as servers,
        open_database(settings) as database,
        notifying(database, settings, ids),
        EarlyWork(database, servers, settings, may_begin=not strict) as early,
    ):
        warn_of_absent_servers(settings)
        found = ingest_files(
            database, files, options, settings.settle_seconds, passed_over, cut_anew, early
        )
        for path, ingested in found:
            name = shown(path)
            if ingested is None:
                refused += 1
                failed.append(name)
            else:
                recording = ingested.recording
                is_recut |= ingested.status == "resumed"  # it may have been cut anew
                if ingested.status != "ingested":
                    stored.setdefault(recording.id, (name, recording))
                if place := ingested.place:  # its transcript has the name that the file has now
                    recording = replace(recording, path=place.path, folder=place.folder)
                key = path.absolute() if by_file else recording.id
                first, _ = recordings.setdefault(key, (name, recording))
                if first != name:
                    print_note(f"{name} is the same recording as {first}.")
        found_none = not recordings and not refused and not passed_over.growing
        print_passed_over(passed_over, is_verbose=verbose, found_none=found_none)
        if found_none:
            print_note("Nothing to transcribe: no recordings found.")
        wanted = {name: getattr(options, name) for name in given}
        renew_stored(database, list(stored.values()), wanted, settings)
        if stored:
            recordings = as_they_are(database, recordings)
        by_id = {recording.id: recording for _, recording in recordings.values()}
        ids += by_id
        worked = _work(database, servers, settings, ids, early)
        if is_recut:
            end_recutting(database, list(recordings.values()))
        partial = write_transcripts(database, list(recordings.values()), where)
        say_without_speakers(database, list(recordings.values()))
        if worked:
            seconds = sum(by_id[id_].duration or 0.0 for id_ in worked)
            what = plural(len(worked), "recording")
            words = in_words(what, seconds, time.monotonic() - began)
            print_note(with_failed(words, [*failed, *partial]))
    if refused or partial or found_none:
        raise typer.Exit(1)


def _checked(output: OutputOptions, files: list[Path]) -> tuple[Output, bool]:
    """Decide where transcripts go, and make the folder; return whether there are recordings too.

    Raise BadParameter, before the work.
    """
    from stt.media.folders import find_recordings

    found = [one.path for one in islice(find_recordings(files), 2)]
    if output.beside and STDIN in files:
        raise typer.BadParameter("--beside needs files: standard input lies in no folder.")
    where = output.resolve(several=len(found) > 1, may_stream=True)
    where.spare(found)
    where.prepare()
    return where, bool(found)


def _work(
    database: Database,
    servers: WhisperServers,
    settings: Settings,
    ids: Collection[ObjectId],
    early: EarlyWork,
) -> set[ObjectId]:
    """Run a worker until no chunk of these recordings is open, here or on another machine.

    Return those that had open ones, also while they were being cut.
    """
    from stt.worker.context import WorkOptions

    options = WorkOptions(recordings=tuple(_open_chunks(database, ids)))
    worked = {*options.recordings, *early.finish(options.recordings)} & {*ids}
    if early.was_interrupted and _open_chunks(database, ids):
        print_note(INTERRUPTED)
        raise typer.Exit(EXIT_INTERRUPTED)
    recordings = {id_: MongoRecordings(database).get(id_) for id_ in options.recordings}
    with_server: Settings | None = None
    waiting_for = 0
    before: dict[ObjectId, StateCounts] = {}
    while counts := _open_chunks(database, options.recordings):
        if (
            any(each.pending for each in counts.values())
            or queue_status(database, settings.lease_seconds).stale
        ):
            if counts == before:
                _check_servers([recordings[id_] for id_ in counts])
            # The one of this machine that has begun may lack what stored recordings want.
            with_server = with_server or servers.ready(
                settings.model or _common_model(recordings.values()),
                speakers=_want_speakers(recordings.values()),
            )
            try:
                run_worker(database, with_server, options)
            except typer.Exit:
                if not _open_chunks(database, options.recordings):
                    break
                print_note(INTERRUPTED)
                raise
            before = counts
            continue
        processing = sum(each.processing for each in counts.values())
        if processing != waiting_for:
            waiting_for = processing
            print_note(
                f"Waiting for {plural(waiting_for, 'chunk')} that other workers process; if"
                f" those workers are gone, for {span(settings.lease_seconds)} at most."
            )
        time.sleep(_POLL_SECONDS)
    return worked


def _want_speakers(recordings: Iterable[Recording]) -> bool:
    return any(recording.speakers is not None for recording in recordings)


def _common_model(recordings: Iterable[Recording]) -> str | None:
    """Return the model that all of these recordings are to be transcribed with, if it is one."""
    models = {recording.model for recording in recordings}
    return models.pop() if len(models) == 1 else None


def _check_servers(recordings: Collection[Recording]) -> None:
    """Raise ConfigError if recordings, whose chunks a run has left, want a model or speakers."""
    wanted = {recording.model for recording in recordings if recording.model}
    advice = "name another with --server"
    if _want_speakers(recordings):
        wanted.add(SPEAKERS)
        advice = "start one with `whisper-server --speakers true`"
    if wanted:
        names = " or ".join(sorted(map(described, wanted)))
        raise ConfigError(
            f"No whisper server has {names}: {advice}. The chunks stay in the queue for a worker"
            " whose server has it."
        )


def _open_chunks(database: Database, ids: Iterable[ObjectId]) -> dict[ObjectId, StateCounts]:
    """Return the chunks by state of those recordings of which some are pending or processing."""
    recordings = MongoRecordings(database)
    counts = {recording_id: recordings.details(recording_id).counts for recording_id in ids}
    return {recording_id: states for recording_id, states in counts.items() if states.open}
