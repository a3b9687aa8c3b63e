"""`stt speakers` with a real database, and what exports make of it."""

import json

import pytest

from stt.store.database import Database
from tests.integration.stt.store.test_recording_speakers import ADA, BOB, local
from tests.support.queue_builder import add_chunks, add_recording
from tests.unit.stt.cli.conftest import Run

LINES = (
    ("1:A", "Hello."),
    ("1:B", "Good morning, it is Bob."),
    ("1:A", "It is quite cold up here, Bob."),
    (None, "Hm."),
)


@pytest.fixture
def talk(database: Database) -> str:
    """A chunk in which two speak, who said four things."""
    recording_id = add_recording(database, speakers=0, filename="talk.mp3", language="en")
    segments = [
        {"start": 3.0 * n, "end": 3.0 * n + 2, "text": text, **({"speaker": who} if who else {})}
        for n, (who, text) in enumerate(LINES)
    ]
    speakers = [
        {"id": one.id, "seconds": one.seconds, "embedding": one.embedding}
        for one in (local("1:A", ADA), local("1:B", BOB, 65.0))
    ]
    (chunk_id,) = add_chunks(
        database, 1, recording_id=recording_id,
        transcript={"language": "en", "segments": segments, "speakers": speakers},
    )  # fmt: skip
    database.chunks.update_one({"_id": chunk_id}, {"$currentDate": {"transcribed_at": True}})
    return "talk.mp3"


def test_speakers_are_listed_with_their_time_and_a_line(stt: Run, talk: str) -> None:
    assert stt("speakers", talk) == 0
    first, second = stt.out.splitlines()[1:3]
    assert first.split(None, 3)[:3] == ["SPEAKER_01", "SPEAKER_01", "0:10"]
    assert "It is quite cold up here, Bob." in first
    assert "1:05" in second


def test_names_and_merges_are_in_the_exports(stt: Run, talk: str) -> None:
    assert stt("speakers", talk, "rename", "SPEAKER_02", "Bob") == 0
    assert stt.out == "SPEAKER_02 is Bob\n"
    assert stt("export", talk) == 0
    assert stt.out.splitlines() == [
        "[SPEAKER_01] Hello.",
        "[Bob] Good morning, it is Bob.",
        "[SPEAKER_01] It is quite cold up here, Bob.",
        "[?] Hm.",
    ]
    assert stt("export", talk, "--format", "json") == 0
    speakers = [segment.get("speaker") for segment in json.loads(stt.out)["segments"]]
    assert speakers == ["SPEAKER_01", "Bob", "SPEAKER_01", None]
    assert stt("speakers", talk, "merge", "speaker_01", "bob") == 0
    assert stt.out == "speaker_01 is Bob\n"
    assert stt("export", talk, "--format", "vtt") == 0
    assert stt.out.count("[Bob]") == 1
    assert stt("speakers", talk, "rename", "Bob", "") == 0
    assert stt.out == "SPEAKER_02 is without a name\n"


def test_one_that_has_a_name_keeps_it_when_it_is_merged(stt: Run, talk: str) -> None:
    assert stt("speakers", talk, "rename", "SPEAKER_02", " Bob\n") == 0
    assert stt("speakers", talk, "merge", "bob", "SPEAKER_01") == 0
    assert stt.out == "SPEAKER_01 is Bob\n"


def test_no_two_have_one_name_however_many_are_told_apart(
    stt: Run, database: Database, talk: str
) -> None:
    assert stt("speakers", talk, "rename", "SPEAKER_01", "Ada") == 0
    database.recordings.update_one({}, {"$set": {"speakers": 1}})
    assert stt("speakers", talk, "--json") == 0
    (only,) = json.loads(stt.out)
    assert only["label"] == "SPEAKER_02"  # with most of the voice that both are
    assert stt("speakers", talk, "rename", "SPEAKER_02", "Ada") == 0
    database.recordings.update_one({}, {"$set": {"speakers": 0}})
    assert stt("speakers", talk, "--json") == 0
    assert [one["label"] for one in json.loads(stt.out)] == ["SPEAKER_01", "Ada"]


def test_json_has_a_line_of_each(stt: Run, talk: str) -> None:
    assert stt("speakers", talk, "--json") == 0
    first, second = json.loads(stt.out)
    assert first == {
        "id": "SPEAKER_01", "seconds": 10.0, "name": None, "label": "SPEAKER_01",
        "example_start": 6.0, "example": "It is quite cold up here, Bob.",
    }  # fmt: skip
    assert second["example"] == "Good morning, it is Bob."


def test_what_a_speaker_says_is_found(stt: Run, talk: str) -> None:
    assert stt("speakers", talk, "rename", "SPEAKER_02", "Bob") == 0
    assert stt("search", "--speaker", "bob") == 0
    assert stt.out.splitlines() == ["talk.mp3", "    0:03  [Bob] Good morning, it is Bob."]
    assert stt("search", "bob", "--speaker", "SPEAKER_01", "--source", talk) == 0
    assert stt.out.splitlines()[1:] == ["    0:06  [SPEAKER_01] It is quite cold up here, Bob."]
    assert stt("search", "cold", "--speaker", "Bob") == 1
    assert stt("search", "--speaker", "Bob", "--json") == 0
    assert [hit["speaker"] for hit in json.loads(stt.out)] == ["Bob"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Write the words to find, or --speaker NAME."),
        (["--speaker", " "], "Write the words to find, or --speaker NAME."),
        (["--speaker", "SPEAKER_01"], "SPEAKER_01 is another speaker in each recording"),
    ],
)
def test_a_search_for_nothing_is_refused(
    stt: Run, talk: str, arguments: list[str], message: str
) -> None:
    assert stt("search", *arguments) == 2
    assert message in " ".join(stt.err.split())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["rename", "SPEAKER_01"], 2, "rename WHO NAME, or merge WHO INTO"),
        (["drop", "a", "b"], 2, "rename WHO NAME, or merge WHO INTO"),
        (["rename", "Eve", "x"], 1, "There is no speaker Eve; there are: SPEAKER_01, SPEAKER_02."),
        (["merge", "SPEAKER_01", "Eve"], 1, "There is no speaker Eve"),
        (["rename", "SPEAKER_01", "SPEAKER_02"], 3, "SPEAKER_02 is another speaker."),
    ],
)
def test_what_cannot_be_is_refused(
    stt: Run, talk: str, arguments: list[str], code: int, message: str
) -> None:
    assert stt("speakers", talk, *arguments) == code
    assert message in " ".join(stt.err.split())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "speakers were not asked for. To find them: stt again 'a talk.mp3' --speakers"),
        ({"channels": "split"}, "each of its channels is a speaker already"),
        ({"speakers": 2}, "no speakers are known yet"),
    ],
)
def test_without_speakers_it_says_how_to_ask_for_them(
    stt: Run, database: Database, fields: dict[str, object], said: str
) -> None:
    add_recording(database, filename="a talk.mp3", **fields)
    assert stt("speakers", "a talk.mp3") == 0
    assert said in " ".join(stt.err.split())
    assert "of text without" not in stt.err


def test_text_without_its_speakers_is_said(stt: Run, database: Database, talk: str) -> None:
    database.chunks.update_one({}, {"$unset": {"transcript.speakers": ""}})
    assert stt("speakers", talk) == 0
    assert "1 chunk of text without speakers" in stt.err
    assert "stt again talk.mp3 --speakers" in stt.err
