"""Workers that reach the queue at the database, or through a coordinator."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stt.domain.claim import ClaimRules, Claims
from stt.store.claims import MongoClaims
from stt.store.database import Database
from tests.support.remote_claims import remote_claims


@pytest.fixture(params=["database", "as another server", "coordinator"])
def reach(
    request: pytest.FixtureRequest, database: Database, rules: ClaimRules, tmp_path: Path
) -> Iterator[Callable[[str], Claims]]:
    """Gives a worker of this name its view of the queue.

    "as another server": a chunk is claimed in the way of MongoDB on SecantusDB, and the reverse.
    """
    if request.param == "as another server":
        database.is_secantus = not database.is_secantus
    if request.param != "coordinator":
        yield lambda worker: MongoClaims(database, worker, rules)
        return
    with remote_claims(database, rules, tmp_path) as claims_of:
        yield claims_of
