"""What a speaker says is found by the name that people call this one now."""

from types import SimpleNamespace
from typing import Any

import pytest
from bson import ObjectId

from stt.domain.chunk import Recording
from stt.domain.speakers import RecordingSpeakers
from stt.store import recording_speakers
from stt.store.database import Database
from stt.store.recording_speakers import merge, read, rename
from stt.store.recordings import MongoRecordings
from stt.store.search import HitPage, Search
from stt.store.search_query import BadQuery, SearchQuery
from tests.support.commands_sent import CommandsSent
from tests.support.conversation import add_conversation
from tests.support.queue_builder import add_chunks

MEETING = (
    (0.0, 3.0, "A", "The budget is small."),
    (3.0, 6.0, "B", "The meeting is long."),
    (6.0, 9.0, "A", "And the meeting?"),
    (9.0, 12.0, "", "A budget for the meeting."),
)


def search(database: Database, query: str, speaker: str, **options: Any) -> HitPage:
    words = SearchQuery(query) if query else None
    return Search(database).find(words, speaker=speaker, **{"limit": 100, **options})


def texts(page: HitPage) -> list[str]:
    return [hit.text for hit in page.hits]


@pytest.fixture
def meetings(database: Database) -> list[Recording]:
    """Three recordings; in the first and the last the first voice is called Ada."""
    ids = [add_conversation(database, *MEETING) for _ in range(3)]
    recordings = [MongoRecordings(database).get(id_) for id_ in ids]
    for recording in (recordings[0], recordings[2]):
        rename(database, recording, "SPEAKER_01", "Ada")
    return recordings


def test_a_name_without_words_finds_all_that_this_one_says(
    database: Database, meetings: list[Recording]
) -> None:
    page = search(database, "", " ada ")
    assert texts(page) == ["The budget is small.", "And the meeting?"] * 2
    assert {hit.recording_id for hit in page.hits} == {str(meetings[n].id) for n in (0, 2)}
    assert {hit.speaker for hit in page.hits} == {"Ada"}
    assert page.hits[0].matches == ()


def test_with_words_it_finds_where_this_one_says_all_of_them(
    database: Database, meetings: list[Recording]
) -> None:
    assert texts(search(database, "meeting", "Ada")) == ["And the meeting?"] * 2
    assert len(search(database, "budget meeting", "Ada").hits) == 4
    assert texts(search(database, "long", "Ada")) == []


def test_pages_hold_every_line_once(database: Database, meetings: list[Recording]) -> None:
    found, cursor = [], None
    while True:
        page = search(database, "", "Ada", limit=3, cursor=cursor)
        found += texts(page)
        if (cursor := page.cursor) is None:
            break
    assert found == ["The budget is small.", "And the meeting?"] * 2


def test_a_rename_and_a_merge_count_at_once_and_change_no_chunk(
    database: Database, meetings: list[Recording]
) -> None:
    before = list(database.chunks.find())
    first, second, third = meetings
    rename(database, second, "SPEAKER_02", "Ada")
    assert texts(search(database, "", "ada")).count("The meeting is long.") == 1
    rename(database, third, "Ada", "Eve")
    assert len(search(database, "", "ada").hits) == 3
    merge(database, first, "SPEAKER_02", "Ada")
    assert len(search(database, "", "ada").hits) == 4
    rename(database, second, "Ada", None)
    assert {hit.recording_id for hit in search(database, "", "ada").hits} == {str(first.id)}
    assert list(database.chunks.find()) == before


def test_an_id_is_one_of_a_single_recording(database: Database, meetings: list[Recording]) -> None:
    one = [meetings[1].id]
    assert texts(search(database, "", "speaker_02", recording_ids=one)) == ["The meeting is long."]
    assert texts(search(database, "", "SPEAKER_09", recording_ids=one)) == []
    for ids in (None, [recording.id for recording in meetings]):
        with pytest.raises(BadQuery, match="SPEAKER_02 is another speaker in each recording"):
            search(database, "", "SPEAKER_02", recording_ids=ids)


def test_in_no_recording_nothing_is_found_also_of_an_id(
    database: Database, meetings: list[Recording]
) -> None:
    for speaker in ("SPEAKER_02", "Ada"):
        assert search(database, "", speaker, recording_ids=[]) == HitPage((), None)


