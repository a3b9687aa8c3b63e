"""What a running node makes of what it hears. The rest is shown with real ones in tests/e2e."""

from pathlib import Path
from unittest.mock import Mock

from stt.errors import NodeRemoved
from stt.node.agent import NodeAgent
from stt.node.credentials import Credentials, CredentialsFile
from stt.node.instance_lock import InstanceLock
from stt.remote.queue import RemoteQueue
from stt.settings import Settings
from stt.worker.worker import Worker


def test_a_removal_that_only_a_heartbeat_has_heard_of_stops_the_worker(tmp_path: Path) -> None:
    credentials = Credentials("http://127.0.0.1:1", "mac-1f2e", "key", "mac")
    node = NodeAgent(credentials, CredentialsFile(tmp_path), Settings(), InstanceLock(tmp_path))
    node._remote = Mock(RemoteQueue, rejection=NodeRemoved("removed"))
    worker = Mock(Worker)
    node._apply_desired_state(worker)
    worker.stop.assert_called_once_with("this node was removed from the coordinator", at_once=True)
