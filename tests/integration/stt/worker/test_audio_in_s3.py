"""A worker whose chunks have their audio in S3: what its faults do to the chunk, and to it."""

import logging
import threading
from collections.abc import Iterator

import pytest
from bson import ObjectId

from stt.errors import AudioStoreRefused, AudioStoreUnavailable
from stt.store import object_store
from stt.store.chunk_audio import ChunkAudio
from stt.store.database import Database
from stt.store.object_store import AudioPlaces, ObjectStore
from stt.store.states import PENDING
from stt.system.s3_url import S3Url
from tests.support.pace import until
from tests.support.queue_builder import add_chunks, add_recording, document
from tests.support.s3_server import BUCKET, STORE, S3Server, fail_on
from tests.support.scripted_server import ScriptedServer, always
from tests.support.speech import opus_tone
from tests.support.workers import make_worker


@pytest.fixture(scope="module")
def opus() -> bytes:
    return opus_tone(2.0)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "_MAX_TRIES", 1)
    monkeypatch.setattr(object_store, "_READ_SECONDS", 0.5)
    monkeypatch.setattr("stt.worker.worker_thread._MAX_AUDIO_RETRY_SECONDS", 0.5)


@pytest.fixture
def in_s3(database: Database, s3: S3Server) -> Iterator[Database]:
    database.objects = ObjectStore(AudioPlaces(S3Url.parse(STORE)))
    yield database
    s3.resume()


def add_in_s3(database: Database, count: int, audio: bytes) -> list[ObjectId]:
    recording_id = add_recording(database, language="en")
    ids = add_chunks(database, count, recording_id=recording_id)
    urls = ChunkAudio(database).write(recording_id, dict.fromkeys(ids, audio))
    for id_, url in urls.items():
        database.chunks.update_one({"_id": id_}, {"$set": {"audio_url": url}})
    return ids


def uncharged(database: Database, ids: list[ObjectId]) -> bool:
    query = {"_id": {"$in": ids}, **PENDING, "attempts": 0, "expirations": 0, "errors": []}
    return database.chunks.count_documents(query) == len(ids)


def test_chunks_in_s3_and_in_the_database_are_transcribed_alike(
    in_s3: Database, opus: bytes
) -> None:
    add_in_s3(in_s3, 3, opus)
    add_chunks(in_s3, 2, audio=opus)
    with ScriptedServer(always("good morning")).running() as server:
        stats = make_worker(in_s3, server.url).run()
    assert stats.counts == {"transcribed": 5, "empty": 0, "error": 0, "skipped": 0}


