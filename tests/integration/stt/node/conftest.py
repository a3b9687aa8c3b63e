"""A coordinator in this process, and the file of a node's credentials."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stt.node.credentials import CredentialsFile
from stt.store.database import Database
from tests.support.coordinator_app import CoordinatorThread, running_coordinator


@pytest.fixture
def coordinator(database: Database, tmp_path: Path) -> Iterator[CoordinatorThread]:
    with running_coordinator(database, tmp_path / "coordinator") as thread:
        yield thread


@pytest.fixture
def file(tmp_path: Path) -> CredentialsFile:
    return CredentialsFile(tmp_path / "config")
