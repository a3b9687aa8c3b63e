"""What the supervisor does to a running worker. The rest is shown with real nodes in tests/e2e."""

from unittest.mock import Mock

import pytest

from stt.domain.claim import ClaimRules
from stt.errors import NodeRemoved
from stt.node.supervisor import Supervisor
from stt.node.whisper_server import WhisperServer
from stt.remote.client import CoordinatorClient
from stt.remote.membership import Membership
from stt.remote.messages import DesiredState
from stt.worker.worker import Worker
from tests.support.pace import until
from tests.support.remote_claims import node_settings


@pytest.fixture
def membership() -> Membership:
    client = CoordinatorClient("http://127.0.0.1:1", "key")
    return Membership(client, node_settings("mac-1f2e", ClaimRules()))


def stopped_worker(membership: Membership, desired: DesiredState, *, is_gone: bool = False) -> Mock:
    """Return a worker that the supervisor has stopped."""
    worker, supervisor = Mock(Worker), Supervisor(membership, Mock())
    supervisor.start()
    with supervisor.supervising(worker, desired, Mock(WhisperServer, is_gone=is_gone)):
        until(lambda: worker.stop.called, 10)
    supervisor.stop()
    return worker


def test_a_removal_that_only_a_heartbeat_was_answered_with_stops_the_worker(
    membership: Membership,
) -> None:
    membership.rejection = NodeRemoved("removed")
    worker = stopped_worker(membership, membership.settings.desired_state)
    worker.stop.assert_called_with("this node was removed from the coordinator", at_once=True)


def test_a_worker_whose_server_is_gone_is_stopped(membership: Membership) -> None:
    worker = stopped_worker(membership, membership.settings.desired_state, is_gone=True)
    worker.stop.assert_called_with("the node's own whisper server is gone: starts it anew")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"is_enabled": False}, "paused by the coordinator"),
        ({"model": "large-v3"}, "another model is wanted: large-v3"),
        ({"rules": node_settings("", ClaimRules(7)).rules}, "the coordinator has other rules now"),
    ],
)
def test_a_worker_that_goes_by_what_is_no_longer_desired_is_stopped(
    membership: Membership, change: dict[str, object], reason: str
) -> None:
    desired = membership.settings.desired_state
    membership.settings = membership.settings.model_copy(update=change)
    worker = stopped_worker(membership, desired)
    worker.stop.assert_called_with(reason)
