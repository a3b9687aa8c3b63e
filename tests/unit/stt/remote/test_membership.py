"""What a coordinator last answered to a node, and how long a request may take."""

from unittest.mock import Mock

import pytest

from stt.domain.claim import ClaimRules
from stt.errors import DatabaseUnavailable, KeyRejected, NodeRemoved
from stt.remote.client import CoordinatorClient
from stt.remote.membership import Membership
from stt.remote.messages import ReportMessage
from tests.support.remote_claims import node_settings


@pytest.fixture
def client() -> Mock:
    client = Mock(CoordinatorClient)
    client.removal.side_effect = lambda: NodeRemoved("removed from http://hub")
    return client


def member(client: Mock, lease_seconds: float = 60) -> Membership:
    return Membership(client, node_settings("mac-1f2e", ClaimRules(lease_seconds=lease_seconds)))


@pytest.mark.parametrize(("lease_seconds", "timeout_seconds"), [(1, 1.0), (40, 10.0), (300, 20.0)])
def test_a_request_is_over_before_the_claims_that_it_is_about(
    client: Mock, lease_seconds: float, timeout_seconds: float
) -> None:
    member(client, lease_seconds).ask("GET", "/tasks/count")
    client.ask.assert_called_once_with("GET", "/tasks/count", timeout_seconds=timeout_seconds)


def test_a_long_poll_may_take_longer(client: Mock) -> None:
    member(client).ask("GET", "/tasks/pending", more_seconds=25.0, query={"wait": 25})
    assert client.ask.call_args.kwargs == {"timeout_seconds": 40.0, "query": {"wait": 25}}


def test_the_answer_to_a_heartbeat_brings_the_settings(client: Mock) -> None:
    membership = member(client)
    changed = membership.settings.model_copy(update={"name": "renamed", "model": "small"})
    client.ask.return_value = changed.model_dump(mode="json")
    report = ReportMessage(worker_id="mac-1f2e_7")
    membership.report(report)
    assert client.ask.call_args.args == ("POST", "/api/nodes/mac-1f2e/heartbeat")
    assert client.ask.call_args.kwargs["body"] is report
    assert membership.settings == changed


@pytest.mark.parametrize("answer", [None, {}, "<html>", {"id": "mac-1f2e"}])
def test_an_answer_that_is_no_coordinators_changes_nothing(client: Mock, answer: object) -> None:
    membership = member(client)
    before = membership.settings
    client.ask.return_value = answer
    with pytest.raises(DatabaseUnavailable, match="cannot be read"):
        membership.report(ReportMessage(worker_id="mac-1f2e_7"))
    assert membership.settings is before


@pytest.mark.parametrize("error", [KeyRejected("wrong key"), NodeRemoved("gone")])
def test_a_rejection_is_remembered_for_all_threads(client: Mock, error: KeyRejected) -> None:
    membership = member(client)
    membership.check()
    client.ask.side_effect = error
    with pytest.raises(type(error)):
        membership.ask("GET", "/tasks/count")
    assert membership.rejection is error
    with pytest.raises(type(error)) as caught:
        membership.check()
    if isinstance(error, NodeRemoved):
        assert caught.value is not error
        assert "http://hub" in str(caught.value)


def test_a_coordinator_that_is_away_is_no_rejection(client: Mock) -> None:
    membership = member(client)
    client.ask.side_effect = DatabaseUnavailable("away")
    with pytest.raises(DatabaseUnavailable):
        membership.ask("GET", "/tasks/count")
    membership.check()
