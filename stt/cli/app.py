"""The `stt` program: its commands, and the exit codes of errors.

0 all well · 1 finished, but something failed or was not found · 2 wrong usage · 3 configuration or
key · 4 database unreachable · 5 whisper server unreachable · 130 interrupted
"""

import atexit
import errno
import io
import sys
from functools import partial
from importlib import import_module
from typing import Any

import typer

from stt.cli import worker
from stt.cli.console import discard_output, print_note, stop
from stt.cli.help import LazyCommands, PanelCommand, PanelGroup
from stt.errors import EXIT_INTERRUPTED, SttError
from stt.system.signals import END_SIGNALS, on_signals

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# The module of each command, and the first line of its help.
_COMMANDS = {
    "transcribe": ("transcribe", "Transcribe recordings and print or save their transcripts."),
    "ingest": (
        "ingest",
        "Put recordings into the queue, cut into chunks; with --watch as they come into folders.",
    ),
    "ls": ("recordings", "List the recordings in the queue."),
    "remove": (
        "recordings",
        "Remove recordings with their chunks, audio and transcripts; the files stay.",
    ),
    "rename": ("rename", "Give a recording another name."),
    "priority": ("recordings", "Change which recordings are transcribed first."),
    "again": ("again", "Transcribe recordings again; their text stays until the new one is there."),
    "status": ("status", "Show the queue: states, speed, time left, failures."),
    "workers": ("status", "Show the workers of the last day."),
    "export": ("export", "Write the transcript of a recording."),
    "speakers": ("speakers", "List the speakers of a recording, name them, or merge two."),
    "search": ("search", "Find words in all transcripts."),
    "retry": ("chunks", "Try failed chunks again, with all their attempts."),
    "dismiss": ("chunks", "Take failed chunks out of the lists; they stay failed."),
    "release": ("chunks", "End the claims on chunks, whichever workers hold them."),
    "coordinator": (
        "coordinator",
        "Serve the queue over HTTP: nodes join by URL and key, people use a browser.",
    ),
    "doctor": ("doctor", "Check database, servers, keys, models, disk and clock; say what to do."),
    "node": ("node", "Work for a fleet through a coordinator, without a database."),
    "watch": ("watch_service", "Keep watching folders as a service."),
}


class _Program(PanelGroup):
    """The command `stt`, which imports the module of a command when it is used."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        loaders = {name: partial(_command, name) for name in _COMMANDS}
        self.commands = LazyCommands(loaders)
        self.summaries = {name: summary for name, (_, summary) in _COMMANDS.items()}


def _command(name: str) -> Any:
    module = import_module(f"stt.cli.{_COMMANDS[name][0]}")
    if name in ("node", "watch"):
        return typer.main.get_command(getattr(module, f"{name}_app"))
    examples = getattr(module, f"{name.upper()}_EXAMPLES", None) or module.EXAMPLES
    one = typer.Typer(rich_markup_mode=None, add_completion=False)
    one.command(name, epilog=examples, cls=PanelCommand)(getattr(module, f"{name}_command"))
    return typer.main.get_command(one)


app = typer.Typer(
    name="stt",
    cls=_Program,
    invoke_without_command=True,
    rich_markup_mode=None,  # plain help: examples keep their lines, and it reads well in a pipe
    pretty_exceptions_enable=False,  # they print local variables, and those hold keys
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.callback(epilog=worker.EXAMPLES)(worker.worker_command)


def main() -> None:
    """Run the console script; print one line for each error of the package."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # where the encoding lacks a character
    try:
        _run()
    finally:
        _leave_threads_of_the_driver()


def _leave_threads_of_the_driver() -> None:
    """Let them end with the process: they sleep, and the driver's own hook waits half a second."""
    monitor = sys.modules.get("pymongo.synchronous.monitor")
    if (hook := getattr(monitor, "_shutdown_resources", None)) is not None:
        atexit.unregister(hook)


def _run() -> None:
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
