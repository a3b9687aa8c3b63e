"""The benchmark for a card, as far as it needs none: packing, the plan, the goals, a cut-off."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT
from tools.bench_lab.processes import ContestantFailed
from tools.bench_lab.report import CLIPS, LONG
from tools.gpu import measure, pack, sections, summary
from tools.gpu.host import InstantEngine
from tools.gpu.plan import DRY_RUN, LIMIT_SECONDS, ON_CARD
from whisper_server.engines.base import Options, WindowInput
from whisper_server.model_names import Model
from whisper_server.presets import EnginePlan, Shape

MACHINE = {"card": "NVIDIA H100", "cores": 16, "date": "2026-11-27"}


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


def test_the_sections_of_two_models_fit_into_nine_minutes() -> None:
    first, second = ON_CARD.sections(True), ON_CARD.sections(False)
    assert sum(first.values()) + sum(second.values()) <= LIMIT_SECONDS <= 540
    assert set(first) == set(sections.SECTIONS)


def test_the_likeliest_shapes_are_tried_first() -> None:
    shapes = ON_CARD.shapes()
    assert len(set(shapes)) == len(ON_CARD.batches) * len(ON_CARD.streams)
    assert [shape.batch_size for shape in shapes[:3]] == [32, 64, 16]
    assert {shape.streams for shape in shapes[:6]} == {1}


def test_peers_are_given_the_clips_last_since_calls_outlast_their_time(tmp_path: Path) -> None:
    of = sections.Measurement("dry", tmp_path, DRY_RUN, tmp_path)
    assert [scenario.name for scenario in of.peer_scenarios()] == [LONG, CLIPS]


def test_a_section_that_fails_leaves_its_rows_and_the_next_one_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_: Any, __: float) -> Iterator[dict[str, Any]]:
        yield _row("ceiling", "clips", 500)
        raise ContestantFailed("the card is gone")

    def works(_: Any, __: float) -> Iterator[dict[str, Any]]:
        yield _row("ours", "64 callers", 460)

    monkeypatch.setattr(sections, "SECTIONS", {"ceiling": breaks, "ours": works})
    monkeypatch.setattr(measure, "SECTIONS", sections.SECTIONS)
    monkeypatch.setattr(type(ON_CARD), "sections", lambda *_: {"ceiling": 1.0, "ours": 1.0})
    arguments = ["--device", "cpu", "--models", str(tmp_path), "--sizes", "dry"]
    assert measure.main([*arguments, "--out", str(tmp_path)]) == 1

    found = json.loads((tmp_path / "found.json").read_text())["models"]["dry"]
    assert found["ceiling"]["error"] == "the card is gone"
    assert found["ceiling"]["rows"] == [_row("ceiling", "clips", 500)]
    assert found["ours"]["rows"] == [_row("ours", "64 callers", 460)]
    assert "dry run" in (tmp_path / "tables.md").read_text()


def test_sections_that_have_no_time_left_say_so(tmp_path: Path) -> None:
    arguments = ["--device", "cpu", "--models", str(tmp_path), "--sizes", "dry", "--seconds", "0"]
    assert measure.main([*arguments, "--out", str(tmp_path)]) == 1
    found = json.loads((tmp_path / "found.json").read_text())["models"]["dry"]
    assert {entry["error"] for entry in found.values()} == {"no time was left"}


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


def test_what_was_not_measured_is_no_goal() -> None:
    assert summary.goals("large-v3", {"ceiling": {"rows": []}}) == []
    assert "| ours: 64 callers | 1 x 64 | 560.0 |" in summary.as_text(
        MACHINE, {"large-v3": _found(600, 560, 520, 200, 300)}
    )


def test_an_engine_that_decodes_at_once_has_words_all_over_the_window(tmp_path: Path) -> None:
    shape = Shape(streams=1, threads=1, batch_size=1, reason="")
    plan = EnginePlan("dry", "faster-whisper", "cpu", "int8", shape, (0,), worker_count=1)
    engine = InstantEngine(Model("dry", tmp_path), plan)
    window = WindowInput(None, 12.0, Options(language="en"), 0.0)  # type: ignore[arg-type]
    (found,) = engine.decode([window])
    assert len(found.words) == 30
    assert found.words[0].start == 0.0
    assert found.words[-1].end == pytest.approx(12.0)


def _found(
    ceiling: float, crowd: float, long: float, peer_clips: float, peer_long: float
) -> dict[str, dict[str, Any]]:
    rows = {
        "ceiling": [_row("ceiling", "clips", 0.5 * ceiling), _row("ceiling", "clips", ceiling)],
        "ours": [_row("ours", "64 callers", crowd), _row("ours", "long", long)],
        "batched": [_row("batched", "clips", 90), _row("batched", "long", peer_long)],
        "transformers": [_row("transformers", "clips", peer_clips)],
    }
    return {name: {"rows": some, "error": None} for name, some in rows.items()}


def _row(who: str, what: str, speed: float) -> dict[str, Any]:
    return {"who": who, "what": what, "shape": "1 x 64", "speed": speed}
