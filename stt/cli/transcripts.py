"""Write transcripts to stdout, a file, a folder, or next to their recordings."""

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import typer

from stt.cli.console import print_note
from stt.cli.formatting import plural, printable, span
from stt.cli.output import Output
from stt.domain.chunk import Recording
from stt.store.database import Database
from stt.store.export import Export
from stt.store.recordings import MongoRecordings
from stt.transcripts.files import folded, save, without_extension


def write_transcripts(
    database: Database,
    recordings: Sequence[tuple[str, Recording]],
    output: Output,
    *,
    require_complete: bool = False,
) -> list[str]:
    """Write the transcripts of recordings and the names to show; return those that are partial.

    To write next to the recordings, their names must be paths of their files. `require_complete`:
    write no partial transcript.
    """
    partial: list[str] = []
    stems = _stems(database, recordings, output)
    has_titles = len(recordings) > 1 and output.formats == ("txt",)
    for (name, recording), stem in zip(recordings, stems, strict=True):
        export = Export(database, recording)
        if export.header.is_partial:
            partial.append(name)
            failed = plural(export.failed_chunks, "chunk")
            reason = f" {failed} failed: `stt status` says why." if export.failed_chunks else ""
            print_note(f"Warning: {name}: {export.header.partial_notice}.{reason}")
            if require_complete:
                continue
        if round(export.silent_speech_seconds):
            print_note(
                f"Warning: {name}: {span(export.silent_speech_seconds)} of speech gave no text."
            )
        if stem and output.language_suffix:
            stem = Path(f"{stem}.{export.text_language or 'und'}")
        for format_name in output.formats:
            pieces = export.pieces(format_name, output.limits)
            if target := Path(f"{stem}.{format_name}") if stem else output.file:
                save(pieces, target, output.folder or (target.parent if stem else None))
                print_note(f"Wrote {target}")
            else:
                title = f"==> {printable(name)} <==\n" if has_titles else ""
                _print(chain([title], pieces))
    return partial


def _stems(
    database: Database, recordings: Sequence[tuple[str, Recording]], output: Output
) -> list[Path | None]:
    """Return the path of each recording's files without the extension; None if it gets none."""
    if output.beside:
        return [_stem_beside(Path(name)) for name, _ in recordings]
    if output.folder is None:
        return [None] * len(recordings)
    stems = MongoRecordings(database).file_stems([recording for _, recording in recordings])
    return [output.folder / stem for stem in stems]


def _stem_beside(source: Path) -> Path:
    """Return the path of transcripts next to a recording, without the extension.

    It keeps the recording's own extension if another recording there has the same name without
    one, or that name itself.
    """
    from stt.media.recognition import is_recording

    stem = without_extension(source.name)
    twins = (
        other
        for other in source.parent.iterdir()
        if folded(stem) in (folded(other.name), folded(without_extension(other.name)))
        and is_recording(other)
    )
    is_alone = all(folded(twin.name) == folded(source.name) for twin in twins)
    return source.with_name(stem if is_alone else source.name)


def _print(pieces: Iterable[str]) -> None:
    stdout = typer.get_binary_stream("stdout")
    for piece in pieces:
        stdout.write(piece.encode("utf-8", errors="replace"))
    stdout.flush()
