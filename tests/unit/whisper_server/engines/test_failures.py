"""Errors of the libraries as this package's errors."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.faster_whisper_engine import ready
from tests.support.whisper_stand_in import Patched
from whisper_server.engines.base import Samples
from whisper_server.engines.faster_whisper import FasterWhisperEngine
from whisper_server.errors import EngineFailed, OutOfMemory


def traceback_of(error: BaseException | None) -> Iterator[Any]:
    assert error is not None
    step = error.__traceback__
    while step is not None:
        yield type("Step", (), {"frame": step.tb_frame})
        step = step.tb_next


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("CUDA failed with error out of memory", OutOfMemory),
        ("cuBLAS failed with status CUBLAS_STATUS_ALLOC_FAILED", OutOfMemory),
        ("std::bad_alloc", OutOfMemory),
        ("CUDA failed with error an illegal memory access\nwas encountered", EngineFailed),
    ],
)
def test_an_error_of_the_device_says_whether_memory_ran_out(
    engine: FasterWhisperEngine,
    speech: Samples,
    model: Any,
    monkeypatch: pytest.MonkeyPatch,
    message: str,
    kind: type[EngineFailed],
) -> None:
    """No device here runs out of memory when it is asked to, so `generate` says it did."""

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError(message)

    monkeypatch.setattr(engine._decoder, "_model", Patched(model, generate=fail))
    with pytest.raises(EngineFailed) as caught:
        engine.decode([ready(engine, speech)])
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    kept = [frame.frame.f_locals for frame in traceback_of(caught.value.__cause__)]
    assert not any("encoded" in names for names in kept), "the encoder's output fills the device"
