"""The calls of a comparison, and the processes of its contestants."""

import json
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from tools.bench_lab import callers, ceiling, contestants, memory
from tools.bench_lab.callers import Clip
from tools.bench_lab.ceiling import Shape
from tools.bench_lab.contestants import ModelAt, Scenario, Task
from tools.bench_lab.memory import CardWatch
from tools.bench_lab.processes import ContestantFailed, told_by

CLIP = Clip(Path("/clip.mp3"), 10.0)
LONG = Clip(Path("/long.mp3"), 900.0)
MODEL = ModelAt(Path("/model"), "cpu", "int8")


def test_after_the_limit_the_time_since_the_last_call_counts_for_nothing() -> None:
    released, calls = threading.Event(), iter([True, False])

    def call(_: Clip) -> int:
        if not next(calls):
            released.wait(60)
        return 25

    threading.Timer(5, released.set).start()
    found = callers.run(call, [CLIP] * 3, 1, limit_seconds=1.0, waits=True)
    assert released.is_set()  # it waited
    assert found.was_cut
    assert len(found.calls) == 1
    assert found.wall_seconds < 1.0
    assert found.words_per_second == 2.5


def test_a_card_is_watched_over_the_time_of_a_scenario(monkeypatch: pytest.MonkeyPatch) -> None:
    said = iter([(1000.0, 0.0), (3000.0, 1.0), (2000.0, 0.5)])
    is_over = threading.Event()

    def card() -> tuple[float | None, float | None]:
        try:
            return next(said)
        except StopIteration:
            is_over.set()
            return None, None

    monkeypatch.setattr(memory, "_card", card)
    monkeypatch.setattr(memory, "_EVERY_SECONDS", 0.01)
    with CardWatch() as watch:
        assert is_over.wait(60)
    assert watch.peak_mb == 2000
    assert watch.utilisation(60) == 0.75
    assert watch.utilisation(0) is None


def test_words_are_none_where_no_call_tells_them() -> None:
    found = callers.run(lambda _: None, [CLIP], 1)
    assert found.words_per_second is None
    assert not found.was_cut
    assert callers.run(lambda _: 0, [CLIP], 1).words_per_second == 0


def test_what_libraries_print_is_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "stray_lines.py"
    module.write_text("print('Using a slow image')\nprint('{\"speed\": 2}')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert list(told_by("stray_lines", "{}")) == [{"speed": 2}]


def test_a_process_that_is_late_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stays.py").write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ContestantFailed, match="stays ran out of time"):
        list(told_by("stays", "{}", 0.1))


def test_a_contestant_is_warmed_up_with_a_short_clip_and_leaves_out_what_would_be_late(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[tuple[Clip, int]] = []

    class Slow:
        number = 0

        def __init__(self, *_: object) -> None: ...

        def transcribe(self, clip: Clip) -> int:
            done.append((clip, self.number))
            time.sleep(0.2 if clip == LONG else 0)
            return 1

        def close(self) -> None: ...

    scenarios = (
        Scenario("clips", 1, (CLIP,) * 3, number=8),
        Scenario("long", 1, (LONG,), number=16),
        Scenario("hours", 1, (Clip(Path("/hours.mp3"), 900_000.0),)),  # 200 s at that speed
    )
    task = Task("slow", MODEL, 4, scenarios, limit_seconds=1.0, until=time.time() + 100)
    file = tmp_path / "task.json"
    file.write_text(task.to_json())
    contestants.run_task({"slow": Slow}, str(file))

    warm_up, rest = done[: contestants.WARM_UP_CALLS], done[contestants.WARM_UP_CALLS :]
    assert {clip for clip, _ in warm_up} == {contestants.WARM_UP_CLIP}
    assert contestants.WARM_UP_CLIP.seconds <= 30
    assert rest == [(CLIP, 8)] * 3 + [(LONG, 16)]
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["scenario"], row["number"]) for row in rows] == [("clips", 8), ("long", 16)]


def test_a_shape_without_memory_is_told_and_the_best_has_the_other_scenarios(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Decoder:
        def __init__(self, _: ModelAt, streams: int, __: int) -> None:
            self._streams = streams

        def decode(self, windows: list[int], size: int, *_: object) -> tuple[int, int, float]:
            if size == 64:
                raise RuntimeError("CUDA failed with error out of memory\nat line 7")
            done = min(len(windows), 3)
            return done, 25 * done, done / (size * self._streams)

    monkeypatch.setattr(ceiling, "Decoder", Decoder)
    windows = {CLIP.path: [0], LONG.path: [0] * 90}
    monkeypatch.setattr(ceiling, "windows_by_path", lambda *_: windows)
    shapes = (Shape(1, 1, 8), Shape(2, 1, 8), Shape(2, 1, 64), Shape(1, 1, 4))
    scenarios = (Scenario("sweep", 1, (CLIP,) * 4), Scenario("long", 1, (CLIP, LONG)))
    task = ceiling.Task(MODEL, shapes, scenarios)
    file = tmp_path / "task.json"

    def found(task: ceiling.Task) -> list[tuple[str, dict[str, int], float, str]]:
        file.write_text(task.to_json())
        ceiling.main([str(file)])
        told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        rows = [(one["shape"], one["result"]) for one in told]
        return [(row["scenario"], shape, row["speed"], row["note"]) for shape, row in rows]

    first, second, third, fourth = map(asdict, shapes)
    assert found(task) == [
        ("sweep", first, 80.0, "3 windows"),
        ("sweep", second, 160.0, "3 windows"),
        ("sweep", third, 0.0, "CUDA failed with error out of memory"),
        ("sweep", fourth, 40.0, "3 windows"),
        ("long", second, 160.0, "3 windows"),
    ]
    late = ceiling.Task(MODEL, shapes, scenarios, until=0.0)
    assert [shape for _, shape, _, _ in found(late)] == [first, first]
