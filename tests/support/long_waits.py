"""Waits after wrong keys that outlast a test on a slow machine."""

import pytest

from stt.coordinator.store import login_throttle
from stt.serving import key_throttle

_SECONDS = 600.0


def lengthen_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an address wait for ten minutes from its fifth wrong key on, where it was a second."""

    def wait_after(failures: int) -> float:
        return 0.0 if failures <= key_throttle.FREE_FAILURES else _SECONDS

    for module in (key_throttle, login_throttle):
        monkeypatch.setattr(module, "wait_after", wait_after)
