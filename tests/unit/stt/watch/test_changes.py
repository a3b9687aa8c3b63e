"""Changes in a folder are reported when they happen."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import watchfiles

from stt.watch.changes import Changes
from tests.support.pace import until


def test_files_that_come_and_change_are_reported_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    woken = threading.Event()
    with Changes(tmp_path, woken.set) as changes:
        found: set[Path] = set()
        path = tmp_path / "sub" / "talk.wav"

        def is_reported() -> bool:
            path.write_bytes(b"more")  # again and again: it begins to listen in a moment
            found.update(changes.take())
            return path in found

        until(is_reported)
        assert woken.is_set()


def test_a_system_that_reports_nothing_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: Any, **__: Any) -> Iterator[Any]:
        raise OSError("OS file watch limit reached.")

    monkeypatch.setattr(watchfiles, "watch", refuse)
    with Changes(tmp_path, lambda: None) as changes:
        until(lambda: bool(caplog.messages))
        assert changes.take() == set()
    assert "watch limit reached" in caplog.messages[0]
