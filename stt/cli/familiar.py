"""Forms of other programs' command lines, Whisper's above all.

Its options are read as ours and not listed in the help, and a recording in place of a command is
transcribed.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from pathlib import Path

_OPTIONS = {
    "--output-dir": "--output",
    "--output-format": "--format",
    "--initial-prompt": "--prompt",
    "--max-line-count": "--max-lines",
    "--num-speakers": "--speakers",
}
_WORDS = "--word-timestamps"
_SPEAKERS, _AUTO, _NONE = "--speakers", "auto", "none"
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
_DIARIZE = "--diarize"


def understood(arguments: Iterable[str], options: Collection[str]) -> list[str]:
    """Return arguments with Whisper's options replaced by ours.

    `options`: those of the command. Underscores become hyphens; a folder for the output ends in /;
    `--word_timestamps True` has no value here. `--speakers` may be without a number; `--diarize`
    stands for that.
    """
    found: list[str] = []
    rest = iter(arguments)
    while (argument := next(rest, None)) is not None:
        name, equals, value = argument.partition("=")
        if argument == "--":
            return [*found, argument, *rest]
        if argument == _SPEAKERS and argument in options:
            value = next(rest, "")
            is_value = value in (_AUTO, _NONE) or _NUMBER.fullmatch(value) is not None
            found += [argument, value if is_value else _AUTO]
            rest = rest if is_value or not value else chain([value], rest)
            continue
        if argument == _DIARIZE and _SPEAKERS in options:
            found[:0] = [_SPEAKERS, _AUTO]  # a number that is given counts
            continue
        if not name.startswith("--") or name in options:
            found.append(argument)
            continue
        found += _translated(name.replace("_", "-"), value if equals else None, rest, options)
    return found


def _translated(
    name: str, value: str | None, rest: Iterator[str], options: Collection[str]
) -> list[str]:
    ours = _OPTIONS.get(name, name)
    if ours not in options:
        return [name if value is None else f"{name}={value}"]
    if name == _WORDS:
        value = next(rest, "True") if value is None else value
        return [ours if value.lower() in ("true", "1", "yes") else "--no-word-timestamps"]
    if value is None and (value := next(rest, None)) is None:
        return [ours]
    return [ours, f"{value.rstrip('/')}/" if name == "--output-dir" else value]


def is_recording_name(argument: str) -> bool:
    """Return whether an argument in the place of a command is a file, or is named like one."""
    from stt.media.recognition import NAMES

    path = Path(argument)
    return path.exists() or path.suffix.lower() in NAMES or argument == "-"
