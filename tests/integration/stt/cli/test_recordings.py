"""`stt ls`, `stt remove` and `stt priority` with a real database."""

import json
import re
from datetime import UTC, datetime
from unittest.mock import Mock

import pytest
from bson import ObjectId
from rich.console import Console

from stt.cli.tables import recordings_list
from stt.store.database import Database
from stt.store.recordings import MongoRecordings
from stt.store.text_summary import summaries_of_all
from tests.support.paths import ROOT
from tests.support.recordings_in_queue import NOW, post_recording, set_chunk, transcribe
from tests.unit.stt.cli.conftest import Run


@pytest.fixture
def ids(database: Database) -> dict[str, str]:
    """One that is done, one that is open, and one with a failed chunk."""
    ids = {
        name: post_recording(database, count, filename=f"{name}.mp3")
        for name, count in (("done", 1), ("open", 3), ("bad", 2))
    }
    transcribe(database, ids["done"], 0, "Hello.")
    for index in range(2):
        set_chunk(database, ids["bad"], index, failed_at=NOW)
    return ids


def listed(stt: Run, *arguments: str) -> list[str]:
    assert stt("ls", *arguments, "--json") == 0
    return [one["label"] for one in json.loads(stt.out)]


class TestListing:
    def test_they_are_chosen_by_state_and_name_and_put_in_order(
        self, stt: Run, ids: dict[str, str]
    ) -> None:
        assert listed(stt) == ["done.mp3", "open.mp3", "bad.mp3"]
        assert listed(stt, "--state", "failed") == ["bad.mp3"]
        assert listed(stt, "--state", "open") == ["open.mp3"]
        assert listed(stt, "OPE") == ["open.mp3"]
        assert listed(stt, "--sort", "name") == ["bad.mp3", "done.mp3", "open.mp3"]
        assert listed(stt, "--sort", "length", "--reverse")[0] == "open.mp3"

    @pytest.mark.parametrize("columns", [60, 80])
    def test_the_id_that_other_commands_take_and_the_state_stay_in_a_narrow_terminal(
        self, database: Database, columns: int
    ) -> None:
        id_ = post_recording(database, 4, filename="interview " * 24, duration=4000.0, priority=10)
        set_chunk(database, id_, 0, failed_at=NOW)
        console = Console(width=columns, color_system=None)
        with console.capture() as capture:
            console.print(recordings_list([MongoRecordings(database).details(ObjectId(id_))]))
        heading, line = capture.get().splitlines()
        assert id_ in line
        assert {"State", "Id"} <= set(heading.split())
        assert " waiting " in line
        assert len(line) <= columns

    def test_each_has_its_state_in_a_word_of_the_glossary(
        self, stt: Run, database: Database, ids: dict[str, str]
    ) -> None:
        set_chunk(database, ids["open"], 0, processing_by="a_1", claimed_at=NOW)
        partly = post_recording(database, 2, filename="partly.mp3")
        transcribe(database, partly, 0, "Hello.")
        set_chunk(database, partly, 1, failed_at=NOW)
        post_recording(database, 1, filename="new.mp3")
        post_recording(database, 1, filename="cut.mp3", ingested_at=None)
        words = {
            "done.mp3": "done", "open.mp3": "transcribing", "bad.mp3": "failed",
            "partly.mp3": "partly failed", "new.mp3": "waiting", "cut.mp3": "preparing",
        }  # fmt: skip
        glossary = (ROOT / "docs/glossary.md").read_text()
        for command in (["ls"], ["status"]):
            assert stt(*command) == 0
            for name, word in words.items():
                [line] = [line for line in stt.out.splitlines() if line.startswith(name)]
                assert re.search(rf" {word} +\d", line)
                assert f"| {word} |" in glossary

    def test_they_are_chosen_by_folder_language_model_day_and_length(
        self, stt: Run, database: Database
    ) -> None:
        at = datetime(2026, 10, 3, 12, tzinfo=UTC)
        found = post_recording(
            database, 2, filename="a.wav", path="A/a.wav", folder="talks", start=at, created_at=at
        )
        transcribe(database, found, 0, "Hallo.", language="de")
        post_recording(database, 1, filename="b.wav", language="fr", model="base")
        for fitting, other in (
            (("--folder", "talks/A/"), ("--folder", "tal")),
            (("--language", "german"), ("--language", "en")),
            (("--model", "tiny"), ("--model", "large")),
            (("--recorded-from", "2026-10-02"), ("--recorded-from", "2026-10-05")),
            (("--recorded-to", "2026-10-04"), ("--recorded-to", "2026-10-01")),
            (("--added-from", "2026-10-02"), ("--added-from", "2026-10-05")),
            (("--longer-than", "1m"), ("--longer-than", "2m")),
        ):
            assert listed(stt, *fitting) == ["a.wav"], fitting
            assert listed(stt, *other) == [], other
        assert listed(stt, "--shorter-than", "31s", "--added-to", "2026-10-01") == ["b.wav"]
        for sort in ("recorded", "folder", "language", "model", "state"):
            assert sorted(listed(stt, "--sort", sort)) == ["a.wav", "b.wav"]
        assert listed(stt, "--sort", "folder") == ["b.wav", "a.wav"]
        assert stt("ls", "--longer-than", "5") == stt("ls", "--language", "xx") == 2

    def test_a_table_says_how_far_each_is(self, stt: Run, ids: dict[str, str]) -> None:
        assert stt("ls", "done") == 0
        [_, row] = stt.out.splitlines()
        assert row.split()[:6] == ["done.mp3", "done", "0:30", "1", "100", "%"]
        assert row.split()[-1] == ids["done"]

    def test_wrong_words_are_refused_and_nothing_is_no_error(
        self, stt: Run, ids: dict[str, str]
    ) -> None:
        assert stt("ls", "--state", "odd") == 2
        assert stt("ls", "--sort", "odd") == 2
        assert stt("ls", "nowhere") == 0
        assert (stt.out, stt.err) == ("", "No recording matches.\n")

    def test_more_than_a_page_are_all_listed(
        self, stt: Run, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("stt.cli.recordings._PAGE", 2)
        for number in range(5):
            post_recording(database, 0, filename=f"{number}.mp3")
        assert listed(stt) == [f"{number}.mp3" for number in range(5)]

    def test_all_text_is_read_only_once_for_many_pages(
        self, stt: Run, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("stt.cli.recordings._PAGE", 1)
        read_all = Mock(side_effect=summaries_of_all)
        monkeypatch.setattr("stt.store.recording_list.summaries_of_all", read_all)
        for number in range(3):
            transcribe(database, post_recording(database, 1, filename=f"{number}.mp3"), 0, "Hi.")
        assert listed(stt, "--model", "tiny") == ["0.mp3", "1.mp3", "2.mp3"]
        assert read_all.call_count == 1


class TestRemoval:
    def test_what_is_named_goes_and_the_rest_stays(
        self, stt: Run, database: Database, ids: dict[str, str]
    ) -> None:
        assert stt("remove", "open.mp3", ids["bad"], "open.mp3", "--yes") == 0
        assert stt.out == "open.mp3 is removed\nbad.mp3 is removed\n"
        assert listed(stt) == ["done.mp3"]
        assert database.audio.count_documents({}) == 1

    def test_one_wrong_name_removes_nothing(self, stt: Run, ids: dict[str, str]) -> None:
        assert stt("remove", "open.mp3", "nowhere.mp3", "--yes") == 1
        assert len(listed(stt)) == 3

    def test_without_yes_it_asks(
        self, stt: Run, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert stt("remove", "open.mp3") == 2
        assert "say --yes" in " ".join(stt.err.split())
        monkeypatch.setattr("stt.cli.recordings.sys.stdin", Mock(isatty=lambda: True))
        for answer, left in ((False, 3), (True, 2)):
            monkeypatch.setattr("typer.confirm", lambda *_, answer=answer, **__: answer)
            assert stt("remove", "open.mp3") == int(not answer)
            assert "open.mp3: 3 chunks, 0 done" in stt.err
            assert len(listed(stt)) == left


def test_a_priority_is_that_of_what_is_still_to_be_done(
    stt: Run, database: Database, ids: dict[str, str]
) -> None:
    assert stt("priority", "open.mp3", "done.mp3", "7") == 0
    assert stt.out == "open.mp3: priority 7\ndone.mp3: priority 7\n"
    query = {"original_id": ObjectId(ids["open"]), "priority": 7}
    assert database.chunks.count_documents(query) == 3
    assert listed(stt, "--sort", "priority") == ["bad.mp3", "done.mp3", "open.mp3"]
    assert stt("priority", "open.mp3", "--", "-5") == 0
    assert stt("priority", "open.mp3", "high") == 2
    assert stt("priority", "open.mp3", str(10**10)) == 2
    assert "Invalid value for 'N'" in stt.err


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [(["open.mp3"], "Invalid value for 'N'"), (["open.mp3", "bad.mp3"], "Invalid value for 'N'"),
     ([], "Missing argument 'N'"), (["5"], "Missing argument 'RECORDING'")],
)  # fmt: skip
def test_the_argument_that_is_missing_is_named(
    stt: Run, arguments: list[str], missing: str
) -> None:
    assert stt("priority", *arguments) == 2
    assert missing in " ".join(stt.err.split())
