"""A recording by four workers, of which one is killed and one loses its network."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from stt.domain.transcript import Segment
from stt.media.audio import encode_flac
from stt.store import recording_speakers
from stt.store.database import Database
from stt.store.export import Export
from stt.store.ingest import ingest
from stt.store.ingest_options import IngestOptions
from stt.store.recordings import MongoRecordings
from tools.chaos_lab.folders import Folders
from tools.chaos_lab.processes import (
    DATABASE_NAME,
    Server,
    close,
    database_server,
    http_server,
    mongo_url,
    spawn,
)
from tools.chaos_lab.proxy import Proxy, ProxyHouse
from tools.speaker_lab.conversations import Conversation

WORKERS = 4
LEASE_SECONDS = 10.0
_CHUNK_TIMEOUT_SECONDS = 1_200.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Outcome:
    """`spans`: start and end in seconds of what was said, and who says it.

    `speakers`: those of the recording. `lost_chunks`: how many the killed worker and the one that
    was cut off held then. `chunks`: how many each worker has transcribed.
    """

    spans: tuple[tuple[float, float, str], ...]
    speakers: tuple[str, ...]
    lost_chunks: tuple[int, int]
    chunks: tuple[int, ...]
    seconds: float


@dataclass
class _Worker:
    process: Popen[bytes]
    ways: tuple[Proxy, Proxy]

    def cut_off(self) -> None:
        """Its network swallows all that it sends, and all that is sent to it."""
        for way in self.ways:
            way.is_black_hole = True


def transcribe(spoken: Conversation, folder: Path, model: str, sequence_seconds: float) -> Outcome:
    """Return what a fleet makes of it. Raises RuntimeError if a server does not start."""
    folders = Folders(folder)
    folders.make()
    (folder / "talk.flac").write_bytes(encode_flac(spoken.samples))
    with contextlib.ExitStack() as closing:
        house = closing.enter_context(ProxyHouse().running())
        whisper = ["--model", model, "--speakers", "true"]
        servers = (
            database_server(folder / "database", folders.logs),
            http_server(
                "whisper", "whisper_server", whisper, folders.logs, {"HF_HUB_OFFLINE": "1"}
            ),
        )
        for server in servers:
            closing.callback(server.close)
            server.start()
        for server in servers:
            server.wait()
        url = mongo_url(servers[0].port)
        database = closing.enter_context(Database(url, DATABASE_NAME))
        database.ensure_indexes()
        options = IngestOptions(speakers=0)
        recording = ingest(database, folder / "talk.flac", options).recording
        began = time.monotonic()
        workers = [
            _start(closing, house, servers, folders, number, sequence_seconds)
            for number in range(WORKERS)
        ]
        lost_chunks = _harm(database, workers)
        while database.chunks.find_one({"transcribed_at": None, "failed_at": None}) is not None:
            _pause(workers)
        seconds = time.monotonic() - began
        recording = MongoRecordings(database).get(recording.id)
        listed = recording_speakers.read(database, recording).listed()
        done = database.chunks.find({"transcribed_at": {"$ne": None}})
        done_by = [chunk["transcript"]["worker"] for chunk in done]
        return Outcome(
            tuple(_spans(Export(database, recording))),
            tuple(one.label for one in listed),
            lost_chunks,
            tuple(sum(by.endswith(f"_{w.process.pid}") for by in done_by) for w in workers),
            seconds,
        )


def _start(
    closing: contextlib.ExitStack,
    house: ProxyHouse,
    servers: tuple[Server, Server],
    folders: Folders,
    number: int,
    sequence_seconds: float,
) -> _Worker:
    queue, whisper = (
        house.open(f"worker {number} to {server.name}", server.port) for server in servers
    )
    settings = {
        "MONGO_URL": mongo_url(queue.port, socketTimeoutMS=3_000),
        "DATABASE_NAME": DATABASE_NAME,
        "STT_SERVER_URL": f"http://127.0.0.1:{whisper.port}",
        "SEQUENCE_SECONDS": str(sequence_seconds),
        "LEASE_SECONDS": str(LEASE_SECONDS),
        "CHUNK_TIMEOUT": str(_CHUNK_TIMEOUT_SECONDS),
        "MAX_PARALLEL_WORKERS": "1",
        "NODE_PERSISTENT": "1",
    }
    process = spawn("stt", ["--watch"], folders.logs / f"worker-{number}.log", settings)
    closing.callback(close, process)
    return _Worker(process, (queue, whisper))


def _harm(database: Database, workers: list[_Worker]) -> tuple[int, int]:
    """Kill a worker and cut off another, each while it holds chunks; return how many those are."""
    victim, killed = _holder(database, workers)
    victim.process.kill()
    victim, cut_off = _holder(database, [worker for worker in workers if worker is not victim])
    victim.cut_off()
    return killed, cut_off


def _holder(database: Database, workers: list[_Worker]) -> tuple[_Worker, int]:
    """Wait for a worker that holds chunks; return it with their number."""
    while True:
        for worker in workers:
            held = {"processing_by": {"$regex": f"_{worker.process.pid}$"}}
            if count := database.chunks.count_documents(held):
                return worker, count
        if database.chunks.find_one({"transcribed_at": None}) is None:
            raise RuntimeError("all is done before it was harmed")
        _pause(workers)


def _pause(workers: list[_Worker]) -> None:
    """Wait a moment. Raise RuntimeError if no worker is left to wait for."""
    if all(worker.process.poll() is not None for worker in workers):
        raise RuntimeError("all workers have ended before all was done")
    time.sleep(_POLL_SECONDS)


def _spans(export: Export) -> Iterator[tuple[float, float, str]]:
    for cue in export.cues():
        if isinstance(cue, Segment) and cue.speaker:
            yield cue.start, cue.end, cue.speaker
