"""Our fleet as its users have it: an embedded database, `stt ingest`, a worker, a server."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bson import Binary, ObjectId

from stt.local.stack import open_database
from stt.media.audio import SAMPLE_RATE, encode_flac, encode_opus
from stt.settings import Settings
from stt.store.database import Database
from stt.store.export import Export
from stt.store.recordings import MongoRecordings
from stt.transcripts.formats import Gap
from tools.bench_lab.server import OurServer
from tools.fidelity_lab.contestants import Result
from tools.fidelity_lab.measures import Segment
from tools.fidelity_lab.tape import SpeechSet

FLEET, FOREIGN, FOREIGN_ALONE = "fleet", "fleet-10s", "fleet-10s-alone"
FLEETS = FLEET, FOREIGN, FOREIGN_ALONE
"""With chunks that `stt ingest` cuts; with another program's, in sequences and one by one."""
FOREIGN_SECONDS = 10
"""The chunks of another program, which cut words."""
_SETTINGS = (
    "STT_",
    "NODE_",
    "MONGO_",
    "DATABASE_",
    "MAX_",
    "CHUNK_",
    "LEASE_",
    "SEQUENCE_",
    "USE_",
)
_END_SECONDS = 30


def fleet_name(kind: str, workers: int, counts: Sequence[int]) -> str:
    """Return `fleet` for the first of several counts of workers, and for the others `fleet@4`."""
    return kind if workers == counts[0] else f"{kind}@{workers}"


class FleetFailed(Exception):
    """`str()` of it is the end of what a command said."""


@dataclass
class Fleet:
    """A queue of its own for all sets of a run, and one worker with `workers` calls at a time.

    `kind`: one of FLEETS, whose chunks it has.
    """

    name: str
    kind: str
    server: OurServer
    workers: int

    def takes(self, one: SpeechSet) -> bool:
        return True

    def transcribe(self, sets: Sequence[SpeechSet]) -> Iterator[Result]:
        with tempfile.TemporaryDirectory(prefix="stt-fidelity-") as name:
            folder = Path(name)
            data = folder / "data"
            settings = Settings(  # type: ignore[call-arg]
                _env_file=None, data_dir=data, mongo_url=None, keep_alive_seconds=0
            )
            with open_database(settings) as database:
                ids = self._fill(database, sets, folder)
                self._work(folder)
                recordings = MongoRecordings(database)
                for one, recording_id in zip(sets, ids, strict=True):
                    export = Export(database, recordings.get(recording_id))
                    yield one, tuple(_segments(export, one.name))

    def _fill(self, database: Database, sets: Sequence[SpeechSet], folder: Path) -> list[ObjectId]:
        if self.kind != FLEET:
            return [_add_foreign(database, one) for one in sets]
        recordings = folder / "recordings"
        recordings.mkdir()
        names = [f"{index:03}.flac" for index in range(len(sets))]
        for name, one in zip(names, sets, strict=True):
            (recordings / name).write_bytes(encode_flac(one.samples))
        self._stt(folder, "ingest", str(recordings))
        found = {recording.filename: recording.id for recording in MongoRecordings(database).all()}
        return [found[name] for name in names]

    def _work(self, folder: Path) -> None:
        one_by_one = ["--sequence-seconds", "0"] if self.kind == FOREIGN_ALONE else []
        self._stt(
            folder,
            *("--server", self.server.url),
            *("--workers", str(self.workers)),
            *("--required-empty-checks", "1"),
            *one_by_one,
        )

    def _stt(self, folder: Path, *arguments: str) -> None:
        """Run a command of the project, where no `.env` of the person is read."""
        own = {k: v for k, v in os.environ.items() if not k.startswith(_SETTINGS)}
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "stt", *arguments, "--data-dir", str(folder / "data")],
                cwd=folder,
                env=own,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
            try:
                code = process.wait()
            except BaseException:
                _end(process)
                raise
            if code:
                log.seek(0)
                raise FleetFailed(f"stt {' '.join(arguments)}: {code}\n{log.read()[-2000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    deadline = time.monotonic() + _END_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    process.kill()
    process.wait()


def _add_foreign(database: Database, one: SpeechSet) -> ObjectId:
    """Write chunks of exactly ten seconds as another program does: Ogg Opus inline."""
    recording_id, size = ObjectId(), FOREIGN_SECONDS * SAMPLE_RATE
    database.chunks.insert_many(
        {
            "_id": ObjectId(),
            "original_id": recording_id,
            "index": index,
            "offset": float(index * FOREIGN_SECONDS),
            "duration": len(piece) / SAMPLE_RATE,
            "format": "opus",
            "data": Binary(encode_opus(piece)),
        }
        for index, first in enumerate(range(0, len(one.samples), size))
        if len(piece := one.samples[first : first + size])
    )
    return recording_id


def _segments(export: Export, name: str) -> Iterator[Segment]:
    if export.header.is_partial:
        raise FleetFailed(f"{name}: {export.header.partial_notice}")
    for cue in export.cues():
        if not isinstance(cue, Gap):
            yield Segment(cue.start, cue.end, cue.text, getattr(cue, "language", None))
