"""The commands as real processes against a real database."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from stt.domain.claim import WorkerReport
from stt.media.audio import SAMPLE_RATE, encode_flac
from stt.store.database import Database
from stt.store.workers import MongoRoster
from tests.support.paths import ROOT
from tests.support.queue_builder import add_chunks, add_recording, document
from tests.support.recordings import babble, write_recording, write_video_without_sound, write_wav


@dataclass(frozen=True)
class Stt:
    """Runs `stt` in a folder of its own, with nothing of the tester's environment."""

    folder: Path
    environment: dict[str, str]

    def __call__(
        self, *arguments: str, program: tuple[str, ...] = ("-m", "stt"), **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *program, *arguments],
            cwd=self.folder,
            env=self.environment | environment,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )


@pytest.fixture
def stt(tmp_path: Path, mongo_url: str, database: Database) -> Stt:
    environment = {
        "SETTLE_SECONDS": "0",
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "STT_KEEP_ALIVE_SECONDS": "0",
        "MONGO_URL": mongo_url,
        "DATABASE_NAME": database.chunks.database.name,
    }
    return Stt(tmp_path, environment)


@pytest.fixture
def talk(database: Database) -> ObjectId:
    """`talk.mp3`: two chunks done, the third failed."""
    now = database.server_time()
    recording_id = add_recording(database, filename="talk.mp3", chunk_count=3, duration=90.0)
    said = {"segments": [{"start": 1.0, "end": 2.5, "text": "grüße & co"}]}
    done: dict[str, Any] = {"transcript": said, "transcribed_at": now}
    ids = add_chunks(database, 3, recording_id=recording_id, **done)
    error = {"at": now, "worker": "box_1", "kind": "bad_audio", "message": "not Ogg"}
    failed = {"transcribed_at": None, "transcript": None, "failed_at": now, "errors": [error]}
    database.chunks.update_one({"_id": ids[2]}, {"$set": failed | {"attempts": 3}})
    return recording_id


def the_chunk(database: Database, recording_id: ObjectId, index: int) -> dict[str, Any]:
    found = database.chunks.find_one({"original_id": recording_id, "index": index})
    assert found is not None
    return found


def read_until(wanted: str, reader: int, seconds: float = 30) -> None:
    """Reads what a process prints into a pipe or terminal until `wanted` was in it."""
    deadline = time.monotonic() + seconds
    seen = b""
    while wanted.encode() not in seen:
        assert time.monotonic() < deadline, seen
        if select.select([reader], [], [], 0.1)[0]:
            seen += os.read(reader, 65_536)


class TestStatus:
    def test_it_shows_the_queue_as_text_and_as_json(
        self, stt: Stt, database: Database, talk: ObjectId
    ) -> None:
        report = WorkerReport("box", 1, "0", "http://gpu", "working", 4, (), {"transcribed": 2})
        MongoRoster(database).report("box_1", report)
        text = stt("status")
        assert text.returncode == 0, text.stderr
        assert all(word in text.stdout for word in ("talk.mp3", "66 %", str(talk), "not Ogg"))
        assert not any(line.endswith(" ") for line in text.stdout.splitlines())
        found = json.loads(stt("status", "--json").stdout)
        assert found["counts"] == {"pending": 0, "processing": 0, "transcribed": 2, "failed": 1}
        assert found["failed_chunks"][0]["message"] == "not Ogg"
        assert found["workers"][0]["id"] == "box_1"

    def test_it_never_shows_a_password(self, stt: Stt, mongo_url: str) -> None:
        url = mongo_url.replace("mongodb://", "mongodb://ann:s3cret@")
        done = stt("status", MONGO_URL=f"{url}&serverSelectionTimeoutMS=2000")
        assert "s3cret" not in done.stdout + done.stderr

    @pytest.mark.parametrize("stdout", [os.pipe, os.openpty], ids=["pipe", "terminal"])
    def test_watching_looks_again_until_ctrl_c(
        self, stt: Stt, database: Database, talk: ObjectId, stdout: Callable[[], tuple[int, int]]
    ) -> None:
        reader, writer = stdout()
        process = subprocess.Popen(
            [sys.executable, "-m", "stt", "status", "--watch", "--interval", "0.1"],
            cwd=stt.folder, env=stt.environment | {"TERM": "xterm"}, stdout=writer,
            stderr=subprocess.PIPE, encoding="utf-8",
        )  # fmt: skip
        os.close(writer)
        try:
            read_until("talk.mp3", reader)
            add_recording(database, filename="later.mp3", chunk_count=0)
            read_until("later.mp3", reader)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=120)
        finally:
            os.close(reader)
            process.kill()
            process.communicate()
        assert process.returncode == 130
        assert "Traceback" not in err

    def test_workers_are_listed(self, stt: Stt, database: Database) -> None:
        assert "stt" in stt("workers").stdout
        report = WorkerReport("box", 1, "0", "http://gpu", "working", 4, ("a", "b"), {})
        MongoRoster(database).report("box_1", report)
        [worker] = json.loads(stt("workers", "--json").stdout)
        assert (worker["id"], worker["is_alive"], worker["chunks"]) == ("box_1", True, ["a", "b"])


