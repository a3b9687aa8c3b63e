"""Coordinators: one for all tests of a module, one for a single test, one without a database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stt.coordinator.uploads import processor
from stt.domain.claim import ClaimRules
from stt.store.database import Database
from tests.support.coordinator_app import CoordinatorThread, KeyedSession, running_coordinator
from tests.support.coordinator_nodes import Fleet, TheNode
from tests.support.recordings import babble, write_wav
from tests.support.remote_member import Member
from tests.support.speech import opus_tone
from tests.support.upload_site import Site

AWAY = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300&directConnection=true"


@pytest.fixture(scope="module")
def coordinator(
    shared_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CoordinatorThread]:
    """One for all tests of a module, of which none disturbs another: they try no wrong key."""
    with running_coordinator(shared_database, tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.fixture
def person(coordinator: CoordinatorThread) -> Iterator[KeyedSession]:
    with coordinator.person() as session:
        yield session


@pytest.fixture
def queue(coordinator: CoordinatorThread, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Return the coordinator's database, with nothing in it; its counts are waited for."""
    monkeypatch.setattr("stt.coordinator.store.status._TIMEOUT_SECONDS", 60.0)
    database = coordinator.coordinator.database
    for collection in ("chunks", "recordings", "audio", "uploads", "workers", "nodes"):
        getattr(database, collection).delete_many({})
    coordinator.coordinator.queue_monitor.invalidate()
    return database


@pytest.fixture
def fresh_coordinator(database: Database, tmp_path: Path) -> Iterator[CoordinatorThread]:
    """One for a single test, for instance because it tries wrong keys."""
    with running_coordinator(database, tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CoordinatorThread]:
    """Return a coordinator whose database does not answer."""
    with (
        Database(AWAY, "stt") as database,
        running_coordinator(database, tmp_path_factory.mktemp("data")) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def fleet(shared_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("data")
    with (
        running_coordinator(shared_database, folder / "first") as first,
        running_coordinator(shared_database, folder / "second") as second,
    ):
        yield Fleet(shared_database, first, second)


@pytest.fixture
def node(fleet: Fleet) -> Iterator[TheNode]:
    node_id, key = fleet.first.join("M4 MacBook Pro")
    with fleet.first.node(key) as session:
        yield TheNode(fleet, node_id, session, key)


@pytest.fixture(scope="module")
def site(shared_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A coordinator that takes uploads."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processor, "_POLL_SECONDS", 0.2)
        with running_coordinator(shared_database, folder) as coordinator:
            site = Site(shared_database, coordinator, folder / "uploads")
            yield site
            site.processor.stop()  # which may be another one than the coordinator began with


@pytest.fixture
def uploader(site: Site) -> Iterator[KeyedSession]:
    """A person's session with a coordinator that has no uploads yet."""
    for collection in ("uploads", "recordings", "chunks", "audio"):
        getattr(site.database, collection).delete_many({})
    with site.coordinator.person() as session:
        yield session


@pytest.fixture(scope="session")
def talk(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = write_wav(tmp_path_factory.mktemp("talk") / "talk.wav", babble(3.0))
    return path.read_bytes()


@pytest.fixture
def mac(fresh_coordinator: CoordinatorThread, rules: ClaimRules) -> Member:
    """Return a node that has joined `fresh_coordinator`, and its queue."""
    return Member(fresh_coordinator, rules)


@pytest.fixture(scope="session")
def opus() -> bytes:
    return opus_tone(2.0)
