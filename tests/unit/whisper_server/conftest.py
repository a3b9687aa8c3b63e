"""A server around a stand-in engine, for tests that need no other settings."""

from collections.abc import Iterator

import pytest

from tests.support.whisper_stand_in import Running, running


@pytest.fixture(scope="module")
def open_server() -> Iterator[Running]:
    with running() as server:
        yield server
