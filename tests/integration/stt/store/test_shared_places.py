"""A database that another program wrote opens: recordings without sha256, chunks of one place."""

import logging

import pytest
from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from stt.doctor.database import database_findings
from stt.local.place import DatabasePlace
from stt.store.database import Database
from stt.store.indexes import INDEXES
from stt.store.inspection import DatabaseInspector
from stt.store.shared_places import advice, make_indexes, shared_places
from tests.support.queue_builder import add_chunks, add_recording, document


def _share_a_place(database: Database) -> tuple[ObjectId, ObjectId]:
    database.chunks.drop_index("place")
    recording_id = add_recording(database, filename="talk.m4a")
    (first,) = add_chunks(database, 1, recording_id=recording_id)
    (second,) = add_chunks(database, 1, recording_id=recording_id, transcript={"segments": []})
    return first, second


def test_recordings_without_a_sha256_do_not_collide(database: Database) -> None:
    database.recordings.insert_many([{"path": "/a/1.m4a"}, {"path": "/a/2.m4a"}])
    database.recordings.insert_many([{"sha256": None}, {"sha256": None}])
    add_recording(database, sha256="abc")
    with pytest.raises(DuplicateKeyError):
        add_recording(database, sha256="abc")


def test_the_unique_index_of_earlier_versions_is_replaced(database: Database) -> None:
    database.recordings.drop_index("sha256_of_file")
    database.recordings.create_index("sha256", name="sha256", unique=True)
    database.ensure_indexes()
    database.recordings.insert_many([{"path": "/a/1.m4a"}, {"path": "/a/2.m4a"}])
    names = {index.document["name"] for index in INDEXES["source_files"]}
    assert set(database.recordings.index_information()) == {"_id_", *names}
    assert DatabaseInspector(database).wrong_indexes() == []


@pytest.mark.parametrize("is_place_shared", [False, True])
def test_the_chunks_indexes_of_earlier_versions_are_dropped(
    database: Database, is_place_shared: bool
) -> None:
    if is_place_shared:
        _share_a_place(database)
    old = ["transcribed_at", "failed_at", "processing_by", "priority", "start", "_id"]
    database.chunks.create_index([(field, 1) for field in old], name="paging")
    database.chunks.create_index(["processing_by", "claimed_at"], name="claims")
    database.ensure_indexes()
    place = "places" if is_place_shared else "place"
    assert set(database.chunks.index_information()) == {"_id_", "pages", "leases", place}


def test_chunks_of_one_place_are_named_and_work_goes_on(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = _share_a_place(database)
    with caplog.at_level(logging.WARNING):
        database.ensure_indexes()
    (record,) = caplog.records
    for part in ("talk.m4a", "index 0", str(first), str(second), "deleteMany", "Work goes on"):
        assert part in record.getMessage()
    assert "E11000" not in record.getMessage()
    names = set(database.chunks.index_information())
    assert {"pages", "leases", "places"} <= names
    assert "place" not in names


def test_what_the_advice_removes_is_the_chunk_without_text(database: Database) -> None:
    first, second = _share_a_place(database)
    (place,) = shared_places(database.chunks, 5)
    assert (place.keep, place.removable) == (second, (first,))
    assert f'deleteMany({{_id: {{$in: [ObjectId("{first}")]}}}})' in advice([place])
    database.chunks.delete_one({"_id": first})
    database.ensure_indexes()
    assert document(database, second)
    assert "places" not in database.chunks.index_information()
    assert database.chunks.index_information()["place"]["unique"]


def test_the_other_indexes_are_made_beside_it(database: Database) -> None:
    _share_a_place(database)
    database.chunks.drop_indexes()
    make_indexes(database.chunks, INDEXES["audio_chunks"])
    assert set(database.chunks.index_information()) == {"_id_", "pages", "leases", "places"}


def test_the_doctor_names_them_too(database: Database, mongo_url: str) -> None:
    first, _second = _share_a_place(database)
    place = DatabasePlace("at test", mongo_url, is_embedded=True)
    found = list(database_findings(place, database.chunks.database.name, 10))
    (finding,) = [one for one in found if one.check == "indexes"]
    assert str(first) in str(finding)
