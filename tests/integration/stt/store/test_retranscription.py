"""What is transcribed again, with which options, and what keeps its text."""

from typing import Any

import pytest
from bson import ObjectId

from stt.errors import AudioRemoved, ChannelsSplit, HasEdits, NotFound
from stt.store.database import Database
from stt.store.edits import edit_segment
from stt.store.recordings import MongoRecordings
from stt.store.retranscription import (
    change_speakers,
    count_without_speakers,
    models_of,
    recordings_with,
    renew,
    transcribe_again,
)
from stt.store.states import PENDING
from tests.support.queue_builder import START
from tests.support.recordings_in_queue import post_recording, set_chunk, transcribe

TINY = frozenset({"tiny"})
BASE = frozenset({"base"})


@pytest.fixture
def talk(database: Database) -> ObjectId:
    """Two chunks of tiny, and one of base."""
    recording_id = post_recording(database, 3, language="de")
    for index, model in enumerate(("tiny", "tiny", "base")):
        transcribe(database, recording_id, index, "Hello.", model=model)
    return ObjectId(recording_id)


def pending(database: Database) -> list[int]:
    return [c["index"] for c in database.chunks.find(PENDING).sort("index")]


def renewed(
    database: Database, talk: ObjectId, models: frozenset[str] = frozenset(), **options: Any
) -> int:
    return renew(database, MongoRecordings(database).get(talk), options, models)


def heard(database: Database, talk: ObjectId, index: int) -> None:
    """Let a chunk have looked for speakers, and found none."""
    set_chunk(database, str(talk), index, **{"transcript.speakers": []})


class TestRenewing:
    def test_the_same_options_leave_it_alone(self, database: Database, talk: ObjectId) -> None:
        assert renewed(database, talk, language="de", task="transcribe", prompt=None) == 0
        assert pending(database) == []

    @pytest.mark.parametrize(
        "changed",
        [{"language": "en"}, {"task": "translate"}, {"prompt": "A"}, {"hotwords": "Bo"}],
        ids=str,
    )
    def test_another_option_is_for_all_of_it_and_stored(
        self, database: Database, talk: ObjectId, changed: dict[str, Any]
    ) -> None:
        assert renewed(database, talk, **changed) == 3
        recording = MongoRecordings(database).get(talk)
        assert {name: getattr(recording, name) for name in changed} == changed
        assert renewed(database, talk, **changed) == 0

    def test_another_model_is_for_what_it_did_not_make(
        self, database: Database, talk: ObjectId
    ) -> None:
        assert renewed(database, talk, BASE) == 2
        assert pending(database) == [0, 1]

    def test_a_server_that_calls_the_model_otherwise_is_not_asked_again_and_again(
        self, database: Database, talk: ObjectId
    ) -> None:
        wanted = frozenset({"large-v3"})
        assert renewed(database, talk, wanted, model="large-v3") == 3
        for index in range(3):
            transcribe(database, str(talk), index, "Hi.", model="Systran/faster-whisper-large-v3")
        assert renewed(database, talk, wanted) == 0

    def test_what_is_pending_gets_the_model_too(self, database: Database) -> None:
        recording_id = ObjectId(post_recording(database, 1, model="small"))
        assert renewed(database, recording_id, BASE, model=None) == 0
        assert MongoRecordings(database).get(recording_id).model is None


class TestTranscribingAgain:
    def test_only_what_matches_becomes_pending(self, database: Database, talk: ObjectId) -> None:
        made = {"transcript.model": "base"}
        assert transcribe_again(database, talk, {"model": "large"}, made) == 1
        assert pending(database) == [2]
        assert transcribe_again(database, talk, {}, {"transcript.model": "none"}) == 0
        assert pending(database) == [2]

    def test_what_is_not_there_is_said(self, database: Database) -> None:
        with pytest.raises(NotFound):
            transcribe_again(database, ObjectId(), {})


