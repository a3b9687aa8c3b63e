"""Where a speaker can be heard alone."""

import pytest

from stt.store.database import Database
from stt.store.export import Export
from stt.store.recordings import MongoRecordings
from stt.store.voice_samples import find_sample
from tests.support.conversation import add_conversation
from tests.support.queue_builder import START

A, B = "SPEAKER_01", "SPEAKER_02"
Said = tuple[float, float, str]


def sample(database: Database, label: str, *said: Said) -> tuple[float, float] | None:
    lines = ((start, end, speaker, "Yes.") for start, end, speaker in said)
    recording_id = add_conversation(database, *lines)
    export = Export(database, MongoRecordings(database).get(recording_id))
    found = find_sample(export, label)
    return (found.start, found.end) if found else None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([(0, 2, "A"), (3, 7, "A"), (9, 14, "A")], (3, 7)),  # the first of enough seconds
        ([(0, 2, "A"), (2.5, 4.5, "A"), (5, 6, "A")], (0, 6)),  # a short pause between sentences
        ([(0, 1, "A"), (2, 5, "A"), (6, 8, "A")], (2, 5)),  # else the longest
        ([(0, 25, "A")], (0, 6)),  # no more than is needed
        ([(0, 2, "A"), (2, 3, "B"), (3, 6, "A")], (3, 6)),
        ([(0, 2, "A"), (2, 3, ""), (3, 6, "A")], (3, 6)),  # nobody knows who that is
        ([(0, 6, "B"), (4, 9, "A"), (8, 20, "B")], (6, 8)),  # without what both say
        ([(0, 9, "B"), (1, 8, "A")], None),  # never alone
    ],
)
def test_a_speaker_is_heard_alone(
    database: Database, said: list[Said], expected: tuple[float, float] | None
) -> None:
    assert sample(database, A, *said) == expected


def test_what_has_no_audio_any_more_is_no_sample(database: Database) -> None:
    assert sample(database, B, (0, 5, "A"), (5, 10, "B")) == (5, 10)
    database.chunks.update_many({}, {"$set": {"audio_removed_at": START}})
    (recording,) = database.recordings.find()
    export = Export(database, MongoRecordings(database).get(recording["_id"]))
    assert find_sample(export, B) is None
