"""Audio is removed some time after its recording was finished; text stays, and open work too."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo.collection import Collection

from stt.domain.chunk import chunk_id
from stt.errors import AudioRemoved, AudioStoreUnavailable, BadAudio
from stt.store import claims
from stt.store.chunk_audio import ChunkAudio
from stt.store.database import Database
from stt.store.export import Export
from stt.store.object_store import AudioPlaces, ObjectStore
from stt.store.recordings import MongoRecordings
from stt.store.removal import remove_recording
from stt.store.retention import check_audio, remove_audio
from stt.store.retranscription import transcribe_again
from stt.system.s3_url import S3Url
from tests.support.queue_builder import add_chunks, add_recording, document
from tests.support.s3_server import STORE, S3Server

DAY = 86_400.0
TEXT = {"segments": [{"start": 0.0, "end": 1.0, "text": "good morning"}]}


@pytest.fixture
def ago(database: Database) -> datetime:
    return database.server_time() - timedelta(days=31)


def add_finished(database: Database, at: datetime) -> tuple[ObjectId, list[ObjectId]]:
    recording_id = add_recording(database, ingested_at=at, chunk_count=3)
    done = {"transcribed_at": at, "transcript": TEXT}
    ids = add_chunks(database, 3, recording_id=recording_id, audio=b"opus", **done)
    return recording_id, ids


def removed(database: Database) -> list[tuple[ObjectId, int]]:
    return [(each.recording.id, each.chunks) for each in remove_audio(database, 30 * DAY)]


def test_audio_of_old_recordings_goes_and_their_text_stays(
    database: Database, ago: datetime
) -> None:
    old, ids = add_finished(database, ago)
    add_finished(database, database.server_time())
    assert removed(database) == [(old, 3)]
    assert database.audio.count_documents({}) == 3
    with pytest.raises(BadAudio, match="STT_KEEP_AUDIO"):
        ChunkAudio(database).read(ids[0])
    export = Export(database, MongoRecordings(database).get(old))
    assert "good morning" in "".join(export.pieces("txt"))
    assert [span.has_audio for span in export.spans] == [False] * 3
    assert removed(database) == []


def test_inline_audio_goes_too(database: Database, ago: datetime) -> None:
    recording_id = add_recording(database)
    (id_,) = add_chunks(database, 1, recording_id=recording_id, data=b"inline", transcribed_at=ago)
    assert removed(database) == [(recording_id, 1)]
    assert "data" not in document(database, id_)


@pytest.mark.parametrize(
    "open_chunk",
    [
        {"transcribed_at": None},
        {"transcribed_at": None, "processing_by": "alice_1"},
        {"transcribed_at": None, "failed_at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"transcribed_at": "yesterday"},
    ],
)
def test_a_recording_with_other_chunks_keeps_all_of_its_audio(
    database: Database, ago: datetime, open_chunk: dict[str, object]
) -> None:
    _, ids = add_finished(database, ago)
    database.chunks.update_one({"_id": ids[1]}, {"$set": open_chunk})
    assert removed(database) == []
    assert database.audio.count_documents({}) == 3


def test_a_recording_that_is_still_cut_keeps_its_audio(database: Database, ago: datetime) -> None:
    recording_id, _ = add_finished(database, ago)
    database.recordings.update_one({"_id": recording_id}, {"$set": {"ingested_at": None}})
    assert removed(database) == []


def test_a_dry_run_changes_nothing(database: Database, ago: datetime) -> None:
    recording_id, _ = add_finished(database, ago)
    before = list(database.chunks.find())
    found = list(remove_audio(database, 30 * DAY, dry_run=True))
    assert [(each.recording.id, each.chunks) for each in found] == [(recording_id, 3)]
    assert list(database.chunks.find()) == before
    assert database.audio.count_documents({}) == 3


def test_what_has_no_audio_is_not_transcribed_again(database: Database, ago: datetime) -> None:
    recording_id, ids = add_finished(database, ago)
    check_audio(database, recording_id)
    removed(database)
    assert claims.reset(database, recording_id=recording_id) == 0
    assert claims.reset(database, ids) == 0
    with pytest.raises(AudioRemoved, match="remove the recording and ingest its file"):
        transcribe_again(database, recording_id, {"language": "de"})
    assert MongoRecordings(database).get(recording_id).language is None
    assert database.chunks.count_documents({"transcribed_at": None}) == 0


def during(
    monkeypatch: pytest.MonkeyPatch, part: type, name: str, action: Callable[[], object]
) -> None:
    """Do this once, just before the next call of a method."""
    original = getattr(part, name)

    def first(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(part, name, original)
        action()
        return original(*args, **kwargs)

    monkeypatch.setattr(part, name, first)


class TestTwoRunsAtOnce:
    """Coordinators look every hour, each for itself, and cron beside them."""

    def test_all_goes_and_neither_fails(
        self, database: Database, mongo_url: str, ago: datetime
    ) -> None:
        name, barrier = database.chunks.database.name, threading.Barrier(4)
        finished = {add_finished(database, ago)[0] for _ in range(5)}
        open_recording, ids = add_finished(database, ago)
        database.chunks.update_one({"_id": ids[0]}, {"$set": {"transcribed_at": None}})

        def run() -> list[tuple[ObjectId, int]]:
            with Database(mongo_url, name) as own:
                barrier.wait()
                return removed(own)

        with ThreadPoolExecutor(4) as pool:
            found = [done.result() for done in [pool.submit(run) for _ in range(4)]]
        assert {id_ for each in found for id_, _ in each} == finished
        kept = {chunk["_id"] for chunk in database.audio.find({}, ["_id"])}
        assert kept == set(ids)
        unmarked = {"original_id": open_recording, "audio_removed_at": None}
        assert database.chunks.count_documents(unmarked) == 3
        marked = {"audio_removed_at": {"$ne": None}}
        assert database.recordings.count_documents(marked) == 5
        assert removed(database) == []

    @pytest.mark.parametrize("step", ["remove", "objects_of"])
    def test_one_begins_while_another_is_at_any_step(
        self, database: Database, monkeypatch: pytest.MonkeyPatch, ago: datetime, step: str
    ) -> None:
        recording_id, _ = add_finished(database, ago)
        others: list[tuple[ObjectId, int]] = []
        during(monkeypatch, ChunkAudio, step, lambda: others.extend(removed(database)))
        assert removed(database) == [(recording_id, 3)] == others
        assert database.audio.count_documents({}) == 0


class TestResetWhileAudioIsRemoved:
    """A chunk that may be claimed has its audio, whenever the reset comes."""

    def test_one_before_the_mark_keeps_its_audio_and_the_recording_is_looked_at_again(
        self, database: Database, monkeypatch: pytest.MonkeyPatch, ago: datetime
    ) -> None:
        recording_id, ids = add_finished(database, ago)
        during(monkeypatch, Collection, "update_many", lambda: claims.reset(database, [ids[1]]))
        removed(database)
        assert document(database, ids[1])["transcribed_at"] is None
        assert ChunkAudio(database).read(ids[1]) == b"opus"
        assert database.audio.count_documents({}) == 1
        database.chunks.update_one({"_id": ids[1]}, {"$set": {"transcribed_at": ago}})
        assert removed(database) == [(recording_id, 3)]
        assert database.audio.count_documents({}) == 0

    @pytest.mark.parametrize("step", ["remove", "objects_of"])
    def test_one_after_the_mark_resets_nothing(
        self, database: Database, monkeypatch: pytest.MonkeyPatch, ago: datetime, step: str
    ) -> None:
        recording_id, ids = add_finished(database, ago)
        counts: list[int] = []
        during(
            monkeypatch,
            ChunkAudio,
            step,
            lambda: counts.extend(
                [claims.reset(database, ids), claims.reset(database, recording_id=recording_id)]
            ),
        )
        removed(database)
        assert counts == [0, 0]
        assert database.chunks.count_documents({"transcribed_at": ago}) == 3
        with pytest.raises(AudioRemoved):
            check_audio(database, recording_id)

    def test_a_recording_that_is_removed_meanwhile_is_no_error(
        self, database: Database, monkeypatch: pytest.MonkeyPatch, ago: datetime
    ) -> None:
        recording_id, _ = add_finished(database, ago)
        during(monkeypatch, ChunkAudio, "remove", lambda: remove_recording(database, recording_id))
        removed(database)
        assert database.chunks.count_documents({}) == database.audio.count_documents({}) == 0
        assert database.recordings.count_documents({}) == 0


class TestInS3:
    @pytest.fixture
    def in_s3(self, database: Database, s3: S3Server, ago: datetime) -> Database:
        database.objects = ObjectStore(AudioPlaces(S3Url.parse(STORE)))
        recording_id = add_recording(database)
        ids = [chunk_id(recording_id, index) for index in range(3)]
        urls = ChunkAudio(database).write(recording_id, dict.fromkeys(ids, b"opus"))
        for index, id_ in enumerate(ids):
            database.chunks.insert_one(
                {
                    "_id": id_, "original_id": recording_id, "index": index,
                    "audio_url": urls[id_], "transcribed_at": ago, "transcript": TEXT,
                }
            )  # fmt: skip
        return database

    def test_objects_go_and_those_of_other_programs_stay(
        self, in_s3: Database, s3: S3Server, ago: datetime
    ) -> None:
        s3.client.put_object(Bucket="audio", Key="theirs.wav", Body=b"wav")
        theirs = add_recording(in_s3)
        add_chunks(
            in_s3, 1, recording_id=theirs, audio_url="s3://audio/theirs.wav", transcribed_at=ago
        )
        assert [count for _, count in removed(in_s3)] == [3]
        assert s3.stored() == ["theirs.wav"]
        check_audio(in_s3, theirs)

    def test_a_run_that_broke_off_is_taken_up(
        self, in_s3: Database, s3: S3Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(*_: object) -> None:
            raise AudioStoreUnavailable("away")

        with monkeypatch.context() as patch:
            patch.setattr(ObjectStore, "delete", away)
            with pytest.raises(AudioStoreUnavailable):
                removed(in_s3)
        assert len(s3.stored()) == 3
        removed(in_s3)
        assert s3.stored() == []

    def test_two_runs_at_once_remove_them(
        self, in_s3: Database, s3: S3Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        during(monkeypatch, ObjectStore, "delete", lambda: removed(in_s3))
        assert [count for _, count in removed(in_s3)] == [3]
        assert s3.stored() == []
