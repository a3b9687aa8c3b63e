"""Recordings filtered and sorted, read from a real database."""

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from stt.store.database import Database
from stt.store.recording_list import FilterChoice, RecordingFilter, RecordingLister, Sort
from tests.support.queue_builder import add_recording
from tests.support.recordings_in_queue import NOW, post_recording, set_chunk, transcribe

MARCH, APRIL = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)


@pytest.fixture
def lister(database: Database) -> RecordingLister:
    return RecordingLister(database)


def add(database: Database, filename: str, **fields: Any) -> ObjectId:
    return ObjectId(post_recording(database, 0, filename=filename, **fields))


def names(lister: RecordingLister, sort: Sort = "old", **wanted: Any) -> list[str]:
    return [one.filename for one in lister.page(RecordingFilter(**wanted), sort=sort).recordings]


def test_a_folder_holds_the_recordings_of_those_below_it(
    database: Database, lister: RecordingLister
) -> None:
    add(database, "a.wav", folder="talks", path="a.wav")
    add(database, "b.wav", folder="talks", path="A/b.wav")
    add(database, "c.wav", folder="talks", path="AB/c.wav")
    add(database, "d.wav")
    assert names(lister, folder="talks") == ["a.wav", "b.wav", "c.wav"]
    assert names(lister, folder="talks/A") == ["b.wav"]
    assert names(lister, "-folder") == ["c.wav", "b.wav", "a.wav", "d.wav"]
    assert lister.choices().folders == (
        FilterChoice("talks", 3), FilterChoice("talks/A", 1), FilterChoice("talks/AB", 1)
    )  # fmt: skip
    [described] = lister.page(RecordingFilter(folder="talks/A")).recordings
    assert described.full_folder == "talks/A"


def test_language_and_model_are_those_of_the_text_and_without_text_those_that_are_wanted(
    database: Database, lister: RecordingLister
) -> None:
    german = post_recording(database, 3, filename="german.mp3", model="large")
    for index, (language, model) in enumerate([("en", "tiny"), ("de", "tiny"), ("de", "base")]):
        transcribe(database, german, index, "Hallo.", language=language, model=model)
    post_recording(database, 1, filename="english.mp3", language="en", model="tiny")
    post_recording(database, 1, filename="unknown.mp3")
    assert names(lister, language="de") == ["german.mp3"]
    assert names(lister, language="en") == ["english.mp3"]
    assert names(lister, model="tiny") == ["german.mp3", "english.mp3"]
    assert names(lister, model="base") == ["german.mp3"]
    assert names(lister, model="large") == []
    assert names(lister, "language") == ["german.mp3", "english.mp3", "unknown.mp3"]
    assert names(lister, "-model") == ["english.mp3", "german.mp3", "unknown.mp3"]
    choices = lister.choices()
    assert choices.languages == (FilterChoice("de", 1), FilterChoice("en", 1))
    assert choices.models == (FilterChoice("base", 1), FilterChoice("tiny", 2))
    [described] = lister.page(RecordingFilter(language="de")).recordings
    assert (described.text_languages, described.text_models) == (("de", "en"), ("tiny", "base"))


def test_days_and_lengths_have_bounds_and_what_is_unknown_is_outside(
    database: Database, lister: RecordingLister
) -> None:
    add(database, "march.mp3", start=MARCH, duration=60.0, created_at=APRIL)
    add(database, "april.mp3", start=APRIL, duration=600.5, created_at=MARCH)
    add(database, "unknown.mp3", start="odd", duration=None)
    assert names(lister, recorded=(MARCH, APRIL)) == ["march.mp3"]
    assert names(lister, recorded=(APRIL, None)) == ["april.mp3"]
    assert names(lister, added=(None, APRIL)) == ["april.mp3", "unknown.mp3"]
    assert names(lister, seconds=(60.0, 60.0)) == ["march.mp3"]
    assert names(lister, seconds=(61.0, None)) == ["april.mp3"]
    assert names(lister, "-length") == ["april.mp3", "march.mp3", "unknown.mp3"]
    assert names(lister, "recorded") == ["march.mp3", "april.mp3", "unknown.mp3"]


def test_names_are_sorted_as_people_count_and_states_by_what_is_to_do(
    database: Database, lister: RecordingLister
) -> None:
    for name in ("Part 10.mp3", "part 9.mp3", "part 1.mp3"):
        post_recording(database, 1, filename=name)
    ids = {one.filename: str(one.id) for one in lister.page().recordings}
    transcribe(database, ids["part 1.mp3"], 0, "Done.")
    set_chunk(database, ids["part 9.mp3"], 0, failed_at=NOW)
    assert names(lister, "name") == ["part 1.mp3", "part 9.mp3", "Part 10.mp3"]
    assert names(lister, "-state") == ["part 9.mp3", "Part 10.mp3", "part 1.mp3"]


@pytest.mark.parametrize("sort", ["new", "old", "name", "-name", "length", "-length", "state"])
def test_pages_hold_each_recording_once_also_where_their_last_one_is_removed(
    database: Database, lister: RecordingLister, sort: Sort
) -> None:
    for number in range(7):
        duration = None if number % 3 == 0 else 10.0 * (number % 2)
        add(database, f"talk {number % 4}.mp3", duration=duration)
    expected = list(lister.ids(sort=sort).ids)
    seen: list[ObjectId] = []
    cursor = None
    while True:
        page = lister.page(sort=sort, limit=2, cursor=cursor)
        seen += [one.id for one in page.recordings]
        database.recordings.delete_one({"_id": seen[-1]})
        if (cursor := page.cursor) is None:
            break
    assert seen == expected


def test_a_recording_of_another_program_is_listed_whatever_its_fields_are(
    database: Database, lister: RecordingLister
) -> None:
    add_recording(database, filename=7, path=["odd"], folder=3, duration="long", model=1)
    database.recordings.insert_one({"_id": "text"})
    for sort in ("name", "folder", "length", "recorded", "language", "model", "state"):
        assert lister.page(sort=sort).total == 1
    assert lister.choices().models == ()
