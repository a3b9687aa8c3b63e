"""`stt again`: transcribe recordings again, and keep their text until the new one is there."""

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from stt.cli.console import print_line, print_note
from stt.cli.formatting import plural
from stt.cli.ingest import checked_options
from stt.cli.missing_model import note_missing_model
from stt.cli.options import (
    DATABASE_SETTINGS,
    Hotwords,
    Language,
    MaxSpeakers,
    Prompt,
    Speakers,
    Task,
    given_only,
    speaker_options,
    with_settings,
)
from stt.domain.visible_text import quoted
from stt.errors import AudioRemoved, ChannelsSplit, HasEdits
from stt.local.stack import open_database
from stt.settings import Settings
from stt.store.database import Database
from stt.store.edits import count_edits
from stt.store.ingest_options import SPEAKER_OPTIONS
from stt.store.recordings import MongoRecordings
from stt.store.retranscription import change_speakers, recordings_with, transcribe_again
from stt.store.states import WITHOUT_SPEAKERS, Query
from stt.transcripts.languages import LANGUAGES, language_code
from stt.whisper.model_names import stored_names

EXAMPLES = """\b
Examples:
  stt again talk.mp3                          with the options that it has
  stt again talk.mp3 --model large-v3-turbo
  stt again talk.mp3 --language de --task translate
  stt again talk.mp3 --speakers               only find who speaks when
  stt again talk.mp3 --speakers none          find it no more
  stt again --where model=base                all that this model made
  stt again --where model=base --where language=de --model large-v3

\b
The chunks wait in the queue for a worker: `stt`, or `stt transcribe talk.mp3` on one machine.
The earlier text of each chunk stays until its new one is there, also if the new try fails.
Before lines that were edited are replaced, the command asks. Where --speakers or --max-speakers is
all that is given, what has its speakers already is not transcribed again, and nothing is for none.
"""

_FIELDS = ("model", "language", "task")


def _condition(text: str) -> tuple[str, str]:
    field, equals, value = text.partition("=")
    if field not in _FIELDS or not equals or not value:
        raise typer.BadParameter(
            f"{text!r} is no condition: write {' or '.join(f'{name}=…' for name in _FIELDS)}."
        )
    return field, value


@with_settings(*DATABASE_SETTINGS)
def again_command(
    settings: Settings,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RECORDING", help="Files, or names, paths or ids as `stt ls` lists them."
        ),
    ] = None,
    where: Annotated[
        list[Any] | None,
        typer.Option(
            metavar="FIELD=VALUE",
            parser=_condition,
            help="Only text of this model, language or task; of all recordings if none is named.",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="NAME", help="Model to transcribe with.")
    ] = None,
    language: Language = None,
    task: Task = None,
    prompt: Prompt = None,
    hotwords: Hotwords = None,
    speakers: Speakers = None,
    max_speakers: MaxSpeakers = None,
    drop_edits: Annotated[
        bool,
        typer.Option("--drop-edits", help="Do not ask before text that was edited is replaced."),
    ] = False,
) -> None:
    """Transcribe recordings again; their text stays until the new one is there."""
    given = given_only(model=model, language=language, task=task, prompt=prompt, hotwords=hotwords)
    given |= speaker_options(speakers, max_speakers)
    options = checked_options(**{name: text for name, text in given.items() if text != ""})
    if not names and not where:
        raise typer.BadParameter("Name a recording, or use --where.")
    wanted = {name: getattr(options, name) for name in given}
    is_of_speakers = bool(wanted) and wanted.keys() <= {*SPEAKER_OPTIONS}
    made = _query(where) if where else None
    with open_database(settings) as database:
        recordings = MongoRecordings(database)
        ids = [recordings.find(name).id for name in names or ()]
        if made:
            matching = recordings_with(database, made)
            ids = [id_ for id_ in ids if id_ in matching] if names else matching
        labels = recordings.labels([recordings.get(id_) for id_ in ids])
        replaced = _replaced(made or {}, wanted) if is_of_speakers else made or {}
        if not drop_edits and replaced is not None:
            drop_edits = _ask(database, labels, replaced)
        note_missing_model(database, options.model)
        change = change_speakers if is_of_speakers else transcribe_again
        counts: list[int] = []
        for id_ in dict.fromkeys(ids):
            try:
                count = change(database, id_, wanted, made, drop_edits=drop_edits)
            except (AudioRemoved, ChannelsSplit, HasEdits) as refused:
                print_note(f"{labels[id_]}: {refused}")
                continue
            if count or is_of_speakers:
                counts.append(count)
                print_line(f"{labels[id_]}: {_outcome(count, options.speakers)}")
    if not counts:
        print_note("Nothing to transcribe again: no text matches.")
        raise typer.Exit(1)
    chunks = sum(counts)
    if len(counts) > 1:
        print_line(f"{plural(len(counts), 'recording')}, {plural(chunks, 'chunk')} waiting again")
    if chunks:
        print_note("The earlier text stays until a worker has made the new one.")


def _outcome(chunks: int, speakers: int | None) -> str:
    """Return what became of a recording; `speakers`: as they are wanted."""
    if chunks:
        return f"{plural(chunks, 'chunk')} waiting again"
    return (
        f"its text stays, {'without speakers' if speakers is None else 'with speakers as wanted'}"
    )


def _replaced(made: Query, speakers: Mapping[str, object]) -> Query | None:
    """Return the query for the text that is replaced to change the speakers; None for no text."""
    return None if speakers["speakers"] is None else {**made, **WITHOUT_SPEAKERS}


def _ask(database: Database, labels: Mapping[Any, str], made: Query) -> bool:
    """Ask whether edits may be dropped, if there are any; exit with 1 if not."""
    edits = {
        id_: count
        for id_ in labels
        if (count := count_edits(database, {**made, "original_id": id_}))
    }
    if not edits:
        return False
    for id_, count in edits.items():
        print_note(f"{labels[id_]}: {plural(count, 'edited line')}")
    if not sys.stdin.isatty():
        raise typer.BadParameter("Edited text would be replaced: say --drop-edits to do it.")
    if not typer.confirm("Replace the edited text too? This cannot be undone", err=True):
        raise typer.Exit(1)
    return True


def _query(conditions: list[tuple[str, str]]) -> Query:
    """Return the query about transcripts; raise BadParameter."""
    query: Query = {}
    for field, value in conditions:
        found = [value]
        if field == "model":
            found = sorted(stored_names(value)) or [value]
        elif field == "language":
            try:
                code = language_code(value)
            except ValueError as error:
                raise typer.BadParameter(f"{quoted(value)} is {error}.") from error
            found = [code, LANGUAGES[code]] if code else found
        query[f"transcript.{field}"] = {"$in": found}
    return query
