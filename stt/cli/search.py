"""`stt search`: find words in all transcripts, and what a speaker says."""

from collections.abc import Sequence
from typing import Annotated

import typer
from bson import ObjectId
from pydantic import TypeAdapter

from stt.cli.console import print_note, show, show_json
from stt.cli.options import DATABASE_SETTINGS, AsJson, OneRecording, with_settings
from stt.cli.recording_filter import FilterOptions, with_filter
from stt.cli.tables import hits_screen
from stt.local.stack import open_database
from stt.settings import Settings
from stt.store.database import Database
from stt.store.recording_list import RecordingLister
from stt.store.recordings import MongoRecordings
from stt.store.search import Hit, Search
from stt.store.search_query import BadQuery, SearchQuery

EXAMPLES = """\b
Examples:
  stt search coffee
  stt search budget meeting                 both in one chunk, of about 30 seconds
  stt search '"meeting budget"'             one after the other
  stt search budget --folder talks --recorded-from 2026-10-01 --recorded-to 2026-10-31
  stt search 'transcri*' --source talk.mp3  words with this beginning, in one recording
  stt search budget --speaker Ada           where Ada says it, in all recordings
  stt search --speaker SPEAKER_02 --source talk.mp3
  stt search coffee --json | jq -r '.[].filename' | sort | uniq -c

\b
Words match whole words in any case; accents count. Words in quotes match as a phrase; the shell
needs quotes around those. The exit code is 1 if nothing is found.
"""

_TIMEOUT_SECONDS = 300.0


@with_settings(*DATABASE_SETTINGS)
@with_filter
def search_command(
    settings: Settings,
    wanted: FilterOptions,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="WORDS", help="Words to find.")
    ] = None,
    speaker: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only what this one says; all of it without words."),
    ] = None,
    recording: OneRecording = None,
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, metavar="N", help="Most results to print.")
    ] = 30,
    as_json: AsJson = False,
) -> None:
    """Find words in all transcripts."""
    if wanted.are_given and recording is not None:
        raise typer.BadParameter("--source is one recording: leave out what chooses others.")
    if not words and not (speaker or "").strip():
        raise typer.BadParameter("Write the words to find, or --speaker NAME.")
    try:
        query = SearchQuery(" ".join(words)) if words else None
        with open_database(settings) as database:
            page = Search(database).find(
                query,
                limit=limit,
                speaker=speaker,
                recording_ids=_recording_ids(database, recording, wanted),
                timeout_seconds=_TIMEOUT_SECONDS,
            )
    except BadQuery as error:
        raise typer.BadParameter(str(error)) from error
    if as_json:
        show_json(TypeAdapter(tuple[Hit, ...]).dump_python(page.hits, by_alias=True))
    elif page.hits:
        show(hits_screen(page.hits))
    else:
        print_note("Nothing found.")
    if page.cursor is not None:
        print_note(f"There are more results: --limit {limit * 4}")
    if not page.hits:
        raise typer.Exit(1)


def _recording_ids(
    database: Database, name: str | None, wanted: FilterOptions
) -> Sequence[ObjectId] | None:
    """Return the recordings to search in, None for all."""
    if name is not None:
        return [MongoRecordings(database).find(name).id]
    return RecordingLister(database).ids(wanted.resolve()).ids if wanted.are_given else None
