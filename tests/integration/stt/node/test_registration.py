"""A machine joins a real coordinator and leaves it."""

import pytest

from stt.errors import ConfigError, DatabaseUnavailable, KeyRejected, NodeRemoved
from stt.node.credentials import Credentials, CredentialsFile
from stt.node.registration import node_status, register, unregister
from tests.support.coordinator_app import CoordinatorThread
from tests.support.node_membership import join, names, remove

NO_COORDINATOR = "http://127.0.0.1:9"


def test_a_machine_joins_once_and_leaves(
    coordinator: CoordinatorThread, file: CredentialsFile
) -> None:
    made = join(coordinator, file)
    assert file.load() == made
    found = node_status(file)
    assert (found.name, found.coordinator_state, found.is_running) == ("M4", "offline", False)
    assert found.trouble is None
    with pytest.raises(ConfigError, match="registered already, as 'M4'"):
        join(coordinator, file)
    assert unregister(file, force=False) == made
    assert names(coordinator) == []
    assert not node_status(file).is_registered


def test_a_wrong_code_joins_nothing(coordinator: CoordinatorThread, file: CredentialsFile) -> None:
    with pytest.raises(KeyRejected):
        register(file, coordinator.url, "M4", "ABCD-EFGH-JKLM")
    assert names(coordinator) == []
    assert list(file.folder.iterdir()) == []


def test_a_removed_machine_is_told_so_and_may_join_again(
    coordinator: CoordinatorThread, file: CredentialsFile
) -> None:
    remove(coordinator, join(coordinator, file).node_id)
    found = node_status(file)
    assert isinstance(found.trouble, NodeRemoved)
    assert found.coordinator_state == "removed"
    join(coordinator, file, "M4 again")
    assert names(coordinator) == ["M4 again"]


def test_leaving_a_coordinator_that_is_away_takes_force(file: CredentialsFile) -> None:
    file.save(Credentials(NO_COORDINATOR, "m4-3fa2", "key", "M4"))
    with pytest.raises(DatabaseUnavailable, match="--force"):
        unregister(file, force=False)
    assert file.path.exists()
    assert unregister(file, force=True) is not None
    assert not file.path.exists()


def test_a_broken_file_can_be_given_up(file: CredentialsFile) -> None:
    file.folder.mkdir()
    file.path.write_text("{")
    with pytest.raises(ConfigError):
        unregister(file, force=False)
    assert unregister(file, force=True) is None
    assert not file.path.exists()