class TestExport:
    def test_stdout_gets_the_transcript_and_stderr_the_warning(
        self, stt: Stt, talk: ObjectId
    ) -> None:
        done = stt("export", "talk.mp3", "--format", "srt", LC_ALL="C")
        assert done.returncode == 0, done.stderr
        assert "00:00:31,000 --> 00:00:32,500\ngrüße & co\n" in done.stdout
        assert "[not transcribed]" in done.stdout
        assert "Partial transcript: 1 of 3 chunks are missing (2)" in done.stderr
        assert "1 chunk failed" in done.stderr

    def test_the_output_may_be_a_file_that_names_the_format_or_a_folder(
        self, stt: Stt, talk: ObjectId
    ) -> None:
        assert stt("export", str(talk), "-o", "out.json").returncode == 0
        assert json.loads((stt.folder / "out.json").read_text())["partial"] is True
        assert stt("export", "some/where/talk.mp3", "-f", "vtt", "-o", "subs/").returncode == 0
        assert (stt.folder / "subs" / "talk.vtt").read_text().startswith("WEBVTT")

    def test_all_sources_go_into_one_folder_and_none_over_another_or_outside(
        self, stt: Stt, database: Database, talk: ObjectId
    ) -> None:
        add_recording(database, filename="Talk.wav", chunk_count=0)
        add_recording(database, filename="../../escape.wav", chunk_count=0)
        assert stt("export", "--all", "-o", "out/").returncode == 0
        names = sorted(path.name for path in (stt.folder / "out").iterdir())
        assert len(names) == 3
        assert f"talk_{talk}.txt" in names
        assert "escape.txt" in names

    def test_who_wants_all_or_nothing_gets_nothing(self, stt: Stt, talk: ObjectId) -> None:
        done = stt("export", "talk.mp3", "--require-complete", "-o", "talk.txt")
        assert done.returncode == 1
        assert not (stt.folder / "talk.txt").exists()

    def test_a_mistyped_name_gets_a_hint(self, stt: Stt, talk: ObjectId) -> None:
        done = stt("export", "tolk.mp3")
        assert done.returncode == 1
        assert done.stderr == "Error: No recording is called 'tolk.mp3'. Did you mean 'talk.mp3'?\n"

    def test_a_source_that_nobody_described_is_found_by_its_id(
        self, stt: Stt, database: Database
    ) -> None:
        unknown = ObjectId()
        add_chunks(
            database, 1, recording_id=unknown, transcribed_at=database.server_time(),
            transcript={"segments": [{"start": 0.0, "end": 1.0, "text": "hello"}]},
        )  # fmt: skip
        assert stt("export", str(unknown)).stdout == "hello\n"

    def test_a_reader_that_has_seen_enough_is_no_error(
        self, stt: Stt, database: Database, talk: ObjectId
    ) -> None:
        long = {"segments": [{"start": 0.0, "end": 1.0, "text": "word " * 100_000}]}
        database.chunks.update_many({"transcript": {"$ne": None}}, {"$set": {"transcript": long}})
        pipe = f"{sys.executable} -m stt export talk.mp3 | head -c 10"
        done = subprocess.run(
            ["bash", "-c", pipe], cwd=stt.folder, env=stt.environment, capture_output=True,
            encoding="utf-8", timeout=60, check=True,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        assert "BrokenPipe" not in done.stderr


class TestMending:
    def test_retry_gives_failed_chunks_another_chance(
        self, stt: Stt, database: Database, talk: ObjectId
    ) -> None:
        add_chunks(database, 2, failed_at=database.server_time(), attempts=3)
        assert stt("retry", "--source", "talk.mp3").stdout == "1 chunk waiting again\n"
        mended = the_chunk(database, talk, 2)
        assert (mended["failed_at"], mended["attempts"]) == (None, 0)
        assert stt("retry").stdout == "2 chunks waiting again\n"
        done = stt("retry")
        assert (done.returncode, done.stdout) == (0, "No chunk has failed\n")

    def test_retry_of_a_named_chunk_that_has_not_failed_says_so(
        self, stt: Stt, database: Database, talk: ObjectId
    ) -> None:
        failed, fine = (str(the_chunk(database, talk, index)["_id"]) for index in (2, 0))
        done = stt("retry", failed, fine)
        assert done.returncode == 1
        assert done.stdout == "1 of 2 chunks waiting again; the others were not failed\n"
        assert the_chunk(database, talk, 0)["transcribed_at"] is not None

    def test_release_takes_a_chunk_from_its_worker(self, stt: Stt, database: Database) -> None:
        then = database.server_time() - timedelta(seconds=5)
        first, second = add_chunks(database, 2, processing_by="box_1", claimed_at=then)
        done = stt("release", str(first))
        assert (done.returncode, done.stdout) == (0, "1 chunk released\n")
        assert document(database, first)["processing_by"] is None
        assert document(database, second)["processing_by"] == "box_1"


class TestTrouble:
    def test_a_database_that_is_down_costs_seconds_and_one_line(self, stt: Stt) -> None:
        began = time.monotonic()
        done = stt("status", MONGO_URL="mongodb://127.0.0.1:1/")
        assert done.returncode == 4
        assert done.stderr.startswith("Error: The database does not answer")
        assert len(done.stderr.splitlines()) == 1
        assert time.monotonic() - began < 30

    def test_a_wrong_setting_in_dotenv_is_named(self, stt: Stt) -> None:
        (stt.folder / ".env").write_text("LEASE_SECONDS=soon\n")
        done = stt("status")
        assert done.returncode == 3
        assert "LEASE_SECONDS" in done.stderr
        assert len(done.stderr.splitlines()) == 1

    def test_a_bad_recording_does_not_stop_the_others(self, stt: Stt, database: Database) -> None:
        (stt.folder / "bad.wav").write_bytes(b"this is no audio")
        done = stt("ingest", "bad.wav", "absent.wav")
        assert done.returncode == 1
        first, second = done.stderr.splitlines()
        assert "absent.wav" in first  # known before anything is read
        assert "bad.wav" in second
        assert done.stdout == "2 failed\n"
        assert database.recordings.find_one() is None

    def test_of_a_truncated_recording_what_is_there_is_in_with_a_word(
        self, stt: Stt, database: Database
    ) -> None:
        whole = write_wav(stt.folder / "cut.wav", babble(10)).read_bytes()
        (stt.folder / "cut.wav").write_bytes(whole[: len(whole) // 2])
        done = stt("ingest", "cut.wav")
        assert done.returncode == 0, done.stderr
        words = "cut.wav: truncated: it breaks off after 0:00:05.0; about 5.0 s are missing"
        assert words in done.stdout
        [recording] = database.recordings.find()
        assert recording["duration"] == pytest.approx(5, abs=0.01)

    def test_the_audio_track_is_said_and_can_be_chosen(self, stt: Stt, database: Database) -> None:
        film = ROOT / "tests" / "data" / "two-tracks-second-default.mkv"
        missing = stt("ingest", str(film), "--track", "9")
        assert missing.returncode == 1
        assert missing.stderr == f"Error: {film}: no track 9: it has 2 audio tracks\n"
        assert stt("ingest", str(film), "--track", "0").returncode == 2
        assert database.recordings.find_one() is None
        done = stt("ingest", str(film))
        assert done.returncode == 0, done.stderr
        assert f"{film}: audio track 2 of 2 was taken" in done.stdout

    def test_every_kind_of_bad_recording_gets_a_line_and_the_good_one_is_in(
        self, stt: Stt, database: Database, bad_recordings: dict[str, str]
    ) -> None:
        write_recording(stt.folder / "talks" / "good.mp3")
        done = stt("ingest", "talks", "--strict")
        assert done.returncode == 1
        lines = done.stderr.splitlines()
        assert len(lines) == len(bad_recordings)
        for line, (name, reason) in zip(lines, sorted(bad_recordings.items()), strict=True):
            assert line.startswith(f"Error: talks/{name}: {reason}")
        assert f"1 ingested, {len(bad_recordings)} failed" in done.stdout
        [recording] = database.recordings.find()
        assert recording["filename"] == "good.mp3"
        [chunk] = database.chunks.find()
        assert chunk["original_id"] == recording["_id"]
        assert [audio["_id"] for audio in database.audio.find({}, ["_id"])] == [chunk["_id"]]


@pytest.fixture
def bad_recordings(stt: Stt) -> dict[str, str]:
    """A folder `talks` of recordings that must be refused; the reason of each by its name."""
    folder = stt.folder / "talks"
    folder.mkdir()
    (folder / "notes.mp3").write_text("These are the minutes of a meeting.\n" * 50)
    (folder / "empty.wav").touch()
    whole = write_wav(folder / "truncated.wav", babble(10)).read_bytes()
    (folder / "truncated.wav").write_bytes(whole[: len(whole) // 2])
    write_video_without_sound(folder / "video.mp4")
    long = bytearray(encode_flac(babble(1)))
    # The last 36 bits before the checksum of STREAMINFO are the number of samples.
    long[22:26] = (25 * 3600 * SAMPLE_RATE).to_bytes(4, "big")
    (folder / "long.flac").write_bytes(long)
    reasons = {
        "notes.mp3": "not audio",
        "empty.wav": "empty",
        "truncated.wav": "truncated",
        "video.mp4": "no audio track",
        "long.flac": "longer than 24 hours",
    }
    secret = write_wav(folder / "secret.wav", babble(1))
    secret.chmod(0)
    if os.access(secret, os.R_OK):  # root may read everything
        secret.unlink()
    else:
        reasons["secret.wav"] = "cannot be read: permission denied"
    return reasons


def test_the_script_at_the_root_of_a_checkout_is_the_same_program(stt: Stt) -> None:
    by_script = stt("--version", program=(str(ROOT / "stt.py"),))
    assert by_script.returncode == 0, by_script.stderr
    assert by_script.stdout == stt("--version").stdout


def test_cleanup_runs_as_a_script(stt: Stt, database: Database) -> None:
    then = database.server_time() - timedelta(seconds=700)
    add_chunks(database, 1, processing_by="dead_1", claimed_at=then)
    done = stt("--older-than", "10m", program=(str(ROOT / "tools" / "cleanup.py"),))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "Freed 1 chunk"