class TestSpeakers:
    def test_they_need_new_text_and_another_number_of_them_does_not(
        self, database: Database, talk: ObjectId
    ) -> None:
        assert renewed(database, talk, speakers=0) == 3
        voices = {"transcript.speakers": [{"id": "a:A", "seconds": 9.0}], "transcribed_at": START}
        database.chunks.update_many({"original_id": talk}, {"$set": voices})
        assert renewed(database, talk, speakers=3) == 0
        assert MongoRecordings(database).get(talk).speakers == 3
        assert renewed(database, talk, speakers=0, max_speakers=5) == 0
        assert MongoRecordings(database).get(talk).max_speakers == 5
        assert renewed(database, talk, speakers=None, max_speakers=None) == 0
        assert MongoRecordings(database).get(talk).speakers is None
        assert renewed(database, talk, speakers=2) == 0, "the voices are still known"
        assert MongoRecordings(database).get(talk).speakers == 2

    @pytest.mark.parametrize("asked", [None, 0])
    def test_what_has_none_gets_them_and_the_rest_keeps_its_text(
        self, database: Database, talk: ObjectId, asked: int | None
    ) -> None:
        MongoRecordings(database).change(talk, {"speakers": asked})
        heard(database, talk, 1)
        assert renewed(database, talk, speakers=2) == 2
        assert pending(database) == [0, 2]
        assert MongoRecordings(database).get(talk).speakers == 2

    def test_servers_that_leave_them_out_are_not_asked_again_and_again(
        self, database: Database, talk: ObjectId
    ) -> None:
        transcribe(database, str(talk), 1)  # silent: no server is asked
        heard(database, talk, 1)
        MongoRecordings(database).change(talk, {"speakers": 0})
        assert renewed(database, talk, speakers=0) == 0
        wanted = {"speakers": 0, "max_speakers": None}
        assert change_speakers(database, talk, wanted) == 2, "a person says so"

    def test_where_the_audio_is_gone_those_that_are_known_are_joined_anew(
        self, database: Database, talk: ObjectId
    ) -> None:
        database.chunks.update_many({}, {"$set": {"audio_removed_at": START}})
        wanted = {"speakers": 3, "max_speakers": None}
        with pytest.raises(AudioRemoved):
            change_speakers(database, talk, wanted)
        heard(database, talk, 1)
        assert change_speakers(database, talk, wanted) == 0
        assert renewed(database, talk, speakers=2) == 0
        assert MongoRecordings(database).get(talk).speakers == 2

    def test_nobody_speaks_where_there_is_no_text(self, database: Database, talk: ObjectId) -> None:
        transcribe(database, str(talk), 1)
        assert renewed(database, talk, speakers=0) == 2
        assert pending(database) == [0, 2]

    def test_another_model_is_for_all_that_it_did_not_make(
        self, database: Database, talk: ObjectId
    ) -> None:
        heard(database, talk, 0)
        heard(database, talk, 1)
        assert renewed(database, talk, TINY, speakers=0) == 1
        assert renewed(database, talk, BASE, model="base") == 2

    def test_they_are_changed_without_new_text_where_they_are_known(
        self, database: Database, talk: ObjectId
    ) -> None:
        for index in range(3):
            heard(database, talk, index)
        for count in (2, None, 3):
            wanted = {"speakers": count, "max_speakers": None}
            assert change_speakers(database, talk, wanted) == 0
            assert MongoRecordings(database).get(talk).speakers == count

    def test_what_lacks_them_is_counted_where_they_are_asked_for(
        self, database: Database, talk: ObjectId
    ) -> None:
        def count() -> int:
            return count_without_speakers(database, MongoRecordings(database).get(talk))

        assert count() == 0
        MongoRecordings(database).change(talk, {"speakers": 0})
        assert count() == 3
        heard(database, talk, 0)
        database.chunks.update_one({"index": 1}, {"$set": {"audio_removed_at": START}})
        assert count() == 1


def test_no_speakers_are_found_in_channels_that_are_speakers(database: Database) -> None:
    recording_id = ObjectId(post_recording(database, 1, channels="split"))
    transcribe(database, str(recording_id), 0, "Hello.")
    for change in (renewed, lambda *_, **wanted: transcribe_again(database, recording_id, wanted)):
        with pytest.raises(ChannelsSplit):
            change(database, recording_id, speakers=0)
    assert renewed(database, recording_id, speakers=None) == 0
    assert pending(database) == []


def test_the_models_and_the_recordings_of_a_model_are_known(
    database: Database, talk: ObjectId
) -> None:
    post_recording(database, 1)
    assert models_of(database, talk) == ("base", "tiny")
    assert recordings_with(database, {"transcript.model": {"$in": ["tiny"]}}) == [talk]
    transcribe_again(database, talk, {})
    assert models_of(database, talk) == ("base", "tiny")


class TestEditedText:
    @pytest.fixture(autouse=True)
    def edited(self, database: Database, talk: ObjectId) -> ObjectId:
        """The first chunk, of tiny, was edited."""
        query = {"original_id": talk, "index": 0}
        chunk_id: ObjectId = (database.chunks.find_one(query) or {})["_id"]
        edit_segment(database, chunk_id, 0, "Hello!", before="Hello.")
        return chunk_id

    def test_it_is_not_dropped_unasked(self, database: Database, talk: ObjectId) -> None:
        with pytest.raises(HasEdits, match="1 line was edited"):
            transcribe_again(database, talk, {"model": "large"})
        with pytest.raises(HasEdits):
            renewed(database, talk, BASE)
        assert pending(database) == []
        assert MongoRecordings(database).get(talk).model is None
        assert transcribe_again(database, talk, {}, drop_edits=True) == 3

    def test_only_the_chunks_that_are_meant_matter(
        self, database: Database, talk: ObjectId
    ) -> None:
        assert transcribe_again(database, talk, {}, {"transcript.model": "base"}) == 1
        assert pending(database) == [2]

    def test_an_edit_in_the_same_moment_is_kept(
        self, database: Database, talk: ObjectId, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("stt.store.retranscription.check_edits", lambda *_: None)
        assert transcribe_again(database, talk, {}) == 2
        assert pending(database) == [1, 2]
