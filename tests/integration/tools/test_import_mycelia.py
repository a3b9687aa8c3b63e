"""`tools/import_mycelia.py` on a database in mycelia's form, and what `stt` shows then."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from stt.domain.claim import ClaimRules, Order
from stt.domain.transcript import Transcript
from stt.store.claims import MongoClaims
from stt.store.database import Database
from stt.store.workers import MongoRoster
from tests.support.mycelia_database import add_mycelia_recording, add_transcription
from tests.support.queue_builder import document
from tools import import_mycelia
from tools.import_mycelia import main

Run = Callable[..., str]


@pytest.fixture(autouse=True)
def _environment(
    monkeypatch: pytest.MonkeyPatch, mongo_url: str, database: Database, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # no `.env` of the checkout
    monkeypatch.setenv("MONGO_URL", mongo_url)
    monkeypatch.setenv("DATABASE_NAME", database.chunks.database.name)


def stt(*arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "stt", *arguments],
        env=dict(os.environ), capture_output=True, encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def texts(database: Database, chunk_id: ObjectId) -> list[tuple[float, float, str]]:
    transcript = document(database, chunk_id).get("transcript") or {"segments": []}
    return [(s["start"], s["end"], s["text"]) for s in transcript["segments"]]


@pytest.fixture
def talk(database: Database) -> tuple[ObjectId, list[ObjectId]]:
    """Five chunks, of which four are transcribed, in two transcriptions that share the third."""
    recording_id, chunks = add_mycelia_recording(database, "/Users/me/talk.m4a", 5, done=4)
    add_transcription(
        database, recording_id, 2,
        (1.0, 4.0, "the third part"), (8.0, 14.0, "from three to four"), (15.0, 18.0, "the fourth"),
    )  # fmt: skip
    add_transcription(
        database, recording_id, 0,
        (0.5, 4.0, " good morning"), (9.0, 19.0, "a second part"), (21.0, 24.0, "the third part"),
    )  # fmt: skip
    return recording_id, chunks


def test_segments_move_into_the_chunks_that_they_are_in(
    database: Database, talk: tuple[ObjectId, list[ObjectId]], capsys: pytest.CaptureFixture[str]
) -> None:
    before = list(database.chunks.database["transcriptions"].find())
    assert main([]) == 0
    _, (first, second, third, fourth, fifth) = talk
    assert texts(database, first) == [(0.5, 4.0, "good morning")]
    assert texts(database, second) == [(0.0, 9.0, "a second part")]
    assert texts(database, third) == [(1.0, 4.0, "the third part")]
    assert texts(database, fourth) == [(0.0, 4.0, "from three to four"), (5.0, 8.0, "the fourth")]
    assert document(database, fifth).get("transcript") is None
    stored: dict[str, Any] = document(database, first)["transcript"]
    assert (stored["language"], stored["language_probability"]) == ("en", 0.97)
    assert capsys.readouterr().out == (
        "Wrote 5 segments of 2 transcriptions to 4 chunks; 1 are in a later transcription of the"
        " same audio; 0 are left\n"
    )
    assert list(database.chunks.database["transcriptions"].find()) == before


def test_status_export_and_search_show_the_text(talk: tuple[ObjectId, list[ObjectId]]) -> None:
    assert main([]) == 0
    assert "talk.m4a" in stt("status")
    exported = stt("export", "talk.m4a")
    assert "good morning" in exported.lower()
    assert "the fourth" in exported.lower()
    assert "talk.m4a" in stt("search", "second")


def test_a_second_run_writes_nothing(
    database: Database, talk: tuple[ObjectId, list[ObjectId]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([]) == 0
    chunks = list(database.chunks.find())
    capsys.readouterr()
    assert main([]) == 0
    assert "Wrote 0 segments of 2 transcriptions to 0 chunks" in capsys.readouterr().out
    assert list(database.chunks.find()) == chunks


def test_a_dry_run_says_the_same_and_writes_nothing(
    database: Database, talk: tuple[ObjectId, list[ObjectId]], capsys: pytest.CaptureFixture[str]
) -> None:
    chunks = list(database.chunks.find())
    assert main(["--dry-run"]) == 0
    assert "Would write 5 segments of 2 transcriptions to 4 chunks" in capsys.readouterr().out
    assert list(database.chunks.find()) == chunks


def test_what_fits_nowhere_is_listed(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    recording_id, _ = add_mycelia_recording(database, "/a/talk.m4a", 2, done=1)
    pending = add_transcription(database, recording_id, 1, (0.0, 2.0, "not done"))
    outside = add_transcription(database, recording_id, 7, (0.0, 2.0, "outside"))
    unknown = add_transcription(database, ObjectId(), 0, (0.0, 2.0, "no such recording"))
    timeless = add_transcription(database, recording_id, 0, (0.0, 2.0, "when?"), start=None)
    odd = add_transcription(database, recording_id, 0, segments="none")
    text = add_transcription(
        database, recording_id, 0, (0.0, 2.0, "a date as text"), start="2025-03-01T09:00:00Z"
    )
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    listed = dict(line.removeprefix("transcription ").split(": ", 1) for line in lines[:-1])
    assert listed == {
        str(pending): "1 in a chunk that is pending",
        str(outside): "1 in no chunk of its recording",
        str(unknown): "1 in no chunk of its recording",
        str(timeless): "1 without a time",
    }
    assert str(odd) not in listed
    assert str(text) not in listed
    assert lines[-1].startswith("Wrote 1 segments of 6 transcriptions to 1 chunks")
    assert lines[-1].endswith("4 are left")


def test_an_interrupted_run_goes_on(
    database: Database,
    talk: tuple[ObjectId, list[ObjectId]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write, count = import_mycelia._write, 0

    def interrupted(*arguments: Any) -> bool:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return write(*arguments)

    monkeypatch.setattr(import_mycelia, "_write", interrupted)
    assert main([]) == 130
    assert "2 chunks" in capsys.readouterr().out
    monkeypatch.undo()
    assert len([c for c in database.chunks.find() if c.get("transcript")]) == 2


def test_a_chunk_that_was_transcribed_meanwhile_keeps_its_text(
    database: Database, alice: MongoClaims, rules: ClaimRules
) -> None:
    recording_id, (chunk_id,) = add_mycelia_recording(database, "/a/talk.m4a", 1, done=0)
    (found,) = alice.page(1, Order()).chunks
    claim = alice.claim(found)
    assert claim is not None
    alice.complete(claim, Transcript(model="ours"))
    add_transcription(database, recording_id, 0, (0.0, 2.0, "theirs"))
    assert main([]) == 0
    assert document(database, chunk_id)["transcript"]["model"] == "ours"


def test_the_claims_that_mycelia_leaves_on_finished_chunks_are_not_in_work(
    database: Database, talk: tuple[ObjectId, list[ObjectId]]
) -> None:
    assert MongoRoster(database).holders() == {}
    shown = stt("status", "--json")
    assert '"processing": 0' in shown
    assert '"transcribed": 4' in shown
