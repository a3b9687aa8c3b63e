"""`stt export`: write the transcript of a recording to stdout, a file or a folder."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from stt.cli.console import print_note
from stt.cli.database import find_recording, open_database
from stt.cli.formatting import plural
from stt.cli.options import DATABASE_SETTINGS, Flags, settings_of, with_settings
from stt.domain.chunk import Recording
from stt.store.export import FORMATS, Export
from stt.store.recordings import MongoRecordings
from stt.transcripts.files import file_names, save

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
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="RECORDING", help="File name or id, as `stt status` lists them."),
    ] = None,
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format", "-f", metavar="FORMAT", help=f"{', '.join(FORMATS)}; txt if not given."
        ),
    ] = None,
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="WHERE", help="A file, a folder, or - for stdout."),
    ] = "-",
    all_recordings: Annotated[
        bool, typer.Option("--all", help="Every recording; needs a folder as --output.")
    ] = False,
    require_complete: Annotated[
        bool,
        typer.Option("--require-complete", help="Write no partial transcript: exit 1 instead."),
    ] = False,
    *,
    flags: Flags,
) -> None:
    """Write the transcript of a recording."""
    is_many = all_recordings or len(names or ()) > 1
    if bool(names) == all_recordings:
        raise typer.BadParameter("Name a recording, or use --all.")
    if is_many and not _is_folder(output):
        raise typer.BadParameter("Several recordings need a folder: --output FOLDER/")
    chosen = _format(format_name, output)
    settings = settings_of(ctx, flags)
    incomplete = 0
    with open_database(settings) as database:
        if all_recordings:
            recordings = list(MongoRecordings(database).all())
        else:
            recordings = [find_recording(database, name) for name in names or ()]
        for recording, target in zip(recordings, _targets(recordings, chosen, output), strict=True):
            export = Export(database, recording)
            if export.header.is_partial:
                print_note(_warning(export))
                incomplete += require_complete
                if require_complete:
                    continue
            _write(export.pieces(chosen), target)
    if incomplete:
        raise typer.Exit(1)


def _format(name: str | None, output: str) -> str:
    """Return the format from --format, or from the file name, or txt."""
    suffix = "" if _is_folder(output) else Path(output).suffix.removeprefix(".")
    chosen = (name or suffix or "txt").lower()
    if chosen not in FORMATS:
        raise typer.BadParameter(
            f"Unknown format {name or output!r}: use --format {', '.join(FORMATS)}."
        )
    return chosen


def _is_folder(output: str) -> bool:
    # os.path.isdir returns False for a name that is too long; writing then fails with the reason.
    return output != "-" and (output.endswith(("/", "\\")) or os.path.isdir(output))  # noqa: PTH112


def _targets(recordings: Sequence[Recording], format_name: str, output: str) -> list[Path | None]:
    """Return the path of each transcript, None for stdout."""
    if not _is_folder(output):
        return [None if output == "-" else Path(output)] * len(recordings)
    return [Path(output) / name for name in file_names(recordings, format_name)]


def _write(pieces: Iterable[str], target: Path | None) -> None:
    if target is None:
        stdout = typer.get_binary_stream("stdout")
        for piece in pieces:
            stdout.write(piece.encode("utf-8", errors="replace"))
        stdout.flush()
        return
    save(pieces, target)
    print_note(f"Wrote {target}")


def _warning(export: Export) -> str:
    header = export.header
    parts = [f"{header.filename}: {header.partial_notice}."]
    if export.failed_chunks:
        parts.append(f"{plural(export.failed_chunks, 'chunk')} failed: `stt status` says why.")
    return "Warning: " + " ".join(parts)
