"""`stt export`: write the transcript of a recording to stdout, a file or a folder."""

from pathlib import Path
from typing import Annotated

import typer

from stt.cli.options import DATABASE_SETTINGS, with_settings
from stt.cli.transcripts import STDOUT, FormatName, checked_format, is_folder, write_transcripts
from stt.local.stack import open_database
from stt.settings import Settings
from stt.store.recordings import MongoRecordings

EXAMPLES = """\b
Examples:
  stt export talk.mp3                            text to the terminal
  stt export talk.mp3 --output talk.srt          format from the file's name
  stt export talk.mp3 --format json | jq .full_text
  stt export --all --format vtt --output subs/   every recording, a file each

\b
A partial transcript is marked: on stderr, at the top of txt and vtt, as `partial` in json, and in
place of missing text as `[not transcribed]` in txt, srt and tsv, or as a NOTE in vtt.
"""


@with_settings(*DATABASE_SETTINGS)
def export_command(
    settings: Settings,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RECORDING", help="A file, or a name, path or id as `stt status` lists them."
        ),
    ] = None,
    format_name: FormatName = None,
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="WHERE", help="A file, a folder, or - for stdout."),
    ] = STDOUT,
    all_recordings: Annotated[
        bool, typer.Option("--all", help="Every recording; needs a folder as --output.")
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
    if (all_recordings or len(names) > 1) and not is_folder(output):
        raise typer.BadParameter("Several recordings need a folder: --output FOLDER/")
    suffix = "" if is_folder(output) else Path(output).suffix.removeprefix(".")
    chosen = checked_format(format_name or suffix)
    with open_database(settings) as database:
        stored = MongoRecordings(database)
        recordings = stored.all() if all_recordings else map(stored.find, names)
        named = [(recording.filename, recording) for recording in recordings]
        partial = write_transcripts(
            database, named, chosen, output, require_complete=require_complete
        )
    if partial and require_complete:
        raise typer.Exit(1)
