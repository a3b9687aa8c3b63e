"""`stt retry` and `stt release`: change chunks by hand."""

from typing import Annotated

import typer

from stt.cli.console import print_line
from stt.cli.database import chunk_ids, find_recording, open_database
from stt.cli.formatting import plural
from stt.cli.options import DATABASE_SETTINGS, Flags, settings_of, with_settings
from stt.store import claims

RETRY_EXAMPLES = """\b
Examples:
  stt retry                        every failed chunk
  stt retry --source talk.mp3      those of one recording
  stt retry 6903ce2e3006e94c81d59b3f
"""

RELEASE_EXAMPLES = """\b
Examples:
  stt release 6903ce2e3006e94c81d59b3f

\b
The worker that holds the chunk may finish its call, but its result is dropped. Claims of workers
that died need no release: they end with their lease.
"""


@with_settings(*DATABASE_SETTINGS)
def retry_command(
    ctx: typer.Context,
    chunks: Annotated[
        list[str] | None, typer.Argument(metavar="CHUNK", help="Ids of chunks; all if none.")
    ] = None,
    recording: Annotated[
        str | None,
        typer.Option("--source", metavar="RECORDING", help="Only those of this recording."),
    ] = None,
    *,
    flags: Flags,
) -> None:
    """Try failed chunks again, with all their attempts."""
    ids = chunk_ids(chunks or [])
    settings = settings_of(ctx, flags)
    with open_database(settings) as database:
        recording_id = find_recording(database, recording).id if recording is not None else None
        count = claims.retry(database, ids, recording_id)
    _report(count, len(set(ids)), "pending again", "failed", "No chunk has failed")


@with_settings(*DATABASE_SETTINGS)
def release_command(
    ctx: typer.Context,
    chunks: Annotated[list[str], typer.Argument(metavar="CHUNK", help="Ids of chunks.")],
    *,
    flags: Flags,
) -> None:
    """End the claims on chunks, whichever workers hold them."""
    ids = chunk_ids(chunks)
    settings = settings_of(ctx, flags)
    with open_database(settings) as database:
        count = claims.release(database, ids)
    _report(count, len(set(ids)), "released", "in work", "No chunk is in work")


def _report(count: int, wanted: int, done: str, state: str, none: str) -> None:
    """Print how many; exit with 1 if some of the named chunks were in another state."""
    if wanted > count:
        print_line(f"{count} of {plural(wanted, 'chunk')} {done}; the others were not {state}")
        raise typer.Exit(1)
    print_line(f"{plural(count, 'chunk')} {done}" if count else none)
