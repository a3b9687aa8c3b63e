"""Where `stt transcribe` and `stt export` write transcripts, in which formats, and how wide."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from stt.cli.formatting import printable
from stt.cli.options import Command, with_fields
from stt.setting_types import SUBTITLES
from stt.store.export import FORMATS
from stt.transcripts.cue_splitting import DEFAULT_LIMITS, CueLimits

STDOUT = "-"
# A file that stdout is redirected to must be written on, not replaced.
_NAMES_OF_STDOUT = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
# Formats of which several transcripts on one stdout can be separated again.
_STREAMABLE = ("txt", "json")


@dataclass(frozen=True, slots=True)
class Output:
    """Where transcripts go: next to their recordings, into a folder or a file, or to stdout."""

    formats: tuple[str, ...] = ("txt",)
    limits: CueLimits = DEFAULT_LIMITS
    beside: bool = False
    folder: Path | None = None
    file: Path | None = None
    language_suffix: bool = False

    def spare(self, recordings: Iterable[Path]) -> None:
        """Raise BadParameter if the file is one of these recordings, or is known as another."""
        from stt.media.recognition import NAMES

        target = self.file
        if target is None or not target.exists():
            return
        is_itself = any(path.exists() and target.samefile(path) for path in recordings)
        if is_itself or (target.is_file() and target.suffix.lower() in NAMES):
            which = "the recording itself" if is_itself else "a recording"
            raise typer.BadParameter(f"--output {printable(str(target))} is {which}.")

    def prepare(self) -> None:
        """Make the folder before the work, not after it. Raise BadParameter."""
        folder = self.folder or (self.file.parent if self.file else None)
        try:
            if folder:
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise typer.BadParameter(
                f"--output: the folder {printable(str(folder))} cannot be made: {error.strerror}."
            ) from error


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """The options of a command; each field is one."""

    format_names: Annotated[
        list[str] | None,
        typer.Option(
            "--format", "-f", metavar="FORMAT",
            help=f"{', '.join(FORMATS)} or all; may be repeated. If not given, what the name of the"
            " output file ends with, or else txt.",
        ),
    ] = None  # fmt: skip
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="WHERE",
            help="A file for one transcript; a folder for several or if it ends in /; - stdout.",
        ),
    ] = STDOUT  # fmt: skip
    beside: Annotated[
        bool, typer.Option("--beside", help="Write next to each recording, by its name.")
    ] = False
    language_suffix: Annotated[
        bool,
        typer.Option("--language-suffix", help="Name files by the language too: talk.en.srt."),
    ] = False
    max_line_width: Annotated[
        int,
        typer.Option(
            min=0, max=1_000, metavar="N", rich_help_panel=SUBTITLES,
            help="Longest line in srt and vtt; Chinese signs count twice; 0: no limit.",
        ),
    ] = DEFAULT_LIMITS.max_line_width  # fmt: skip
    max_lines: Annotated[
        int,
        typer.Option(
            min=0, max=1_000, metavar="N", rich_help_panel=SUBTITLES,
            help="Most lines of a cue in srt and vtt; 0: no limit.",
        ),
    ] = DEFAULT_LIMITS.max_lines  # fmt: skip
    max_cue_seconds: Annotated[
        float,
        typer.Option(
            min=0, max=3_600, metavar="S", rich_help_panel=SUBTITLES,
            help="Longest cue in srt and vtt; 0: no limit.",
        ),
    ] = DEFAULT_LIMITS.max_cue_seconds  # fmt: skip

    def resolve(self, *, several: bool, may_stream: bool = False) -> Output:
        """Say where the transcript, or `several`, will go. Raise BadParameter if it cannot.

        `may_stream`: several of a format that can be separated again may go to stdout.
        """
        if self.output in _NAMES_OF_STDOUT:
            named = replace(self, output=STDOUT)
            return named.resolve(several=several, may_stream=may_stream)
        output = Output(
            formats=checked_formats(self.format_names or ()) or ("txt",),
            limits=CueLimits(self.max_line_width, self.max_lines, self.max_cue_seconds),
            beside=self.beside,
            language_suffix=self.language_suffix,
        )
        is_one = not several and len(output.formats) == 1
        if self.beside:
            if self.output != STDOUT:
                raise typer.BadParameter("--beside and --output exclude each other.")
            return output
        if self.output != STDOUT and _is_folder(self.output, is_one=is_one):
            return replace(output, folder=Path(self.output))
        if self.language_suffix:
            raise typer.BadParameter("--language-suffix needs a folder: --output DIR/ or --beside.")
        is_stream = self.output == STDOUT and may_stream and output.formats[0] in _STREAMABLE
        if len(output.formats) > 1 or (several and not is_stream):
            what = "recordings" if several else "formats"
            raise typer.BadParameter(f"Several {what} need a folder: --output DIR/")
        if self.output == STDOUT:
            return output
        suffix = Path(self.output).suffix.removeprefix(".")
        if suffix and not self.format_names:
            output = replace(output, formats=checked_formats([suffix]))
        return replace(output, file=Path(self.output))


def with_output(command: Command) -> Command:
    """Give a command the options of OutputOptions in place of its parameter `output`."""
    return with_fields("output", OutputOptions)(command)


def checked_formats(names: Iterable[str]) -> tuple[str, ...]:
    """Return each format once; a name may be `all`. Raise BadParameter for an unknown one."""
    chosen: dict[str, None] = {}
    for name in names:
        known = FORMATS if name.lower() == "all" else (name.lower(),)
        if not {*known} <= {*FORMATS}:
            choice = ", ".join(FORMATS)
            raise typer.BadParameter(f"Unknown format {name!r}: use --format {choice} or all.")
        chosen |= dict.fromkeys(known)
    return tuple(chosen)


def _is_folder(output: str, *, is_one: bool) -> bool:
    """Return whether this path is a folder, which need not be there if it is for several."""
    if output.endswith(("/", "\\")) or os.path.isdir(output):  # noqa: PTH112
        return True  # isdir() returns False for a name that is too long; writing says the reason
    return not is_one and not Path(output).suffix and not os.path.exists(output)  # noqa: PTH110
