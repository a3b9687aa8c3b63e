"""Write transcripts to stdout, a file or a folder, as `stt export` and `stt transcribe` do."""

import os
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from stt.cli.console import print_note
from stt.cli.formatting import plural
from stt.domain.chunk import Recording
from stt.store.database import Database
from stt.store.export import FORMATS, Export
from stt.store.recordings import MongoRecordings
from stt.transcripts.files import save

STDOUT = "-"

FormatName = Annotated[
    str | None,
    typer.Option(
        "--format", "-f", metavar="FORMAT", help=f"{', '.join(FORMATS)}; txt if not given."
    ),
]


def checked_format(name: str | None) -> str:
    """Return the name of a format, txt for none. Raise BadParameter for an unknown one."""
    chosen = (name or "txt").lower()
    if chosen not in FORMATS:
        raise typer.BadParameter(f"Unknown format {name!r}: use --format {', '.join(FORMATS)}.")
    return chosen


def is_folder(output: str) -> bool:
    # os.path.isdir returns False for a name that is too long; writing then fails with the reason.
    return output != STDOUT and (output.endswith(("/", "\\")) or os.path.isdir(output))  # noqa: PTH112


def write_transcripts(
    database: Database,
    recordings: Sequence[tuple[str, Recording]],
    format_name: str,
    output: str,
    *,
    require_complete: bool = False,
) -> int:
    """Write the transcripts of recordings and the names to show; return how many are partial.

    `output`: a file, a folder, or STDOUT. `require_complete`: write no partial transcript.
    """
    partial = 0
    targets = _targets(database, recordings, format_name, output)
    has_titles = len(recordings) > 1 and format_name == "txt"
    for (name, recording), target in zip(recordings, targets, strict=True):
        export = Export(database, recording)
        if export.header.is_partial:
            partial += 1
            failed = plural(export.failed_chunks, "chunk")
            reason = f" {failed} failed: `stt status` says why." if export.failed_chunks else ""
            print_note(f"Warning: {name}: {export.header.partial_notice}.{reason}")
            if require_complete:
                continue
        if target is None:
            title = f"==> {name} <==\n" if has_titles else ""
            _print(chain([title], export.pieces(format_name)))
        else:
            save(export.pieces(format_name), target)
            print_note(f"Wrote {target}")
    return partial


def _targets(
    database: Database, recordings: Sequence[tuple[str, Recording]], format_name: str, output: str
) -> list[Path | None]:
    """Return the path of each transcript, None for stdout."""
    if not is_folder(output):
        return [None if output == STDOUT else Path(output)] * len(recordings)
    stems = MongoRecordings(database).file_stems([recording for _, recording in recordings])
    return [Path(output) / f"{stem}.{format_name}" for stem in stems]


def _print(pieces: Iterable[str]) -> None:
    stdout = typer.get_binary_stream("stdout")
    for piece in pieces:
        stdout.write(piece.encode("utf-8", errors="replace"))
    stdout.flush()