def test_a_name_is_looked_for_in_the_recordings_that_are_chosen(
    database: Database, meetings: list[Recording]
) -> None:
    chosen = [meetings[1].id, meetings[2].id]
    page = search(database, "", "Ada", recording_ids=chosen)
    assert {hit.recording_id for hit in page.hits} == {str(meetings[2].id)}
    assert texts(search(database, "", "Nobody")) == []


def test_a_name_from_before_names_had_an_index_is_found(
    database: Database, meetings: list[Recording]
) -> None:
    database.speakers.update_many({}, {"$unset": {"names": ""}})
    page = search(database, "", "ada")
    assert {hit.recording_id for hit in page.hits} == {str(meetings[n].id) for n in (0, 2)}
    assert texts(search(database, "", "Nobody")) == []
    with pytest.raises(BadQuery):
        search(database, "", "SPEAKER_02")


def test_all_that_is_found_has_its_speaker(database: Database, meetings: list[Recording]) -> None:
    """Also in recordings whose speakers nobody has looked at yet."""
    database.speakers.delete_one({"_id": meetings[1].id})
    page = Search(database).find(SearchQuery("meeting"), limit=100)
    assert [hit.speaker for hit in page.hits] == [
        "SPEAKER_02", "Ada", None, "SPEAKER_02", "SPEAKER_01", None, "SPEAKER_02", "Ada", None,
    ]  # fmt: skip


def test_what_was_transcribed_since_the_name_was_given_is_found_too(
    database: Database, meetings: list[Recording]
) -> None:
    first = meetings[0].id
    [stored] = database.chunks.find({"original_id": first})
    transcript = stored["transcript"]
    segment = {"start": 0.0, "end": 2.0, "text": "And later.", "speaker": "Z"}
    speakers = [{**transcript["speakers"][0], "id": "Z"}]
    [later] = add_chunks(
        database, 1, recording_id=ObjectId(), transcribed_at=stored["transcribed_at"],
        transcript={**transcript, "segments": [segment], "speakers": speakers},
    )  # fmt: skip
    database.chunks.update_one({"_id": later}, {"$set": {"original_id": first, "index": 1}})
    assert texts(search(database, "later", "Ada")) == ["And later."]


def test_a_recording_whose_speakers_were_turned_off_has_none(
    database: Database, meetings: list[Recording]
) -> None:
    MongoRecordings(database).change(meetings[0].id, {"speakers": None})
    page = search(database, "", "Ada")
    assert {hit.recording_id for hit in page.hits} == {str(meetings[2].id)}


@pytest.mark.parametrize("speaker", ["", "Ada"])
def test_what_is_stored_of_speakers_is_neither_joined_nor_checked_anew(
    database: Database, mongo_url: str, meetings: list[Recording], speaker: str
) -> None:
    read(database, meetings[1])
    sent = CommandsSent(mongo_url, database.chunks.database.name)
    with sent.database:
        page = Search(sent.database).find(SearchQuery("meeting"), speaker=speaker, limit=100)
    assert "Ada" in {hit.speaker for hit in page.hits}
    finds = [(c["find"], set(c.get("projection", ()))) for c in sent.commands if "find" in c]
    assert [fields for name, fields in finds if "transcript.speakers" in fields] == []
    of_speakers = [fields for name, fields in finds if name == "recording_speakers"]
    assert of_speakers
    assert all(fields and "speakers.embedding" not in fields for fields in of_speakers)


def test_the_time_runs_out_between_two_recordings_too(
    database: Database, meetings: list[Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    joined: list[Any] = []
    clock = SimpleNamespace(monotonic=lambda: 100.0 * len(joined))
    monkeypatch.setattr("stt.store.search.time", clock)

    def slowly(database: Database, recording: Recording) -> RecordingSpeakers:
        joined.append(recording.id)
        return read(database, recording)

    monkeypatch.setattr(recording_speakers, "read", slowly)
    database.speakers.delete_many({})
    pages: list[set[str | None]] = []
    cursor = None
    while not pages or cursor:
        page = Search(database).find(
            SearchQuery("meeting"), limit=100, cursor=cursor, timeout_seconds=10.0
        )
        pages.append({hit.recording_id for hit in page.hits})
        cursor = page.cursor
    assert pages[:3] == [{str(recording.id)} for recording in meetings]
