"""`stt again` with a real database: what becomes pending, and what is said."""

from unittest.mock import Mock

import pytest
from bson import ObjectId

from stt.domain.claim import WorkerReport
from stt.store.database import Database
from stt.store.edits import edit_segment
from stt.store.recordings import MongoRecordings
from stt.store.states import PENDING
from stt.store.workers import MongoRoster
from tests.support.recordings_in_queue import post_recording, transcribe
from tests.unit.stt.cli.conftest import Run


def talk(database: Database, name: str, model: str, language: str = "en") -> str:
    recording_id = post_recording(database, 1, filename=name)
    transcribe(database, recording_id, 0, f"Text of {model}.", model=model, language=language)
    return recording_id


def test_a_recording_is_pending_with_the_new_options_and_keeps_its_text(
    stt: Run, database: Database
) -> None:
    recording_id = talk(database, "talk.mp3", "tiny.en")
    assert stt("again", "talk.mp3", "--model", "base", "--language", "german") == 0
    assert stt.out == "talk.mp3: 1 chunk waiting again\n"
    assert "The earlier text stays" in stt.err
    recording = MongoRecordings(database).get(ObjectId(recording_id))
    assert (recording.model, recording.language) == ("base", "de")
    assert stt("export", "talk.mp3") == 0
    assert "Text of tiny.en." in stt.out
    assert "1 of 1 chunks have their earlier text" in stt.err
    assert stt("export", "talk.mp3", "--require-complete") == 1


def test_a_model_that_no_machine_has_is_said_and_is_no_error(stt: Run, database: Database) -> None:
    talk(database, "talk.mp3", "tiny.en")
    assert stt("again", "talk.mp3", "--model", "huge") == 0
    assert "No machine" not in stt.err  # none is at work
    roster = MongoRoster(database)
    roster.report("box_1", WorkerReport(slots=1, models=("large-v3-turbo", "base")))
    roster.report("idle-node-1f2e_1", WorkerReport(slots=0))
    assert stt("again", "talk.mp3", "--model", "huge") == 0
    assert (
        "No machine at work has the model huge: what asks for it waits."
        " There is base, large-v3-turbo.\n"
    ) in stt.err
    for model in ("base", "turbo", "whisper-1"):
        assert stt("again", "talk.mp3", "--model", model) == 0
        assert "No machine" not in stt.err
    roster.report("old_1", WorkerReport(slots=1))  # which does not say
    assert stt("again", "talk.mp3", "--model", "huge") == 0
    assert "No machine" not in stt.err


def test_a_whole_library_is_chosen_by_what_made_its_text(stt: Run, database: Database) -> None:
    for name, model, language in (
        ("a.mp3", "base", "en"), ("b.mp3", "base", "german"), ("c.mp3", "large-v3-turbo", "de"),
    ):  # fmt: skip
        talk(database, name, model, language)
    assert stt("again", "--where", "model=base", "--where", "language=de") == 0
    assert stt.out == "b.mp3: 1 chunk waiting again\n"
    assert stt("again", "--where", "model=turbo", "--where", "model=turbo") == 0
    assert stt("again", "a.mp3", "b.mp3", "--where", "model=base") == 0
    assert stt.out.splitlines()[-1] == "2 recordings, 2 chunks waiting again"
    assert database.chunks.count_documents(PENDING) == 3


def test_speakers_may_be_asked_for_afterwards(stt: Run, database: Database) -> None:
    recording_id = talk(database, "talk.mp3", "base")
    assert stt("again", "talk.mp3", "--speakers", "2") == 0
    recording = database.recordings.find_one({"_id": ObjectId(recording_id)})
    assert recording is not None
    assert recording["speakers"] == 2
    assert stt("again", "talk.mp3", "--speakers", "none") == 0
    recording = database.recordings.find_one({"_id": ObjectId(recording_id)})
    assert recording is not None
    assert recording["speakers"] is None


def test_only_what_has_no_speakers_is_transcribed_again_for_them(
    stt: Run, database: Database
) -> None:
    recording_id = post_recording(database, 3, filename="talk.mp3", speakers=0)
    transcribe(database, recording_id, 0, "One.")
    transcribe(database, recording_id, 1, "Two.", speakers=[])
    transcribe(database, recording_id, 2)  # silence
    assert stt("again", "talk.mp3", "--speakers") == 0
    assert stt.out == "talk.mp3: 1 chunk waiting again\n"
    assert [chunk["index"] for chunk in database.chunks.find(PENDING)] == [0]


