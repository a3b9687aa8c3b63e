"""A recording may have a model of its own: it reaches the server, which may not have it."""

from typing import Any, ClassVar

import pytest
from bson import ObjectId

from stt.errors import ConfigError, ModelMissing
from stt.settings import load_settings
from stt.store.database import Database
from stt.whisper.client import Upload, WhisperClient
from stt.worker.context import WorkOptions
from stt.worker.worker import Worker
from tests.support.queue_builder import add_chunks, add_recording, document
from tests.support.scripted_server import Answer, ScriptedServer, heard, refusal
from tests.support.speech import opus_tone

TIMEOUT_SECONDS = 10.0


def upload(model: str | None) -> Upload:
    return Upload(b"OggS", "chunk.ogg", 10.0, model=model)


def worker_at(database: Database, url: str, **flags: Any) -> Worker:
    settings = load_settings(
        server_urls=(url,), required_empty_checks=1, sequence_seconds=0, max_attempts=1, **flags
    )
    return Worker.at_database(database, settings, WorkOptions())


class TestTheCall:
    def test_the_recordings_model_goes_before_the_workers(self) -> None:
        with ScriptedServer(lambda *_: Answer(body=heard("Hello."))).running() as server:
            client = WhisperClient(server.url, None, "tiny")
            models = [
                client.transcribe(upload(m), TIMEOUT_SECONDS).model for m in ("large-v3", None)
            ]
        assert models == ["large-v3", "tiny"]
        assert b"large-v3" in server.forms[0]
        assert b"tiny" in server.forms[1]

    @pytest.mark.parametrize(
        "answer",
        [
            refusal(404, "no such model", param="model"),
            refusal(404, "The model does not exist", code="model_not_found"),
            Answer(404, {"detail": "Model 'large-v3' is not installed locally."}),
            refusal(400, "bad model", param="model"),
        ],
        ids=["param", "code", "detail", "400"],
    )
    def test_a_server_without_it_leaves_the_chunk_to_others(self, answer: Answer) -> None:
        with ScriptedServer(lambda *_: answer).running() as server:
            client = WhisperClient(server.url, None, "tiny")
            with pytest.raises(ModelMissing, match=rf"^no model large-v3 on {server.url}$"):
                client.transcribe(upload("large-v3"), TIMEOUT_SECONDS)
            if answer.status == 404:
                with pytest.raises(ConfigError, match="--model"):  # the worker's own
                    client.transcribe(upload(None), TIMEOUT_SECONDS)

    def test_a_wrong_address_is_still_the_workers_fault(self) -> None:
        answer = Answer(404, {"detail": "Not Found"})
        with (
            ScriptedServer(lambda *_: answer).running() as server,
            pytest.raises(ConfigError, match="STT_SERVER_URL"),
        ):
            WhisperClient(server.url, None, None).transcribe(upload("large-v3"), TIMEOUT_SECONDS)


def test_one_recordings_wrong_model_stops_no_worker_and_no_other_recording(
    database: Database,
) -> None:
    def script(_: int, __: bytes) -> Answer:
        has_model = b"huge-v9" in server.forms[-1]
        missing = refusal(404, "no such model", param="model")
        return missing if has_model else Answer(body=heard("Hello."))

    audio = opus_tone()
    picky = add_recording(database, model="huge-v9")
    waiting = add_chunks(database, 3, recording_id=picky, audio=audio, priority=1)
    fine = add_chunks(database, 2, audio=audio)
    server = ScriptedServer(script)
    with server.running():  # it knows no GET /v1/models: a single refusal has to be enough
        worker_at(database, server.url, max_parallel_workers=1).run()
    assert all(document(database, id_)["transcribed_at"] for id_ in fine)
    for id_ in waiting:
        left = document(database, id_)
        assert (left["processing_by"], left["failed_at"], left["attempts"]) == (None, None, 0)
        assert left["errors"] == []
    assert sum(b"huge-v9" in form for form in server.forms) <= 2  # one for each of its threads


def test_a_model_that_changes_holds_for_the_chunks_claimed_after_it(database: Database) -> None:
    def script(number: int, _: bytes) -> Answer:
        if number == 1:
            database.recordings.update_one({"_id": recording_id}, {"$set": {"model": "large-v3"}})
        return Answer(body=heard("Hello."))

    recording_id: ObjectId = add_recording(database, model="tiny")
    ids = add_chunks(database, 4, recording_id=recording_id, audio=opus_tone())
    with ScriptedServer(script).running() as server:
        worker_at(database, server.url, use_parallel_transcription=False).run()
    models = [document(database, id_)["transcript"]["model"] for id_ in ids]
    # Two threads claim ahead: either of the first two chunks may be sent first.
    assert b"tiny" in server.forms[0]
    assert "tiny" in models[:2]
    assert models[2:] == ["large-v3"] * 2


class TestSpeakers:
    """A recording may want its speakers: a server must find them."""

    SPEAKER: ClassVar = {"id": "A", "seconds": 1.0, "embedding": "ADw="}

    def test_they_are_asked_for_and_stored(self, database: Database) -> None:
        body = heard("Hello.") | {"speakers": [self.SPEAKER]}
        body["segments"][0]["speaker"] = "A"
        recording_id = add_recording(database, speakers=0)
        (chunk_id,) = add_chunks(database, 1, recording_id=recording_id, audio=opus_tone(1))
        with ScriptedServer(lambda *_: Answer(body=body)).running() as server:
            worker_at(database, server.url).run()
            (form,) = server.forms
        assert b'name="speakers"\r\n\r\ntrue' in form
        transcript = document(database, chunk_id)["transcript"]
        (speaker,) = transcript["speakers"]
        assert speaker["embedding"] == "ADw="
        assert transcript["segments"][0]["speaker"] == speaker["id"]
        assert speaker["id"].endswith(":A")
        assert speaker["id"] != "A"

    def test_who_does_not_want_them_does_not_ask(self, database: Database) -> None:
        (chunk_id,) = add_chunks(database, 1, audio=opus_tone(1))
        with ScriptedServer(lambda *_: Answer(body=heard("Hello."))).running() as server:
            worker_at(database, server.url).run()
            assert b"speakers" not in server.forms[0]
        assert "speakers" not in document(database, chunk_id)["transcript"]

    def test_a_server_without_them_leaves_the_chunk_to_others(self, database: Database) -> None:
        recording_id = add_recording(database, speakers=2)
        (chunk_id,) = add_chunks(database, 1, recording_id=recording_id, audio=opus_tone(1))
        answer = refusal(400, "needs --speakers", param="speakers", code="no_speakers")
        with ScriptedServer(lambda *_: answer).running() as server:
            worker_at(database, server.url).run()
        left = document(database, chunk_id)
        assert (left["transcribed_at"], left["failed_at"], left["attempts"]) == (None, None, 0)
        assert left["processing_by"] is None
