"""tools/bench_scale.py on a real database: its table, its storm, and calls that fail."""

from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import NetworkTimeout

from stt.store.claims import MongoClaims
from stt.store.database import Database, translated
from tools import bench_scale
from tools.scale_lab.storm import storm

GROWTH = ["--only", "growth", "--chunks", "60", "90", "--held", "10", "--times", "10"]


@pytest.fixture(autouse=True)
def _given(mongo_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STT_BENCH_MONGO_URL", mongo_url)
    monkeypatch.setattr(bench_scale, "MAX_GROWTH", 1e9)  # no test of this machine's speed


def raises(*_: Any, **__: Any) -> Any:
    raise NetworkTimeout("127.0.0.1:27017: timed out")


def test_it_measures_each_size_and_leaves_no_database(
    mongo_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench_scale.main(GROWTH) == 0
    shown = capsys.readouterr().out
    assert "│ 60 │" in shown.replace("  ", "")
    assert "│ 90 │" in shown.replace("  ", "")
    assert "FAILED" not in shown
    assert "–" not in shown
    with MongoClient[dict[str, Any]](mongo_url) as client:
        assert not [name for name in client.list_database_names() if name.startswith("stt_bench")]


def test_a_page_that_takes_too_long_is_one_line_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("stt.store.model_routing.read_page", translated()(raises))
    assert bench_scale.main(GROWTH) == 1
    shown = capsys.readouterr().out
    assert shown.count("FAILED page with 60 chunks: no answer in 0 s") == 1
    assert "PASS   claim:" in shown
    assert "PASS   recovery:" in shown
    assert "PASS   page:" not in shown


def test_a_claim_that_fails_leaves_the_completion_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Database, "change_chunk", raises)
    assert bench_scale.main(GROWTH) == 1
    shown = capsys.readouterr().out
    assert shown.count("FAILED claim with 60 chunks: no answer in 0 s") == 1
    assert "PASS   page:" in shown
    assert "completion:" not in shown


def test_chunks_that_cannot_be_inserted_in_time_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Collection, "insert_many", raises)
    assert bench_scale.main(GROWTH) == 1
    shown = capsys.readouterr().out
    assert "FAILED inserting chunk 1 of 70: no answer in 0 s; this size is left out" in shown


def test_without_a_database_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STT_BENCH_MONGO_URL", "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=100")
    with pytest.raises(SystemExit) as ended:
        bench_scale.main(GROWTH)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("The database does not answer")


def test_workers_of_a_storm_each_claim_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    run = ["--only", "storm", "--storm-chunks", "600", "--workers", "5"]
    assert bench_scale.main(run) == 0
    assert "PASS   storm: workers without work: 0" in capsys.readouterr().out


def test_workers_without_work_give_up_in_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MongoClaims, "page", translated()(raises))
    seen = storm(database, 3, max_seconds=1.0)
    assert (seen.idle, seen.chunks) == (3, 0)
    assert seen.failed_calls >= 3
