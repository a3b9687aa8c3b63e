"""A person who names the speakers of recordings, again and again, while a fleet transcribes them.

    python -m tools.chaos_lab.namer --log names.jsonl --actor namer

Writes down who was there at each look, and each name before it is given and when it was. When it is
told to stop it looks at all recordings once more, so that what is stored is made of all that there
is, and ends.
"""

import argparse
import contextlib
import itertools
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from stt.domain.chunk import Recording
from stt.errors import DatabaseUnavailable, NotFound
from stt.store import recording_speakers
from stt.store.database import Database, translated
from stt.store.documents import read_recording
from tools.chaos_lab import mutations
from tools.chaos_lab.history import EventLog
from tools.chaos_lab.voices import voice_in

_PAUSE_SECONDS = 0.02
_AWAY_SECONDS = 0.3


class Namer:
    """Names speakers after their voices, with a number that grows."""

    def __init__(self, database: Database, log: EventLog) -> None:
        self._database = database
        self._log = log
        self._names = itertools.count(1)

    def recordings(self) -> Iterator[Recording]:
        """Yield those that ask for speakers. Raises DatabaseUnavailable."""
        with translated():
            found = list(self._database.recordings.find({"speakers": {"$gte": 0}}))
        return map(read_recording, found)

    def look(self, recording: Recording) -> list[str]:
        """Return the ids of the speakers. Raises DatabaseUnavailable."""
        speakers = recording_speakers.read(self._database, recording).listed()
        seen = [(voice_in(one.embedding), one.id, one.name) for one in speakers]
        self._log.write(phase="seen", recording=recording.id, speakers=seen)
        return [one.id for one in speakers]

    def name(self, recording: Recording, speaker: str) -> None:
        """Give one speaker a new name. Raises DatabaseUnavailable: it may have the name then."""
        name = f"Voice {next(self._names)}"
        given = {"recording": recording.id, "speaker": speaker, "name": name}
        self._log.write(phase="asked", **given)
        with contextlib.suppress(NotFound):
            recording_speakers.rename(self._database, recording, speaker, name)
            self._log.write(phase="told", **given)


def run(namer: Namer, stop: threading.Event) -> None:
    """Name until told to stop, and look at all once more."""
    while not stop.wait(_PAUSE_SECONDS):
        with contextlib.suppress(DatabaseUnavailable):
            for recording in namer.recordings():
                for speaker in namer.look(recording):
                    namer.name(recording, speaker)
                if stop.wait(_PAUSE_SECONDS):
                    break
            continue
        stop.wait(_AWAY_SECONDS)
    for recording in namer.recordings():
        namer.look(recording)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--log", type=Path, required=True, metavar="FILE")
    parser.add_argument("--actor", required=True, metavar="NAME")
    parser.add_argument("--mutation", choices=mutations.MUTATIONS, help="a deliberate break")
    options = parser.parse_args(arguments)
    if options.mutation is not None:
        mutations.MUTATIONS[options.mutation].apply()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    log = EventLog(options.log, options.actor)
    with Database(os.environ["MONGO_URL"], os.environ["DATABASE_NAME"]) as database:
        run(Namer(database, log), stop)


if __name__ == "__main__":
    main()
