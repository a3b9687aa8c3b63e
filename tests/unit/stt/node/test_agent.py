"""What follows when a worker cannot start. The rest is shown with real nodes in tests/e2e."""

from pathlib import Path
from unittest.mock import Mock

import pytest

from stt.errors import DatabaseUnavailable
from stt.node.agent import NodeAgent
from stt.node.credentials import Credentials, CredentialsFile
from stt.node.whisper_server import WhisperServer
from stt.settings import Settings


@pytest.mark.parametrize("is_persistent", [True, False])
def test_a_node_that_stays_starts_another_worker_when_the_coordinator_was_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_persistent: bool
) -> None:
    monkeypatch.setattr("stt.node.agent._START_WAIT_SECONDS", 0.0)
    file = CredentialsFile(tmp_path)
    file.save(Credentials("http://127.0.0.1:1", "mac-1f2e", "key", "mac"))
    settings = Settings(config_dir=tmp_path, server_urls=("http://127.0.0.1:1",))
    if not is_persistent:
        settings = settings.model_copy(update={"required_empty_checks": 1})
    node, server = NodeAgent(settings), Mock(WhisperServer, settings=settings)
    if is_persistent:
        assert node._run_worker(server, node._desired_state()) is None, "the run is not over"
    else:
        with pytest.raises(DatabaseUnavailable):
            node._run_worker(server, node._desired_state())
