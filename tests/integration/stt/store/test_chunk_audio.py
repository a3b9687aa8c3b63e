"""Audio of chunks, wherever it is: written, read, removed, and found when nothing refers to it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from bson import ObjectId

from stt.errors import AudioNotAllowed, AudioStoreUnavailable, BadAudio
from stt.media.audio import decode
from stt.store.chunk_audio import ChunkAudio
from stt.store.database import Database
from stt.store.ingest import ingest
from stt.store.ingest_options import IngestOptions
from stt.store.object_store import AudioPlaces, ObjectStore
from stt.store.recordings import MongoRecordings
from stt.store.removal import remove_recording
from stt.system.s3_url import S3Url
from tests.support.mongo_process import new_database
from tests.support.queue_builder import add_chunks, add_recording, chunk, document
from tests.support.recordings import babble, write_wav
from tests.support.s3_server import BUCKET, STORE, S3Server

FOUR_SECONDS = IngestOptions(chunk_seconds=4)
SOON = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def in_s3(database: Database, s3: S3Server) -> Database:
    database.objects = ObjectStore(AudioPlaces(S3Url.parse(STORE)))
    return database


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "talk.wav", babble(12))


def chunk_ids(database: Database) -> list[ObjectId]:
    return [found["_id"] for found in database.chunks.find({}, ["_id"]).sort("index")]


class TestInS3:
    def test_ingest_stores_audio_there_and_chunks_say_where(
        self, in_s3: Database, s3: S3Server, talk: Path
    ) -> None:
        done = ingest(in_s3, talk, FOUR_SECONDS)
        assert in_s3.audio.count_documents({}) == 0
        assert len(s3.stored()) == done.chunks >= 3
        urls = [chunk["audio_url"] for chunk in in_s3.chunks.find()]
        assert sorted(urls) == sorted(f"s3://{BUCKET}/{key}" for key in s3.stored())
        data = ChunkAudio(in_s3).read(chunk_ids(in_s3)[0])
        assert decode(data).size > 0

    def test_chunks_are_read_where_they_are_whatever_is_set(
        self, in_s3: Database, talk: Path
    ) -> None:
        (old,) = add_chunks(in_s3, 1, audio=b"in the database")
        (inline,) = add_chunks(in_s3, 1, data=b"inline")
        ingest(in_s3, talk, FOUR_SECONDS)
        new = in_s3.chunks.find_one({"audio_url": {"$ne": None}})
        in_s3.objects = ObjectStore(AudioPlaces(None, (S3Url.parse(STORE),)))
        audio = ChunkAudio(in_s3)
        assert audio.read(old) == b"in the database"
        assert audio.read(inline) == b"inline"
        assert new is not None
        assert decode(audio.read(new["_id"])).size > 0

    def test_no_chunk_is_there_before_its_object(
        self, in_s3: Database, s3: S3Server, talk: Path
    ) -> None:
        def check(*_: object) -> None:
            keys = {f"s3://{BUCKET}/{key}" for key in s3.stored()}
            assert {chunk["audio_url"] for chunk in in_s3.chunks.find()} <= keys

        ingest(in_s3, talk, FOUR_SECONDS, check)

    def test_an_ingest_that_broke_off_continues_and_leaves_no_second_object(
        self, in_s3: Database, s3: S3Server, talk: Path
    ) -> None:
        def stop(done_seconds: float, _: float | None) -> None:
            if done_seconds > 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            ingest(in_s3, talk, FOUR_SECONDS, stop)
        done = ingest(in_s3, talk, FOUR_SECONDS)
        assert done.status == "resumed"
        assert len(s3.stored()) == done.chunks

    def test_another_programs_object_is_read_if_a_setting_names_its_place(
        self, in_s3: Database, s3: S3Server
    ) -> None:
        s3.client.put_object(Bucket=BUCKET, Key="theirs/1.wav", Body=b"wav")
        (theirs,) = add_chunks(in_s3, 1, audio_url="s3://audio/theirs/1.wav")
        with pytest.raises(AudioNotAllowed):
            ChunkAudio(in_s3).read(theirs)
        in_s3.objects = ObjectStore(AudioPlaces(None, (S3Url.parse("s3://audio/theirs"),)))
        assert ChunkAudio(in_s3).read(theirs) == b"wav"

    @pytest.mark.parametrize("url", [7, "", None, {"a": 1}])
    def test_an_odd_url_counts_as_none(self, in_s3: Database, url: object) -> None:
        (odd,) = add_chunks(in_s3, 1, audio_url=url)
        with pytest.raises(BadAudio):
            ChunkAudio(in_s3).read(odd)

    def test_audio_beside_a_chunk_that_may_not_be_read_is_left_out(self, in_s3: Database) -> None:
        first, second = add_chunks(in_s3, 2, audio=b"opus")
        in_s3.audio.delete_one({"_id": second})
        in_s3.chunks.update_one({"_id": second}, {"$set": {"audio_url": "s3://other/a"}})

        assert MongoRecordings(in_s3).neighbour_audio(chunk(in_s3, first), 1) is None


class TestRemoval:
    def test_a_recording_goes_with_its_objects_and_no_others(
        self, in_s3: Database, s3: S3Server, talk: Path, tmp_path: Path
    ) -> None:
        kept = ingest(in_s3, write_wav(tmp_path / "kept.wav", babble(8)), FOUR_SECONDS)
        gone = ingest(in_s3, talk, FOUR_SECONDS)
        remove_recording(in_s3, gone.recording.id)
        assert len(s3.stored()) == kept.chunks == in_s3.chunks.count_documents({})

    def test_objects_of_an_earlier_setting_go_too(
        self, in_s3: Database, s3: S3Server, talk: Path
    ) -> None:
        gone = ingest(in_s3, talk, FOUR_SECONDS)
        in_s3.objects = ObjectStore(AudioPlaces())
        remove_recording(in_s3, gone.recording.id)
        assert s3.stored() == []

    def test_objects_of_other_programs_stay(self, in_s3: Database, s3: S3Server) -> None:
        s3.client.put_object(Bucket=BUCKET, Key="stt/theirs.wav", Body=b"wav")
        recording_id = add_recording(in_s3)
        add_chunks(in_s3, 1, recording_id=recording_id, audio_url="s3://audio/stt/theirs.wav")
        remove_recording(in_s3, recording_id)
        assert s3.stored() == ["stt/theirs.wav"]

    def test_an_object_without_its_chunk_goes_too(
        self, in_s3: Database, s3: S3Server, talk: Path
    ) -> None:
        """The power went between the two writes."""
        done = ingest(in_s3, talk, FOUR_SECONDS)
        ChunkAudio(in_s3).write(done.recording.id, {ObjectId(): b"early"})
        remove_recording(in_s3, done.recording.id)
        assert s3.stored() == []

    def test_nothing_is_removed_while_s3_is_away(
        self, in_s3: Database, talk: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        done = ingest(in_s3, talk, FOUR_SECONDS)

        def away(*_: object) -> Iterator[object]:
            raise AudioStoreUnavailable("away")

        with monkeypatch.context() as patch:
            patch.setattr(ObjectStore, "find", away)
            with pytest.raises(AudioStoreUnavailable):
                remove_recording(in_s3, done.recording.id)
        assert in_s3.chunks.count_documents({}) == done.chunks
        assert in_s3.recordings.count_documents({}) == 1

    def test_a_removal_that_broke_off_can_be_repeated(
        self, in_s3: Database, s3: S3Server, talk: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        done = ingest(in_s3, talk, FOUR_SECONDS)

        def away(*_: object) -> None:
            raise AudioStoreUnavailable("away")

        with monkeypatch.context() as patch:
            patch.setattr(ObjectStore, "delete", away)
            with pytest.raises(AudioStoreUnavailable):
                MongoRecordings(in_s3).remove(done.recording.id)
        MongoRecordings(in_s3).remove(done.recording.id)
        assert s3.stored() == []
        assert in_s3.recordings.count_documents({}) == 0


class TestOrphans:
    def test_only_old_objects_of_recordings_that_are_gone_are_found(
        self, in_s3: Database, s3: S3Server, talk: Path, tmp_path: Path
    ) -> None:
        ingest(in_s3, write_wav(tmp_path / "kept.wav", babble(8)), FOUR_SECONDS)
        gone = ingest(in_s3, talk, FOUR_SECONDS)
        in_s3.chunks.delete_many({"original_id": gone.recording.id})
        in_s3.recordings.delete_one({"_id": gone.recording.id})
        s3.client.put_object(Bucket=BUCKET, Key="stt/not ours", Body=b"x")
        found = list(ChunkAudio(in_s3).orphans(SOON))
        assert len(found) == gone.chunks
        assert all(str(gone.recording.id) in orphan.url.key for orphan in found)
        assert list(ChunkAudio(in_s3).orphans(datetime.now(UTC) - timedelta(days=1))) == []

    def test_what_another_database_stored_in_the_same_folder_is_none(
        self, in_s3: Database, mongo_url: str, talk: Path
    ) -> None:

        ingest(in_s3, talk, FOUR_SECONDS)
        with new_database(mongo_url) as other:
            other.objects = ObjectStore(AudioPlaces(S3Url.parse(STORE)))
            ChunkAudio(other).write(ObjectId(), {ObjectId(): b"theirs"})
            assert len(list(ChunkAudio(other).orphans(SOON))) == 1
        assert list(ChunkAudio(in_s3).orphans(SOON)) == []


def test_audio_that_was_removed_says_when(database: Database) -> None:
    (gone,) = add_chunks(database, 1, audio_removed_at=datetime(2026, 3, 1, tzinfo=UTC))
    with pytest.raises(BadAudio, match=r"removed on 2026-03-01 \(STT_KEEP_AUDIO\)"):
        ChunkAudio(database).read(gone)
    assert "audio_url" not in document(database, gone)
