"""The embedded database and the local whisper server, as real processes that come and go."""

import contextlib
import fcntl
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest

from stt.errors import ConfigError, DatabaseUnavailable
from stt.local.data_folder import DataFolder
from stt.local.stack import open_database
from stt.settings import Settings
from tests.support.mongo_process import free_port
from tests.support.pace import until
from tests.support.queue_builder import add_chunks
from tests.support.scripted_server import Answer, ScriptedServer, heard
from tests.support.speech import opus_tone
from tests.support.worker_process import interrupt

_USER = """
import sys
from pathlib import Path
from stt.local.stack import open_database
from stt.settings import Settings

with open_database(Settings(_env_file=None, data_dir=Path(sys.argv[1]))) as database:
    database.recordings.insert_one({"filename": sys.argv[2], "sha256": sys.argv[2]})
    print("inside", flush=True)
    sys.stdin.read()
"""


def is_serving(settings: Settings) -> bool:
    """True if a database server listens on the port that the data folder names."""
    port = int((settings.data_dir / "database.port").read_text())
    url = f"mongodb://127.0.0.1:{port}/?directConnection=true"
    with pymongo.MongoClient[dict[str, object]](url, serverSelectionTimeoutMS=500) as client:
        try:
            client.admin.command("ping")
        except pymongo.errors.PyMongoError:
            return False
    return True


