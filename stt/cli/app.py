"""The `stt` program: which commands there are, and how errors become exit codes.

0 all well · 1 finished, but something failed or was not found · 2 wrong usage · 3 configuration or
key · 4 database unreachable · 5 whisper server unreachable · 130 interrupted
"""

import errno
import io
import os
import sys
from pathlib import Path

import typer

from stt.cli import (
    chunks,
    coordinator,
    export,
    ingest,
    node,
    search,
    status,
    transcribe,
    worker,
)
from stt.cli.console import print_note
from stt.errors import SttError

INTERRUPTED = 130
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

app = typer.Typer(
    name="stt",
    invoke_without_command=True,
    rich_markup_mode=None,  # plain help: examples keep their lines, and it reads well in a pipe
    pretty_exceptions_enable=False,  # they print local variables, and those hold keys
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.callback(epilog=worker.EXAMPLES)(worker.work_command)
app.command("transcribe", epilog=transcribe.EXAMPLES)(transcribe.transcribe_command)
app.command("ingest", epilog=ingest.EXAMPLES)(ingest.ingest_command)
app.command("status", epilog=status.EXAMPLES)(status.status_command)
app.command("workers", epilog=status.WORKERS_EXAMPLES)(status.workers_command)
app.command("export", epilog=export.EXAMPLES)(export.export_command)
app.command("retry", epilog=chunks.RETRY_EXAMPLES)(chunks.retry_command)
app.command("search", epilog=search.EXAMPLES)(search.search_command)
app.command("release", epilog=chunks.RELEASE_EXAMPLES)(chunks.release_command)
app.add_typer(node.node_app)
app.command("coordinator", epilog=coordinator.EXAMPLES)(coordinator.coordinator_command)


def main() -> None:
    """Entry point of the console script: one clear line for every error that we know."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks a letter shows another
            stream.reconfigure(errors="replace")
    try:
        app(prog_name="stt")
    except SttError as error:
        if not error.is_logged:
            print_note(f"Error: {error}")
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        # What stdout still holds back must not fail once more when the program ends.
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        print_note(f"Error: The output cannot be written: {error.strerror}")
        sys.exit(SttError.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
