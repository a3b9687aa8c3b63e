"""Measuring shapes with real weights, and remembering the best of them."""

import json
import logging
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from platformdirs.macos import MacOS
from platformdirs.unix import Unix

from tests.support.models import sample_folder
from whisper_server import calibration
from whisper_server.calibration import (
    Measured,
    Subject,
    best_of,
    cache_file,
    candidates,
    measure,
    remember,
    remembered,
)
from whisper_server.errors import OutOfMemory, StartError
from whisper_server.presets import EnginePlan, Machine, Shape

SUBJECT = Subject("/models/mine", "cpu", "int8", 2, "", "4.8.1")


PLAN = EnginePlan("tiny.en", "faster-whisper", "cpu", "int8", Shape(2, 1, 1, "preset"), (0,), 4)


BEST = Measured(Shape(4, 2, 8, "calibrated on this machine"), 2.5)


def as_tuple(shape: Shape) -> tuple[int, int, int]:
    return shape.streams, shape.threads, shape.batch_size


class _Scripted:
    """A stopwatch with a script in place of a device: one that is out of memory is not at hand."""

    rates: dict[int, float]

    def __init__(self, *_: object) -> None:
        self.is_closed = False

    def windows_per_second(self, batch_size: int, seconds: float) -> float:
        if batch_size not in self.rates:
            raise OutOfMemory("no room")
        return self.rates[batch_size]

    def close(self) -> None:
        self.is_closed = True


def test_every_candidate_is_measured_on_the_real_model() -> None:
    shapes = [Shape(1, 1, 1, "x"), Shape(2, 1, 1, "x")]
    seen: list[Shape] = []
    measured = list(measure(sample_folder(), PLAN, shapes, 0.2, seen.append))
    assert seen == [found.shape for found in measured]
    assert seen == shapes
    assert all(found.windows_per_second for found in measured)


@pytest.mark.parametrize(
    ("rates", "tried"),
    [
        ({1: 1.0, 2: 2.0, 4: 3.0, 8: 3.0}, [1, 2, 4, 8]),
        ({1: 1.0, 2: 0.7, 4: 9.0, 8: 9.0}, [1, 2]),  # a lost cause
        ({1: 1.0, 2: 0.02, 4: 9.0, 8: 9.0}, [1, 2]),
        ({1: 0.01, 2: 9.0}, [1]),  # two at 0.01 windows/s would take 200 s
        ({1: 1.0, 2: 2.0}, [1, 2, 4]),  # no room for four
    ],
)
def test_larger_batches_are_tried_as_long_as_there_is_hope(
    monkeypatch: pytest.MonkeyPatch, rates: dict[int, float], tried: list[int]
) -> None:
    monkeypatch.setattr(calibration, "Stopwatch", type("S", (_Scripted,), {"rates": rates}))
    shapes = [Shape(1, 1, batch, "x") for batch in (1, 2, 4, 8)]
    measured = list(measure(Path(), PLAN, shapes, seconds=40))
    assert [found.shape.batch_size for found in measured] == tried


def test_the_smallest_batch_of_those_that_are_as_good_as_equal_is_the_best() -> None:
    speeds = {1: 9.7, 2: 10.0, 4: 9.9, 8: 4.0}
    measured = [Measured(Shape(2, 1, batch, "x"), speed) for batch, speed in speeds.items()]
    assert best_of(measured).shape.batch_size == 1
    assert best_of([*measured, Measured(Shape(1, 2, 16, "x"), 20.0)]).shape.batch_size == 16
    with pytest.raises(StartError, match="no room for a single window"):
        best_of([Measured(Shape(1, 1, 1, "x"), None)])


def test_candidates_use_all_cores_and_hold_the_preset() -> None:
    preset = Shape(8, 1, 1, "preset")
    shapes = candidates(Machine(12), "cpu", preset)
    pairs = {(shape.streams, shape.threads) for shape in shapes}
    assert pairs == {(1, 12), (2, 6), (3, 4), (4, 3), (6, 2), (12, 1), (8, 1)}
    assert [shape.batch_size for shape in shapes][:5] == [1, 2, 4, 8, 16]


