"""Audio in S3, from the file to its removal, with real processes, words and an S3 server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stt.store.database import Database
from stt.store.states import PENDING
from tests.support.s3_server import STORE, S3Server
from tests.support.speech import MILK, words, write_wav
from tests.support.whisper_process import WhisperProcess, running_server


@pytest.fixture(scope="module")
def whisper() -> Iterator[WhisperProcess]:
    with running_server() as server:
        yield server


@pytest.mark.words
def test_from_a_file_to_its_text_and_nothing_stays(
    s3: S3Server, database: Database, mongo_url: str, whisper: WhisperProcess, tmp_path: Path
) -> None:
    environment = os.environ | {
        "MONGO_URL": mongo_url,
        "DATABASE_NAME": database.chunks.database.name,
        "STT_SERVER_URL": whisper.url,
        "STT_AUDIO_STORE": STORE,
        "STT_LOG_FORMAT": "text",
        "NODE_REQUIRED_EMPTY_CHECKS": "1",
    }

    def stt(*arguments: str, **others: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "stt", *arguments],
            cwd=tmp_path, env=environment | others, capture_output=True, encoding="utf-8",
            timeout=120, check=False,
        )  # fmt: skip

    write_wav(MILK.samples(), tmp_path / "milk.wav")
    ingested = stt("ingest", "milk.wav")
    assert ingested.returncode == 0, ingested.stderr
    assert len(s3.stored()) == database.chunks.count_documents({}) == 1
    assert database.audio.count_documents({}) == 0

    s3.check_keys()
    refused = stt("--limit", "1")
    s3.take_keys()
    log = refused.stdout + refused.stderr
    assert refused.returncode == 3, log
    assert log.count("check the credentials and their rights") == 1, log
    assert "Traceback" not in log
    uncharged = {**PENDING, "attempts": 0, "expirations": 0, "errors": []}
    assert database.chunks.count_documents(uncharged) == 1

    worked = stt("--limit", "1")
    assert worked.returncode == 0, worked.stderr
    exported = stt("export", "milk.wav", "--format", "txt")
    assert words(exported.stdout) == words(MILK.text)

    removed = stt("remove", "milk.wav", "--yes")
    assert removed.returncode == 0, removed.stderr
    assert s3.stored() == []
    assert database.chunks.count_documents({}) == database.recordings.count_documents({}) == 0
