"""Claims through a coordinator, for tests that hold them against those at the database."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from stt.domain.claim import ClaimRules
from stt.domain.worker_id import WorkerId
from stt.remote.client import CoordinatorClient
from stt.remote.membership import Membership
from stt.remote.messages import NodeSettings, Rules
from stt.remote.queue import RemoteQueue
from stt.store.database import Database
from tests.support.coordinator_app import PEOPLES_KEY, running_coordinator


def node_settings(node_id: str, rules: ClaimRules) -> NodeSettings:
    """Return the settings of a node at a coordinator with these rules."""
    node_rules = Rules(
        lease_seconds=rules.lease_seconds,
        max_attempts=rules.max_attempts,
        max_expirations=rules.max_expirations,
        chunk_timeout_seconds=600,
        heartbeat_seconds=30,
    )
    return NodeSettings(id=node_id, name=node_id, rules=node_rules)


@contextlib.contextmanager
def remote_claims(
    database: Database, rules: ClaimRules, data_dir: Path
) -> Iterator[Callable[[str], RemoteQueue]]:
    """The claims of any worker, by its name, through a coordinator before this database."""
    numbers: dict[str, Any] = {
        "lease_seconds": rules.lease_seconds,
        "max_attempts": rules.max_attempts,
        "max_expirations": rules.max_expirations,
    }
    # The tests free stale claims themselves: its reaper must not be faster.
    with (
        mock.patch("stt.coordinator.app.start_lease_reaper"),
        running_coordinator(database, data_dir, **numbers) as coordinator,
    ):
        client = CoordinatorClient(coordinator.url, PEOPLES_KEY)

        def claims_of(worker: str) -> RemoteQueue:
            membership = Membership(client, node_settings(WorkerId(worker).owner, rules))
            return RemoteQueue(membership, worker, long_poll=False)

        yield claims_of
        client.close()
