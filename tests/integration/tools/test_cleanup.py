"""`tools/cleanup.py` against a real database."""

from datetime import timedelta

import pytest

from stt.domain.transcript import Transcript
from stt.errors import ClaimLost
from stt.store.claims import MongoClaims
from stt.store.database import Database
from tests.support.queue_builder import add_chunks, add_recording, chunk, document
from tools.cleanup import duration, main


@pytest.fixture(autouse=True)
def _environment(
    monkeypatch: pytest.MonkeyPatch, mongo_url: str, database: Database, tmp_path: object
) -> None:
    monkeypatch.chdir(str(tmp_path))  # no `.env` of the checkout
    monkeypatch.setenv("MONGO_URL", mongo_url)
    monkeypatch.setenv("DATABASE_NAME", database.chunks.database.name)
    monkeypatch.setenv("LEASE_SECONDS", "60")


def claimed(database: Database, worker: str, count: int, seconds: float) -> None:
    then = database.server_time() - timedelta(seconds=seconds)
    add_chunks(database, count, processing_by=worker, claimed_at=then)


def test_stale_claims_are_freed_and_counted_by_worker(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    claimed(database, "dead_1", 2, 700)
    claimed(database, "dead_2", 3, 900)
    claimed(database, "alive_3", 1, 100)
    assert main(["--older-than", "10m"]) == 0
    first, second, last = capsys.readouterr().out.splitlines()
    assert first.startswith("dead_2: 3 chunks, silent since 20")
    assert second.startswith("dead_1: 2 chunks, silent since 20")
    assert last == "Freed 5 chunks"
    left = database.chunks.find({"processing_by": {"$ne": None}})
    assert [found["processing_by"] for found in left] == ["alive_3"]


def test_a_dry_run_only_tells(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    claimed(database, "dead_1", 1, 700)
    before = list(database.chunks.find())
    assert main(["--older-than", "10m", "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Would free 1 chunk"
    assert list(database.chunks.find()) == before


def test_a_clean_queue_is_said_to_be_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--older-than", "2h"]) == 0
    assert capsys.readouterr().out == "Freed 0 chunks\n"


def test_the_last_chance_of_a_chunk_ends_in_quarantine_and_is_said(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    then = database.server_time() - timedelta(seconds=700)
    [killer] = add_chunks(database, 1, processing_by="dead_1", claimed_at=then, expirations=4)
    assert main(["--older-than", "10m"]) == 0
    assert "Freed 1 chunk, 1 of them into quarantine" in capsys.readouterr().out
    assert document(database, killer)["failed_at"] is not None


def test_a_time_below_the_lease_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--older-than", "59s"]) == 0
    assert "shorter than the lease of 60s" in capsys.readouterr().err
    assert main(["--older-than", "60s"]) == 0
    assert capsys.readouterr().err == ""


def test_a_worker_whose_claim_was_freed_writes_nothing(
    database: Database, alice: MongoClaims
) -> None:
    [chunk_id] = add_chunks(database, 1)
    claim = alice.claim(chunk(database, chunk_id))
    assert claim is not None
    then = database.server_time() - timedelta(seconds=700)
    database.chunks.update_one({"_id": chunk_id}, {"$set": {"claimed_at": then}})
    assert main(["--older-than", "10m"]) == 0
    with pytest.raises(ClaimLost):
        alice.complete(claim, Transcript())
    assert document(database, chunk_id)["transcribed_at"] is None


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86_400), ("1.5H", 5400)]
)
def test_durations_are_read_with_their_unit(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "10", "-5m", "0s", "m", "10 parsecs", "1e9h", "nan", "99999d"]
)
def test_nonsense_durations_are_refused_with_exit_code_2(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([f"--older-than={text}"])
    assert stopped.value.code == 2
    assert "--older-than" in capsys.readouterr().err


def test_a_wrong_setting_and_an_absent_database_have_their_exit_codes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200"
    assert main(["--older-than", "10m", "--mongo-url", url]) == 4
    monkeypatch.setenv("LEASE_SECONDS", "soon")
    assert main(["--older-than", "10m"]) == 3
    errors = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in errors] == ["Error", "Error"]
    assert "LEASE_SECONDS" in errors[1]


def test_audio_of_old_recordings_is_removed_and_named(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    then = database.server_time() - timedelta(days=31)
    recording_id = add_recording(database, ingested_at=then)
    add_chunks(database, 2, recording_id=recording_id, audio=b"opus", transcribed_at=then)
    assert main(["--keep-audio", "30d", "--dry-run"]) == 0
    assert "Would remove the audio of 1 recording(s), 2 chunks" in capsys.readouterr().out
    assert main(["--keep-audio", "30d"]) == 0
    assert f"{recording_id}.wav: 2 chunks" in capsys.readouterr().out
    assert database.audio.count_documents({}) == 0


def test_objects_without_a_recording_are_looked_for_in_stores_that_were_used(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--orphans"]) == 0
    assert capsys.readouterr().out == "Removed 0 object(s) without a recording, 0.0 MB\n"


def test_nothing_to_do_is_a_usage_error() -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--dry-run"])
