"""`stt transcribe` as a person runs it: a process, with nothing configured but a folder."""

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stt.domain.claim import ClaimRules
from stt.domain.transcript import Segment, Transcript
from stt.local.database import is_installed
from stt.local.stack import open_database
from stt.settings import Settings
from stt.store.claims import MongoClaims
from stt.store.database import Database
from stt.store.ingest import ingest
from stt.store.ingest_options import IngestOptions
from tests.support.models import sample_model
from tests.support.mongo_process import missing
from tests.support.pace import scaled, until
from tests.support.queue_builder import add_chunks, chunk
from tests.support.recordings import babble, write_wav
from tests.support.scripted_server import Answer, ScriptedServer, always, heard, refusal
from tests.support.speech import BIRTHDAY, MILK, words

SECONDS = 120
_SETTINGS = re.compile(
    "STT_|MONGO_|DATABASE_|MAX_|CHUNK_|LEASE_|SEQUENCE_|USE_|WHISPER_|MODEL|API_KEY|HOST|PORT"
)


@pytest.fixture(autouse=True)
def _installed() -> None:
    if not is_installed():
        missing("the embedded database: pip install 'stt-fleet[embedded]'")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path / "data")  # type: ignore[call-arg]


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    return MILK.write(tmp_path / "talk.wav")


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(always("good morning")).running() as server:
        yield server


