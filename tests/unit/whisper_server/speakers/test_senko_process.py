"""The process that finds speakers, with stand-ins for senko and PyTorch in it."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from stt.media.samples import Samples
from tests.support.pace import until
from whisper_server.engines.base import SAMPLE_RATE
from whisper_server.hardware import usable_cores
from whisper_server.speakers import diarizer as module
from whisper_server.speakers import senko_process
from whisper_server.speakers.diarizer import Diarizer
from whisper_server.speakers.senko_process import DiarizingFailed
from whisper_server.speakers.turns import PieceSpeakers, Turn

WAIT_SECONDS = 120

WORKS, HANGS, DIES, FAILS = range(4)
"""What the stand-in does with samples of this value."""

SENKO = """
import os, time
from pathlib import Path
import numpy as np

folder = Path(__file__).parent
if (folder / "broken").exists():
    raise OSError("libtorch_cpu.so: cannot open shared object file")

class Diarizer:
    def __init__(self, device, warmup):
        with (folder / "devices").open("a") as file:
            print(device, file=file)

    def diarize_samples(self, samples):
        (folder / "pid").write_text(str(os.getpid()))
        if samples[0] == 1:
            while not (folder / "go").exists():
                time.sleep(0.01)
        if samples[0] == 2:
            os._exit(1)
        if samples[0] == 3:
            raise ValueError("odd samples")
        return {
            "raw_segments": [{"speaker": "SPEAKER_01", "start": 0.0, "end": 1.0}],
            "speaker_centroids": {"SPEAKER_01": np.ones(2)},
        }
"""
TORCH = """
from pathlib import Path

folder = Path(__file__).parent

def set_num_threads(count):
    (folder / "threads").write_text(str(count))

class cuda:
    def is_available():
        return (folder / "has_cuda").exists()
    def set_device(device):
        (folder / "current_device").write_text(device)
"""


class Stage:
    """The folder of the stand-ins, in which they say what they did and read what to do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[Diarizer] = []

    def diarizer(self, device: str = "cpu") -> Diarizer:
        self.made.append(Diarizer(device))
        return self.made[-1]

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()

    def pid(self) -> int:
        path = self.folder / "pid"
        return int(until(lambda: path.read_text() if path.exists() else ""))

    def loads(self) -> int:
        path = self.folder / "devices"
        return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    (tmp_path / "senko.py").write_text(SENKO)
    (tmp_path / "torch.py").write_text(TORCH)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(module, "find_spec", lambda name: name)
    made = Stage(tmp_path)
    yield made
    for diarizer in made.made:
        diarizer.close()


def piece_that(what: int) -> Callable[[], Samples]:
    return lambda: np.full(SAMPLE_RATE, what, np.int16)


def found(future: "Future[PieceSpeakers]") -> tuple[Turn, ...]:
    return future.result(WAIT_SECONDS).turns


ONE_TURN = (Turn(0.0, 1.0, 0),)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_are_the_servers_business(stage: Stage, number: signal.Signals) -> None:
    """Ctrl-C reaches all processes of a terminal; a service manager, too, ends all of a service."""
    found_later = stage.diarizer().find(piece_that(HANGS))
    os.kill(stage.pid(), number)
    (stage.folder / "go").touch()
    assert found(found_later) == ONE_TURN


def test_a_process_that_dies_costs_the_piece_in_work_and_none_that_waits(stage: Stage) -> None:
    diarizer = stage.diarizer()
    lost, next_ = diarizer.find(piece_that(DIES)), diarizer.find(piece_that(WORKS))
    with pytest.raises(DiarizingFailed, match="the process has ended"):
        lost.result(WAIT_SECONDS)
    assert found(next_) == ONE_TURN


def test_a_process_that_is_killed_while_it_is_idle_costs_nothing(stage: Stage) -> None:
    diarizer = stage.diarizer()
    assert found(diarizer.find(piece_that(WORKS))) == ONE_TURN
    os.kill(stage.pid(), signal.SIGKILL)
    (process,) = multiprocessing.active_children()
    process.join(WAIT_SECONDS)
    assert found(diarizer.find(piece_that(WORKS))) == ONE_TURN
    assert stage.loads() == 2


