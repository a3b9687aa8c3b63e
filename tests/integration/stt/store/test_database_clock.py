"""The clock of the database is set while claims are held: a real server under libfaketime."""

import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from stt.domain.claim import ClaimRules
from stt.store.claims import MongoClaims
from stt.store.database import Database
from tests.support.mongo_process import missing, running_mongo
from tests.support.queue_builder import add_chunks, chunk, claimed, document
from tools.chaos_lab.clock import has_clock_faker

RULES = ClaimRules(lease_seconds=300)


@pytest.fixture
def set_clock(tmp_path: Path) -> Callable[[float], None]:
    """Sets the server's clock so many hours ahead of the machine's."""
    file = tmp_path / "clock"

    def set_to(hours: float) -> None:
        written = file.with_suffix(".new")
        written.write_text(f"{hours * 3600:+.0f}\n")
        written.replace(file)

    set_to(0)
    return set_to


@pytest.fixture
def skewed(
    set_clock: Callable[[float], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database]:
    if not has_clock_faker():
        missing("faketime: apt-get install faketime")
    library = subprocess.check_output(["faketime", "-f", "+0", "printenv", "LD_PRELOAD"], text=True)
    with pytest.MonkeyPatch.context() as only_the_server:
        for name, value in (
            ("LD_PRELOAD", library.strip()),
            ("FAKETIME_TIMESTAMP_FILE", str(tmp_path / "clock")),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ):
            only_the_server.setenv(name, value)
        server = running_mongo()
        mongo = server.__enter__()
    try:
        with Database(mongo.url, "clock") as database:
            yield database
    finally:
        server.__exit__(None, None, None)


@pytest.mark.parametrize("hours", [1, -1])
def test_a_step_frees_what_is_dead_and_nothing_that_lives(
    skewed: Database, set_clock: Callable[[float], None], hours: float
) -> None:
    before = skewed.server_time()
    alice, dead = (MongoClaims(skewed, name, RULES) for name in ("alice_1", "dead_2"))
    janitor = MongoClaims(skewed, "janitor_3", RULES)
    mine, theirs = add_chunks(skewed, 2)
    claim = claimed(alice, chunk(skewed, mine))
    claimed(dead, chunk(skewed, theirs))
    assert janitor.recover() == []
    set_clock(hours)
    step = skewed.server_time() - before
    assert abs(step - timedelta(hours=hours)) < timedelta(minutes=10)
    assert janitor.recover() == []
    alice.renew(claim)
    assert [stale.worker for stale in janitor.recover()] == ["dead_2"]
    assert document(skewed, mine)["processing_by"] == "alice_1"
    assert janitor.recover() == []


def test_steps_forward_and_back_quarantine_nothing(
    skewed: Database, set_clock: Callable[[float], None]
) -> None:
    alice = MongoClaims(skewed, "alice_1", RULES)
    janitor = MongoClaims(skewed, "janitor_3", RULES)
    ids = add_chunks(skewed, 5)
    claims = [claimed(alice, chunk(skewed, id_)) for id_ in ids]
    janitor.recover()
    for hours in (1, 0, 24, -1, 0, 0.5, 0):
        set_clock(hours)
        assert janitor.recover() == []
        assert alice.renew_all(claims) == []
        assert janitor.recover() == []
    assert {document(skewed, id_).get("expirations", 0) for id_ in ids} == {0}
