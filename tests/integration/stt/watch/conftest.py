"""A folder that is watched, on a real database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stt.watch.state import WatchState


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


@pytest.fixture
def state(tmp_path: Path, folder: Path) -> Iterator[WatchState]:
    with WatchState(tmp_path / "states", folder) as state:
        yield state
