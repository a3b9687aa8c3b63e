"""Many recordings at once, over real HTTP."""

import io
import zipfile
from collections.abc import Iterator

import pytest
from bson import ObjectId

from stt.store.database import Database
from stt.store.edits import edit_segment
from tests.support.coordinator_app import CoordinatorThread, KeyedSession
from tests.support.recordings_in_queue import NOW, post_recording, set_chunk, transcribe

GONE = "0" * 24


@pytest.fixture
def person(coordinator: CoordinatorThread) -> Iterator[KeyedSession]:
    with coordinator.person() as session:
        yield session


def test_those_that_are_named_are_removed_and_the_others_stay(
    queue: Database, person: KeyedSession
) -> None:
    ids = [post_recording(queue, 2) for _ in range(3)]
    answer = person.post("/api/recordings/delete", json={"ids": [ids[0], GONE, ids[2]]})
    assert answer.json() == {"recordings": 3, "chunks": 0, "unchanged": []}
    assert person.get("/api/recordings/ids").json() == {"ids": [ids[1]]}
    assert queue.audio.count_documents({}) == 2


def test_those_that_can_be_are_transcribed_again_and_the_others_say_why_not(
    queue: Database, person: KeyedSession
) -> None:
    ids = [post_recording(queue, 2, language="en") for _ in range(3)]
    for id_ in ids:
        for index in range(2):
            transcribe(queue, id_, index, "Hello.")
    for index in range(2):
        set_chunk(queue, ids[1], index, audio_removed_at=NOW)
    wanted = {"ids": [ids[0], ids[1], GONE], "model": "large-v3"}
    answer = person.post("/api/recordings/transcribe", json=wanted).json()
    assert (answer["recordings"], answer["chunks"]) == (1, 2)
    assert [(one["id"], one["code"]) for one in answer["unchanged"]] == [
        (ids[1], "audio_removed"), (GONE, "not_found")
    ]  # fmt: skip
    assert "STT_KEEP_AUDIO" in answer["unchanged"][0]["message"]
    again = person.get(f"/api/recordings/{ids[0]}").json()
    assert (again["model"], again["language"], again["counts"]["pending"]) == ("large-v3", "en", 2)
    assert person.get(f"/api/recordings/{ids[1]}").json()["model"] is None


def test_speakers_are_asked_for_where_the_channels_are_none(
    queue: Database, person: KeyedSession
) -> None:
    mixed, split = post_recording(queue, 1), post_recording(queue, 1, channels="split")
    wanted = {"ids": [split, mixed], "speakers": "auto", "max_speakers": 4}
    answer = person.post("/api/recordings/transcribe", json=wanted).json()
    assert (answer["recordings"], answer["chunks"]) == (1, 1)
    assert [(one["id"], one["code"]) for one in answer["unchanged"]] == [(split, "channels_split")]
    received = person.get(f"/api/recordings/{mixed}").json()
    assert (received["speakers"], received["max_speakers"]) == (0, 4)


@pytest.mark.parametrize("ids", [[], ["odd"], [GONE] * 201])
def test_nothing_no_id_and_too_many_are_refused(person: KeyedSession, ids: list[str]) -> None:
    for path in ("delete", "transcribe"):
        assert person.post(f"/api/recordings/{path}", json={"ids": ids}).status_code == 422


class TestZipFiles:
    def test_a_zip_file_has_the_folders_and_formats_that_are_asked_for(
        self, queue: Database, person: KeyedSession
    ) -> None:
        for path in ("A/ep01.wav", "B/ep01.wav"):
            id_ = post_recording(queue, 1, filename="ep01.wav", path=path, folder="talks")
            transcribe(queue, id_, 0, f"This is {path}.")
        post_recording(queue, 1, filename="other.wav")
        answer = person.get("/results.zip?folder=talks&format=srt&format=txt&format=srt")
        assert answer.headers["Content-Type"] == "application/zip"
        assert 'filename="talks.zip"' in answer.headers["Content-Disposition"]
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert archive.namelist() == [
                f"talks/{folder}/ep01.{name}" for folder in "AB" for name in ("srt", "txt")
            ]
            assert "This is B/ep01.wav." in archive.read("talks/B/ep01.srt").decode()

    def test_those_that_are_named_are_in_it_and_what_cannot_be_read_is_listed(
        self, queue: Database, person: KeyedSession
    ) -> None:
        ids = [post_recording(queue, 1, filename=f"{number}.wav") for number in range(3)]
        for id_ in ids:
            transcribe(queue, id_, 0, "Hello.")
        set_chunk(queue, ids[1], 0, transcript={"segments": "odd"})
        answer = person.get("/results.zip", params={"id": ids[:2]})
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert archive.namelist() == ["0.txt", "not in this file.txt"]
            assert archive.read("not in this file.txt").startswith(
                b"1.txt: The transcript of chunk"
            )

    def test_where_nothing_matches_there_is_no_file(self, person: KeyedSession) -> None:
        answer = person.get("/results.zip", params={"id": str(ObjectId())})
        assert answer.status_code == 404
        assert answer.json()["error"]["message"] == "No recording matches."


def test_edited_recordings_are_left_as_they_are_unless_their_edits_may_go(
    queue: Database, person: KeyedSession
) -> None:
    ids = [post_recording(queue, 1) for _ in range(2)]
    chunk_ids = [transcribe(queue, id_, 0, "Hello.") for id_ in ids]
    edit_segment(queue, chunk_ids[0], 0, "Hallo.", before="Hello.")
    path = "/api/recordings/transcribe"
    answer = person.post(path, json={"ids": ids}).json()
    assert (answer["recordings"], [one["id"] for one in answer["unchanged"]]) == (1, ids[:1])
    assert "1 line was edited" in answer["unchanged"][0]["message"]
    answer = person.post(path, json={"ids": ids[:1], "drop_edits": True}).json()
    assert (answer["chunks"], answer["unchanged"]) == (1, [])
