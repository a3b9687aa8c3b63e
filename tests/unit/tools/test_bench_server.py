"""The parts of the comparison: random weights that speak, and the goals."""

import json
import os
from pathlib import Path

import ctranslate2
import numpy as np
import pytest

from tests.support.models import sample_folder
from tools.bench_lab import report
from tools.bench_lab.callers import Clip
from tools.bench_lab.clips import SAMPLES, make_clips
from tools.bench_lab.contestants import ModelAt, Result, Scenario, Task
from tools.bench_lab.memory import peak_mb
from tools.bench_lab.random_model import Size, spoken_tokens, write_model
from tools.bench_lab.report import Comparison
from tools.bench_lab.windows import windows_by_path


@pytest.mark.parametrize("mels", [80, 128], ids=["base's vocabulary", "large-v3's vocabulary"])
def test_random_weights_say_their_text_whatever_they_hear(mels: int, tmp_path: Path) -> None:
    from faster_whisper import WhisperModel

    write_model(Size(64, 1, 1, 1, mels), tmp_path)
    model = WhisperModel(str(tmp_path), device="cpu", compute_type="int8", cpu_threads=1)
    names = json.loads((tmp_path / "vocabulary.json").read_text("utf-8"))
    noise = np.random.default_rng(1).uniform(-1, 1, 16_000 * 20).astype(np.float32)

    segments, _ = model.transcribe(noise, language="en", condition_on_previous_text=False)
    heard = list(segments)
    tokens = [token for segment in heard for token in segment.tokens]
    assert tokens == spoken_tokens(names)
    assert heard[0].text.startswith(" that with from ")
    assert heard[-1].end == 30.0
    assert all(one.avg_logprob > -0.5 and one.compression_ratio < 2.4 for one in heard)
    assert {one.temperature for one in heard} == {0.0}

    windows = np.random.default_rng(2).normal(size=(3, mels, 3000)).astype(np.float32)
    prompt = [names.index(f"<|{name}|>") for name in ("startoftranscript", "en", "transcribe")]
    together = model.model.generate(
        ctranslate2.StorageView.from_array(windows), [prompt] * 3, beam_size=5
    )
    assert [row.sequences_ids[0] for row in together] == [spoken_tokens(names)] * 3


def test_a_text_that_follows_the_sound_has_the_tokens_of_real_speech(tmp_path: Path) -> None:
    write_model(Size(128, 2, 2, 2, mels=80), tmp_path, "float32", follows_sound=True)
    model = ModelAt(tmp_path, "cpu", "float32")
    clips = make_clips(tmp_path, 6)
    whisper = ctranslate2.models.Whisper(str(tmp_path), device="cpu", intra_threads=1)
    names = json.loads((tmp_path / "vocabulary.json").read_text("utf-8"))
    prompt = [names.index(f"<|{name}|>") for name in ("startoftranscript", "en", "transcribe")]
    windows = np.stack([one for made in windows_by_path(model, clips).values() for one in made])

    found = whisper.generate(ctranslate2.StorageView.from_array(windows), [prompt] * len(clips))
    lengths = [len(one.sequences_ids[0]) for one in found]

    text = spoken_tokens(names)
    assert all(one.sequences_ids[0] == text[: len(one.sequences_ids[0])] for one in found)
    assert sorted(lengths) == [x for _, x in sorted(zip(clips, lengths, strict=True), key=_seconds)]
    assert 2.5 < sum(lengths) / sum(clip.seconds for clip in clips) < 4

    words = [[token for token in text[:length] if token < prompt[0]] for length in lengths]
    view = ctranslate2.StorageView.from_array(windows)
    for row in whisper.align(view, prompt, words, [3000] * len(clips)):
        starts = [frame * 0.02 for token, frame in row.alignments if token % 15 == 14]
        assert starts[0] == pytest.approx(14 / 3, abs=0.5)  # three a second, evenly


def _seconds(pair: tuple[Clip, int]) -> float:
    return pair[0].seconds


