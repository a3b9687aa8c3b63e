"""`stt export`: write the transcript of a recording to stdout, a file or a folder."""

from pathlib import Path
from typing import Annotated

import typer

from stt.cli.formatting import printable
from stt.cli.options import DATABASE_SETTINGS, with_settings
from stt.cli.output import OutputOptions, with_output
from stt.cli.recording_filter import FilterOptions, with_filter
from stt.cli.transcripts import write_transcripts
from stt.errors import NotFound
from stt.local.stack import open_database
from stt.settings import Settings
from stt.store.recording_list import RecordingLister
from stt.store.recordings import MongoRecordings

EXAMPLES = """\b
Examples:
  stt export talk.mp3                            text to the terminal
  stt export talk.mp3 --output talk.srt          format from the file's name
  stt export talk.mp3 --format json | jq .full_text
  stt export talk.mp3 -f srt -f json -o talk/    talk/talk.srt, talk/talk.json
  stt export --all --format vtt --output subs/   every recording, a file each
  stt export --all --folder talks -f srt -o subs/
  stt export A/ep01.wav -f srt --beside --language-suffix
                                                 A/ep01.en.srt, where players find it

\b
A partial transcript is marked: on stderr, at the top of txt and vtt, as `partial` in json, and in
place of missing text as `[not transcribed]` in txt, srt and tsv, or as a NOTE in vtt.
"""


@with_settings(*DATABASE_SETTINGS)
@with_output
@with_filter
def export_command(
    settings: Settings,
    output: OutputOptions,
    wanted: FilterOptions,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RECORDING", help="A file, or a name, path or id as `stt status` lists them."
        ),
    ] = None,
    all_recordings: Annotated[
        bool,
        typer.Option(
            "--all", help="Every recording, or all that match; needs a folder as --output."
        ),
    ] = False,
    require_complete: Annotated[
        bool,
        typer.Option("--require-complete", help="Write no partial transcript: exit 1 instead."),
    ] = False,
) -> None:
    """Write the transcript of a recording."""
    names = names or []
    if bool(names) == all_recordings:
        raise typer.BadParameter("Name a recording, or use --all.")
    if names and wanted.are_given:
        raise typer.BadParameter("What chooses recordings, such as --folder, needs --all.")
    where = output.resolve(several=all_recordings or len(names) > 1)
    where.spare(map(Path, names))
    if where.beside:
        _check_files(names)
    with open_database(settings) as database:
        stored = MongoRecordings(database)
        if names:
            found = [stored.find(name) for name in names]
        elif wanted.are_given:
            found = stored.several(RecordingLister(database).ids(wanted.resolve(), sort="old").ids)
        else:
            found = list(stored.all())
        if not found and wanted.are_given:
            raise NotFound("No recording matches: `stt ls` lists them.")
        labels = stored.labels(found)
        shown = names if where.beside else [labels[recording.id] for recording in found]
        named = list(zip(shown, found, strict=True))
        partial = write_transcripts(database, named, where, require_complete=require_complete)
    if partial and require_complete:
        raise typer.Exit(1)


def _check_files(names: list[str]) -> None:
    missing = [name for name in names if not Path(name).is_file()]
    if missing or not names:
        what = f"{printable(missing[0])} is none" if missing else "name them in place of --all"
        raise typer.BadParameter(f"--beside needs the files of the recordings: {what}.")
