"""Run `stt`, and write the bytes of the database's largest reply into FILE.

python -m tests.support.reply_sizes FILE COMMAND…
"""

import sys
from pathlib import Path

import bson
from pymongo import monitoring

from stt.cli.app import main


class Largest(monitoring.CommandListener):
    """Keeps FILE up to date."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._bytes = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        pass

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        self._bytes = max(self._bytes, len(bson.encode(event.reply)))
        self._file.write_text(str(self._bytes))

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


if __name__ == "__main__":
    monitoring.register(Largest(Path(sys.argv.pop(1))))
    main()
