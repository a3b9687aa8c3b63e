"""The commands of docs/guides/backup.md, run in their order; what is restored is compared."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from stt.local.database import is_installed
from stt.local.stack import open_database
from stt.settings import Settings
from stt.store.database import Database
from tests.support.mongo_process import missing, new_database
from tests.support.paths import ROOT
from tests.support.queue_builder import add_chunks, add_recording

GUIDE = ROOT / "docs" / "guides" / "backup.md"
NAMES = ("talk.mp3", "ראיון.opus")


def commands(heading: str) -> list[str]:
    """Return the ```sh blocks of a part of the guide."""
    part = GUIDE.read_text("utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"(?ms)^```sh\n(.*?)^```", part)


def documents(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Return all that the database holds."""
    inside = database.chunks.database
    return {
        name: sorted(inside[name].find(), key=lambda document: repr(document["_id"]))
        for name in sorted(inside.list_collection_names())
    }


def fill(database: Database) -> None:
    """Add recordings of which one is transcribed, with audio, a node, a session and an option."""
    now = database.server_time()
    said = {"segments": [{"start": 1.0, "end": 2.5, "text": "grüße & co"}], "language": "de"}
    done: dict[str, Any] = {"transcript": said, "transcribed_at": now}
    for name, state in zip(NAMES, (done, {}), strict=True):
        recording_id = add_recording(database, filename=name, chunk_count=3, duration=90.0)
        add_chunks(database, 3, recording_id=recording_id, audio=os.urandom(2_000), **state)
    database.nodes.insert_one({"_id": "m4-1", "name": "M4", "key_sha256": "1" * 64})
    database.sessions.insert_one({"_id": "2" * 64, "expires_at": now + timedelta(days=365)})
    database.options.insert_one({"_id": "stored", "chunk_seconds": 20.0})


class Machine:
    """A home folder with the embedded database in its usual place."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data = home / ".local" / "share" / "stt"
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._environment = {"HOME": str(home), "PATH": path, "STT_KEEP_ALIVE_SECONDS": "0"}

    def run(self, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-eu", "-c", script],
            cwd=self.home,
            env=self._environment | environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def open(self) -> Any:
        settings = Settings(_env_file=None, mongo_url=None, data_dir=self.data)  # type: ignore[call-arg]
        return open_database(settings)

    def exported(self, folder: str) -> dict[str, str]:
        """Export everything, and return the files."""
        done = self.run(f"stt export --all --format all --output {folder}/")
        assert done.returncode == 0, done.stderr
        return {path.name: path.read_text() for path in (self.home / folder).iterdir()}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    if not is_installed():
        missing("the embedded database: pip install 'stt-fleet[embedded]'")
    if shutil.which("flock") is None:
        missing("flock, of util-linux")
    monkeypatch.delenv("MONGO_URL", raising=False)
    monkeypatch.delenv("DATABASE_NAME", raising=False)
    return Machine(tmp_path)


def test_a_copy_of_the_data_folder_at_rest_restores_everything(machine: Machine) -> None:
    back_up, check, restore = commands("The embedded database")
    with machine.open() as database:
        fill(database)
        before = documents(database)
        refused = machine.run(back_up)
        assert refused.returncode == 1, "it runs: no copy is made"
        assert not (machine.home / "backup" / "stt").exists()
    exported = machine.exported("before")

    done = machine.run(back_up)
    assert done.returncode == 0, done.stderr
    for path in (machine.home / "backup" / "stt").rglob("*"):
        original = machine.data / path.relative_to(machine.home / "backup" / "stt")
        assert path.stat().st_mode == original.stat().st_mode, path

    done = machine.run(check)
    assert done.returncode == 0, done.stderr
    transcripts = {path.name for path in (machine.home / "backup" / "transcripts").iterdir()}
    assert transcripts == {"talk.json", "ראיון.json"}

    with machine.open() as database:  # what the backup is for
        database.recordings.delete_many({})
        database.chunks.delete_many({})
        database.audio.delete_many({})
    done = machine.run(restore)
    assert done.returncode == 0, done.stderr
    assert "talk.mp3" in done.stdout
    with machine.open() as database:
        assert documents(database) == before
    assert machine.exported("after") == exported


@pytest.fixture
def mongodb(mongo_url: str) -> Iterator[Database]:
    if shutil.which("mongodump") is None or "STT_TEST_MONGO_URL" not in os.environ:
        pytest.skip("needs MongoDB's Database Tools and a MongoDB at STT_TEST_MONGO_URL")
    with new_database(mongo_url) as database:
        yield database


def test_a_dump_restores_everything(mongodb: Database, mongo_url: str, tmp_path: Path) -> None:
    name = mongodb.chunks.database.name
    back_up, restore = (
        re.sub(r"\bstt(?=\.\*|\b_check|$|\s--gzip)", name, block) for block in commands("MongoDB")
    )
    fill(mongodb)
    before = documents(mongodb)
    machine = Machine(tmp_path)
    assert machine.run(back_up, MONGO_URL=mongo_url).returncode == 0
    mongodb.recordings.delete_many({})
    done = machine.run(restore, MONGO_URL=mongo_url)
    assert done.returncode == 0, done.stderr
    assert documents(mongodb) == before