def test_a_card_is_tried_with_larger_batches_and_few_streams() -> None:
    shapes = candidates(Machine(12, cuda_devices=1), "cuda", Shape(1, 4, 16, "preset"))
    assert {(shape.streams, shape.threads) for shape in shapes} == {(1, 4), (2, 4)}
    assert max(shape.batch_size for shape in shapes) == 64


def test_what_was_measured_is_known_at_the_next_start(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "shapes.json"
    assert remembered(SUBJECT, file) is None
    remember(SUBJECT, BEST, file)
    assert remembered(SUBJECT, file) == BEST.shape
    assert [path.name for path in file.parent.iterdir()] == ["shapes.json"]


def test_it_holds_for_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "shapes.json"
    remember(SUBJECT, BEST, file)
    for other in (
        Subject("/models/other", "cpu", "int8", 2, "", "4.8.1"),
        Subject("/models/mine", "cpu", "float32", 2, "", "4.8.1"),
        Subject("/models/mine", "cpu", "int8", 4, "", "4.8.1"),
        Subject("/models/mine", "cpu", "int8", 2, "", "4.9.0"),
        Subject("/models/mine", "cuda", "int8", 2, "RTX 4090", "4.8.1"),
    ):
        assert remembered(other, file) is None


def test_a_second_calibration_takes_the_place_of_the_first_alone(tmp_path: Path) -> None:
    file = tmp_path / "shapes.json"
    other = Subject("base", "cpu", "int8", 2, "", "4.8.1")
    remember(other, BEST, file)
    remember(SUBJECT, BEST, file)
    remember(SUBJECT, Measured(Shape(1, 2, 1, "x"), 3.0), file)
    shape = remembered(SUBJECT, file)
    assert shape is not None
    assert as_tuple(shape) == (1, 2, 1)
    assert remembered(other, file) == BEST.shape
    assert len(json.loads(file.read_text())["shapes"]) == 2


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"shapes": 3}', b"\xff\xfe", b'{"shapes": [{"streams": 0}]}']
)
def test_a_broken_file_is_ignored_with_one_line_and_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    file = tmp_path / "shapes.json"
    file.write_bytes(content)
    with caplog.at_level(logging.WARNING, "whisper_server"):
        assert remembered(SUBJECT, file) is None
    assert [record.message for record in caplog.records] == [
        f"Ignoring {file} (it is not what we wrote): whisper-server calibrate makes it anew"
    ]
    remember(SUBJECT, BEST, file)
    assert remembered(SUBJECT, file) == BEST.shape


def test_a_folder_that_cannot_be_written_says_what_to_set_instead(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match=r"STREAMS=4 CPU_THREADS=2 BATCH_SIZE=8\."):
        remember(SUBJECT, BEST, tmp_path / "file" / "shapes.json")


def test_a_write_that_breaks_off_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "shapes.json"
    remember(SUBJECT, BEST, file)

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            remember(SUBJECT, Measured(Shape(1, 1, 1, "x"), 9.0), file)
    assert remembered(SUBJECT, file) == BEST.shape
    assert list(tmp_path.iterdir()) == [file]


def test_two_at_once_never_show_half_a_file(tmp_path: Path) -> None:
    file = tmp_path / "shapes.json"
    remember(SUBJECT, BEST, file)
    writers = [
        threading.Thread(target=lambda: [remember(SUBJECT, BEST, file) for _ in range(20)])
        for _ in range(2)
    ]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert remembered(SUBJECT, file) == BEST.shape
    for writer in writers:
        writer.join()


def test_the_file_is_in_the_users_cache_as_the_platform_has_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("platformdirs.PlatformDirs", Unix)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_file() == tmp_path / ".cache" / "stt" / "whisper-shapes.json"
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert cache_file() == Path("/elsewhere/stt/whisper-shapes.json")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("platformdirs.PlatformDirs", MacOS)
    assert cache_file() == tmp_path / "Library" / "Caches" / "stt" / "whisper-shapes.json"


def test_a_folder_of_a_model_goes_by_its_path() -> None:
    subject = Subject.of(replace(PLAN, model=str(sample_folder())), Machine(2))
    assert subject.model == str(sample_folder().resolve())
    assert (subject.device, subject.cores, subject.card) == ("cpu", 2, "")
