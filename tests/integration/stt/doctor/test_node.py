"""This machine as a node of a real coordinator."""

import pytest

from stt.doctor.checks import Finding
from stt.doctor.node import node_findings, node_key
from stt.errors import ConfigError
from stt.node.credentials import Credentials, CredentialsFile
from tests.support.coordinator_app import CoordinatorThread
from tests.support.node_membership import join, remove


def checked(file: CredentialsFile) -> list[Finding]:
    return list(node_findings(file, 60.0))


def test_a_machine_that_is_no_node_is_passed_over(file: CredentialsFile) -> None:
    [finding] = checked(file)
    assert finding.state == "skipped"
    assert node_key(file) == set()
    assert not file.folder.exists()


def test_a_node_that_its_coordinator_knows(
    coordinator: CoordinatorThread, file: CredentialsFile
) -> None:
    made = join(coordinator, file)
    before = {path.name for path in file.folder.iterdir()}
    [finding] = checked(file)
    assert finding.state == "ok"
    assert f"'M4' at {coordinator.url} is enabled" in finding.message
    assert made.api_key not in finding.message
    assert node_key(file) == {made.api_key}
    assert {path.name for path in file.folder.iterdir()} == before


def test_a_removed_node_says_how_to_join_again(
    coordinator: CoordinatorThread, file: CredentialsFile
) -> None:
    remove(coordinator, join(coordinator, file).node_id)
    [finding] = checked(file)
    assert (finding.state, finding.exit_code) == ("problem", 3)
    assert "stt node register" in finding.message


def test_a_wrong_key_and_a_coordinator_that_is_away(
    coordinator: CoordinatorThread, file: CredentialsFile
) -> None:
    made = join(coordinator, file)
    file.save(Credentials(made.server_url, made.node_id, "wrong-key", made.name))
    assert [f.exit_code for f in checked(file)] == [3]
    file.save(Credentials("http://127.0.0.1:9", made.node_id, made.api_key, made.name))
    [away] = checked(file)
    assert (away.state, away.exit_code) == ("problem", 4)
    assert away.advice


def test_a_key_that_others_may_read_is_a_problem(file: CredentialsFile) -> None:
    file.save(Credentials("http://127.0.0.1:9", "m4-1", "key", "M4"))
    file.path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        checked(file)
    assert node_key(file) == set()
