"""Who names speakers in a chaos run, and the rules on speakers: whole and broken on purpose."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from stt.store import recording_speakers
from stt.store.database import Database
from stt.store.documents import write_transcript
from stt.whisper.verbose_json import read_transcript
from stt.worker.transcript_splitting import split, with_own_speakers
from tests.support.queue_builder import add_chunks, add_recording
from tools.chaos_lab import mutations, voices
from tools.chaos_lab.evidence import Fact, Run
from tools.chaos_lab.history import EventLog, History, read_events
from tools.chaos_lab.namer import Namer
from tools.chaos_lab.speaker_rules import names_stay, speakers_are_right
from tools.chaos_lab.stand_in_words import Call, transcript_of

NUMBERS = range(voices.CHUNKS_OF_RECORDING, 2 * voices.CHUNKS_OF_RECORDING)
"""Of the chunks of the first recording that asks for speakers."""


class Stage:
    """A recording that asks for speakers, who names them, and calls of a stand-in."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._log = folder / "names.jsonl"
        self._ids = add_chunks(
            database, len(NUMBERS), recording_id=add_recording(database, speakers=0)
        )
        self.namer = Namer(database, EventLog(self._log, "namer"))
        (self.recording,) = self.namer.recordings()

    def transcribe(self, call: str, first: int, behind: int) -> None:
        """Transcribe chunks in one call, as a worker does."""
        numbers = tuple(NUMBERS[first:behind])
        answer = transcript_of(Call(call, "", numbers, wants_speakers=True))
        heard = read_transcript(answer, float(len(numbers)))
        parts = split(with_own_speakers(heard), [1.0] * len(numbers))
        for id_, part in zip(self._ids[first:behind], parts, strict=True):
            update = {"transcribed_at": "now", "transcript": write_transcript(part)}
            self._database.chunks.update_one({"_id": id_}, {"$set": update})
        recording_speakers.join_if_whole(self._database, self.recording.id)

    def look(self) -> list[str]:
        return self.namer.look(self.recording)

    def name_all(self) -> None:
        for speaker in self.look():
            self.namer.name(self.recording, speaker)

    def broken_rules(self, **fields: Any) -> set[str]:
        run = Run(
            history=History(),
            documents=list(self._database.chunks.find()),
            calls=[],
            chunks={id_: Fact(number) for id_, number in zip(self._ids, NUMBERS, strict=True)},
            ends=[],
            lease_seconds=4.0,
            max_attempts=3,
            max_expirations=5,
            speakers=list(self._database.speakers.find()),
            names=list(read_events(self._log)),
            **fields,
        )
        return {breach.rule for breach in (*speakers_are_right(run), *names_stay(run))}


@pytest.fixture
def stage(database: Database, tmp_path: Path) -> Stage:
    return Stage(database, tmp_path)


def chunks_are_transcribed_after_a_person_looked(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.transcribe("one", 0, 6)
    stage.name_all()
    stage.transcribe("two", 6, 12)
    stage.look()


def a_name_is_given_while_a_worker_joins(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.transcribe("one", 0, 6)
    stage.name_all()
    join = recording_speakers._join
    given: list[str] = []

    def meanwhile(*arguments: Any) -> Any:
        if not given:
            given.append("SPEAKER_01")
            stage.namer.name(stage.recording, given[0])
        return join(*arguments)

    monkeypatch.setattr(recording_speakers, "_join", meanwhile)
    stage.transcribe("two", 6, 12)
    stage.look()
    assert given


Story = Callable[[Stage, pytest.MonkeyPatch], None]
STORIES: list[tuple[str, Story, str]] = [
    ("no-speaker-refresh", chunks_are_transcribed_after_a_person_looked, "speakers"),
    ("no-speaker-compare-and-set", a_name_is_given_while_a_worker_joins, "names"),
]


@pytest.mark.parametrize(("mutation", "story", "rule"), STORIES)
def test_the_checker_catches_speakers_that_are_wrong(
    mutation: str, story: Story, rule: str, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutations.MUTATIONS[mutation].replace_with(monkeypatch.setattr)
    story(stage, monkeypatch)
    assert rule in stage.broken_rules()


@pytest.mark.parametrize("story", [story for _, story, _ in STORIES])
def test_the_checker_has_nothing_against_right_speakers(
    story: Story, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    story(stage, monkeypatch)
    assert stage.broken_rules() == set()


def test_speakers_that_nobody_has_joined_are_missed(stage: Stage, database: Database) -> None:
    stage.transcribe("one", 0, 12)
    stage.look()
    database.speakers.delete_many({})
    assert stage.broken_rules() == {"speakers"}


@pytest.mark.parametrize(
    "change",
    [
        {"of_local.one:A": "SPEAKER_02"},
        {"of_local.none:A": "SPEAKER_01"},
        {"of_local": {}},
        {"speakers.0.seconds": 1.0},
    ],
)
def test_speakers_that_are_not_those_of_the_text_are_missed(
    stage: Stage, database: Database, change: dict[str, Any]
) -> None:
    stage.transcribe("one", 0, 12)
    stage.look()
    document = database.speakers.find_one()
    assert document is not None
    call = next(iter(document["of_local"])).partition(":")[0]
    change = {field.replace("one:", f"{call}:"): value for field, value in change.items()}
    database.speakers.update_one({}, {"$set": change})
    assert stage.broken_rules() == {"speakers"}


def test_a_recording_that_did_not_ask_has_none(stage: Stage, database: Database) -> None:
    other = ObjectId()
    database.speakers.insert_one({"_id": other, "speakers": [], "of_local": {}})
    assert stage.broken_rules() == {"speakers"}


def test_text_without_speakers_is_missed_where_they_were_asked_for(
    stage: Stage, database: Database
) -> None:
    stage.transcribe("one", 0, 12)
    stage.look()
    database.chunks.update_one({"index": 3}, {"$unset": {"transcript.speakers": ""}})
    assert stage.broken_rules() == {"speakers"}


def test_a_voice_that_gets_another_id_is_a_breach(stage: Stage, database: Database) -> None:
    stage.transcribe("one", 0, 12)
    stage.name_all()
    stage.look()
    document = database.speakers.find_one()
    assert document is not None
    first, second = document["speakers"]
    swapped = [
        first | {"embedding": second["embedding"]},
        second | {"embedding": first["embedding"]},
    ]
    database.speakers.update_one({}, {"$set": {"speakers": swapped}})
    stage.look()
    assert "names" in stage.broken_rules()