def started(settings: Settings, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not _SETTINGS.match(name)}
    kept["STT_KEEP_ALIVE_SECONDS"] = "0"
    return subprocess.Popen(
        [sys.executable, "-m", "stt", "transcribe", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=settings.data_dir.parent,
        env=kept | {"STT_DATA_DIR": str(settings.data_dir)} | environment,
    )


def transcribe(
    settings: Settings, *arguments: object, **environment: str
) -> subprocess.CompletedProcess[str]:
    with started(settings, *arguments, **environment) as process:
        out, err = process.communicate(timeout=SECONDS)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def is_down(settings: Settings) -> bool:
    """True if no embedded database server of this folder is alive."""
    lock_path = settings.data_dir / "database.server"
    with lock_path.open("ab") as lock, contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def test_with_nothing_configured_it_brings_everything_up_and_takes_it_down(
    settings: Settings, talk: Path
) -> None:
    first = transcribe(settings, talk, "--model", sample_model())
    assert first.returncode == 0, first.stderr
    assert words(first.stdout) == words(MILK.text)
    assert "Starting a whisper server" in first.stderr
    assert is_down(settings)

    again = transcribe(settings, talk, "--format", "json")
    assert again.returncode == 0, again.stderr
    assert "Starting a whisper server" not in again.stderr
    assert json.loads(again.stdout)["full_text"] == first.stdout.strip()


def test_another_model_or_task_transcribes_again_and_a_failed_try_keeps_the_text(
    settings: Settings, talk: Path
) -> None:
    said = iter(("good morning", "good evening"))

    def answer(_number: int, _upload: bytes) -> Answer:
        text = next(said, None)
        return Answer(body=heard(text)) if text else refusal(400, "no such sound")

    with ScriptedServer(answer).running() as server:
        served = ("--server", server.url)
        assert transcribe(settings, talk, *served).stdout == "good morning\n"
        kept = transcribe(settings, talk, *served)
        assert kept.stdout == "good morning\n"
        assert f"{talk} is stored" in kept.stderr
        again = transcribe(settings, talk, *served, "--model", "evening")
        assert again.stdout == "good evening\n", again.stderr
        assert "transcribing 1 chunk again" in again.stderr
        calls = len(server.calls)
        assert transcribe(settings, talk, *served, "--model", "evening").returncode == 0
        assert len(server.calls) == calls
        failed = transcribe(settings, talk, *served, "--prompt", "broken", MAX_ATTEMPTS="1")
    assert failed.returncode == 1
    assert failed.stdout.endswith("good evening\n")
    assert "1 of 1 chunks have their earlier text" in failed.stderr


def test_the_database_and_server_of_the_environment_are_used_and_nothing_is_started(
    settings: Settings, talk: Path, server: ScriptedServer, mongo_url: str, database: Database
) -> None:
    ended = transcribe(
        settings,
        talk,
        MONGO_URL=mongo_url,
        DATABASE_NAME=database.chunks.database.name,
        STT_SERVER_URL=server.url,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "good morning\n"
    assert "Starting" not in ended.stderr
    assert not settings.data_dir.exists()
    assert len(server.calls) == 1
    [chunk] = database.chunks.find()
    assert chunk["transcript"]["server"] == server.url
    assert chunk["transcribed_at"] is not None


def test_the_channels_of_a_call_are_transcribed_one_by_one(
    settings: Settings, tmp_path: Path, server: ScriptedServer
) -> None:
    call = write_wav(tmp_path / "call.wav", babble(3), babble(3, seed=1))
    ended = transcribe(settings, call, "--channels", "split", "--server", server.url)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "[Channel 1] good morning\n[Channel 2] good morning\n"
    assert len(server.calls) == 2


def test_a_cut_for_other_channels_that_was_interrupted_is_ended_by_the_plain_command(
    settings: Settings, tmp_path: Path, server: ScriptedServer
) -> None:
    def interrupt(_done: float, _total: float | None) -> None:
        raise KeyboardInterrupt

    call = write_wav(tmp_path / "call.wav", babble(3), babble(3, seed=1))
    assert transcribe(settings, call, "--server", server.url).stdout == "good morning\n"
    split = IngestOptions(channels="split")
    with open_database(settings) as database, pytest.raises(KeyboardInterrupt):
        ingest(database, call, split, interrupt, cut_anew={"channels"})
    ended = transcribe(settings, call, "--server", server.url)
    assert ended.stdout == "[Channel 1] good morning\n[Channel 2] good morning\n", ended.stderr
    with open_database(settings) as database:
        assert database.recordings.count_documents({}) == 1


@contextlib.contextmanager
def growing(path: Path) -> Iterator[None]:
    """Let a recording be written to inside the block."""
    over = threading.Event()

    def touch() -> None:
        while not over.wait(0.1):
            os.utime(path)

    writer = threading.Thread(target=touch)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join()


def test_the_first_recording_is_transcribed_while_another_is_still_read(
    settings: Settings, talk: Path, server: ScriptedServer
) -> None:
    other = BIRTHDAY.write(talk.parent / "other.wav")
    (talk.parent / "notes.wav").write_text("not audio")
    files = (talk, other, talk.parent / "notes.wav")
    os.utime(talk, (1e9, 1e9))
    with growing(other):
        process = started(settings, *files, "--server", server.url, SETTLE_SECONDS="1")
        until(lambda: bool(server.calls))
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 1, err
    assert out.count("good morning") == 2
    assert "2 recordings" in err.splitlines()[-1]
    assert "1 failed" in err.splitlines()[-1]
    assert len(server.calls) == 2


def test_an_interruption_while_files_are_read_finishes_what_is_in_flight(
    settings: Settings, talk: Path
) -> None:
    def slow(_number: int, _upload: bytes) -> Answer:
        return Answer(body=heard("late"), delay_seconds=2)

    other = BIRTHDAY.write(talk.parent / "other.wav")
    os.utime(talk, (1e9, 1e9))
    with ScriptedServer(slow).running() as server, growing(other):
        process = started(settings, talk, other, "--server", server.url, SETTLE_SECONDS="1")
        until(lambda: bool(server.calls))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, err
    assert "Interrupted: the same command continues" in err
    assert is_down(settings)
    with open_database(settings) as database:
        assert database.chunks.count_documents({}) == 1
        assert database.chunks.count_documents({"transcribed_at": None}) == 0


def test_an_interruption_when_all_is_done_writes_the_transcripts(
    settings: Settings, talk: Path
) -> None:
    def slow(_number: int, _upload: bytes) -> Answer:
        return Answer(body=heard("late"), delay_seconds=2)

    with ScriptedServer(slow).running() as server:
        process = started(settings, talk, "--server", server.url)
        until(lambda: bool(server.calls))
        process.send_signal(signal.SIGINT)  # the last call in flight is finished
        out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (0, "late\n"), err


def test_a_bad_file_gets_its_line_and_the_others_go_on(
    settings: Settings, talk: Path, server: ScriptedServer
) -> None:
    (talk.parent / "notes.wav").write_text("not audio")
    ended = transcribe(
        settings, talk.parent / "notes.wav", talk, talk.parent / "none.mp3", "--server", server.url
    )
    assert ended.returncode == 1
    assert ended.stdout == "good morning\n"
    errors = [line for line in ended.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 2
    assert "none.mp3" in errors[0]  # known before anything is read
    assert "notes.wav" in errors[1]


def test_several_recordings_become_files_of_a_folder(
    settings: Settings, talk: Path, server: ScriptedServer
) -> None:
    other = BIRTHDAY.write(talk.parent / "other.wav")
    refused = transcribe(settings, talk, other, "--format", "srt", "--server", server.url)
    assert refused.returncode == 2
    assert "--output DIR" in refused.stderr
    ended = transcribe(
        settings, talk, other, "--format", "srt", "--output", "subs", "--server", server.url
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == ""
    folder = settings.data_dir.parent / "subs"
    assert sorted(path.name for path in folder.iterdir()) == ["other.srt", "talk.srt"]
    assert "00:00:00,000 --> 00:00:01,000\ngood morning" in (folder / "talk.srt").read_text()


def test_it_works_off_its_own_recordings_and_leaves_the_rest_of_the_queue(
    settings: Settings, talk: Path, server: ScriptedServer
) -> None:
    with open_database(settings) as database:
        database.ensure_indexes()
        add_chunks(database, 500, priority=9)
        ended = transcribe(settings, talk, "--server", server.url)
        assert ended.stdout == "good morning\n"
        assert database.chunks.count_documents({"transcribed_at": None}) == 500
    assert len(server.calls) == 1


def test_it_waits_for_a_chunk_that_another_worker_holds(
    settings: Settings, talk: Path, server: ScriptedServer
) -> None:
    with open_database(settings) as database:
        database.ensure_indexes()
        _ingest_only(settings, talk)
        finish = _claimed_by("neighbour_1", database)
        with started(settings, talk, "--server", server.url) as process:
            stderr = process.stderr
            assert stderr is not None
            until(lambda: "Waiting for 1 chunk that" in stderr.readline())
            finish()
            out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err
    assert out == "from next door\n"
    assert not server.calls


def test_a_quarantined_chunk_leaves_a_partial_transcript_and_exit_code_1(
    settings: Settings, talk: Path
) -> None:
    with ScriptedServer(lambda _n, _upload: refusal(400, "no such sound")).running() as server:
        ended = transcribe(settings, talk, "--server", server.url, MAX_ATTEMPTS="1")
    assert ended.returncode == 1
    assert "[Partial transcript: 1 of 1 chunks are missing (0)]" in ended.stdout
    assert "Warning: " in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_in_the_middle_leaves_no_claim_and_no_process(
    settings: Settings, talk: Path, number: signal.Signals
) -> None:
    def slow(_number: int, _upload: bytes) -> Answer:
        return Answer(body=heard("late"), delay_seconds=20)

    with (
        ScriptedServer(slow).running() as server,
        started(settings, talk, "--server", server.url) as process,
    ):
        until(lambda: bool(server.calls))
        process.send_signal(number)  # finish what is in flight
        time.sleep(scaled(0.5))
        process.send_signal(number)  # or rather not
        _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Interrupted: the same command continues" in err
    assert is_down(settings)
    with open_database(settings) as database:
        assert database.chunks.count_documents({"processing_by": None}) == 1
        assert database.chunks.count_documents({"transcribed_at": None, "attempts": 0}) == 1


def test_a_kill_in_the_middle_leaves_no_database_process(settings: Settings, talk: Path) -> None:
    def slow(_number: int, _upload: bytes) -> Answer:
        return Answer(body=heard("late"), delay_seconds=20)

    with (
        ScriptedServer(slow).running() as server,
        started(settings, talk, "--server", server.url) as process,
    ):
        until(lambda: bool(server.calls))
        assert not is_down(settings)
        process.kill()
        process.communicate(timeout=120)
        until(lambda: is_down(settings))


def test_an_interruption_while_the_server_starts_leaves_no_process(
    settings: Settings, talk: Path
) -> None:
    with started(settings, talk, "--model", sample_model()) as process:
        assert process.stderr is not None
        assert "Starting a whisper server" in process.stderr.readline()
        child = _children(process.pid)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
    assert process.returncode == 130
    assert is_down(settings)
    assert child
    assert not any(_is_alive(pid) for pid in child)


def _ingest_only(settings: Settings, path: Path) -> None:
    command = [sys.executable, "-m", "stt", "ingest", "--data-dir", str(settings.data_dir)]
    subprocess.run([*command, str(path)], check=True, capture_output=True, cwd=path.parent)


def _claimed_by(worker: str, database: Database) -> Callable[[], None]:
    """Claims the only chunk for another worker; the result ends that claim."""
    found = database.chunks.find_one({})
    assert found is not None
    claims = MongoClaims(database, worker, ClaimRules())
    claim = claims.claim(chunk(database, found["_id"]))
    assert claim is not None
    transcript = Transcript((Segment(0.0, 1.0, "from next door"),))
    return lambda: claims.complete(claim, transcript)


def _children(pid: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], check=True, capture_output=True, text=True
    )
    pairs = [line.split() for line in listed.stdout.splitlines()]
    return [int(child) for child, parent in pairs if int(parent) == pid]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
