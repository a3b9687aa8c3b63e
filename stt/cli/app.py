"""The `stt` program: its commands, and the exit codes of errors.

0 all well · 1 finished, but something failed or was not found · 2 wrong usage · 3 configuration or
key · 4 database unreachable · 5 whisper server unreachable · 130 interrupted
"""

import errno
import io
import sys

import typer

from stt.cli import (
    again,
    chunks,
    coordinator,
    doctor,
    export,
    ingest,
    node,
    recordings,
    search,
    status,
    transcribe,
    worker,
)
from stt.cli.console import discard_output, print_note, stop
from stt.cli.help import PanelCommand, PanelGroup
from stt.errors import EXIT_INTERRUPTED, SttError
from stt.system.signals import END_SIGNALS, on_signals

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

app = typer.Typer(
    name="stt",
    cls=PanelGroup,
    invoke_without_command=True,
    rich_markup_mode=None,  # plain help: examples keep their lines, and it reads well in a pipe
    pretty_exceptions_enable=False,  # they print local variables, and those hold keys
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.callback(epilog=worker.EXAMPLES)(worker.worker_command)
for _name, _command, _epilog in (
    ("transcribe", transcribe.transcribe_command, transcribe.EXAMPLES),
    ("ingest", ingest.ingest_command, ingest.EXAMPLES),
    ("ls", recordings.ls_command, recordings.LS_EXAMPLES),
    ("remove", recordings.remove_command, recordings.REMOVE_EXAMPLES),
    ("priority", recordings.priority_command, recordings.PRIORITY_EXAMPLES),
    ("again", again.again_command, again.EXAMPLES),
    ("status", status.status_command, status.EXAMPLES),
    ("workers", status.workers_command, status.WORKERS_EXAMPLES),
    ("export", export.export_command, export.EXAMPLES),
    ("search", search.search_command, search.EXAMPLES),
    ("retry", chunks.retry_command, chunks.RETRY_EXAMPLES),
    ("release", chunks.release_command, chunks.RELEASE_EXAMPLES),
    ("coordinator", coordinator.coordinator_command, coordinator.EXAMPLES),
    ("doctor", doctor.doctor_command, doctor.EXAMPLES),
):
    app.command(_name, epilog=_epilog, cls=PanelCommand)(_command)
app.add_typer(node.node_app)


def main() -> None:
    """Run the console script; print one line for each error of the package."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # where the encoding lacks a character
    try:
        with on_signals(stop, END_SIGNALS):
            app(prog_name="stt")
    except SttError as error:
        if not error.is_logged:
            print_note(f"Error: {error}")
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        discard_output(sys.stdout)
        print_note(f"Error: The output cannot be written: {error.strerror}")
        sys.exit(SttError.exit_code)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
