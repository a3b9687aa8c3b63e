"""`stt ls`, `stt remove` and `stt priority`: the recordings in the queue."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Annotated, Any, cast, get_args

import typer

from stt.cli.console import print_line, print_note, show, show_json
from stt.cli.formatting import plural
from stt.cli.options import DATABASE_SETTINGS, AsJson, with_settings
from stt.cli.recording_filter import FilterOptions, with_filter
from stt.cli.tables import recordings_list
from stt.domain.chunk import Recording
from stt.local.stack import open_database
from stt.settings import Settings
from stt.store.database import Database
from stt.store.recording_list import ANY, ListState, RecordingFilter, RecordingLister
from stt.store.recordings import MongoRecordings, RecordingDetails

LS_EXAMPLES = """\b
Examples:
  stt ls                                the newest last
  stt ls interview                      with this in the name or path
  stt ls --state failed                 with a chunk in quarantine
  stt ls --sort length --reverse        the longest first
  stt ls --folder talks --language de --recorded-from 2026-10-01
  stt ls --json | jq -r '.[].id'
"""

REMOVE_EXAMPLES = """\b
Examples:
  stt remove talk.mp3                   asks first
  stt remove 6903ce2e3006e94c81d59b3f --yes

\b
Chunks, audio and transcripts are removed from the database, also while workers have claims on them.
The file itself stays.
"""

PRIORITY_EXAMPLES = """\b
Examples:
  stt priority talk.mp3 10              before all with less than 10
  stt priority talk.mp3 0               as usual
  stt priority talk.mp3 -- -5           after the others
"""

_PAGE = 200
_SORTS: dict[str, Callable[[RecordingDetails], Any]] = {
    "age": lambda one: str(one.id),
    "name": lambda one: one.label.casefold(),
    "length": lambda one: one.duration or 0.0,
    "priority": lambda one: one.priority,
    "recorded": lambda one: one.start.timestamp() if one.start else 0.0,
    "folder": lambda one: ((one.full_folder or "").casefold(), one.label.casefold()),
    "language": lambda one: next(iter(one.text_languages), one.language or ""),
    "model": lambda one: next(iter(one.text_models), one.model or ""),
    "state": lambda one: (one.counts.failed > 0, one.counts.open > 0 or one.is_ingesting),
}

Names = Annotated[
    list[str],
    typer.Argument(metavar="RECORDING", help="Files, or names, paths or ids of `stt ls`."),
]


@with_settings(*DATABASE_SETTINGS)
@with_filter
def ls_command(
    settings: Settings,
    wanted: FilterOptions,
    search: Annotated[
        str, typer.Argument(metavar="TEXT", help="Only with this in the name or path.")
    ] = "",
    state: Annotated[
        str, typer.Option(metavar="STATE", help=f"Only these: {', '.join(get_args(ListState))}.")
    ] = "all",
    sort: Annotated[str, typer.Option(metavar="BY", help=f"Order: {', '.join(_SORTS)}.")] = "age",
    reverse: Annotated[bool, typer.Option("--reverse", "-r", help="The other way round.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the recordings in the queue."""
    if state not in get_args(ListState):
        raise typer.BadParameter(f"--state {state!r}: use {', '.join(get_args(ListState))}.")
    if sort not in _SORTS:
        raise typer.BadParameter(f"--sort {sort!r}: use {', '.join(_SORTS)}.")
    chosen = wanted.resolve(search=search, state=cast(ListState, state))
    with open_database(settings) as database:
        found = list(_details(database, chosen))
    found.sort(key=_SORTS[sort], reverse=reverse)
    if as_json:
        show_json([_json_of(one) for one in found])
    elif found:
        show(recordings_list(found))
    else:
        print_note("No recordings." if chosen == ANY else "No recording matches.")


def _details(database: Database, wanted: RecordingFilter) -> Iterator[RecordingDetails]:
    ids = RecordingLister(database).ids(wanted, sort="old").ids
    for at in range(0, len(ids), _PAGE):
        yield from MongoRecordings(database).details_of(ids[at : at + _PAGE])


def _json_of(one: RecordingDetails) -> dict[str, Any]:
    fields = asdict(one)
    del fields["sha256"]
    return fields


@with_settings(*DATABASE_SETTINGS)
def remove_command(
    settings: Settings,
    names: Names,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove recordings with their chunks, audio and transcripts; the files stay."""
    with open_database(settings) as database:
        recordings = MongoRecordings(database)
        found = _found(database, names)
        labels = recordings.labels(found)
        if not yes:
            _ask(database, found, labels)
        for one in found:
            recordings.remove(one.id)
            print_line(f"{labels[one.id]} is removed")


def _ask(database: Database, found: list[Recording], labels: dict[Any, str]) -> None:
    """Ask whether these may be removed; exit with 1 if not."""
    if not sys.stdin.isatty():
        raise typer.BadParameter("There is no terminal to ask at: say --yes.")
    for one in found:
        counts = MongoRecordings(database).details(one.id).counts
        print_note(f"{labels[one.id]}: {plural(counts.total, 'chunk')}, {counts.transcribed} done")
    question = f"Remove {plural(len(found), 'recording')}? This cannot be undone"
    if not typer.confirm(question, err=True):
        raise typer.Exit(1)


@with_settings(*DATABASE_SETTINGS)
def priority_command(
    settings: Settings,
    names: Names,
    priority: Annotated[
        int,
        typer.Argument(
            min=-(10**9),
            max=10**9,
            is_eager=True,  # read before the recordings: what is no number is wrong here
            metavar="N",
            help="Higher is first; usual: 0.",
        ),
    ],
) -> None:
    """Change which recordings are transcribed first."""
    with open_database(settings) as database:
        recordings = MongoRecordings(database)
        found = _found(database, names)
        labels = recordings.labels(found)
        for one in found:
            recordings.change(one.id, {"priority": priority})
            print_line(f"{labels[one.id]}: priority {priority}")


def _found(database: Database, names: list[str]) -> list[Recording]:
    """Return the recordings of these names, each once; raise NotFound before any is changed."""
    found = [MongoRecordings(database).find(name) for name in names]
    return list({one.id: one for one in found}.values())
