"""The embedded database has to be installed; settings with a data folder of the test's own."""

from pathlib import Path

import pytest

from stt.local.database import is_installed
from stt.settings import Settings
from tests.support.mongo_process import missing


@pytest.fixture(autouse=True)
def _installed() -> None:
    if not is_installed():
        missing("the embedded database: pip install 'stt-fleet[embedded]'")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path / "data")  # type: ignore[call-arg]
