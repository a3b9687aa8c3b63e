"""Renaming a recording: who finds it by which name, what is kept, and who of two is told."""

import pytest
from bson import ObjectId

from stt.errors import ConfigError, EditConflict, NotFound
from stt.store.database import Database
from stt.store.recordings import MongoRecordings
from stt.store.renaming import rename
from tests.support.queue_builder import add_recording


def stored(database: Database, recording_id: ObjectId) -> dict[str, object]:
    return database.recordings.find_one({"_id": recording_id}) or {}


def test_it_is_found_by_the_new_name_and_the_first_one_is_kept(database: Database) -> None:
    id_ = add_recording(database, filename="REC1.mp3", path="A/REC1.mp3", folder="talks")
    assert rename(database, id_, " Interview\nv1.2 ") == "Interview v1.2.mp3"
    recordings = MongoRecordings(database)
    assert recordings.find("A/Interview v1.2.mp3").id == id_
    assert rename(database, id_, "talk.MP3", before="Interview v1.2.mp3") == "talk.MP3"
    found = stored(database, id_)
    assert (found["filename"], found["path"]) == ("talk.MP3", "A/talk.MP3")
    assert found["original_filename"] == "REC1.mp3"


def test_the_second_of_two_is_told(database: Database) -> None:
    id_ = add_recording(database, filename="a.mp3")
    rename(database, id_, "b.mp3", before="a.mp3")
    with pytest.raises(EditConflict, match="another name in the meantime") as told:
        rename(database, id_, "c.mp3", before="a.mp3")
    assert told.value.current == "b.mp3"
    assert stored(database, id_)["filename"] == "b.mp3"
    assert rename(database, id_, "b.mp3", before="a.mp3") == "b.mp3"


@pytest.mark.parametrize("name", ["", " ", "a/b.mp3", "a\\b.mp3", "x" * 256])
def test_what_is_no_name_is_refused(database: Database, name: str) -> None:
    id_ = add_recording(database, filename="a.mp3")
    with pytest.raises(ConfigError, match="filename: a name"):
        rename(database, id_, name)
    with pytest.raises(NotFound):
        rename(database, ObjectId(), "b.mp3")


def test_a_recording_of_another_program_gets_a_name(database: Database) -> None:
    id_ = ObjectId()
    database.recordings.insert_one({"_id": id_, "sha256": "x"})
    assert rename(database, id_, "talk") == "talk"
    assert MongoRecordings(database).get(id_).filename == "talk"