@pytest.mark.parametrize(
    ("flags", "speakers", "most", "how"),
    [
        (["--speakers", "none"], None, None, "without speakers"),
        (["--speakers", "3"], 3, None, "with speakers as wanted"),
        (["--speakers"], 0, None, "with speakers as wanted"),
        (["--max-speakers", "5", "--where", "model=base"], 0, 5, "with speakers as wanted"),
    ],
)
def test_text_that_has_its_speakers_stays_and_so_do_edits(
    stt: Run,
    database: Database,
    flags: list[str],
    speakers: int | None,
    most: int | None,
    how: str,
) -> None:
    recording_id = post_recording(database, 1, filename="talk.mp3", speakers=2)
    chunk_id = transcribe(database, recording_id, 0, "Hello.", model="base", speakers=[])
    edit_segment(database, chunk_id, 0, "Mine.", before="Hello.")
    assert stt("again", "talk.mp3", *flags) == 0
    assert stt.out == f"talk.mp3: its text stays, {how}\n"
    recording = MongoRecordings(database).get(ObjectId(recording_id))
    assert (recording.speakers, recording.max_speakers) == (speakers, most)
    assert database.chunks.count_documents(PENDING) == 0
    assert stt("again", "talk.mp3", *flags, "--language", "de") == 2
    assert "1 edited line" in stt.err
    assert stt("again", "talk.mp3", "--speakers", "4", "--where", "model=tiny") == 1
    assert MongoRecordings(database).get(ObjectId(recording_id)).speakers == speakers


def test_what_has_its_speakers_by_its_channels_is_left_and_named(
    stt: Run, database: Database
) -> None:
    talk(database, "talk.mp3", "base")
    split = talk(database, "call.wav", "base")
    database.recordings.update_one({"_id": ObjectId(split)}, {"$set": {"channels": "split"}})
    assert stt("again", "call.wav", "talk.mp3", "--max-speakers", "3") == 0
    assert "call.wav: Each of its channels is a speaker already" in " ".join(stt.err.split())
    assert stt.out.startswith("talk.mp3: ")


def test_what_matches_nothing_is_exit_code_1_and_changes_nothing(
    stt: Run, database: Database
) -> None:
    talk(database, "talk.mp3", "base")
    assert stt("again", "--where", "model=large-v3") == 1
    assert stt("again", "nothing.mp3") == 1
    assert "No recording is called 'nothing.mp3'" in stt.err
    assert database.chunks.count_documents(PENDING) == 0


def test_wrong_usage_is_refused_before_the_database(stt: Run) -> None:
    for arguments, reason in (
        ([], "Name a recording, or use --where."),
        (["--where", "size=9"], "'size=9' is no condition"),
        (["--where", "language=klingon"], "'klingon' is not a language code"),
        (["talk.mp3", "--task", "sing"], "'sing' is no task"),
    ):
        assert stt("again", *arguments) == 2
        assert reason in " ".join(stt.err.split())


class TestEditedText:
    @pytest.fixture(autouse=True)
    def edited(self, database: Database) -> None:
        """A line of talk.mp3 was edited."""
        recording_id = ObjectId(talk(database, "talk.mp3", "base"))
        chunk = database.chunks.find_one({"original_id": recording_id}) or {}
        edit_segment(database, chunk["_id"], 0, "Mine.", before="Text of base.")

    def test_it_is_replaced_only_if_that_is_said(self, stt: Run, database: Database) -> None:
        assert stt("again", "talk.mp3") == 2
        assert "talk.mp3: 1 edited line" in stt.err
        assert "--drop-edits" in stt.err
        assert database.chunks.count_documents(PENDING) == 0
        assert stt("again", "talk.mp3", "--drop-edits") == 0
        assert database.chunks.count_documents(PENDING) == 1

    def test_at_a_terminal_it_asks(
        self, stt: Run, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("stt.cli.again.sys.stdin", Mock(isatty=lambda: True))
        for answer in (False, True):
            monkeypatch.setattr("typer.confirm", lambda *_, answer=answer, **__: answer)
            assert stt("again", "--where", "model=base") == int(not answer)
            assert database.chunks.count_documents(PENDING) == int(answer)