def test_an_outage_of_s3_charges_no_chunk_and_is_waited_out(
    in_s3: Database, s3: S3Server, opus: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    ids = add_in_s3(in_s3, 2, opus)
    caplog.set_level(logging.INFO)
    s3.pause()
    with ScriptedServer(always()).running() as server:
        worker = make_worker(in_s3, server.url)
        thread = threading.Thread(target=worker.run)
        thread.start()
        until(lambda: "waiting for it" in caplog.text)
        until(lambda: uncharged(in_s3, ids))  # others could reach the store
        s3.resume()
        thread.join()
    assert in_s3.chunks.count_documents({"transcribed_at": {"$ne": None}, "errors": []}) == 2
    assert caplog.text.count("does not answer") == caplog.text.count("answers again") == 1


@pytest.mark.parametrize("settings", [{"lease_seconds": 1}])
def test_an_outage_for_longer_than_the_lease_ends_the_worker(
    in_s3: Database, s3: S3Server, opus: bytes, settings: dict[str, float]
) -> None:
    ids = add_in_s3(in_s3, 2, opus)
    s3.pause()
    with (
        ScriptedServer(always()).running() as server,
        pytest.raises(AudioStoreUnavailable) as away,
    ):
        make_worker(in_s3, server.url, **settings).run()
    assert away.value.exit_code == 4
    assert uncharged(in_s3, ids)


def test_refused_credentials_end_the_worker_and_charge_nothing(
    in_s3: Database, s3: S3Server, opus: bytes
) -> None:
    ids = add_in_s3(in_s3, 2, opus)
    s3.check_keys()
    with (
        ScriptedServer(always()).running() as server,
        pytest.raises(AudioStoreRefused, match="check the credentials") as refused,
    ):
        make_worker(in_s3, server.url).run()
    assert refused.value.exit_code == 3
    assert uncharged(in_s3, ids)


def test_a_chunk_in_a_place_that_no_setting_names_is_left_alone_and_the_others_are_done(
    in_s3: Database, opus: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    odd = add_chunks(in_s3, 1, audio_url="s3://of-others/a.opus")
    add_in_s3(in_s3, 2, opus)
    with ScriptedServer(always("good morning")).running() as server:
        stats = make_worker(in_s3, server.url).run()
    assert stats.counts == {"transcribed": 2, "empty": 0, "error": 1, "skipped": 0}
    assert uncharged(in_s3, odd)
    assert caplog.text.count("STT_AUDIO_SOURCES") == 1


def test_a_worker_that_may_read_none_of_the_audio_stops_and_charges_nothing(
    in_s3: Database, opus: bytes
) -> None:
    ids = add_in_s3(in_s3, 30, opus)
    in_s3.objects = ObjectStore(object_store.IN_DATABASE)
    with (
        ScriptedServer(always()).running() as server,
        pytest.raises(AudioStoreRefused, match="neither STT_AUDIO_STORE nor STT_AUDIO_SOURCES"),
    ):
        make_worker(in_s3, server.url).run()
    assert uncharged(in_s3, ids)


def test_a_missing_object_is_charged_like_missing_audio(
    in_s3: Database, s3: S3Server, opus: bytes
) -> None:
    kept, gone = add_in_s3(in_s3, 2, opus)
    key = S3Url.parse(document(in_s3, gone)["audio_url"]).key
    s3.client.delete_object(Bucket=BUCKET, Key=key)
    with ScriptedServer(always()).running() as server:
        make_worker(in_s3, server.url, max_attempts=1).run()
    assert document(in_s3, kept)["transcribed_at"] is not None
    (error,) = document(in_s3, gone)["errors"]
    assert error["kind"] == "bad_audio"
    assert f"there is no object s3://{BUCKET}/{key}" in error["message"]


def test_an_object_that_s3_fails_on_for_ever_is_quarantined_with_the_reason_and_no_other(
    in_s3: Database, opus: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = in_s3
    before, bad, after = add_in_s3(database, 3, opus)
    key = S3Url.parse(document(database, bad)["audio_url"]).key
    fail_on(monkeypatch, key, 500, "InternalError")
    database.objects = ObjectStore(AudioPlaces(S3Url.parse(STORE)))  # not connected yet
    monkeypatch.setattr("stt.domain.backoff._FIRST_WAIT_SECONDS", 0.1)
    monkeypatch.setattr("stt.domain.backoff._GROWTH", 1.0)
    with ScriptedServer(always()).running() as server:
        stats = make_worker(database, server.url).run()
    assert stats.counts["transcribed"] == 2
    for id_ in (before, after):
        assert document(database, id_)["errors"] == []
    failed = document(database, bad)
    assert failed["failed_at"] is not None
    assert [error["kind"] for error in failed["errors"]] == ["bad_audio"] * 3
    assert f"{key}: S3 answers 500 (InternalError)" in failed["errors"][0]["message"]


@pytest.mark.parametrize("bytes_kept", [0, 5])
def test_a_truncated_object_is_charged_and_no_other(
    in_s3: Database, s3: S3Server, opus: bytes, bytes_kept: int
) -> None:
    kept, cut = add_in_s3(in_s3, 2, opus)
    key = S3Url.parse(document(in_s3, cut)["audio_url"]).key
    s3.client.put_object(Bucket=BUCKET, Key=key, Body=opus[:bytes_kept])
    with ScriptedServer(always()).running() as server:
        make_worker(in_s3, server.url, max_attempts=1).run()
    assert document(in_s3, kept)["transcribed_at"] is not None
    assert document(in_s3, cut)["errors"][0]["kind"] == "bad_audio"
