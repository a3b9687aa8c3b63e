"""`stt retry`, `stt dismiss` and `stt release`: change chunks by hand."""

from typing import Annotated

import typer
from bson import ObjectId

from stt.cli.console import print_line
from stt.cli.formatting import plural
from stt.cli.options import DATABASE_SETTINGS, OneRecording, with_settings
from stt.local.stack import open_database
from stt.settings import Settings
from stt.store import claims, dismissal
from stt.store.recordings import MongoRecordings

RETRY_EXAMPLES = """\b
Examples:
  stt retry                        every failed chunk
  stt retry --source talk.mp3      those of one recording
  stt retry 6903ce2e3006e94c81d59b3f
"""

DISMISS_EXAMPLES = """\b
Examples:
  stt dismiss 6903ce2e3006e94c81d59b3f
  stt dismiss --source talk.mp3    the failed chunks of one recording
  stt dismiss --all --undo         back into the quarantine

\b
A dismissed chunk stays failed, and its text is missing as before. `stt status` and the page
"Quarantine" no longer list it. `stt retry` tries it again if it or its recording is named.
"""

RELEASE_EXAMPLES = """\b
Examples:
  stt release 6903ce2e3006e94c81d59b3f

\b
The worker that holds the chunk may finish its call, but its result is dropped. Claims of workers
that died need no release: they end with their lease.
"""


def _chunk_id(text: str) -> ObjectId:
    if not ObjectId.is_valid(text):
        raise typer.BadParameter(
            f"{text!r} is not a chunk id: 24 hexadecimal digits, as `stt status` shows them."
        )
    return ObjectId(text)


@with_settings(*DATABASE_SETTINGS)
def retry_command(
    settings: Settings,
    chunks: Annotated[
        list[ObjectId] | None,
        typer.Argument(metavar="CHUNK", parser=_chunk_id, help="Ids of chunks; all if none."),
    ] = None,
    recording: OneRecording = None,
) -> None:
    """Try failed chunks again, with all their attempts."""
    ids = chunks or []
    with open_database(settings) as database:
        found = None if recording is None else MongoRecordings(database).find(recording)
        count = claims.retry(database, ids, found.id if found else None)
    _report(count, len(set(ids)), "waiting again", "failed", "No chunk has failed")


@with_settings(*DATABASE_SETTINGS)
def dismiss_command(
    settings: Settings,
    chunks: Annotated[
        list[ObjectId] | None,
        typer.Argument(metavar="CHUNK", parser=_chunk_id, help="Ids of chunks."),
    ] = None,
    recording: OneRecording = None,
    all_chunks: Annotated[bool, typer.Option("--all", help="Every failed chunk.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Put dismissed chunks back.")] = False,
) -> None:
    """Take failed chunks out of the lists; they stay failed."""
    ids = chunks or []
    if all_chunks == bool(ids or recording):
        raise typer.BadParameter("Name chunks or a recording, or use --all.")
    change = dismissal.put_back if undo else dismissal.dismiss
    with open_database(settings) as database:
        found = None if recording is None else MongoRecordings(database).find(recording)
        count = change(database, ids, found.id if found else None)
    if undo:
        _report(count, len(set(ids)), "put back", "dismissed", "No chunk is dismissed")
    else:
        _report(count, len(set(ids)), "dismissed", "in quarantine", "No chunk is in quarantine")


@with_settings(*DATABASE_SETTINGS)
def release_command(
    settings: Settings,
    chunks: Annotated[
        list[ObjectId], typer.Argument(metavar="CHUNK", parser=_chunk_id, help="Ids of chunks.")
    ],
) -> None:
    """End the claims on chunks, whichever workers hold them."""
    with open_database(settings) as database:
        count = claims.release(database, chunks)
    _report(
        count, len(set(chunks)), "released", "being transcribed", "No chunk is being transcribed"
    )


def _report(count: int, wanted: int, done: str, state: str, none: str) -> None:
    """Print how many; exit with 1 if some of the named chunks were in another state."""
    if wanted > count:
        print_line(f"{count} of {plural(wanted, 'chunk')} {done}; the others were not {state}")
        raise typer.Exit(1)
    print_line(f"{plural(count, 'chunk')} {done}" if count else none)
