"""The queries of docs/guides/mongo-shell.md, typed into the real Mongo shell."""

import json
import os
import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from stt.local.database import is_installed
from stt.local.stack import open_database
from stt.settings import Settings
from stt.store.claims import MongoClaims
from stt.store.database import Database
from tests.support.mongo_process import missing
from tests.support.paths import ROOT
from tests.support.queue_builder import add_chunks, chunk, document

GUIDE = ROOT / "docs" / "guides" / "mongo-shell.md"


def queries() -> list[str]:
    """The ```js blocks of the guide, in their order."""
    return re.findall(r"(?ms)^```js\n(.*?)^```", GUIDE.read_text("utf-8"))


def query_with(*words: str) -> str:
    """The only query of the guide that holds these words."""
    found = [query for query in queries() if all(word in query for word in words)]
    assert len(found) == 1, f"the guide should have one query with {words}, and has {len(found)}"
    return found[0]


class Shell:
    """mongosh on the database of a test."""

    def __init__(self, binary: str, url: str, home: Path) -> None:
        self._command = [binary, "--quiet", "--norc", "--json=relaxed", url]
        # It keeps a history and a log at home.
        self._environment = {**os.environ, "HOME": str(home)}

    def type(self, query: str) -> Any:
        """What the shell prints, parsed."""
        ended = subprocess.run(
            [*self._command, "--eval", query],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=self._environment,
        )
        assert ended.returncode == 0, ended.stderr or ended.stdout
        return json.loads(ended.stdout)

    def rows(self, query: str) -> Any:
        """The same for a query that ends in a cursor, which a person sees printed."""
        return self.type(f"{query.rstrip()}.toArray()")


def find_shell() -> str:
    binary = shutil.which("mongosh")
    if binary is None:
        missing("mongosh: npm install -g mongosh")
    assert binary is not None
    return binary


@pytest.fixture
def shell(mongo_url: str, database: Database, tmp_path: Path) -> Shell:
    binary = find_shell()
    server, _, options = mongo_url.partition("?")
    name = database.chunks.database.name
    return Shell(binary, f"{server.rstrip('/')}/{name}?{options}", tmp_path)


@pytest.fixture
def queue(database: Database, alice: MongoClaims, bob: MongoClaims) -> list[ObjectId]:
    """Six chunks: three in work with two workers, one of them stuck; one has failed."""
    ids = add_chunks(database, 6)
    for claims, index in ((alice, 0), (alice, 1), (bob, 2)):
        assert claims.claim(chunk(database, ids[index]))
    eleven_minutes_ago = database.server_time() - timedelta(minutes=11)
    database.chunks.update_one({"_id": ids[2]}, {"$set": {"claimed_at": eleven_minutes_ago}})
    errors = [{"kind": "refused", "message": "first"}, {"kind": "bad_audio", "message": "last"}]
    database.chunks.update_one(
        {"_id": ids[5]}, {"$set": {"failed_at": eleven_minutes_ago, "errors": errors}}
    )
    return ids


def test_the_guide_has_queries() -> None:
    assert len(queries()) >= 3


@pytest.mark.usefixtures("queue")
def test_how_many_chunks_are_in_work(shell: Shell) -> None:
    assert shell.type(query_with("countDocuments")) == 3


@pytest.mark.usefixtures("queue")
def test_who_is_at_work(shell: Shell) -> None:
    members = shell.rows(query_with("aggregate", "processing_by"))
    assert {member["_id"]: member["chunks"] for member in members} == {"alice_1": 2, "bob_2": 1}


def test_what_is_stuck_for_ten_minutes_is_set_free_and_nothing_else(
    shell: Shell, database: Database, queue: list[ObjectId]
) -> None:
    assert shell.type(query_with("updateMany", "claimed_at"))["modifiedCount"] == 1
    holders = [document(database, chunk_id)["processing_by"] for chunk_id in queue]
    assert holders == ["alice_1", "alice_1", None, None, None, None]
    assert document(database, queue[2])["claimed_at"] is None


def test_what_is_stuck_for_less_than_its_own_lease_stays(
    shell: Shell, database: Database, queue: list[ObjectId]
) -> None:
    database.chunks.update_one({"_id": queue[2]}, {"$set": {"lease_seconds": 700.0}})
    assert shell.type(query_with("updateMany", "claimed_at"))["modifiedCount"] == 0
    assert document(database, queue[2])["processing_by"] == "bob_2"


def test_what_failed_for_good(shell: Shell, queue: list[ObjectId]) -> None:
    (failed,) = shell.rows(query_with("failed_at", "find("))
    assert failed["_id"] == {"$oid": str(queue[5])}
    assert [error["message"] for error in failed["errors"]] == ["last"]


@pytest.mark.skipif(not is_installed(), reason="the embedded database is not installed")
def test_how_the_embedded_database_is_reached(tmp_path: Path) -> None:
    find_shell()
    (command,) = re.findall(r"(?ms)^```sh\n(.*?)^```", GUIDE.read_text("utf-8"))
    settings = Settings(_env_file=None, data_dir=tmp_path / "data")  # type: ignore[call-arg]
    with open_database(settings) as database:
        add_chunks(database, 3)
        ended = subprocess.run(
            ["sh", "-c", command],
            cwd=settings.data_dir,
            input="db.audio_chunks.countDocuments() + 1000\n",
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "HOME": str(tmp_path)},
        )
        password = (settings.data_dir / "database.password").read_text()
    assert "1003" in ended.stdout, ended.stderr
    assert password not in command + ended.stdout + ended.stderr
