"""Fixtures: a real MongoDB-compatible server over the wire, and a fresh database for each test."""

import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stt.domain.claim import ClaimRules
from stt.store.claims import MongoClaims
from stt.store.database import Database
from tests.support.mongo_process import new_database, running_mongo
from tests.support.s3_server import S3Server, running_s3, use

# A shell starts background jobs with SIGINT ignored, and children inherit that: then no Ctrl-C of
# a test would reach them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests write a recording and ingest it at once.
os.environ.setdefault("SETTLE_SECONDS", "0")
# What a test has started ends with it.
os.environ.setdefault("STT_KEEP_ALIVE_SECONDS", "0")

_SLOW = ("mlx", "words", "browser", "faults", "install", "fuzz")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Spread the files that take longest over the first two thirds of all files.

    So the heavy ones are not all at work at once, and none is begun last and alone at the end.
    """
    e2e = config.rootpath / "tests" / "e2e"
    slow: dict[Path, None] = {}
    rest: dict[Path, None] = {}
    for item in items:
        is_slow = e2e in item.path.parents or any(map(item.get_closest_marker, _SLOW))
        (slow if is_slow else rest)[item.path] = None
    place = {path: 2 / 3 * i / len(slow) for i, path in enumerate(slow)}
    place |= {path: i / len(rest) for i, path in enumerate(rest) if path not in slow}
    items.sort(key=lambda item: place[item.path])


@pytest.fixture(autouse=True)
def _log_is_put_back() -> Iterator[None]:
    """Commands that run in this process set the package's logger, and what they show."""
    package = logging.getLogger("stt")
    handlers, level = list(package.handlers), package.level
    yield
    package.handlers = handlers
    package.setLevel(level)
    console: Any = sys.modules.get("stt.cli.console")
    if console is not None:
        console._screen = console._Screen()


@pytest.fixture(scope="session")
def mongo_url() -> Iterator[str]:
    """The server of STT_TEST_MONGO_URL, or else the embedded one, started for this run."""
    url = os.environ.get("STT_TEST_MONGO_URL")
    if url:
        yield url
        return
    with running_mongo("--enable-test-commands") as server:
        yield server.url


@pytest.fixture
def database(mongo_url: str) -> Iterator[Database]:
    """A database of this test's own, with the indexes made."""
    with new_database(mongo_url) as database:
        yield database


@pytest.fixture(scope="module")
def shared_database(mongo_url: str) -> Iterator[Database]:
    """A database of this module's own, with the indexes made."""
    with new_database(mongo_url) as database:
        yield database


@pytest.fixture
def rules() -> ClaimRules:
    return ClaimRules(lease_seconds=60, max_attempts=3, max_expirations=5)


@pytest.fixture
def alice(database: Database, rules: ClaimRules) -> MongoClaims:
    return MongoClaims(database, "alice_1", rules)


@pytest.fixture
def bob(database: Database, rules: ClaimRules) -> MongoClaims:
    return MongoClaims(database, "bob_2", rules)


@pytest.fixture(scope="session")
def s3_process() -> Iterator[S3Server]:
    with running_s3() as server:
        yield server


@pytest.fixture
def s3(s3_process: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """An S3 server with one empty bucket, which this process and its children reach."""
    s3_process.forget()
    use(s3_process, monkeypatch)
    return s3_process
