"""`stt speakers`: who speaks in a recording."""

import shlex
from dataclasses import asdict
from typing import Annotated, Literal, cast

import typer

from stt.cli.console import print_line, print_note, show, show_json
from stt.cli.formatting import printable
from stt.cli.options import DATABASE_SETTINGS, AsJson, with_settings
from stt.cli.stored_text import say_without_speakers
from stt.cli.tables import speakers_table
from stt.domain.chunk import Recording
from stt.domain.speakers import Speaker
from stt.domain.transcript import Segment
from stt.local.stack import open_database
from stt.settings import Settings
from stt.store import recording_speakers
from stt.store.database import Database
from stt.store.export import Export
from stt.store.recordings import MongoRecordings

EXAMPLES = """\b
Examples:
  stt speakers meeting.mp3                             how long each speaks, and a line of each
  stt speakers meeting.mp3 rename SPEAKER_01 Ada
  stt speakers meeting.mp3 rename Ada ""               without a name again
  stt speakers meeting.mp3 merge SPEAKER_03 Ada        SPEAKER_03 is Ada
  stt speakers meeting.mp3 --json

\b
Names and merges stay when parts of the recording are transcribed again. Exports have the names.
Speakers are found where they were asked for: stt ingest meeting.mp3 --speakers, or for what is
stored stt again meeting.mp3 --speakers
"""

_ENOUGH_CHARACTERS = 25

_Line = tuple[float, str]
"""When it is said, in seconds, and what."""


@with_settings(*DATABASE_SETTINGS)
def speakers_command(
    settings: Settings,
    name: Annotated[
        str, typer.Argument(metavar="RECORDING", help="A file, or a name, path or id of `stt ls`.")
    ],
    change: Annotated[
        list[str] | None,
        typer.Argument(metavar="[rename WHO NAME | merge WHO INTO]", help="What to change."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the speakers of a recording, name them, or merge two."""
    if change and (len(change) != 3 or change[0] not in ("rename", "merge")):
        raise typer.BadParameter("After the recording: rename WHO NAME, or merge WHO INTO.")
    with open_database(settings) as database:
        recording = MongoRecordings(database).find(name)
        if change:
            _change(database, recording, cast(Literal["rename", "merge"], change[0]), *change[1:])
            return
        speakers = recording_speakers.read(database, recording).listed()
        lines = _first_lines(database, recording) if speakers else {}
        say_without_speakers(database, [(name, recording)])
    if as_json:
        show_json([_json_of(one, lines.get(one.label)) for one in speakers])
    elif speakers:
        show(speakers_table(speakers, lines))
    elif recording.channels == "split":
        print_note(f"{name}: each of its channels is a speaker already.")
    elif recording.speakers is None:
        print_note(
            f"{name}: speakers were not asked for. To find them:"
            f" stt again {shlex.quote(name)} --speakers"
        )
    else:
        print_note(f"{name}: no speakers are known yet.")


def _change(
    database: Database, recording: Recording, what: Literal["rename", "merge"], who: str, other: str
) -> None:
    if what == "rename":
        before = recording_speakers.read(database, recording).find(who)
        named = recording_speakers.rename(database, recording, before.id, other)
        name = named.find(before.id).name
        print_line(f"{before.id} is {printable(name) if name else 'without a name'}")
    else:
        target = recording_speakers.read(database, recording).find(other)
        merged = recording_speakers.merge(database, recording, who, target.id)
        label = merged.find(target.id).label
        one = who if who.casefold() != label.casefold() else target.label
        print_line(f"{printable(one)} is {printable(label)}")


def _first_lines(database: Database, recording: Recording) -> dict[str, _Line]:
    """Return when each speaker says the first sentence of more than a few words, and that."""
    lines: dict[str, _Line] = {}
    for cue in Export(database, recording).cues():
        if isinstance(cue, Segment) and cue.speaker and cue.text:
            known = lines.get(cue.speaker)
            if known is None or (len(known[1]) < _ENOUGH_CHARACTERS < len(cue.text)):
                lines[cue.speaker] = cue.start, cue.text
    return lines


def _json_of(one: Speaker, line: _Line | None) -> dict[str, object]:
    fields = asdict(one)
    del fields["embedding"], fields["into"]
    start, text = line or (None, None)
    return {**fields, "label": one.label, "example_start": start, "example": text}
