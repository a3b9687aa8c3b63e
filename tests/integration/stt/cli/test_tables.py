"""Recordings of one name are told apart in all that the commands print."""

import json
from pathlib import Path

import pytest

from stt.store.database import Database
from tests.support.recordings import babble, write_wav
from tests.support.recordings_in_queue import NOW, set_chunk, transcribe
from tests.unit.stt.cli.conftest import Run


@pytest.fixture
def namesakes(stt: Run, database: Database, tmp_path: Path) -> list[str]:
    """Ingest a folder of three recordings, two of them of one name; return the ids of these."""
    for seed, name in enumerate(("A/ep01.wav", "B/ep01.wav", "other.wav")):
        path = tmp_path / "talks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_wav(path, babble(1, seed))
    assert stt("ingest", "talks") == 0
    found = database.recordings.find({"filename": "ep01.wav"}).sort("path")
    return [str(document["_id"]) for document in found]


def test_status_names_folders_where_names_are_the_same(
    stt: Run, database: Database, namesakes: list[str]
) -> None:
    set_chunk(database, namesakes[1], 0, failed_at=NOW, errors=[{"kind": "expired"}])
    assert stt("status") == 0
    rows = [line.split()[0] for line in stt.out.splitlines() if ".wav" in line]
    assert set(rows) >= {"A/ep01.wav", "B/ep01.wav", "other.wav"}
    assert "no. 0 of B/ep01.wav" in stt.out
    assert stt("status", "--json") == 0
    shown = {source["label"]: source for source in json.loads(stt.out)["sources"]}
    assert shown["A/ep01.wav"]["filename"] == "ep01.wav"
    assert shown["other.wav"]["path"] == "other.wav"


def test_search_names_folders_where_names_are_the_same(
    stt: Run, database: Database, namesakes: list[str]
) -> None:
    for recording_id in namesakes:
        transcribe(database, recording_id, 0, "Coffee.")
    assert stt("search", "coffee") == 0
    assert [line for line in stt.out.splitlines() if ".wav" in line] == ["A/ep01.wav", "B/ep01.wav"]
    assert stt("search", "coffee", "--source", "B/ep01.wav", "--json") == 0
    assert [hit["path"] for hit in json.loads(stt.out)] == ["B/ep01.wav"]
