"""A machine joins a real coordinator and leaves it."""

import socket
from typing import Any

import pytest

from stt.errors import ConfigError, DatabaseUnavailable, KeyRejected, NodeRemoved
from stt.node.credentials import Credentials, CredentialsFile
from stt.node.registration import node_status, register, unregister
from tests.support.coordinator_app import CoordinatorThread
from tests.support.node_membership import join, names, remove
from tests.support.remote_member import impostor
from tests.support.whisper_stand_in import running

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
    with pytest.raises(
        KeyRejected, match=r"join code is wrong, or no longer valid.*makes a new one"
    ):
        register(file, coordinator.url, "M4", "ABCD-EFGH-JKLM")
    with pytest.raises(ConfigError, match="refuses the name or the code"):
        register(file, coordinator.url, "M4", "A" * 200)
    assert names(coordinator) == []
    assert list(file.folder.iterdir()) == []


@pytest.mark.parametrize("key", ["", "a-key-of-enough-letters"])
@pytest.mark.parametrize("path", ["", "/v1"])
def test_a_whisper_server_is_called_one_and_gets_no_code(
    file: CredentialsFile, path: str, key: str
) -> None:
    variables: dict[str, Any] = {"API_KEY": key} if key else {}
    with (
        running(loaded=False, **variables) as server,
        pytest.raises(ConfigError, match="is a whisper server, not a coordinator") as caught,
    ):
        register(file, server.url + path, "M4", "ABCD-EFGH-JKLM")
    assert f"`stt node start --server {server.url}{path}`" in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "error", "says"),
    [
        (200, '{"status": "ok"}', ConfigError, "does not answer like a coordinator"),
        (404, '{"error": {"code": "x", "message": "no"}}', ConfigError, "like a coordinator"),
        (404, "<html>Not found</html>", ConfigError, "answered 404"),
        (302, "", ConfigError, "use the address behind that"),
        (401, "Basic", KeyRejected, "refuses the request"),
        (502, "<html>Bad gateway</html>", DatabaseUnavailable, "Is it up"),
    ],
)
def test_what_is_no_coordinator_is_named_and_gets_no_code(
    file: CredentialsFile, status: int, body: str, error: type[Exception], says: str
) -> None:
    with impostor(lambda _: (status, body)) as (url, asked), pytest.raises(error, match=says):
        register(file, url, "M4", "ABCD-EFGH-JKLM")
    assert set(asked) <= {"/api/system/health", "/v1/models"}


def test_a_server_that_swallows_connections_is_one_that_does_not_answer(
    file: CredentialsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stt.node.registration._CHECK_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(DatabaseUnavailable, match=r"no answer in time.*is the address right"):
            register(file, url, "M4", "ABCD-EFGH-JKLM")


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
