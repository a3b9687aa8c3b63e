"""Recordings and audio, read from a real database."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from stt.domain.chunk import Chunk
from stt.errors import Ambiguous, BadAudio, NotFound
from stt.store.database import Database
from stt.store.recordings import MongoRecordings
from tests.support.queue_builder import add_chunks, add_recording, chunk


def test_a_source_is_found_by_its_id_and_by_its_file_name(database: Database) -> None:
    recording_id = add_recording(database, filename="talk.mp3", duration=60.0, language="en")
    add_recording(database, filename="other.mp3")
    recordings = MongoRecordings(database)
    assert recordings.find("talk.mp3") == recordings.find(str(recording_id))
    assert (recordings.find("talk.mp3").id, recordings.find("talk.mp3").language) == (
        recording_id,
        "en",
    )


def test_a_file_whose_name_looks_like_an_id_is_found(database: Database) -> None:
    name = str(ObjectId())
    recording_id = add_recording(database, filename=name)
    assert MongoRecordings(database).find(name).id == recording_id


def test_an_unknown_name_is_said_so(database: Database) -> None:
    with pytest.raises(NotFound, match=r"No recording is called 'nothing\.mp3'"):
        MongoRecordings(database).find("nothing.mp3")


def test_a_name_of_several_sources_lists_their_ids(database: Database) -> None:
    ids = [add_recording(database, filename="talk.mp3") for _ in range(2)]
    with pytest.raises(NotFound) as caught:
        MongoRecordings(database).find("talk.mp3")
    assert all(str(id_) in str(caught.value) for id_ in ids)


def test_a_name_of_several_is_told_apart_by_a_folder(database: Database) -> None:
    first, second = (
        add_recording(database, filename="ep01.wav", path=f"{folder}/ep01.wav", folder="talks")
        for folder in "AB"
    )
    recordings = MongoRecordings(database)
    assert recordings.find("B/ep01.wav").id == second
    assert recordings.find("talks/A/ep01.wav").id == first
    with pytest.raises(Ambiguous) as caught:
        recordings.find("ep01.wav")
    assert str(caught.value) == (
        "Several recordings are called 'ep01.wav'; name one by its id:"
        f" {first} (talks/A/ep01.wav), {second} (talks/B/ep01.wav)"
    )
    with pytest.raises(NotFound, match=r"Did you mean '[AB]/ep01\.wav' or '[AB]/ep01\.wav'\?"):
        recordings.find("C/ep01.wav")


_FORMS = [
    "\u00dcbung caf\u00e9.wav",
    "U\u0308bung cafe\u0301.wav",
    "U\u0308bung caf\u00e9.wav",
]


@pytest.mark.parametrize("stored", _FORMS, ids=["NFC", "NFD", "mixed"])
def test_letters_may_be_typed_in_either_form(database: Database, stored: str) -> None:
    recording_id = add_recording(database, filename=stored)
    for typed in _FORMS:
        assert MongoRecordings(database).find(typed).id == recording_id


class TestAFileOnThisMachine:
    def test_it_is_known_by_its_content_whatever_it_is_called(
        self, database: Database, tmp_path: Path
    ) -> None:
        path = tmp_path / "copy.wav"
        path.write_bytes(b"talk")
        recording_id = add_recording(
            database, filename="talk.wav", sha256=hashlib.sha256(b"talk").hexdigest()
        )
        assert MongoRecordings(database).find(str(path)).id == recording_id

    def test_it_is_not_in_the_queue_even_if_another_has_its_name(
        self, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = add_recording(database, filename="ep 1.wav", path="ep 1.wav", folder="A")
        monkeypatch.chdir(tmp_path)
        Path("B").mkdir()
        Path("B/ep 1.wav").write_bytes(b"another one")
        with pytest.raises(NotFound) as caught:
            MongoRecordings(database).find("B/ep 1.wav")
        assert str(caught.value) == (
            "B/ep 1.wav is not in the queue; `stt ingest 'B/ep 1.wav'` puts it there."
            f" Others of that name: {other} (A/ep 1.wav)."
        )


@pytest.mark.parametrize("name", ["pipe", "folder", "x" * 5_000, "x\0y"])
def test_what_is_no_file_is_a_name(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("folder").mkdir()
    recording_id = add_recording(database, filename=name)
    assert MongoRecordings(database).find(name).id == recording_id


def test_all_sources_come_oldest_first(database: Database) -> None:
    ids = [add_recording(database) for _ in range(3)]
    assert [recording.id for recording in MongoRecordings(database).all()] == ids


def test_transcripts_of_two_recordings_never_share_a_file(database: Database) -> None:
    ids = [
        add_recording(database, filename="ep01.wav", path="ep01.wav", folder=folder)
        for folder in ("season1", "season2", "season2")
    ]
    recordings = MongoRecordings(database)
    first, second, third = (recordings.get(id_) for id_ in ids)
    assert recordings.file_stems([second]) == ["season2/ep01"]
    assert recordings.file_stems([third, first]) == [f"ep01_{third.id}", "ep01"]
    renamed = replace(second, path="copy.wav", folder="elsewhere")
    assert recordings.file_stems([renamed]) == ["copy"]


def test_a_chunk_knows_its_source_unless_nobody_described_it(database: Database) -> None:
    recording_id = add_recording(database, filename="talk.mp3")
    [chunk_id] = add_chunks(database, 1, recording_id=recording_id)
    recordings = MongoRecordings(database)
    known = recordings.of(chunk(database, chunk_id))
    assert known is not None
    assert known.filename == "talk.mp3"
    assert recordings.of(Chunk(ObjectId(), ObjectId(), 0)) is None
    assert recordings.of(Chunk(ObjectId(), None, 0)) is None


class TestAudio:
    def test_it_is_read_from_beside_the_chunk(self, database: Database) -> None:
        [chunk_id] = add_chunks(database, 1, audio=b"opus", data=b"inline")
        assert MongoRecordings(database).audio(chunk(database, chunk_id)) == b"opus"

    def test_it_is_read_from_the_chunk_itself_where_another_program_put_it(
        self, database: Database
    ) -> None:
        [chunk_id] = add_chunks(database, 1, data=b"inline")
        assert MongoRecordings(database).audio(chunk(database, chunk_id)) == b"inline"

    @pytest.mark.parametrize("fields", [{}, {"data": b""}, {"data": "text"}, {"data": None}])
    def test_a_chunk_without_any_is_bad_audio(
        self, database: Database, fields: dict[str, Any]
    ) -> None:
        [chunk_id] = add_chunks(database, 1, **fields)
        with pytest.raises(BadAudio, match="has no audio"):
            MongoRecordings(database).audio(chunk(database, chunk_id))
