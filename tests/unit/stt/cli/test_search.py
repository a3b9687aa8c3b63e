"""`stt search`: what is asked for, and how hits are shown."""

import json
from dataclasses import replace
from unittest.mock import Mock

import pytest
from bson import ObjectId

from stt.store.search import Hit, HitPage
from tests.unit.stt.cli.conftest import Run

CHUNK = ObjectId()
HIT = Hit("6903ce2e3006e94c81d59b3f", "talk.mp3", CHUNK, 65.0, 67.5, "Coffee, please.", ((0, 6),))


@pytest.fixture
def find(no_database: Mock, monkeypatch: pytest.MonkeyPatch) -> Mock:
    find = Mock(return_value=HitPage((HIT,), None))
    monkeypatch.setattr("stt.cli.search.Search", lambda _: Mock(find=find))
    return find


def test_the_words_are_one_query(stt: Run, find: Mock) -> None:
    assert stt("search", "coffee", "ple*", "--limit", "7") == 0
    [query] = find.call_args.args
    assert query.words == ("coffee", "ple*")
    assert (find.call_args.kwargs["limit"], find.call_args.kwargs["recording_ids"]) == (7, None)
    assert "talk.mp3" in stt.out
    assert "1:05" in stt.out
    assert "Coffee, please." in stt.out


def test_a_speaker_needs_no_words_and_is_shown(stt: Run, find: Mock) -> None:
    find.return_value = HitPage((replace(HIT, speaker="Ada"),), None)
    assert stt("search", "--speaker", "Ada") == 0
    assert find.call_args.args == (None,)
    assert find.call_args.kwargs["speaker"] == "Ada"
    assert "[Ada] Coffee, please." in stt.out


def test_json_has_the_public_names_of_the_fields(stt: Run, find: Mock) -> None:
    assert stt("search", "coffee", "--json") == 0
    assert json.loads(stt.out) == [
        {
            "source_id": HIT.recording_id, "filename": "talk.mp3", "chunk_id": str(CHUNK),
            "start": 65.0, "end": 67.5, "text": "Coffee, please.",
            "matches": [[0, 6]], "channel": None, "speaker": None,
            "path": None, "label": "",
        }
    ]  # fmt: skip


@pytest.mark.parametrize(("flags", "out"), [([], ""), (["--json"], "[]\n")], ids=["text", "json"])
def test_nothing_found_is_exit_code_1(stt: Run, find: Mock, flags: list[str], out: str) -> None:
    find.return_value = HitPage((), None)
    assert stt("search", "coffee", *flags) == 1
    assert stt.out == out


def test_more_results_are_announced_with_the_flag_that_shows_them(stt: Run, find: Mock) -> None:
    find.return_value = HitPage((HIT,), f"{CHUNK}-0")
    assert stt("search", "coffee", "--limit", "1") == 0
    assert stt.err == "There are more results: --limit 4\n"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (['"'], "There is no word in it"),
        (["x" * 300], "That is too long"),
        ([f"w{n}" for n in range(11)], "too many words"),
        (["word", "--limit", "0"], "greater than or equal to 1"),
    ],
    ids=["no word", "long", "many", "no results"],
)
def test_a_query_that_makes_no_sense_is_refused_before_the_database_is_opened(
    stt: Run, words: list[str], reason: str
) -> None:
    assert stt("search", *words) == 2
    assert reason in " ".join(stt.err.split())