def test_large_v3_has_one_language_more(tmp_path: Path) -> None:
    write_model(Size(64, 1, 1, 1, mels=128), tmp_path)
    names = json.loads((tmp_path / "vocabulary.json").read_text("utf-8"))
    assert len(names) == 51_866
    shifted = {"<|su|>": 50_357, "<|yue|>": 50_358, "<|transcribe|>": 50_360, "<|0.00|>": 50_365}
    assert {name: names.index(name) for name in shifted} == shifted


def test_clips_are_of_five_to_thirty_seconds(tmp_path: Path) -> None:
    lengths = [clip.seconds for clip in make_clips(tmp_path, 8)]
    assert min(lengths) >= 4
    assert max(lengths) <= 30
    assert max(lengths) - min(lengths) > 20


def test_memory_is_counted_though_a_thread_ends_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(folder: Path, pattern: str) -> list[Path]:
        return [folder / "0" / "children"]

    monkeypatch.setattr(Path, "glob", gone)
    assert peak_mb(os.getpid()) > 1


def test_a_task_survives_its_way_to_another_process() -> None:
    scenario = Scenario("4 callers", 4, (Clip(Path("/a.mp3"), 5.5),))
    task = Task("plain", ModelAt(Path("/model"), "cpu", "int8"), 2, (scenario,))
    assert Task.from_json(task.to_json()) == task


def test_goals_are_judged_by_what_was_measured() -> None:
    found = _comparison({"a": 50, "b": 55, "c": 80, "d": 91, "e": 100})
    assert _verdicts(found) == {
        "8 callers: 0.91 of the ceiling": True,
        "8 callers: 1.14 times the better": True,
        "long: 1.82 times (a)": True,
        "long: 1.14 times the better": True,
        "300 MB of memory": True,
        "/health p99 12.0 ms at worst": True,
    }

    slow = _comparison({"a": 70, "b": 55, "c": 95, "d": 80, "e": 100}, memory_mb=700, health_ms=60)
    assert set(_verdicts(slow).values()) == {False}


def test_a_ceiling_that_is_beaten_passes_no_goal() -> None:
    found = _comparison({"d": 250, "e": 100})
    verdicts = _verdicts(found)
    assert verdicts["8 callers: 2.50 of the ceiling"] is False
    assert verdicts["(d) beats the ceiling (8 callers 2.50"] is False


def test_the_ceiling_is_given_the_windows_that_the_server_makes() -> None:
    sample = ModelAt(sample_folder(), "cpu", "int8")
    clip = Clip(SAMPLES / "two-voices.mp3", 43.4)
    (windows,) = windows_by_path(sample, [clip, clip]).values()
    assert [window.shape for window in windows] == [(80, 3000)] * 2


def test_the_tables_have_a_line_for_each_scenario_and_who_was_left_out_is_not_there() -> None:
    found = _comparison({"c": 80, "d": 91, "e": 100})
    speed, latency, memory, health = report.tables(found)
    assert speed.header == ("", "(c)", "(d)", "(e)", "d : e")
    assert speed.rows == (
        ("8 callers", "80.0", "91.0", "100.0", "0.91"),
        ("long", "80.0", "91.0", "100.0", "0.91"),
    )
    assert latency.rows[0] == ("8 callers", "1.00 / 2.00", "1.00 / 2.00")
    assert memory.rows[0] == ("8 callers", "400", "300")
    assert health.as_markdown().splitlines()[-1] == "| long | 12.0 |"


def _comparison(
    speeds: dict[str, float], memory_mb: float = 300, health_ms: float = 12
) -> Comparison:
    found = Comparison("base", 2, "cpu")
    for letter, speed in speeds.items():
        memory = memory_mb if letter == report.OURS else 400
        for name in (report.CLIPS if letter == report.CEILING else "8 callers", report.LONG):
            found.add(letter, Result(name, speed, 1.0, 2.0, memory))
    found.health_p99_ms = dict.fromkeys(found.scenarios(), health_ms)
    return found


def _verdicts(found: Comparison) -> dict[str, bool]:
    """By the first words of each goal."""
    return {
        goal.text.partition(",")[0].partition(" of (b")[0]: goal.is_met
        for goal in report.goals(found)
    }
