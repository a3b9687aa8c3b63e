"""Runs the real `stt` (or tools/cleanup.py), with its history recorded, in a chaos run.

python -m tools.chaos_lab.worker --history FILE --actor NAME [--mutation NAME] -- --watch …
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pymongo import monitoring

from stt.cli import app
from tools import cleanup
from tools.chaos_lab import mutations
from tools.chaos_lab.history import EventLog
from tools.chaos_lab.http_recorder import HttpRecorder
from tools.chaos_lab.recorder import Recorder


def main(arguments: Sequence[str] | None = None) -> None:
    """Ends as the program does: by SystemExit with its exit code."""
    options = _parser().parse_args(arguments)
    log = EventLog(options.history, options.actor)
    monitoring.register(Recorder(log))  # before any client is made
    if options.coordinator is not None:
        HttpRecorder(log, options.coordinator).listen()
    if options.mutation is not None:
        mutations.MUTATIONS[options.mutation].apply()
    if options.tool == "cleanup":
        log.write(phase="started", threshold_seconds=_threshold_seconds(options.flags))
        sys.exit(cleanup.main(options.flags))
    sys.argv = ["stt", *options.flags]
    app.main()


def _threshold_seconds(flags: Sequence[str]) -> float | None:
    """What `--older-than` says: claims renewed since then must not be freed."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--older-than", type=cleanup.duration)
    seconds: float | None = parser.parse_known_args(flags)[0].older_than
    return seconds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--history", type=Path, required=True, metavar="FILE")
    parser.add_argument("--actor", required=True, metavar="NAME", help="unique in the run")
    parser.add_argument("--coordinator", metavar="URL", help="what it is asked is recorded, too")
    parser.add_argument("--mutation", choices=mutations.MUTATIONS, help="a deliberate break")
    parser.add_argument("--tool", choices=("stt", "cleanup"), default="stt")
    parser.add_argument("flags", nargs="*", help="the program's own, after --")
    return parser


if __name__ == "__main__":
    main()
