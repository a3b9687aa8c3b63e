"""Full disks, wrong clocks, a database that is away, many starts at once, huge metadata.

Nothing is lost, and one line says why.
"""

import contextlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import bson
import pytest

from stt.errors import DatabaseUnavailable, SttError
from stt.local.database import is_installed
from stt.local.stack import open_database
from stt.settings import Settings
from stt.store.database import Database
from stt.store.ingest import ingest
from stt.store.ingest_options import IngestOptions
from stt.transcripts.files import save
from tests.support.mongo_process import missing, running_mongo
from tests.support.pace import scaled, until
from tests.support.paths import ROOT
from tests.support.queue_builder import add_chunks, add_recording
from tests.support.recordings import babble, write_recording, write_wav
from tests.support.scripted_server import Answer, ScriptedServer, always, heard
from tests.support.speech import opus_tone

pytestmark = pytest.mark.faults

BIG = 17_000_000
SECRETS = ("pa55-Sesame", "k3y-Sesame")
_DONE = {"transcribed_at": {"$ne": None}}


@dataclass
class Stt:
    """Starts `stt` in a folder of its own, with nothing of the tester's environment."""

    folder: Path
    environment: dict[str, str]
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(
        self, *arguments: object, module: Sequence[str] = ("stt",), **environment: str
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", *module, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def __call__(self, *arguments: object, **environment: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=180)
        return process.returncode, out, err

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()


@pytest.fixture
def stt(tmp_path: Path, mongo_url: str, database: Database) -> Iterator[Stt]:
    environment = {
        "SETTLE_SECONDS": "0",
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "STT_KEEP_ALIVE_SECONDS": "0",
        "PYTHONPATH": str(ROOT),
        "MONGO_URL": mongo_url,
        "DATABASE_NAME": database.chunks.database.name,
        "NODE_REQUIRED_EMPTY_CHECKS": "1",
        "SEQUENCE_SECONDS": "0",
    }
    stt = Stt(tmp_path, environment)
    yield stt
    stt.close()


class Disk:
    """A small disk of its own, which can be filled and emptied."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, leave_bytes: int) -> None:
        # The database may take the last bytes in between: full is full.
        with contextlib.suppress(OSError), self._ballast.open("ab") as ballast:
            while (rest := shutil.disk_usage(self.folder).free - leave_bytes) > 0:
                ballast.write(b"\1" * min(rest, 1_000_000))
                ballast.flush()

    def make_room(self) -> None:
        self._ballast.unlink(missing_ok=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Mount a small tmpfs, or use a container's own where mounting is not allowed."""
    if not is_installed():
        missing("the embedded database: pip install 'stt-fleet[embedded]'")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if shutil.which("mount") and subprocess.run(mount, capture_output=True).returncode == 0:
        try:
            yield Disk(folder)
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
        return
    shm = Path("/dev/shm")  # 64 MB in a container, unless somebody said otherwise
    if not shm.is_dir() or shutil.disk_usage(shm).total > 256_000_000:
        if os.geteuid() == 0:
            missing("a small disk: may not mount one")
        pytest.skip("only root can mount a small disk")
    folder = shm / f"stt-test-{os.getpid()}"
    folder.mkdir()
    try:
        yield Disk(folder)
    finally:
        shutil.rmtree(folder)


class TestFullDisk:
    def test_an_ingest_says_so_and_goes_on_from_there_once_there_is_room(
        self, disk: Disk, tmp_path: Path
    ) -> None:
        settings = Settings(_env_file=None, data_dir=disk.folder / "data")  # type: ignore[call-arg]
        talks = [write_wav(tmp_path / "0.wav", babble(60, 0))]
        with open_database(settings) as keeper:
            # The journal has ten million bytes in hand, which hold everything twice.
            others = keeper.audio.database["others"]
            others.insert_many([{"data": os.urandom(300_000)} for _ in range(12)])
            disk.fill(leave_bytes=0)

            def ingest_on() -> None:
                with open_database(settings) as database:
                    while len(talks) < 50:
                        ingest(database, talks[-1], IngestOptions(chunk_seconds=5))
                        number = len(talks)
                        talks.append(write_wav(tmp_path / f"{number}.wav", babble(60, number)))

            with pytest.raises(DatabaseUnavailable, match="disk is full") as full:
                ingest_on()
            assert str(disk.folder) in str(full.value)
            assert "\n" not in str(full.value)
            disk.make_room()
            # The server that ran is beyond repair: the next to come starts it anew.
            with open_database(settings) as database:
                again = [ingest(database, talk, IngestOptions(chunk_seconds=5)) for talk in talks]
                assert {talk.status for talk in again[:-1]} <= {"already there"}
                assert again[-1].status in {"resumed", "ingested"}
                assert all(talk.recording.duration == pytest.approx(60) for talk in again)
                ids = set(database.chunks.distinct("_id"))
                assert ids == set(database.audio.distinct("_id"))
                assert len(ids) == sum(talk.chunks for talk in again)
        assert not _has_server(disk.folder)

    def test_a_worker_says_so_and_keeps_what_was_acknowledged(
        self, disk: Disk, stt: Stt, capfd: pytest.CaptureFixture[str]
    ) -> None:
        del stt.environment["MONGO_URL"]
        settings = Settings(_env_file=None, data_dir=disk.folder / "data")  # type: ignore[call-arg]
        names = {"database_name": stt.environment["DATABASE_NAME"]}
        settings = settings.model_copy(update=names)
        with open_database(settings) as database:
            add_chunks(database, 60, audio=opus_tone(0.3))
            disk.fill(leave_bytes=2_000_000)
            with ScriptedServer(always("word " * 60_000)).running() as server:
                options = ("--lease-seconds", "2", "--data-dir", settings.data_dir, "--verbose")
                code, out, err = stt("--server", server.url, *options)
            assert code == 4, out + err
            assert "Error: The disk is full" in err
            assert "Traceback" not in out + err
        log = settings.data_dir / "database.log"
        written_by_then = log.read_text()
        disk.make_room()
        with open_database(settings) as database:
            fields = ["attempts", "failed_at", "processing_by", "claim_id", "transcribed_at"]
            documents = list(database.chunks.find({}, fields))
            kept = sum(document.get("transcribed_at") is not None for document in documents)
            shown = f"'transcribed': {kept},"
            is_right = (
                0 < kept < 60
                and not any(document["attempts"] for document in documents)
                and not any(document.get("failed_at") for document in documents)
                and (shown in out or "Stats" not in out)
            )
            counted = set(re.findall(r"chunk (\w{24}): transcribed", out))
            stored = {str(d["_id"]) for d in documents if d.get("transcribed_at") is not None}
            assert is_right, "\n".join(
                [
                    f"{kept} kept; counted and not kept: {counted - stored};"
                    f" kept and not counted: {stored - counted}",
                    *("worker:", out, err, "documents:", *map(str, documents)),
                    *("database, until there was room:", written_by_then),
                    *("database, since then:", log.read_text()[len(written_by_then) :]),
                ]
            )

    def test_an_export_leaves_no_half_file(self, tmp_path: Path) -> None:
        target = tmp_path / "talk.txt"
        target.write_text("before")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            with pytest.raises(SttError, match=r"Cannot write .*talk\.txt"):
                save(("word " * 1_000 for _ in range(100)), target)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert [path.name for path in tmp_path.iterdir()] == ["talk.txt"]
        assert target.read_text() == "before"

    def test_a_full_stdout_is_one_line(self, stt: Stt, database: Database) -> None:
        done: dict[str, Any] = {"transcribed_at": database.server_time(), "transcript": heard("hi")}
        add_chunks(database, 1, recording_id=add_recording(database, filename="a.mp3"), **done)
        for arguments in ("status --json", "export a.mp3"):
            process = subprocess.run(
                ["bash", "-c", f"{sys.executable} -m stt {arguments} > /dev/full"],
                cwd=stt.folder, env=stt.environment, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert process.returncode == 1
            expected = "Error: The output cannot be written: No space left on device\n"
            assert process.stderr == expected


def _has_server(folder: Path) -> bool:
    """Return whether a process of the embedded database still uses this folder."""
    command = ["pgrep", "-f", f"secantus.*{folder}"]
    return subprocess.run(command, capture_output=True).returncode == 0


class TestBigMetadata:
    @pytest.fixture
    def recordings(self, tmp_path: Path) -> Path:
        """Seconds of audio under 17 MB of pictures, lyrics and comments."""
        folder = tmp_path / "big"
        folder.mkdir()
        mp3 = write_recording(folder / "plain.mp3").read_bytes()
        audio = mp3[10 + _from_synchsafe(mp3[6:10]) :] if mp3.startswith(b"ID3") else mp3
        frames = _id3_frame(b"APIC", b"\0image/jpeg\0\3\0" + os.urandom(BIG))
        frames += _id3_frame(b"USLT", b"\3eng\0" + b"la " * (BIG // 3))
        tagged = b"ID3\4\0\0" + _to_synchsafe(len(frames)) + frames + audio
        (folder / "plain.mp3").write_bytes(tagged)
        write_recording(folder / "udta.m4a", tags={"comment": "x" * BIG})
        write_recording(folder / "comment.ogg", tags={"comment": "y" * BIG})
        flac = write_recording(folder / "picture.flac").read_bytes()
        # The largest that a block of FLAC can be is 2^24 - 1 bytes: two of them.
        picture = (3).to_bytes(4, "big") + (10).to_bytes(4, "big") + b"image/jpeg" + bytes(20)
        picture += (8_600_000).to_bytes(4, "big") + os.urandom(8_600_000)
        block = b"\6" + len(picture).to_bytes(3, "big") + picture
        (folder / "picture.flac").write_bytes(flac[:42] + 2 * block + flac[42:])
        assert min(path.stat().st_size for path in folder.iterdir()) > BIG
        return folder

    def test_only_what_is_needed_of_it_is_stored(
        self, recordings: Path, stt: Stt, database: Database
    ) -> None:
        code, out, err = stt("ingest", recordings)
        assert (code, err) == (0, ""), out
        stored = list(database.recordings.find())
        assert len(stored) == 4
        assert all(recording["duration"] == pytest.approx(3, abs=0.1) for recording in stored)
        documents = [*stored, *database.chunks.find()]
        assert max(len(bson.encode(document)) for document in documents) < 2_000

    def test_a_prompt_or_a_language_as_long_is_a_line_about_it(self, stt: Stt) -> None:
        for option in ("--prompt", "--language"):
            code, _, err = stt("ingest", "talk.mp3", option, "p" * 100_000)
            assert code == 2
            assert len(err) < 400
            assert option[2:] in err.splitlines()[-1]

    def test_huge_chunks_of_other_programs_cost_those_nothing_who_only_look(
        self, stt: Stt, database: Database
    ) -> None:
        recording_id = add_recording(database, filename="huge.mp3")
        add_chunks(database, 3, recording_id=recording_id, data=os.urandom(15_500_000))
        largest = stt.folder / "largest"
        measured = ("tests.support.reply_sizes", str(largest))
        out, err = stt.start("status", "--json", module=measured).communicate(timeout=180)
        assert err == ""
        assert json.loads(out)["counts"]["pending"] == 3
        assert 0 < int(largest.read_text()) < 100_000
        out, err = stt.start("export", "huge.mp3", module=measured).communicate(timeout=180)
        assert out.startswith("[Partial transcript: 3 of 3 chunks are missing (0-2)]\n")
        assert 0 < int(largest.read_text()) < 100_000


def _id3_frame(name: bytes, body: bytes) -> bytes:
    return name + _to_synchsafe(len(body)) + b"\0\0" + body


def _to_synchsafe(number: int) -> bytes:
    return bytes((number >> shift) & 0x7F for shift in (21, 14, 7, 0))


def _from_synchsafe(data: bytes) -> int:
    return sum(byte << shift for byte, shift in zip(data, (21, 14, 7, 0), strict=True))


class TestWrongClock:
    def test_a_clock_that_jumps_frees_no_claim_and_reaches_no_document(
        self, stt: Stt, database: Database
    ) -> None:
        clock = stt.folder / "clock"
        skewed = _faketime(clock)
        add_chunks(database, 6, audio=opus_tone(0.3))
        before = database.server_time()
        lease_seconds = round(scaled(2))
        is_checked = threading.Event()

        def script(number: int, upload: bytes) -> Answer:
            is_checked.wait(180)
            return Answer(body=heard("hello"))

        with ScriptedServer(script).running() as server:
            flags = ("--server", server.url, "--lease-seconds", f"{lease_seconds}")
            right = stt.start(*flags, "--workers", "2")
            until(lambda: server.calls)
            wrong = stt.start(
                *flags, "--workers", "2", module=("tools.chaos_lab.wrong_clock", "stt"), **skewed
            )
            until(lambda: len(server.calls) == 4)
            until(lambda: time.monotonic() - server.calls[0] > lease_seconds)
            for hours in (-1, 24, 1):
                _set_clock(clock, hours)
                tool = ("tools.chaos_lab.wrong_clock", "tools.cleanup")
                cleanup = stt.start("--older-than", f"{lease_seconds}s", module=tool, **skewed)
                out, err = cleanup.communicate(timeout=180)
                assert (cleanup.returncode, out) == (0, "Freed 0 chunks\n"), err
            is_checked.set()
            outputs = [process.communicate(timeout=180) for process in (right, wrong)]
        after = database.server_time()
        assert [right.returncode, wrong.returncode] == [0, 0], outputs
        assert len(server.calls) == 6
        documents = list(database.chunks.find())
        assert {d["expirations"] for d in documents} == {0}
        assert len({d["transcript"]["worker"] for d in documents}) == 2
        assert all(before <= d["transcribed_at"] <= after for d in documents)
        assert all(before <= w["seen_at"] <= after for w in database.workers.find())


def _faketime(clock: Path) -> dict[str, str]:
    """Return the environment that sets a program's clock from a file, an hour ahead at first."""
    _set_clock(clock, hours=1)
    if shutil.which("faketime") is None:
        missing("the faketime program")
    asked = subprocess.run(
        ["faketime", "-m", "-f", "+0", "printenv", "LD_PRELOAD"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {
        "LD_PRELOAD": asked.stdout.strip(),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def _set_clock(clock: Path, hours: int) -> None:
    written = clock.with_suffix(".new")
    written.write_text(f"{hours * 3600:+d}\n")
    written.replace(clock)


class TestOverlappingRuns:
    def test_runs_that_overlap_and_are_killed_do_each_chunk_once(
        self, stt: Stt, database: Database
    ) -> None:
        add_chunks(database, 60, audio=opus_tone(0.3))
        lease_seconds = scaled(5)  # no run loses a claim by being slow
        lease = {"LEASE_SECONDS": f"{lease_seconds}"}
        slow = Answer(body=heard("hello"), delay_seconds=0.1)
        with ScriptedServer(lambda number, upload: slow).running() as server:
            run = ("--limit", "12", "--workers", "2", "--server", server.url)
            runs = [stt.start(*run, **lease) for _ in range(4)]
            at_work = {"processing_by": {"$regex": f"_{runs[1].pid}$"}}
            until(lambda: database.chunks.count_documents(_DONE) > 10)
            until(lambda: database.chunks.count_documents(at_work) > 0)  # it heeds signals now
            runs[0].kill()
            runs[1].send_signal(signal.SIGTERM)
            runs += [stt.start(*run, **lease) for _ in range(2)]
            codes = [process.wait(timeout=180) for process in runs]
            held = database.chunks.count_documents({"processing_by": {"$ne": None}})
            until(lambda: _stale(database, lease_seconds) == held)
            last = [stt.start(*run, **lease) for _ in range(3)]
            codes += [process.wait(timeout=180) for process in last]
        assert codes == [-9, 130, 0, 0, 0, 0, 0, 0, 0]
        documents = list(database.chunks.find())
        assert sum(d["transcribed_at"] is not None for d in documents) == 60
        assert {d["attempts"] for d in documents} == {0}
        by_worker = Counter(d["transcript"]["worker"] for d in documents)
        assert max(by_worker.values()) <= 12
        expired = sum(d["expirations"] for d in documents)
        assert held <= expired
        assert 60 <= len(server.calls) <= 60 + expired

    def test_many_that_start_on_one_embedded_database_at_once_share_it(
        self, stt: Stt, tmp_path: Path
    ) -> None:
        if not is_installed():
            missing("the embedded database: pip install 'stt-fleet[embedded]'")
        del stt.environment["MONGO_URL"]
        data = tmp_path / "data"
        same = write_wav(tmp_path / "same.wav", babble(5, seed=1))
        other = write_wav(tmp_path / "other.wav", babble(5, seed=2))
        with ScriptedServer(always()).running() as server:
            transcribe = ("transcribe", same, "--server", server.url, "--data-dir", data)
            runs = [stt.start(*transcribe) for _ in range(2)]
            runs += [stt.start("ingest", other, "--data-dir", data) for _ in range(2)]
            ended = [process.communicate(timeout=180) for process in runs]
        assert [process.returncode for process in runs] == [0] * 4, ended
        assert ended[0][0] == ended[1][0] == "hello\n"
        code, out, _ = stt("status", "--json", "--data-dir", data)
        found = json.loads(out)
        assert code == 0
        assert sorted(s["filename"] for s in found["sources"]) == ["other.wav", "same.wav"]
        assert found["counts"] == {"pending": 1, "processing": 0, "transcribed": 1, "failed": 0}
        assert len(server.calls) == 1
        assert not _has_server(data)


def _stale(database: Database, lease_seconds: float) -> int:
    oldest = database.server_time() - timedelta(seconds=lease_seconds)
    return database.chunks.count_documents(
        {"processing_by": {"$ne": None}, "claimed_at": {"$lt": oldest}}
    )


COMMANDS: dict[str, list[str]] = {
    "work": ["--server-unreachable-minutes", "0.01"],
    "status": ["status"],
    "workers": ["workers", "--json"],
    "ingest": ["ingest", "talk.wav"],
    "transcribe": ["transcribe", "talk.wav", "--server", "http://127.0.0.1:1"],
    "export": ["export", "--all", "--output", "out/"],
    "retry": ["retry"],
    "release": ["release", "6903ce2e3006e94c81d59b3f"],
}


class TestDatabaseAway:
    def test_every_command_says_so_in_one_line_without_a_secret(self, stt: Stt) -> None:
        write_wav(stt.folder / "talk.wav", babble(2))
        user = f"ann:{SECRETS[0]}"
        away = f"mongodb://{user}@127.0.0.1:1/?serverSelectionTimeoutMS=800"
        environment = {"MONGO_URL": away, "STT_API_KEY": SECRETS[1], "STT_LOG_FORMAT": "json"}
        runs = {name: stt.start(*arguments, **environment) for name, arguments in COMMANDS.items()}
        runs["cleanup"] = stt.start("--older-than", "10m", module=("tools.cleanup",), **environment)
        for name, process in runs.items():
            out, err = process.communicate(timeout=180)
            assert process.returncode == 4, (name, out, err)
            assert err.startswith("Error: The database does not answer (MONGO_URL): 127.0.0.1:1")
            assert len(err.splitlines()) == 1
            assert not any(secret in out + err for secret in SECRETS)

    def test_a_wrong_password_is_a_wrong_setting_and_is_not_shown(
        self, stt: Stt, mongo_url: str
    ) -> None:
        refused = mongo_url.replace("mongodb://", f"mongodb://ann:{SECRETS[0]}@")
        code, out, err = stt("--log-format", "json", MONGO_URL=refused, STT_API_KEY=SECRETS[1])
        assert code == 3
        assert err == (
            "Error: The database refuses this user: check the name and the password in MONGO_URL.\n"
        )
        assert not any(secret in out for secret in SECRETS)

    def test_an_ingest_that_it_broke_off_is_taken_up_when_it_is_back(self, stt: Stt) -> None:
        long = write_wav(stt.folder / "long.wav", babble(120))
        with running_mongo() as mongo:
            quickly = f"{mongo.url}&serverSelectionTimeoutMS=1000"
            chunks = ("ingest", long, "--chunk-seconds", "2")
            process = stt.start(*chunks, MONGO_URL=quickly)
            with Database(mongo.url, stt.environment["DATABASE_NAME"]) as database:
                until(lambda: database.chunks.find_one({"index": 4}))
                mongo.kill()
                _, err = process.communicate(timeout=180)
                assert (process.returncode, len(err.splitlines())) == (4, 1), err
                mongo.start()
                code, out, err = stt(*chunks, MONGO_URL=quickly)
                assert code == 0, err
                assert "resumed" in out
                indexes = sorted(c["index"] for c in database.chunks.find({}, ["index"]))
                assert indexes == list(range(len(indexes)))
                assert database.audio.count_documents({}) == len(indexes)
                [recording] = database.recordings.find()
                assert recording["chunk_count"] == len(indexes)
                assert recording["duration"] == pytest.approx(120)


def test_a_key_is_never_shown_nor_stored(stt: Stt, database: Database) -> None:
    """Not even by a server that repeats what it was sent."""
    add_chunks(database, 3, audio=opus_tone(0.3))
    echo = Answer(400, {"error": {"message": f"bad: Authorization: Bearer {SECRETS[1]}"}})
    with ScriptedServer(lambda number, upload: echo).running() as server:
        code, out, err = stt(
            "--server", server.url, "--max-attempts", "1", "--log-format", "json",
            STT_API_KEY=SECRETS[1],
        )  # fmt: skip
    assert code == 1, err
    assert len(server.calls) >= 3
    _, status, _ = stt("status", STT_API_KEY=SECRETS[1])
    _, workers, _ = stt("workers", "--json", STT_API_KEY=SECRETS[1])
    stored = [*database.chunks.find(), *database.workers.find()]
    assert SECRETS[1] not in out + err + status + workers + repr(stored)


def test_odd_documents_stop_nobody_who_looks_and_move_no_cursor(
    stt: Stt, database: Database
) -> None:
    odd = "x\x1b[31mX\x1b]0;title\x07\x9b2J\u202e\r\n"
    now = database.server_time()
    error = {"at": now, "worker": odd, "kind": odd, "message": odd}
    recording_id = add_recording(database, filename=f"{odd}.mp3")
    add_chunks(database, 1, recording_id=recording_id, failed_at=now, attempts=3, errors=[error])
    database.chunks.insert_many(
        [{"original_id": {"a": [1]}, "index": odd}, {"original_id": odd, "index": 0}]
    )
    counts = {"transcribed": odd, "empty": None}
    worker = {"_id": odd, "seen_at": now, "state": odd, "server": odd, "counts": counts}
    database.workers.insert_one(worker)
    commands = ("status", "status --json", "workers", "workers --json", f"export {recording_id}")
    processes = [stt.start(*command.split()) for command in (*commands, "export gone")]
    ended = [process.communicate(timeout=180) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(commands) + [1], ended
    for out, err in ended:
        raw = {c for c in out + err if not c.isprintable()}
        assert raw <= {"\n"}
    assert json.loads(ended[1][0])["counts"]["pending"] == 2
    assert json.loads(ended[3][0])[0]["counts"] == {"transcribed": 0, "empty": 0}