def test_without_a_signal_that_windows_lacks_the_others_are_ignored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ignored = Mock()
    monkeypatch.setattr(signal, "signal", ignored)
    monkeypatch.delattr(signal, "SIGHUP")
    senko_process._ignore_signals()
    assert [call.args[0] for call in ignored.call_args_list] == [signal.SIGINT, signal.SIGTERM]


def test_a_process_that_hangs_is_replaced(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    diarizer = stage.diarizer()
    assert found(diarizer.find(piece_that(WORKS))) == ONE_TURN
    with monkeypatch.context() as patched:
        patched.setattr(module, "longest_seconds", lambda seconds: 0.2)
        with pytest.raises(DiarizingFailed, match=r"a piece of 1 seconds: not done within"):
            diarizer.find(piece_that(HANGS)).result(WAIT_SECONDS)
    hung = stage.pid()
    assert found(diarizer.find(piece_that(WORKS))) == ONE_TURN
    assert stage.pid() != hung
    with pytest.raises(ProcessLookupError):
        os.kill(hung, 0)


def test_an_error_in_the_process_is_that_of_the_piece_and_ends_nothing(stage: Stage) -> None:
    diarizer = stage.diarizer()
    with pytest.raises(DiarizingFailed, match="ValueError: odd samples"):
        diarizer.find(piece_that(FAILS)).result(WAIT_SECONDS)
    assert found(diarizer.find(piece_that(WORKS))) == ONE_TURN
    assert stage.loads() == 1


def test_models_that_cannot_be_loaded_are_known_and_tried_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RELOAD_SECONDS", 0.05)
    (stage.folder / "broken").touch()
    diarizer = stage.diarizer()
    assert diarizer.works, "they are loading"
    with pytest.raises(DiarizingFailed, match="cannot be loaded: OSError: libtorch_cpu"):
        diarizer.find(piece_that(WORKS)).result(WAIT_SECONDS)
    assert not diarizer.works
    (stage.folder / "broken").unlink()
    until(lambda: diarizer.works)
    assert found(diarizer.find(piece_that(WORKS))) == ONE_TURN


def test_a_process_that_cannot_be_started_is_an_error_of_the_piece(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in (OSError(11, "Resource temporarily unavailable"), MemoryError()):
        monkeypatch.setattr(module, "SenkoProcess", Mock(side_effect=error))
        refused = stage.diarizer().find(piece_that(WORKS))
        with pytest.raises(DiarizingFailed, match=r"temporarily unavailable|MemoryError"):
            refused.result(WAIT_SECONDS)


def test_samples_that_cannot_be_read_are_an_error_of_the_piece(stage: Stage) -> None:
    def read() -> Samples:
        raise OSError(5, "Input/output error")

    diarizer = stage.diarizer()
    with pytest.raises(OSError, match="Input/output error"):
        diarizer.find(read).result(WAIT_SECONDS)
    assert found(diarizer.find(piece_that(WORKS))) == ONE_TURN


def test_closing_ends_the_process_and_refuses_what_waits(stage: Stage) -> None:
    diarizer = stage.diarizer()
    pieces = [diarizer.find(piece_that(HANGS)) for _ in range(2)]
    pid = stage.pid()
    diarizer.close()
    pieces.append(diarizer.find(piece_that(WORKS)))
    for piece in pieces:
        with pytest.raises(DiarizingFailed):
            piece.result(WAIT_SECONDS)

    def is_gone() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    until(is_gone)
    assert stage.loads() == 1


@pytest.mark.parametrize(
    ("device", "has_cuda", "used"),
    [
        ("cuda:1", True, "cuda:1"), ("cuda:1", False, "cpu"),
        ("cpu", True, "cpu"), ("metal", False, "cpu"),
    ],
)  # fmt: skip
def test_it_uses_the_card_of_the_decoder(
    stage: Stage, device: str, has_cuda: bool, used: str
) -> None:
    if has_cuda:
        (stage.folder / "has_cuda").touch()
    found(stage.diarizer(device).find(piece_that(WORKS)))
    assert stage.read("devices").split() == [used]
    current = stage.folder / "current_device"
    assert (current.read_text() if current.exists() else "cpu") == used


def test_it_leaves_half_of_the_cores_to_the_decoder(stage: Stage) -> None:
    found(stage.diarizer().find(piece_that(WORKS)))
    assert int(stage.read("threads")) == max(1, usable_cores() // 2)
