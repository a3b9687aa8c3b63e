"""The scripts of docker-compose.yml's database, run by the real Mongo shell on a real server."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest
from pymongo.errors import OperationFailure

from stt.store.database import Database
from tests.support.mongo_process import MongoProcess, missing
from tests.support.paths import ROOT

SCRIPTS = ROOT / "docker" / "mongo"
GUIDE = ROOT / "docs" / "guides" / "worker-and-cron.md"


def run_script(server: MongoProcess, script: Path | str, home: Path, *login: str) -> int:
    """Run a file, or commands, in the shell; return its exit code."""
    binary = shutil.which("mongosh")
    if binary is None:
        missing("mongosh: npm install -g mongosh")
    command = [str(binary), "--quiet", "--norc", "--port", str(server.port), *login]
    command += [str(script)] if isinstance(script, Path) else []
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "STT_MONGO_PASSWORD": "of-workers",
        "MONGO_INITDB_ROOT_USERNAME": "root",
        "MONGO_INITDB_ROOT_PASSWORD": "of-root",
    }
    typed = script if isinstance(script, str) else ""
    ended = subprocess.run(command, env=environment, input=typed, text=True, timeout=120)
    return ended.returncode


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MongoProcess]:
    """A database with the users of the script, which asks for their passwords."""
    storage = tmp_path / "db"
    made = MongoProcess(storage)
    made.start()
    try:
        assert run_script(made, SCRIPTS / "user.js", tmp_path) == 0
        with pymongo.MongoClient[dict[str, Any]](made.url) as client:
            client.admin.command("createUser", "root", pwd="of-root", roles=["root"])
    finally:
        made.stop()
    server = MongoProcess(storage, "--auth")
    server.start()
    try:
        yield server
    finally:
        server.kill()


def url_of(server: MongoProcess, user: str) -> str:
    return f"mongodb://{user}@127.0.0.1:{server.port}/?authSource=admin&directConnection=true"


def test_the_user_of_workers_reads_and_writes_its_database_and_no_other(
    server: MongoProcess,
) -> None:
    with Database(url_of(server, "stt:of-workers"), "stt") as database:
        database.ensure_indexes()
        database.recordings.insert_one({"filename": "a.mp3", "sha256": "1"})
        assert database.recordings.count_documents({}) == 1
        client = database.recordings.database.client
        for attempt in (
            lambda: client.other.things.insert_one({}),
            lambda: client.admin.command("createUser", "me", pwd="me", roles=["root"]),
            lambda: client.admin.command("usersInfo", 1),
        ):
            with pytest.raises(OperationFailure, match="not authorized"):
                attempt()


def test_the_health_check_is_well_once_its_replica_set_has_a_primary(
    server: MongoProcess, tmp_path: Path
) -> None:
    check = SCRIPTS / "health.js"
    # The test's server calls its set by another name; the real one cannot be made again in it.
    named = tmp_path / "health.js"
    named.write_text(check.read_text().replace("rs0", "secantus"))
    assert run_script(server, named, tmp_path) == 0
    assert run_script(server, check, tmp_path) == 1


def test_the_guide_takes_the_rights_of_an_administrator_from_the_user_of_workers(
    server: MongoProcess, tmp_path: Path
) -> None:
    with pymongo.MongoClient[dict[str, Any]](url_of(server, "root:of-root")) as client:
        client.admin.command("updateUser", "stt", roles=["root"])
        client.admin.command("dropUser", "root")
    [commands] = re.findall(r"(?ms)^```js\n(use admin\n.*?)^```", GUIDE.read_text("utf-8"))
    typed = commands.replace("passwordPrompt()", '"of-root"')
    login = ("-u", "stt", "-p", "of-workers", "--authenticationDatabase", "admin")
    assert run_script(server, typed, tmp_path, *login) == 0
    with pymongo.MongoClient[dict[str, Any]](url_of(server, "root:of-root")) as client:
        [user] = client.admin.command("usersInfo", "stt")["users"]
    assert user["roles"] == [{"role": "readWrite", "db": "stt"}]
