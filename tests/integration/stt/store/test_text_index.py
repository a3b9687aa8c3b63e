"""Search by a text index. No server with one can be had here: a script plays it, with the answers
that MongoDB documents (https://www.mongodb.com/docs/manual/core/indexes/index-types/index-text)."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import mockupdb
import pytest
from bson import ObjectId

from stt.errors import DatabaseUnavailable
from stt.store.database import Database
from stt.store.search import HitPage, Search
from stt.store.search_query import SearchQuery
from tests.support.scripted_member import ScriptedMember


@pytest.fixture
def member() -> Iterator[ScriptedMember]:
    member = ScriptedMember()
    member.election = 1
    yield member
    member.stop()


@pytest.fixture
def search(member: ScriptedMember) -> Iterator[Search]:
    url = f"mongodb://{member.host}/?directConnection=true&serverSelectionTimeoutMS=3000"
    with Database(url, "stt") as database:
        yield Search(database)
    assert member.unexpected() == []


def begun(search: Search, query: str, **options: Any) -> Callable[[], HitPage]:
    """Searches beside the test; returns how to await it."""
    found: Callable[[], HitPage] = mockupdb.go(search.find, SearchQuery(query), limit=5, **options)
    return found


def chunk(recording_id: ObjectId, *texts: str) -> dict[str, Any]:
    segments = [{"start": 0.0, "end": 1.0, "text": text} for text in texts]
    place = {"_id": ObjectId(), "original_id": recording_id, "index": 0, "offset": 0.0}
    return {**place, "transcript": {"segments": segments}}


def make_index(member: ScriptedMember) -> dict[str, Any]:
    """Lets the index be made; returns what was asked for."""
    request = member.receives("createIndexes")
    request.ok()
    index, by_language = request["indexes"]
    assert list(by_language["key"]) == ["transcript.language", "original_id", "index"]
    wanted: dict[str, Any] = index
    return wanted


def scans(member: ScriptedMember, *chunks: dict[str, Any]) -> dict[str, Any]:
    """Answers the query for chunks in languages that the index divides otherwise."""
    query: dict[str, Any] = member.finds(*chunks)
    assert "$text" not in query
    assert {"ja", "korean"} <= set(query["transcript.language"]["$in"])
    return query


def end_windows(member: ScriptedMember, *, with_index: bool = True) -> None:
    """Nothing in the windows for chunks without a recording that has an id of ours."""
    for _ in range(2):
        member.finds()
        if with_index:
            scans(member)


def test_the_index_tells_which_chunks_to_read_and_what_is_a_hit_is_decided_here(
    member: ScriptedMember, search: Search
) -> None:
    page = begun(search, "coffee Budget")
    index = make_index(member)
    assert index["key"] == {"transcript.segments.text": "text"}
    # Else a transcript in a language that the index does not know could not be written any more.
    assert (index["default_language"], index["language_override"]) == (
        "none", "language_of_text_index",
    )  # fmt: skip
    recording_id = ObjectId()
    good = chunk(recording_id, "the budget", "coffee")
    wanted = member.finds(good, chunk(recording_id, "coffees and the budget"))
    assert wanted["$text"] == {"$search": '"coffee" "budget"', "$diacriticSensitive": False}
    scans(member)
    end_windows(member)
    member.finds({"_id": recording_id, "filename": "talk.mp3"})
    member.finds()  # no other recording of that name
    assert [(hit.filename, hit.text) for hit in page().hits] == [
        ("talk.mp3", "the budget"),
        ("talk.mp3", "coffee"),
    ]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ('"the budget"', {'"the"', '"budget"'}),
        # A text index divides a word at the apostrophes ' and ’, but not at ʼ and ´.
        ("aujourd’hui", {'"aujourd"', "aujourd'hui", "aujourd’hui", "aujourdʼhui", "aujourd´hui"}),
        ("Strasse", {'"stra"', "strasse", "Strasse", "straße"}),
        ("Straße", {'"stra"', "strasse", "Straße", "straße"}),
        ("diyarbakır", {"diyarbakir", "diyarbakır"}),
    ],
)
def test_the_index_is_asked_for_the_spellings_of_a_word(
    member: ScriptedMember, search: Search, query: str, wanted: set[str]
) -> None:
    page = begun(search, query)
    make_index(member)
    assert set(member.finds()["$text"]["$search"].split()) == wanted
    scans(member)
    end_windows(member)
    member.finds()
    assert page().hits == ()


def test_chunks_in_languages_that_the_index_divides_otherwise_are_scanned_in_the_same_order(
    member: ScriptedMember, search: Search
) -> None:
    page = begun(search, "KBS")
    make_index(member)
    first, second, third = (ObjectId() for _ in range(3))
    wanted = member.finds(chunk(first, "on KBS"), chunk(third, "KBS again"))
    assert "ko" in wanted["transcript.language"]["$nin"]
    scans(member, chunk(second, "어제 KBS는"))
    end_windows(member)
    member.finds()
    assert [hit.text for hit in page().hits] == ["on KBS", "어제 KBS는", "KBS again"]


def test_the_index_is_asked_for_once(member: ScriptedMember, search: Search) -> None:
    for is_first in (True, False):
        page = begun(search, "coffee")
        if is_first:
            make_index(member)
        assert "$text" in member.finds()
        scans(member)
        end_windows(member)
        member.finds()
        assert page().hits == ()


def test_the_beginning_of_a_word_is_looked_for_in_the_transcripts(
    member: ScriptedMember, search: Search
) -> None:
    page = begun(search, "coff*")
    member.finds()  # the recordings, to look into a few at a time
    wanted = member.finds()
    pattern = wanted["transcript.segments.text"]
    assert pattern["$options"] == "i"
    assert re.search(pattern["$regex"], "a coffee")
    end_windows(member, with_index=False)
    member.finds()
    assert page().hits == ()


def test_a_server_without_text_indexes_is_not_asked_again(
    member: ScriptedMember, search: Search
) -> None:
    for is_first in (True, False):
        page = begun(search, "coffee")
        if is_first:
            member.receives("createIndexes").command_err(67, "text indexes are not supported")
        member.finds()
        assert "$text" not in member.finds()
        end_windows(member, with_index=False)
        member.finds()
        assert page().hits == ()


def test_an_index_that_was_dropped_costs_one_search(member: ScriptedMember, search: Search) -> None:
    page = begun(search, "coffee")
    make_index(member)
    member.receives("find").command_err(27, "text index required for $text query")
    with pytest.raises(DatabaseUnavailable, match="text index required"):
        page()
    page = begun(search, "coffee")
    member.finds()
    assert "$text" not in member.finds()
    end_windows(member, with_index=False)
    member.finds()
    assert page().hits == ()