@contextlib.contextmanager
def user_process(settings: Settings, name: str) -> Iterator[subprocess.Popen[str]]:
    """A command that uses the database until its standard input closes."""
    process = subprocess.Popen(
        [sys.executable, "-c", _USER, str(settings.data_dir), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "inside\n"
        yield process
    finally:
        with process:
            process.kill()


def _url(settings: Settings) -> str:
    folder = DataFolder(settings.data_dir)
    port = folder.port()
    assert port is not None
    url = folder.url(port)
    assert url is not None
    return url


def _server_pid(settings: Settings) -> int:
    with pymongo.MongoClient[dict[str, object]](_url(settings)) as client:
        pid: int = client.admin.command("serverStatus")["pid"]
    return pid


def _kill_server(settings: Settings) -> None:
    os.kill(_server_pid(settings), signal.SIGKILL)


def test_the_database_comes_up_keeps_its_documents_and_goes_down(settings: Settings) -> None:
    with open_database(settings) as database:
        database.recordings.insert_one({"filename": "talk.mp3", "sha256": "1"})
        until(lambda: is_serving(settings))
    assert not is_serving(settings)
    with open_database(settings) as database:
        assert database.recordings.count_documents({"filename": "talk.mp3"}) == 1


def test_two_commands_share_the_server_and_the_last_one_takes_it_down(settings: Settings) -> None:
    with user_process(settings, "first") as first:
        with open_database(settings) as database:
            first.communicate("", timeout=60)
            assert first.returncode == 0
            assert database.recordings.count_documents({"filename": "first"}) == 1
        assert not is_serving(settings)


def test_many_that_start_and_leave_at_once_never_lose_the_server(settings: Settings) -> None:
    failures: list[BaseException] = []

    def use(number: int) -> None:
        try:
            for turn in range(3):
                with open_database(settings) as database:
                    key = f"{number} {turn}"
                    database.recordings.insert_one({"filename": key, "sha256": key})
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert not is_serving(settings)
    with open_database(settings) as database:
        assert database.recordings.count_documents({}) == 12


def test_a_server_whose_only_user_was_killed_ends_by_itself_and_loses_nothing(
    settings: Settings,
) -> None:
    folder = DataFolder(settings.data_dir)
    with user_process(settings, "killed") as user:
        assert folder.server_pid() is not None
        user.kill()
        user.wait()
        until(lambda: folder.server_pid() is None)
    assert "Traceback" not in folder.log.read_text()
    with open_database(settings) as database:
        assert database.recordings.count_documents({"filename": "killed"}) == 1


def test_a_server_stays_while_one_of_its_users_lives(settings: Settings) -> None:
    with user_process(settings, "first") as first, user_process(settings, "second") as second:
        pid = _server_pid(settings)
        first.kill()
        first.wait()
        time.sleep(2.5)  # longer than it takes to find out
        assert _server_pid(settings) == pid
        second.kill()
        second.wait()
        until(lambda: DataFolder(settings.data_dir).server_pid() is None)


def test_commands_that_come_while_it_ends_by_itself_start_another(settings: Settings) -> None:
    for turn in range(4):
        with user_process(settings, f"killed {turn}") as user:
            user.kill()
            user.wait()
        time.sleep(0.9 + turn * 0.1)  # around the moment in which it ends
    with open_database(settings) as database:
        assert database.recordings.count_documents({}) == 4


def test_what_a_killed_server_left_behind_is_started_anew(settings: Settings) -> None:
    with user_process(settings, "before") as user:
        _kill_server(settings)
        user.kill()
        user.wait()
        with open_database(settings) as database:
            assert database.recordings.count_documents({"filename": "before"}) == 1


def test_a_port_that_a_foreign_program_has_taken_over_is_left_alone(
    settings: Settings, mongo_url: str
) -> None:
    settings.data_dir.mkdir()
    foreign = pymongo.uri_parser.parse_uri(mongo_url)["nodelist"][0][1]
    (settings.data_dir / "database.port").write_text(str(foreign))
    with open_database(settings) as database:
        assert database.recordings.count_documents({}) == 0
        assert (settings.data_dir / "database.port").read_text() != str(foreign)
    with pymongo.MongoClient[dict[str, object]](mongo_url) as client:
        client.admin.command("ping")


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(settings: Settings) -> None:
    with open_database(settings):
        with user_process(settings, "interrupted") as user:
            user.send_signal(signal.SIGINT)
            user.wait(timeout=60)
        pid = _server_pid(settings)
        assert os.getsid(pid) == pid


def test_ctrl_c_ends_it_though_the_server_hangs_and_loses_nothing(
    settings: Settings,
) -> None:
    with open_database(settings) as database:
        add_chunks(database, 3, audio=opus_tone(0.5))
    called, answer = threading.Event(), threading.Event()

    def hang(number: int, upload: bytes) -> Answer:
        called.set()
        answer.wait(60)
        return Answer(body=heard("too late"))

    with ScriptedServer(hang).running() as server:
        flags = ["--data-dir", str(settings.data_dir), "--server", server.url]
        worker = subprocess.Popen(
            [sys.executable, "-m", "stt", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=settings.data_dir,
            env={name: value for name, value in os.environ.items() if name != "MONGO_URL"},
        )
        try:
            assert called.wait(60)
            os.kill(_server_pid(settings), signal.SIGSTOP)
            interrupt(worker, times=3)
            output = worker.communicate(timeout=120)[0]
        finally:
            worker.kill()
            worker.communicate()
            answer.set()
    assert worker.returncode == 130
    assert "  Completed processing. Stats: " in output.splitlines()[-1]
    assert not is_serving(settings)
    with open_database(settings) as database:
        assert database.chunks.count_documents({"transcribed_at": None}) == 3


def test_a_data_folder_that_cannot_be_used_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    settings = Settings(_env_file=None, data_dir=tmp_path / "file")  # type: ignore[call-arg]
    with (
        pytest.raises(ConfigError, match=r"cannot be used: .*Set STT_DATA_DIR"),
        open_database(settings),
    ):
        pass


def test_a_server_that_cannot_start_says_why_in_one_line(settings: Settings) -> None:
    storage = settings.data_dir / "database"
    storage.mkdir(parents=True)
    (storage / "WiredTiger.turtle").write_text("not a database")
    (storage / "WiredTiger").write_text("not a database")
    with (
        pytest.raises(DatabaseUnavailable, match="did not start: ") as raised,
        open_database(settings),
    ):
        pass
    assert "\n" not in str(raised.value)
    assert str(settings.data_dir / "database.log") in str(raised.value)


@contextlib.contextmanager
def earlier_server(settings: Settings) -> Iterator[int]:
    """A server of the data folder as an earlier version started it, without a password; its port.

    It holds the lock of the server, and nobody uses it.
    """
    settings.data_dir.mkdir(mode=0o755, exist_ok=True)
    settings.data_dir.chmod(0o755)
    port = free_port()
    (settings.data_dir / "database.port").write_text(str(port))
    with (settings.data_dir / "database.server").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = subprocess.Popen(
            [
                sys.executable, "-P", "-m", "secantus", "--port", str(port),
                "--storage-path", str(settings.data_dir / "database"), "--log-level", "WARNING",
            ],
            cwd=settings.data_dir,
            pass_fds=(lock.fileno(),),
        )  # fmt: skip
    try:
        with pymongo.MongoClient[dict[str, Any]]("127.0.0.1", port, journal=True) as client:
            until(lambda: _is_up(client))
            client.admin.command("createUser", "intruder", pwd="back", roles=["root"])
            client.stt.source_files.insert_one({"filename": "old.mp3", "sha256": "0"})
        yield port
    finally:
        process.kill()
        process.wait()


def _is_up(client: pymongo.MongoClient[dict[str, Any]]) -> bool:
    with contextlib.suppress(pymongo.errors.PyMongoError):
        client.admin.command("ping")
        return True
    return False


def _reads_without_password(port: int, user: str = "", wait_ms: int = 60_000) -> bool:
    url = f"mongodb://{user}127.0.0.1:{port}/?directConnection=true"
    with pymongo.MongoClient[dict[str, Any]](url, serverSelectionTimeoutMS=wait_ms) as client:
        try:
            client.stt.source_files.find_one()
        except pymongo.errors.PyMongoError:
            return False
    return True


def test_a_folder_of_an_earlier_version_gets_a_password_and_keeps_its_documents(
    settings: Settings,
) -> None:
    with earlier_server(settings) as port:
        assert _reads_without_password(port)
    port_file = settings.data_dir / "database.port"
    found: list[int] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            port = int(port_file.read_text() or 0)
            if port and _reads_without_password(port, wait_ms=100):
                found.append(port)

    other = threading.Thread(target=read)
    other.start()
    try:
        with open_database(settings) as database:
            assert database.recordings.count_documents({"filename": "old.mp3"}) == 1
            new = int(port_file.read_text())
            assert not _reads_without_password(new)
            assert not _reads_without_password(new, user="intruder:back@")
    finally:
        over.set()
        other.join()
    assert not found
    assert stat.S_IMODE(settings.data_dir.stat().st_mode) == 0o700


def test_a_server_of_an_earlier_version_that_nobody_uses_is_restarted(settings: Settings) -> None:
    with earlier_server(settings) as port, open_database(settings) as database:
        assert database.recordings.count_documents({"filename": "old.mp3"}) == 1
        assert not _reads_without_password(port, wait_ms=100)  # nobody listens there
        assert not _reads_without_password(int((settings.data_dir / "database.port").read_text()))
    assert not is_serving(settings)


def test_a_server_of_an_earlier_version_that_others_use_is_one_clear_line(
    settings: Settings,
) -> None:
    with (
        earlier_server(settings),
        (settings.data_dir / "database.users").open("ab") as users,
    ):
        fcntl.flock(users, fcntl.LOCK_SH)
        with (
            pytest.raises(
                DatabaseUnavailable, match=r"no password: an earlier.*End the commands"
            ) as raised,
            open_database(settings),
        ):
            pass
        assert "\n" not in str(raised.value)
        until(lambda: is_serving(settings))


@pytest.mark.parametrize("damage", ["lost", "wrong", "broken"])
def test_a_password_that_is_lost_while_others_use_the_server_is_one_clear_line(
    settings: Settings, damage: str
) -> None:
    path = settings.data_dir / "database.password"
    with user_process(settings, "user") as user:
        if damage == "lost":
            path.unlink()
        else:
            path.write_text("a" * 43 if damage == "wrong" else "two words\n")
        with (
            pytest.raises(DatabaseUnavailable, match=r"another password.*End the com") as raised,
            open_database(settings),
        ):
            pass
        assert str(path) in str(raised.value)
        assert "\n" not in str(raised.value)
        user.communicate("", timeout=60)
    assert not is_serving(settings)
    with open_database(settings) as database:
        assert database.recordings.count_documents({"filename": "user"}) == 1


def test_a_server_that_breaks_down_while_it_is_joined_is_restarted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with user_process(settings, "user") as user:
        (settings.data_dir / "database.password").write_text("a" * 43)  # so that no login ends
        found = iter([False, True])
        monkeypatch.setattr("stt.local.database.is_broken", lambda _: next(found, False))
        with open_database(settings) as database:
            assert database.recordings.count_documents({"filename": "user"}) == 1
            user.kill()
            user.wait()
    assert not is_serving(settings)


def test_a_disk_without_room_for_a_password_is_a_full_disk(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: DataFolder) -> None:
        raise ConfigError("No space left on device")

    monkeypatch.setattr(DataFolder, "make_password", refuse)
    monkeypatch.setattr(DataFolder, "is_full", lambda _: True)
    with pytest.raises(DatabaseUnavailable, match="disk is full"), open_database(settings):
        pass


def test_a_server_without_users_whose_password_is_lost_is_restarted(settings: Settings) -> None:
    with user_process(settings, "killed") as user:
        user.kill()
        user.wait()
        (settings.data_dir / "database.password").unlink()
        with open_database(settings) as database:
            assert database.recordings.count_documents({"filename": "killed"}) == 1
        assert not is_serving(settings)


def test_the_next_server_has_another_password(settings: Settings) -> None:
    urls = []
    for _ in range(2):
        with open_database(settings):
            urls.append(_url(settings))
    with open_database(settings):
        port = (settings.data_dir / "database.port").read_text()
        old = re.sub(r":\d+/", f":{port}/", urls[0])
        with (
            pymongo.MongoClient[dict[str, Any]](old) as client,
            pytest.raises(pymongo.errors.OperationFailure),
        ):
            client.stt.source_files.find_one()
