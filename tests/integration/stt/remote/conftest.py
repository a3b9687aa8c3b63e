"""A coordinator of this test's own, and a node that has joined it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stt.domain.claim import ClaimRules
from stt.store.database import Database
from tests.support.coordinator_app import CoordinatorThread, running_coordinator
from tests.support.remote_member import Member
from tests.support.speech import opus_tone


@pytest.fixture
def coordinator(database: Database, tmp_path: Path) -> Iterator[CoordinatorThread]:
    with running_coordinator(database, tmp_path, lease_seconds=60) as running:
        yield running


@pytest.fixture
def mac(coordinator: CoordinatorThread, rules: ClaimRules) -> Member:
    return Member(coordinator, rules)


@pytest.fixture(scope="session")
def opus() -> bytes:
    return opus_tone(2.0)
