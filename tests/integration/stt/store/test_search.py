"""Search over transcripts in a real database, by the command, and over HTTP."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from rich.console import Console
from typer.testing import CliRunner, Result

from stt.cli.app import app
from stt.cli.tables import hits_screen
from stt.errors import NotFound
from stt.store.database import Database
from stt.store.search import Hit, HitPage, Search, SearchTooSlow
from stt.store.search_query import BadQuery, SearchQuery
from tests.support.coordinator_app import CoordinatorThread, KeyedSession, running_coordinator
from tests.support.queue_builder import START, add_recording


@pytest.fixture(scope="module")
def coordinator(
    shared_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CoordinatorThread]:
    folder = tmp_path_factory.mktemp("data")
    with running_coordinator(shared_database, folder) as coordinator:
        yield coordinator


@pytest.fixture
def database(coordinator: CoordinatorThread) -> Database:
    """One database for the whole module, emptied for each test."""
    found = coordinator.coordinator.database
    found.chunks.delete_many({})
    found.recordings.delete_many({})
    return found


@pytest.fixture
def person(coordinator: CoordinatorThread) -> Iterator[KeyedSession]:
    with coordinator.person() as session:
        yield session


def say(database: Database, recording_id: Any, index: int, *texts: str, **fields: Any) -> ObjectId:
    """A chunk of 30 s in which these were said, a segment of 3 s each."""
    segments = [{"start": 3.0 * i, "end": 3.0 * i + 3, "text": t} for i, t in enumerate(texts)]
    chunk_id = ObjectId()
    database.chunks.insert_one(
        {
            "_id": chunk_id,
            "original_id": recording_id,
            "index": index,
            "offset": 30.0 * index,
            "duration": 30.0,
            "transcribed_at": START,
            "transcript": {"language": "tlh", "segments": segments},
            **fields,
        }
    )
    return chunk_id


def search(database: Database, query: str, limit: int = 100, **options: Any) -> HitPage:
    return Search(database).find(SearchQuery(query), limit=limit, **options)


def texts(page: HitPage) -> list[str]:
    return [hit.text for hit in page.hits]


def test_hits_are_segments_at_their_place_in_the_recording(database: Database) -> None:
    recording_id = add_recording(database, filename="talk.mp3")
    say(database, recording_id, 0, "hello")
    chunk_id = say(database, recording_id, 1, "no", "more Coffee, please", "no", "coffee")
    page = search(database, "coffee")
    assert page.cursor is None
    assert texts(page) == ["more Coffee, please", "coffee"]
    hit = page.hits[0]
    assert (hit.recording_id, hit.filename, hit.chunk_id) == (
        str(recording_id),
        "talk.mp3",
        chunk_id,
    )
    assert (hit.start, hit.end) == (33.0, 36.0)


def test_every_word_must_occur_in_the_chunk(database: Database) -> None:
    recording_id = add_recording(database)
    say(database, recording_id, 0, "coffee", "and the budget")
    say(database, recording_id, 1, "coffee", "and cake")
    assert texts(search(database, "budget coffee")) == ["coffee", "and the budget"]
    assert texts(search(database, "budget coffee cake")) == []


def test_signs_that_mean_something_in_patterns_are_signs(database: Database) -> None:
    recording_id = add_recording(database)
    say(database, recording_id, 0, "version 3.5 of it", "version 345 of it", "$where (a+)+ [x")
    assert texts(search(database, "3.5")) == ["version 3.5 of it"]
    assert texts(search(database, "(a+)+ where")) == ["$where (a+)+ [x"]
    assert texts(search(database, "of.*it")) == []


def test_umlauts_are_found_in_any_case_and_accents_count(database: Database) -> None:
    recording_id = add_recording(database)
    say(database, recording_id, 0, "ÜBER die Straße", "naïve", "naive")
    assert texts(search(database, "über")) == ["ÜBER die Straße"]
    assert texts(search(database, "naive")) == ["naive"]
    assert texts(search(database, "NAÏVE")) == ["naïve"]


def test_the_beginning_of_a_word_and_scripts_without_spaces(database: Database) -> None:
    recording_id = add_recording(database)
    say(database, recording_id, 0, "a transcript", "intransitive", "次の会議は")
    assert texts(search(database, "trans*")) == ["a transcript"]
    assert texts(search(database, "会議")) == ["次の会議は"]


def marked(page: HitPage) -> list[str]:
    return [hit.text[start:end] for hit in page.hits for start, end in hit.matches]


def test_a_phrase_in_quotes_is_found_as_a_phrase_only(database: Database) -> None:
    recording_id = add_recording(database)
    say(database, recording_id, 0, "the meeting budget", "the budget of the meeting")
    say(database, recording_id, 1, "budget", "for the meeting")
    say(database, recording_id, 2, "begin the meeting.", " Budget first")
    page = search(database, '"meeting budget"')
    assert texts(page) == ["the meeting budget", "begin the meeting.", "Budget first"]
    assert marked(page) == ["meeting budget", "meeting", "Budget"]
    assert len(search(database, "meeting budget").hits) == 6


@pytest.mark.parametrize(
    ("query", "text", "found"),
    [
        ("aujourd'hui", "c’est aujourd’hui", "aujourd’hui"),
        ("aujourd’hui", "c'est aujourd'hui", "aujourd'hui"),
        ("aujourd`hui", "c'est aujourdʼhui", "aujourdʼhui"),
        ("회의", "오늘 회의록을 보냈다", "회의"),
        ("KBS", "어제 KBS는", "KBS"),
        ("iPhone", "私のiPhoneを買う", "iPhone"),
        ("แมว", "ผมมีแมวสองตัว", "แมว"),
        ("strasse", "in der Straße", "Straße"),
        ("STRAẞE", "in der Strasse", "Strasse"),
        ("café", "un cafe\u0301", "cafe\u0301"),
        ("cafe\u0301", "UN CAFÉ", "CAFÉ"),
        ("istanbul", "İstanbul’da", "İstanbul"),
        ("diyarbakır", "DİYARBAKIR", "DİYARBAKIR"),
        ("abc", "会社はＡＢＣです", "ＡＢＣ"),
        ("ガイド", "ｶﾞｲﾄﾞと", "ｶﾞｲﾄﾞ"),
        ("coffee", "a coﬀee", "coﬀee"),
        ("coff*", "a coﬀee", "coﬀ"),
    ],
)
def test_other_spellings_of_a_word_are_found_and_marked(
    database: Database, query: str, text: str, found: str
) -> None:
    say(database, add_recording(database), 0, text)
    assert marked(search(database, query)) == [found]


def test_a_hit_says_its_channel(database: Database) -> None:
    recording_id = add_recording(database)
    say(database, recording_id, 0, "word", channel=1)
    say(database, recording_id, 1, "word", channel=2, offset=0.0)
    say(database, recording_id, 2, "word")
    hits = search(database, "word").hits
    assert [(hit.channel, hit.start) for hit in hits] == [(1, 0.0), (2, 0.0), (None, 60.0)]
    terminal = Console(file=io.StringIO(), width=100)
    with terminal.capture() as capture:
        terminal.print(hits_screen(hits))
    assert "0:00  [Channel 2] word" in capture.get()


def test_recordings_come_in_their_order_and_each_from_its_start(database: Database) -> None:
    first, second = sorted([add_recording(database), add_recording(database)])
    for index in (2, 0, 1):
        say(database, second, index, f"word in second {index}")
        say(database, first, index, f"word in first {index}")
    assert texts(search(database, "word")) == [
        f"word in {name} {index}" for name in ("first", "second") for index in range(3)
    ]


class TestPages:
    def all_pages(self, database: Database, limit: int) -> list[str]:
        found, cursor = [], None
        while True:
            page = search(database, "word", limit, cursor=cursor)
            assert len(page.hits) <= limit
            found += texts(page)
            cursor = page.cursor
            if cursor is None:
                return found

    @pytest.mark.parametrize("limit", [1, 2, 3, 100])
    def test_they_have_every_hit_once(
        self, database: Database, monkeypatch: pytest.MonkeyPatch, limit: int
    ) -> None:
        monkeypatch.setattr("stt.store.search_windows._RECORDINGS_PER_WINDOW", 2)
        said = []
        for number in range(5):
            recording_id = add_recording(database)
            for index in range(2):
                words = [f"word {number} {index} {at}" for at in "ab"]
                say(database, recording_id, index, *words)
                said += words
        for recording in (None, "tape-1", "tape-2"):
            say(database, recording, 0, f"word {recording} a", f"word {recording} b")
            said += [f"word {recording} a", f"word {recording} b"]
        assert self.all_pages(database, limit) == said

    def test_new_results_neither_repeat_a_hit_nor_lose_one(self, database: Database) -> None:
        first, second = sorted([add_recording(database), add_recording(database)])
        say(database, first, 1, "word old 1", "word old 2")
        say(database, second, 1, "word old 3")
        page = search(database, "word", 1)
        say(database, first, 0, "word new, before")
        say(database, first, 2, "word new, behind")
        rest = search(database, "word", 10, cursor=page.cursor)
        assert texts(page) == ["word old 1"]
        assert texts(rest) == ["word old 2", "word new, behind", "word old 3"]

    def test_a_chunk_that_was_begun_anew_loses_no_hit_of_others(self, database: Database) -> None:
        recording_id = add_recording(database)
        chunk_id = say(database, recording_id, 0, "word 1")
        say(database, recording_id, 1, "word 2")
        page = search(database, "word", 1)
        database.chunks.update_one({"_id": chunk_id}, {"$set": {"transcript": None}})
        assert texts(search(database, "word", 1, cursor=page.cursor)) == ["word 2"]
        database.chunks.delete_one({"_id": chunk_id})
        with pytest.raises(NotFound, match="search again"):
            search(database, "word", 1, cursor=page.cursor)

    @pytest.mark.parametrize("cursor", ["", "x", "0" * 24, "0" * 24 + "-x", "-1"])
    def test_a_cursor_that_is_none_is_refused(self, database: Database, cursor: str) -> None:
        with pytest.raises(BadQuery, match="cursor"):
            search(database, "word", cursor=cursor)


def test_one_recording_alone_is_searched(database: Database) -> None:
    here, there = add_recording(database), add_recording(database)
    say(database, here, 0, "word here")
    say(database, there, 0, "word there")
    say(database, here, 1, "word here again")
    page = search(database, "word", 1, recording_ids=[here])
    assert texts(page) == ["word here"]
    rest = search(database, "word", 5, recording_ids=[here], cursor=page.cursor)
    assert (texts(rest), rest.cursor) == (["word here again"], None)


def test_the_recordings_that_are_named_are_searched_page_by_page(database: Database) -> None:
    ids = [add_recording(database) for _ in range(90)]
    for number, id_ in enumerate(ids):
        say(database, id_, 0, f"word {number}")
    wanted, found, cursor = ids[::2], list[str](), None
    while True:
        page = search(database, "word", 20, recording_ids=reversed(wanted), cursor=cursor)
        found += texts(page)
        if (cursor := page.cursor) is None:
            break
    assert found == [f"word {number}" for number in range(0, 90, 2)]
    assert search(database, "word", recording_ids=[]).hits == ()


def test_recordings_that_match_a_filter_are_searched(
    database: Database, person: KeyedSession
) -> None:
    ids = {folder: add_recording(database, folder=folder, path="a.wav", filename="a.wav")
           for folder in ("talks", "calls")}  # fmt: skip
    for id_ in ids.values():
        say(database, id_, 0, "word")
    found = person.get("/api/search", params={"q": "word", "folder": "talks"}).json()
    assert [hit["source_id"] for hit in found["hits"]] == [str(ids["talks"])]
    both = {"q": "word", "folder": "talks", "source_id": str(ids["calls"])}
    assert person.get("/api/search", params=both).json()["hits"] == []


class TestOddDocuments:
    def test_a_recording_without_a_description_or_with_an_odd_name_still_shows(
        self, database: Database
    ) -> None:
        unknown, odd = ObjectId(), add_recording(database, filename={"not": "a name"})
        say(database, unknown, 0, "word")
        say(database, odd, 0, "word")
        say(database, None, 0, "word")
        names = {hit.recording_id: hit.filename for hit in search(database, "word").hits}
        assert names == {str(unknown): str(unknown), str(odd): "{'not': 'a name'}", None: ""}

    def test_garbled_transcripts_are_passed_over(self, database: Database) -> None:
        recording_id = add_recording(database)
        garbled: list[Any] = [
            None, "word", 7, {"segments": "word"}, {"segments": 7}, {"segments": ["word", None, 7]},
            {"segments": [{"text": 7}, {"text": ["word"]}, {"start": 1.0}]},
        ]  # fmt: skip
        for index, transcript in enumerate(garbled):
            say(database, recording_id, index, transcript=transcript)
        odd = {"segments": [{"text": "a word", "start": "x", "end": float("nan")}]}
        say(database, recording_id, 99, transcript=odd)
        [hit] = search(database, "word").hits
        assert (hit.text, hit.start, hit.end) == ("a word", 2970.0, 2970.0)

    def test_without_an_offset_chunks_are_taken_for_equally_long(self, database: Database) -> None:
        say(database, add_recording(database), 4, "word", offset=None, duration=20.0)
        assert search(database, "word").hits[0].start == 80.0


def test_a_search_that_takes_too_long_says_so(database: Database) -> None:
    say(database, add_recording(database), 0, "word")
    with pytest.raises(SearchTooSlow, match="within 0 s"):
        search(database, "word", timeout_seconds=0)


class TestOverHttp:
    def test_it_pages_through_the_hits(self, database: Database, person: KeyedSession) -> None:
        recording_id = add_recording(database, filename="<img src=x>.mp3")
        for index in range(3):
            say(database, recording_id, index, f"word {index}")
        page = person.get("/api/search?q=word&limit=2").json()
        assert [hit["text"] for hit in page["hits"]] == ["word 0", "word 1"]
        assert page["hits"][1] | {"chunk_id": ""} == {
            "source_id": str(recording_id), "filename": "<img src=x>.mp3", "chunk_id": "",
            "start": 30.0, "end": 33.0, "text": "word 1", "matches": [[0, 4]],
            "path": None, "label": "<img src=x>.mp3",
            "channel": None, "speaker": None,
        }  # fmt: skip
        rest = person.get(f"/api/search?q=word&limit=2&cursor={page['cursor']}").json()
        assert [hit["text"] for hit in rest["hits"]] == ["word 2"]
        assert rest["cursor"] is None

    @pytest.mark.parametrize(
        "query", ["", "?", "x" * 201, "a b c d e f g h i j k", "%00", "word&cursor=x"]
    )
    def test_what_cannot_be_searched_is_refused(self, person: KeyedSession, query: str) -> None:
        answer = person.get(f"/api/search?q={query}")
        assert answer.status_code == 422
        assert answer.json()["error"]["message"]

    def test_too_slow_is_said_and_worth_another_try(
        self, database: Database, person: KeyedSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("stt.coordinator.routes.search._TIMEOUT_SECONDS", 0)
        answer = person.get("/api/search?q=word")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "too_slow")

    def test_a_node_may_not_search(self, coordinator: CoordinatorThread) -> None:
        _, key = coordinator.join()
        with coordinator.node(key) as node:
            assert node.get("/api/search?q=word").status_code == 403


def test_a_terminal_shows_the_words_marked_and_each_recording_once() -> None:
    text, marked = "one Word, wordy word", ((4, 8), (16, 20))
    hits = [Hit("1", "[red]a.mp3", ObjectId(), at, at, text, marked) for at in (5.0, 9.0)]
    terminal = Console(file=io.StringIO(), force_terminal=True, width=100, color_system="standard")
    with terminal.capture() as capture:
        terminal.print(hits_screen(hits))
    shown = capture.get()
    assert shown.count("[red]a.mp3") == 1
    assert "one \x1b[1;33mWord\x1b[0m, wordy \x1b[1;33mword\x1b[0m" in shown


class TestCommand:
    @pytest.fixture
    def command(
        self, database: Database, mongo_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Callable[..., Result]:
        """`stt search …` in a folder without an .env, at this database."""
        monkeypatch.chdir(tmp_path)
        environment = {"MONGO_URL": mongo_url, "DATABASE_NAME": database._db.name}
        return lambda *words: CliRunner().invoke(app, ["search", *words], env=environment)

    def test_it_shows_where_it_was_said(
        self, database: Database, command: Callable[..., Result]
    ) -> None:
        recording_id = add_recording(database, filename="talk.mp3")
        say(database, recording_id, 130, "nothing", "a \x1b[31m word\nof it")
        say(database, add_recording(database, filename="other.mp3"), 0, "word")
        shown = command("Word", "--source", "talk.mp3")
        assert (shown.exit_code, shown.stderr) == (0, "")
        assert shown.stdout == "talk.mp3\n 1:05:03  a  [31m word of it\n"
        listed = command("word", "--json", "--limit", "1")
        [hit] = json.loads(listed.stdout)
        assert (hit["source_id"], hit["start"]) == (str(recording_id), 3903.0)
        assert "There are more results" in listed.stderr

    def test_nothing_found_and_nothing_to_search_have_their_exit_codes(
        self, command: Callable[..., Result]
    ) -> None:
        nothing = command("word")
        assert (nothing.exit_code, nothing.stdout) == (1, "")
        assert "Nothing found." in nothing.stderr
        assert command("?!").exit_code == 2
