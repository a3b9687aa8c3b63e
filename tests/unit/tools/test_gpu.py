"""The benchmark for a card, as far as it needs none: packing, the plan, the goals, a cut-off."""

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.models import sample_folder
from tests.support.paths import ROOT
from tools.bench_lab import random_model
from tools.bench_lab.contestants import Result
from tools.bench_lab.processes import ContestantFailed
from tools.bench_lab.report import CLIPS, LONG
from tools.gpu import measure, pack, plan, sections, summary
from tools.gpu.host import InstantEngine
from tools.gpu.measurement import Measurement, NotReached, Recordings
from tools.gpu.plan import (
    DRY,
    DRY_RUN,
    FIRST,
    LIMIT_SECONDS,
    ON_CARD,
    SECOND,
    STEPS,
    SURE_SECONDS,
    SURE_STEPS,
)
from whisper_server.engines.base import Options, WindowInput
from whisper_server.model_names import Model
from whisper_server.presets import EnginePlan, Shape
from whisper_server.settings import MAX_BATCH_SIZE

MACHINE = {"card": "NVIDIA H100", "cores": 16, "date": "2026-11-27"}


@pytest.fixture(scope="module")
def of(tmp_path_factory: pytest.TempPathFactory) -> Measurement:
    folder = tmp_path_factory.mktemp("recordings")
    return Measurement("dry", folder, DRY_RUN, folder, Recordings(folder, 2))


def test_all_that_is_packed_has_a_version_in_the_lock() -> None:
    wanted = pack.pinned((ROOT / "requirements.lock").read_text("utf-8"), pack.PACKAGES)
    assert len(wanted) == len(pack.PACKAGES)
    assert all(version.partition("==")[2] for version in wanted)


def test_versions_are_those_of_the_python_on_the_card() -> None:
    lock = "numpy==1 ; python_full_version < '3.12'\nnumpy==2 ; python_full_version >= '3.12'\n"
    assert pack.pinned(lock, ["numpy"]) == ["numpy==2"]
    with pytest.raises(LookupError, match="av"):
        pack.pinned(lock, ["numpy", "av"])


def test_parts_make_the_archive_again_and_old_ones_are_gone(tmp_path: Path) -> None:
    archive, folder = tmp_path / "wheels.tar", tmp_path / "pack"
    archive.write_bytes(bytes(range(250)))
    folder.mkdir()
    (folder / "part-9").write_bytes(b"old")
    assert list(pack.split(archive, folder, 100)) == [
        ("part-1", 100),
        ("part-2", 100),
        ("part-3", 50),
    ]
    whole = b"".join((folder / f"part-{number}").read_bytes() for number in (1, 2, 3))
    assert whole == archive.read_bytes()
    assert (folder / "sum").read_text() == f"{hashlib.sha256(whole).hexdigest()}  wheels.tar\n"
    assert not (folder / "part-9").exists()


def test_a_model_is_written_with_the_tokenizer_alone_of_the_sample_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = sample_folder() / random_model.TOKENIZER
    monkeypatch.setattr(random_model, "sample_folder", lambda: pytest.fail("it is not there"))
    assert plan.main([DRY, str(tmp_path), "float32", str(tokenizer)]) == 0
    assert (tmp_path / random_model.WRITTEN_LAST).exists()


def test_what_decides_has_time_whatever_the_rest_needs() -> None:
    sure = STEPS[:SURE_STEPS]
    assert sum(seconds for *_, seconds in sure) <= SURE_SECONDS
    assert SURE_SECONDS + 60 <= LIMIT_SECONDS <= 540
    first = [section for model, section, _ in STEPS if model == FIRST]
    assert sorted(first) == sorted(sections.SECTIONS)
    assert first[:4] == ["ceiling", "ours", "batched", "transformers"]
    assert {section for model, section, _ in sure if model == SECOND} == {"ceiling", "ours"}


def test_no_batch_is_tried_that_a_card_computes_wrongly() -> None:
    assert max(shape.batch_size for shape in ON_CARD.shapes) <= MAX_BATCH_SIZE
    assert len(set(ON_CARD.shapes)) == len(ON_CARD.shapes)


def test_peers_are_given_clips_before_the_long_file(of: Measurement) -> None:
    told = []

    def run(*arguments: Any, **_: Any) -> Iterator[Result]:
        told.append(arguments)
        yield from [_result(CLIPS, 2), _result(LONG, 2)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sections, "run_contestant", run)
        rows = list(sections.transformers(of, time.monotonic() + 60))
    assert [row["what"] for row in rows] == [CLIPS, LONG]
    assert rows[0]["shape"] == "batches of 2"


def test_a_section_says_what_it_did_not_come_to(
    of: Measurement, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: Any, **__: Any) -> Iterator[Result]:
        yield _result(CLIPS, 2)
        raise ContestantFailed("it ran out of time")

    monkeypatch.setattr(sections, "run_contestant", run)
    rows = sections.batched(of, time.monotonic() + 60)
    assert next(rows)["what"] == CLIPS
    with pytest.raises(NotReached, match=r"no time for long, batches of 2 \(it ran out of time\)"):
        next(rows)


