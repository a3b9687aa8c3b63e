"""What `stt transcribe` does with stored text: kept and said, or transcribed again."""

from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from stt.cli.stored_text import renew_stored, say_without_speakers
from stt.settings import Settings, load_settings
from stt.store.database import Database
from stt.store.edits import edit_segment
from stt.store.recordings import MongoRecordings
from stt.store.states import PENDING
from tests.support.recordings_in_queue import NOW, post_recording, transcribe


@pytest.fixture
def talk(database: Database) -> ObjectId:
    recording_id = post_recording(database, 1, filename="talk.mp3")
    transcribe(database, recording_id, 0, "Hello.", model="tiny.en")
    return ObjectId(recording_id)


def renewed(database: Database, id_: ObjectId, settings: Settings, **given: Any) -> int:
    recording = MongoRecordings(database).get(id_)
    renew_stored(database, [("talks/talk 1.mp3", recording)], given, settings)
    return database.chunks.count_documents(PENDING)


def test_stored_text_is_kept_and_one_line_says_so(
    database: Database, talk: ObjectId, capsys: pytest.CaptureFixture[str]
) -> None:
    for model in (None, "tiny.en"):
        assert renewed(database, talk, load_settings(model=model), task="transcribe") == 0
        assert capsys.readouterr().err == (
            "talks/talk 1.mp3 is stored, transcribed by tiny.en. To transcribe again:"
            " stt again 'talks/talk 1.mp3', then this command once more.\n"
        )


def test_standard_input_is_called_so_and_named_by_its_id(
    database: Database, talk: ObjectId, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = MongoRecordings(database).get(talk)
    renew_stored(database, [("standard input", recording)], {}, load_settings())
    error = capsys.readouterr().err
    assert error.startswith("standard input is stored, transcribed by tiny.en.")
    assert f" stt again {talk}, then" in error


def test_another_option_or_model_transcribes_again_and_says_so(
    database: Database, talk: ObjectId, capsys: pytest.CaptureFixture[str]
) -> None:
    assert renewed(database, talk, load_settings(model="base")) == 1
    assert "transcribing 1 chunk again, stored as tiny.en made it" in capsys.readouterr().err
    transcribe(database, str(talk), 0, "Hello.", model="base")
    assert renewed(database, talk, load_settings(model="base")) == 0
    assert renewed(database, talk, load_settings(), language="de") == 1


def test_a_folder_is_the_model_that_a_local_server_calls_by_its_name(
    database: Database, talk: ObjectId, tmp_path: Path
) -> None:
    for name, chunks in (("tiny.en", 0), ("base", 1)):
        (tmp_path / name).mkdir()
        assert renewed(database, talk, load_settings(model=str(tmp_path / name))) == chunks


def test_servers_that_are_set_are_asked_for_the_model_and_one_of_this_machine_has_it(
    database: Database, talk: ObjectId
) -> None:
    servers = load_settings(model="base", server_urls=("http://gpu:8081",))
    assert renewed(database, talk, servers) == 1
    assert MongoRecordings(database).get(talk).model == "base"
    assert renewed(database, talk, load_settings(model="small")) == 1
    assert MongoRecordings(database).get(talk).model is None


def test_many_that_are_stored_are_one_line(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for number in range(5):
        recording_id = post_recording(database, 1)
        transcribe(database, recording_id, 0, "Hello.", model="base")
        recording = MongoRecordings(database).get(ObjectId(recording_id))
        found.append((f"{number}.mp3", recording))
    renew_stored(database, found, {}, load_settings())
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("5 recordings are stored, transcribed by base.")
    assert "stt again 0.mp3 1.mp3 2.mp3 …" in line


def test_what_is_still_in_the_queue_is_not_stored(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert renewed(database, ObjectId(post_recording(database, 1)), load_settings()) == 1
    assert capsys.readouterr().err == ""


def test_edited_text_is_kept_and_one_line_says_so(
    database: Database, talk: ObjectId, capsys: pytest.CaptureFixture[str]
) -> None:
    chunk = database.chunks.find_one({"original_id": talk}) or {}
    edit_segment(database, chunk["_id"], 0, "Hallo.", before="Hello.")
    assert renewed(database, talk, load_settings(model="base")) == 0
    assert capsys.readouterr().err == (
        "talks/talk 1.mp3: 1 line was edited: to transcribe again would drop that. If that is"
        " meant: stt again 'talks/talk 1.mp3'\n"
    )


def test_what_was_edited_is_said_with_what_looks_for_its_speakers(
    database: Database, talk: ObjectId, capsys: pytest.CaptureFixture[str]
) -> None:
    chunk = database.chunks.find_one({"original_id": talk}) or {}
    edit_segment(database, chunk["_id"], 0, "Hello!", before="Hello.")
    for given, flags in (
        ({"speakers": 0, "max_speakers": None}, "--speakers"),
        ({"speakers": 0, "max_speakers": 4}, "--max-speakers 4"),
    ):
        assert renewed(database, talk, load_settings(), **given) == 0
        assert capsys.readouterr().err.endswith(f"stt again 'talks/talk 1.mp3' {flags}\n")


def test_text_whose_audio_is_gone_stays_and_that_is_said(
    database: Database, talk: ObjectId, capsys: pytest.CaptureFixture[str]
) -> None:
    database.chunks.update_many({}, {"$set": {"audio_removed_at": NOW}})
    assert renewed(database, talk, load_settings(), speakers=0, max_speakers=None) == 0
    assert "talks/talk 1.mp3: " in capsys.readouterr().err


def test_text_without_the_speakers_that_were_asked_for_is_said_with_what_to_do(
    database: Database, talk: ObjectId, capsys: pytest.CaptureFixture[str]
) -> None:
    recordings = MongoRecordings(database)
    say_without_speakers(database, [("a b.mp3", recordings.get(talk))])
    assert capsys.readouterr().err == ""
    recordings.change(talk, {"speakers": 3})
    found = [(name, recordings.get(talk)) for name in ("copy.mp3", "a b.mp3")]
    say_without_speakers(database, found[1:])
    assert capsys.readouterr().err == (
        "a b.mp3: 1 chunk of text without speakers. To look for them again:"
        " stt again 'a b.mp3' --speakers 3\n"
    )
    say_without_speakers(database, found)
    assert capsys.readouterr().err.count("\n") == 1
    transcribe(database, str(talk), 0, "Hello.", speakers=[])
    say_without_speakers(database, found)
    assert capsys.readouterr().err == ""
