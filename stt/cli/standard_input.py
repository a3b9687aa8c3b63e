"""A recording from standard input, which is written `-` among the files of a command."""

import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

STDIN = Path("-")
STDIN_NAME = "standard input"


def shown(text: object) -> str:
    """Return a path or a message with `standard input` in place of the file that holds it."""
    folder = re.escape(tempfile.gettempdir())
    return re.sub(rf"{folder}/stt-[^/\s]+/stdin/stdin\b", STDIN_NAME, str(text))


@contextmanager
def with_standard_input(paths: Sequence[Path], settle_seconds: float) -> Iterator[list[Path]]:
    """Yield the paths, with a file of what standard input holds in place of `-`.

    The file is called `stdin`, and is at rest. It is removed at the end. Raise BadParameter if
    standard input is a terminal.
    """
    if STDIN not in paths:
        yield list(paths)
        return
    if sys.stdin.isatty():
        raise typer.BadParameter(
            "- is standard input, and that is a terminal: pipe a file into it."
        )
    with tempfile.TemporaryDirectory(prefix="stt-") as folder:
        file = Path(folder, "stdin", "stdin")
        file.parent.mkdir()
        with file.open("wb") as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
        at_rest = time.time() - settle_seconds - 1
        os.utime(file, (at_rest, at_rest))
        yield [file if path == STDIN else path for path in dict.fromkeys(paths)]
