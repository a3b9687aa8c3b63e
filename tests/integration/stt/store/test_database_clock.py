"""The clock of the database is set while claims are held: a real server under libfaketime."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from stt.domain.claim import ClaimRules
from stt.store.claims import MongoClaims
from stt.store.database import Database
from tests.support.mongo_process import MongoProcess, missing, running_mongo
from tests.support.queue_builder import add_chunks, chunk, claimed, document
from tools.chaos_lab.clock import has_clock_faker

RULES = ClaimRules(lease_seconds=300)


class SkewedServer:
    """A database server whose clock is so many hours ahead of the machine's.

    It is started anew for each time: libfaketime can change the time of a process that runs, but
    gives the threads of this one now the old time and now the new one.
    """

    def __init__(self) -> None:
        if not has_clock_faker():
            missing("faketime: apt-get install faketime")
        where = ["faketime", "-f", "+0", "printenv", "LD_PRELOAD"]
        self._library = subprocess.check_output(where, text=True).strip()
        self._server: MongoProcess | None = None

    @contextmanager
    def running(self) -> Iterator[str]:
        with self._clock(0), running_mongo() as self._server:
            yield self._server.url

    def set_clock(self, hours: float) -> None:
        assert self._server is not None
        self._server.stop()
        with self._clock(hours):
            self._server.start()

    @contextmanager
    def _clock(self, hours: float) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("LD_PRELOAD", self._library)
            environment.setenv("FAKETIME", f"{hours * 3600:+.0f}")
            environment.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            yield


@pytest.fixture
def server() -> SkewedServer:
    return SkewedServer()


@pytest.fixture
def skewed(server: SkewedServer) -> Iterator[Database]:
    with server.running() as url, Database(url, "clock") as database:
        yield database


@pytest.mark.parametrize("hours", [1, -1])
def test_a_step_frees_what_is_dead_and_nothing_that_lives(
    skewed: Database, server: SkewedServer, hours: float
) -> None:
    before = skewed.server_time()
    alice, dead = (MongoClaims(skewed, name, RULES) for name in ("alice_1", "dead_2"))
    janitor = MongoClaims(skewed, "janitor_3", RULES)
    mine, theirs = add_chunks(skewed, 2)
    claim = claimed(alice, chunk(skewed, mine))
    claimed(dead, chunk(skewed, theirs))
    assert janitor.recover() == []
    server.set_clock(hours)
    step = skewed.server_time() - before
    assert abs(step - timedelta(hours=hours)) < timedelta(minutes=10)
    assert janitor.recover() == []
    alice.renew(claim)
    assert [stale.worker for stale in janitor.recover()] == ["dead_2"]
    assert document(skewed, mine)["processing_by"] == "alice_1"
    assert janitor.recover() == []


def test_steps_forward_and_back_quarantine_nothing(skewed: Database, server: SkewedServer) -> None:
    alice = MongoClaims(skewed, "alice_1", RULES)
    janitor = MongoClaims(skewed, "janitor_3", RULES)
    ids = add_chunks(skewed, 5)
    claims = [claimed(alice, chunk(skewed, id_)) for id_ in ids]
    janitor.recover()
    for hours in (1, 0, 24, -1, 0, 0.5, 0):
        server.set_clock(hours)
        assert janitor.recover() == []
        assert alice.renew_all(claims) == []
        assert janitor.recover() == []
    assert {document(skewed, id_).get("expirations", 0) for id_ in ids} == {0}
