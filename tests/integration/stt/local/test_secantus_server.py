"""The embedded database's process: one user, and nothing for those who do not log in."""

import fcntl
import logging
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pymongo
import pytest
from pymongo.errors import OperationFailure

from stt.errors import DatabaseUnavailable
from stt.local.data_folder import DataFolder
from stt.local.stack import open_database
from stt.settings import Settings
from stt.store.workers import MongoRoster
from tests.support.pace import until

Client = pymongo.MongoClient[dict[str, Any]]

# What a client must ask before it can log in. None of it says anything about the data.
BEFORE_LOGIN = {
    "authenticate", "buildInfo", "buildinfo", "endSessions", "hello", "isMaster", "ismaster",
    "ping", "saslContinue", "saslStart", "whatsmyuri",
}  # fmt: skip


@pytest.fixture
def folder(settings: Settings) -> Iterator[DataFolder]:
    """The data folder of a database that runs and holds one recording."""
    with open_database(settings) as database:
        database.recordings.insert_one({"filename": "secret.mp3", "sha256": "1"})
        yield DataFolder(settings.data_dir)


@pytest.fixture
def owner(folder: DataFolder) -> Iterator[Client]:
    with Client(_url(folder)) as client:
        yield client


@pytest.fixture
def other(folder: DataFolder) -> Iterator[Client]:
    """A client without a password."""
    with Client("127.0.0.1", folder.port()) as client:
        yield client


def test_it_says_that_it_counts_with_its_indexes(settings: Settings) -> None:
    with open_database(settings) as database:
        assert database.is_secantus
        assert database.counts_by_index


def _url(folder: DataFolder) -> str:
    url = folder.url(folder.port() or 0)
    assert url is not None
    return url


def _server_process(owner: Client) -> psutil.Process:
    return psutil.Process(owner.admin.command("serverStatus")["pid"])


def test_a_client_that_does_not_log_in_can_neither_read_nor_write(
    folder: DataFolder, other: Client, owner: Client
) -> None:
    collection = other.stt.source_files
    attacks: list[Callable[[], object]] = [
        collection.find_one,
        lambda: collection.insert_one({"sha256": "2"}),
        lambda: collection.delete_many({}),
        lambda: other.stt.options.update_one({}, {"$set": {"key": "mine"}}, upsert=True),
        other.list_database_names,
        lambda: other.admin.command("createUser", "me", pwd="me", roles=["root"]),
        lambda: other.admin.command("updateUser", "stt", pwd="mine"),
        lambda: other.admin.command("getLog", "global"),
        lambda: other.admin.command("secantusAdmin.backupArchive", 1, outputPath="/dev/null"),
    ]
    for attack in attacks:
        with pytest.raises(OperationFailure, match="requires authentication"):
            attack()
    assert owner.stt.source_files.count_documents({}) == 1


def test_every_command_but_those_of_the_login_needs_one(other: Client) -> None:
    listing = "from secantus.commands import _HANDLERS; print(*sorted(_HANDLERS))"
    printed = subprocess.run([sys.executable, "-c", listing], stdout=subprocess.PIPE, text=True)
    commands = printed.stdout.split()
    assert len(commands) > 80
    answered = set()
    for name in commands:
        try:
            other.admin.command(name)
        except OperationFailure as error:
            if error.code in (13, 59):  # it needs a login, or exists on servers for tests only
                continue
        answered.add(name)
    assert answered == BEFORE_LOGIN


def test_a_wrong_password_is_refused_and_so_is_another_name(folder: DataFolder) -> None:
    password = folder.password_file.read_text()
    for wrong in (_url(folder).replace(password, "a" * 43), _url(folder).replace("stt:", "root:")):
        with Client(wrong) as client, pytest.raises(OperationFailure) as raised:
            client.stt.source_files.find_one()
        assert raised.value.code == 18


def test_the_password_is_nowhere_but_in_its_file(
    folder: DataFolder, owner: Client, settings: Settings
) -> None:
    password = folder.password_file.read_text()
    with pytest.raises(OperationFailure), Client(_url(folder).replace("stt:", "root:")) as client:
        client.stt.source_files.find_one()
    process = _server_process(owner)
    assert password not in " ".join(process.cmdline())
    assert password not in str(process.environ())
    holding = [
        path.name
        for path in settings.data_dir.rglob("*")
        if path.is_file() and password.encode() in path.read_bytes()
    ]
    assert holding == ["database.password"]


def test_the_password_is_in_no_log_record_and_no_error(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with open_database(settings) as database:
        folder = DataFolder(settings.data_dir)
        password = folder.password_file.read_text()
        pid = folder.server_pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(DatabaseUnavailable) as raised:
            list(MongoRoster(database).members())
        assert password not in "".join(traceback.format_exception(raised.value))
        assert password not in repr(database.chunks)
    assert len(caplog.records) > 10
    assert password not in caplog.text


def test_the_files_of_the_database_are_for_its_user_alone(folder: DataFolder) -> None:
    files = [folder.storage, *folder.storage.rglob("*")]
    assert len(files) > 5
    assert not [path for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077]


def test_more_silent_connections_than_files_may_be_open_break_nothing(settings: Settings) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = 256
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    try:
        database = open_database(settings)
        opened = database.__enter__()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(2_000, hard)), hard))
    try:
        port = DataFolder(settings.data_dir).port()
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(allowed + 50)]
        process = _server_process(opened.chunks.database.client)
        until(lambda: process.num_fds() > allowed)
        opened.recordings.insert_one({"filename": "a.mp3", "sha256": "2"})
        # Past a thousand each one is refused, and that is logged once a second at most.
        silent += [socket.create_connection(("127.0.0.1", port)) for _ in range(1_000)]
        for connection in silent:
            connection.close()
        until(lambda: process.num_fds() < allowed)
        assert opened.recordings.count_documents({}) == 1
        log = (settings.data_dir / "database.log").read_text()
        assert 0 < log.count("rejecting connection") < 200
    finally:
        database.__exit__(None, None, None)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_it_ends_when_it_is_asked(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.make_password()
    with (
        folder.open_lock("users") as users,
        subprocess.Popen(
            [sys.executable, "-P", "-m", "stt.local.secantus_server", "0", str(folder.path)],
            stderr=subprocess.PIPE,
        ) as process,
    ):
        fcntl.flock(users, fcntl.LOCK_SH)
        assert until(folder.server_pid) == process.pid
        process.terminate()
        assert process.communicate(timeout=120)[1] == b""
    assert process.returncode == 0
    assert folder.server_pid() is None
