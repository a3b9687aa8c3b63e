"""`stt export` with a real database: which recording is meant, and which file is written."""

import hashlib
import json
from pathlib import Path

import pytest
from bson import ObjectId

from stt.store.database import Database
from tests.support.recordings_in_queue import post_recording, transcribe
from tests.unit.stt.cli.conftest import Run


def add(database: Database, text: str, path: str, folder: str | None = None) -> str:
    """Put a transcribed recording of one chunk into the queue; return its id."""
    name = path.rpartition("/")[2]
    recording_id = post_recording(database, 1, filename=name, path=path, folder=folder)
    transcribe(database, recording_id, 0, text)
    return recording_id


def written(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text().strip()
        for path in folder.rglob("*")
        if path.is_file()
    }


class TestFiles:
    def test_two_of_one_name_never_overwrite_one_another(
        self, stt: Run, database: Database, tmp_path: Path
    ) -> None:
        first = add(database, "first", "ep01.wav", "A")
        second = add(database, "second", "ep01.wav", "B")
        for recording_id in (second, first, second):
            assert stt("export", recording_id, "-o", "o/") == 0
        assert written(tmp_path / "o") == {"ep01.txt": "first", "B/ep01.txt": "second"}
        assert stt("export", "--all", "-o", "all/") == 0
        assert written(tmp_path / "all") == written(tmp_path / "o")

    def test_the_structure_of_folders_is_kept(
        self, stt: Run, database: Database, tmp_path: Path
    ) -> None:
        add(database, "first", "A/ep01.wav", "talks")
        add(database, "second", "B/ep01.wav", "talks")
        assert stt("export", "--all", "-o", "o/", "-f", "srt") == 0
        assert set(written(tmp_path / "o")) == {"A/ep01.srt", "B/ep01.srt"}

    def test_all_that_match_are_written(self, stt: Run, database: Database, tmp_path: Path) -> None:
        add(database, "first", "A/ep01.wav", "talks")
        add(database, "second", "B/ep01.wav", "talks")
        assert stt("export", "--all", "--folder", "talks/B", "-o", "o/") == 0
        assert written(tmp_path / "o") == {"B/ep01.txt": "second"}
        assert stt("export", "--all", "--folder", "none", "-o", "o/") == 1
        assert "No recording matches" in stt.err
        assert stt("export", "ep01.wav", "--folder", "talks") == 2

    def test_every_format_and_the_language_in_the_name(
        self, stt: Run, database: Database, tmp_path: Path
    ) -> None:
        recording_id = add(database, "first", "ep01.wav")
        language = {"$set": {"transcript.language": "german"}}
        database.chunks.update_one({"original_id": ObjectId(recording_id)}, language)
        assert stt("export", recording_id, "-f", "all", "-o", "o", "--language-suffix") == 0
        names = {f"ep01.de.{name}" for name in ("txt", "srt", "vtt", "json", "tsv")}
        assert set(written(tmp_path / "o")) == names

    def test_the_text_of_a_translation_is_english(
        self, stt: Run, database: Database, tmp_path: Path
    ) -> None:
        recording_id = add(database, "first", "ep01.wav")
        source = {"_id": ObjectId(recording_id)}
        database.recordings.update_one(source, {"$set": {"task": "translate"}})
        assert stt("export", recording_id, "-f", "srt", "-o", "o/", "--language-suffix") == 0
        assert set(written(tmp_path / "o")) == {"ep01.en.srt"}


class TestSharedFolder:
    """A folder that every user of the machine can write to, with links that one has planted."""

    @pytest.fixture
    def shared(self, tmp_path: Path) -> Path:
        folder = tmp_path / "shared"
        folder.mkdir()
        folder.chmod(0o1777)
        return folder

    @pytest.mark.parametrize("output", ["shared/ep01.txt", "shared/", "shared"])
    def test_a_planted_link_is_replaced(
        self, stt: Run, database: Database, tmp_path: Path, shared: Path, output: str
    ) -> None:
        mine = tmp_path / "mine.txt"
        mine.write_text("precious")
        (shared / "ep01.txt").symlink_to(mine)
        assert stt("export", add(database, "first", "ep01.wav"), "-o", output) == 0, stt.err
        assert mine.read_text() == "precious"
        assert written(shared) == {"ep01.txt": "first"}
        assert not (shared / "ep01.txt").is_symlink()

    def test_beside_a_recording_too(
        self, stt: Run, database: Database, tmp_path: Path, shared: Path
    ) -> None:
        mine = tmp_path / "mine.txt"
        mine.write_text("precious")
        sha256 = hashlib.sha256(b"sound").hexdigest()
        recording_id = add(database, "first", "ep01.wav")
        source = {"_id": ObjectId(recording_id)}
        database.recordings.update_one(source, {"$set": {"sha256": sha256}})
        (shared / "ep01.wav").write_bytes(b"sound")
        (shared / "ep01.txt").symlink_to(mine)
        assert stt("export", "shared/ep01.wav", "--beside") == 0, stt.err
        assert mine.read_text() == "precious"
        assert (shared / "ep01.txt").read_text().strip() == "first"

    def test_a_planted_link_to_a_folder_is_refused(
        self, stt: Run, database: Database, tmp_path: Path, shared: Path
    ) -> None:
        (tmp_path / "mine").mkdir()
        (shared / "A").symlink_to(tmp_path / "mine")
        assert stt("export", add(database, "first", "A/ep01.wav"), "-o", "shared/") == 1
        assert "shared/A is a link that another user may have made" in stt.err
        assert not written(tmp_path / "mine")

    def test_the_folder_that_is_named_may_be_a_link(
        self, stt: Run, database: Database, tmp_path: Path, shared: Path
    ) -> None:
        (tmp_path / "mine").mkdir()
        (shared / "mine").symlink_to(tmp_path / "mine")
        assert stt("export", add(database, "first", "ep01.wav"), "-o", "shared/mine") == 0
        assert written(tmp_path / "mine") == {"ep01.txt": "first"}


def test_json_has_the_path(stt: Run, database: Database) -> None:
    add(database, "first", "A/ep01.wav", "talks")
    assert stt("export", "A/ep01.wav", "-f", "json") == 0
    assert json.loads(stt.out)["path"] == "A/ep01.wav"


def test_a_warning_tells_namesakes_apart(stt: Run, database: Database) -> None:
    for folder in "AB":
        path = f"{folder}/ep01.wav"
        post_recording(database, 1, filename="ep01.wav", path=path, folder="talks")
    assert stt("export", "B/ep01.wav") == 0
    assert stt.err.startswith("Warning: B/ep01.wav: Partial transcript")


def test_a_file_that_was_never_ingested_is_no_namesake_of_it(
    stt: Run, database: Database, tmp_path: Path
) -> None:
    add(database, "first", "ep01.wav", "A")
    (tmp_path / "B").mkdir()
    (tmp_path / "B" / "ep01.wav").write_bytes(b"another")
    assert stt("export", "B/ep01.wav") == 1
    assert stt.out == ""
    assert stt.err.startswith("Error: B/ep01.wav is not in the queue; `stt ingest B/ep01.wav` puts")
    assert stt("export", "A/ep01.wav") == 0
    assert stt.out == "first\n"