def test_a_section_that_fails_leaves_its_rows_and_the_next_one_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_: Any, __: float) -> Iterator[dict[str, Any]]:
        yield _row("ceiling", "clips", 500)
        raise KeyError("not foreseen")

    def works(_: Any, __: float) -> Iterator[dict[str, Any]]:
        yield _row("ours", "64 callers", 460)
        assert "KeyError: 'not foreseen'" in (tmp_path / "tables.md").read_text()

    monkeypatch.setattr(measure, "SECTIONS", {"ceiling": breaks, "ours": works})
    monkeypatch.setattr(measure, "STEPS", ((FIRST, "ceiling", 1), (FIRST, "ours", 1)))
    arguments = ["--device", "cpu", "--models", str(tmp_path), "--sizes", "dry"]
    assert measure.main([*arguments, "--out", str(tmp_path)]) == 1

    found = json.loads((tmp_path / "found.json").read_text())["models"]["dry"]
    assert found["ceiling"]["error"] == "KeyError: 'not foreseen'"
    assert found["ceiling"]["rows"] == [_row("ceiling", "clips", 500)]
    assert found["ours"] == {"rows": [_row("ours", "64 callers", 460)], "error": None} | {
        "seconds": found["ours"]["seconds"]
    }
    assert "dry run" in (tmp_path / "tables.md").read_text()


def test_sections_that_have_no_time_left_say_so(tmp_path: Path) -> None:
    arguments = ["--device", "cpu", "--models", str(tmp_path), "--sizes", "dry", "--seconds", "0"]
    assert measure.main([*arguments, "--out", str(tmp_path)]) == 1
    found = json.loads((tmp_path / "found.json").read_text())["models"]["dry"]
    assert {entry["error"] for entry in found.values()} == {"no time was left"}
    assert "- ceiling: no time was left" in (tmp_path / "tables.md").read_text()


def test_goals_are_judged_by_what_was_found() -> None:
    found = _found(ceiling=600, crowd=560, long=520, peer_clips=200, peer_long=300)
    assert [str(goal) for goal in summary.goals("large-v3-turbo", found)] == [
        "PASS   560 times real time, more than 404",
        "PASS   64 callers: 0.93 of the ceiling, at least 0.9",
        "PASS   long: 0.87 of the ceiling, at least 0.85",
        "PASS   clips: 2.80 times the best peer, at least 2",
        "PASS   long: 1.73 times the best peer, at least 1",
    ]
    slow = _found(ceiling=800, crowd=390, long=280, peer_clips=300, peer_long=300)
    assert not any(goal.is_met for goal in summary.goals("large-v3-turbo", slow))


def test_the_ceiling_is_that_of_the_best_shape_measured_again_and_of_the_same_type() -> None:
    found = _found(ceiling=600, crowd=560, long=520, peer_clips=200, peer_long=300)
    found["int8"] = {"rows": [_row("ceiling, int8_float16", "clips", 900)], "error": None}
    found["ceiling"]["rows"].append(_row("ceiling", "sweep", 700))
    assert "0.93 of the ceiling" in str(summary.goals("large-v3", found)[1])
    found["ceiling"]["rows"] = [_row("ceiling", "sweep", 700)]
    assert "0.80 of the ceiling" in str(summary.goals("large-v3", found)[1])


def test_what_was_not_measured_is_missed() -> None:
    goals = summary.goals("large-v3", {"ceiling": {"rows": []}})
    assert [str(goal) for goal in goals] == [
        "short  0 times real time, more than 226",
        "short  64 callers: not measured, of the ceiling, at least 0.9",
        "short  long: not measured, of the ceiling, at least 0.85",
        "short  clips: not measured, times the best peer, at least 2",
        "short  long: not measured, times the best peer, at least 1",
    ]
    assert "| ours: 64 callers | 1 x 64 | 560.0 |" in summary.as_text(
        MACHINE, {"large-v3": _found(600, 560, 520, 200, 300)}
    )


def test_a_cut_call_and_texts_of_another_length_are_seen() -> None:
    found = _found(ceiling=600, crowd=560, long=0, peer_clips=200, peer_long=300)
    (ceiling, *_), (crowd, long) = found["ceiling"]["rows"], found["ours"]["rows"]
    long["was_cut"], ceiling["words"], crowd["words"], long["words"] = True, 2.6, 0.4, 9.0
    text = summary.as_text(MACHINE, {"large-v3-turbo": found})
    assert "| ours: long | 1 x 64 | 0.0 (cut) |" in text
    assert "- short  long: not measured, of the ceiling" in text
    assert (
        "- not the same work: ours, 64 callers, 1 x 64: 0.40 words a second, the ceiling 2.60"
        in text
    )


def test_an_engine_that_decodes_at_once_has_words_all_over_the_window(tmp_path: Path) -> None:
    shape = Shape(streams=1, threads=1, batch_size=1, reason="")
    engine_plan = EnginePlan("dry", "faster-whisper", "cpu", "int8", shape, (0,), worker_count=1)
    engine = InstantEngine(Model("dry", tmp_path), engine_plan)
    window = WindowInput(None, 12.0, Options(language="en"), 0.0)  # type: ignore[arg-type]
    (found,) = engine.decode([window])
    assert len(found.words) == 30
    assert found.words[0].start == 0.0
    assert found.words[-1].end == pytest.approx(12.0)


def _found(
    ceiling: float, crowd: float, long: float, peer_clips: float, peer_long: float
) -> dict[str, dict[str, Any]]:
    rows = {
        "ceiling": [_row("ceiling", "clips", ceiling), _row("ceiling", "long", ceiling)],
        "ours": [_row("ours", "64 callers", crowd), _row("ours", "long", long)],
        "batched": [_row("batched", "clips", 90), _row("batched", "long", peer_long)],
        "transformers": [_row("transformers", "clips", peer_clips)],
    }
    return {name: {"rows": some, "error": None} for name, some in rows.items()}


def _row(who: str, what: str, speed: float) -> dict[str, Any]:
    return {"who": who, "what": what, "shape": "1 x 64", "speed": speed}


def _result(scenario: str, number: int) -> Result:
    return Result(scenario, 90.0, 1.0, 2.0, 300.0, wall_seconds=3.0, number=number)
