"""A node's membership in a fleet: the settings that its coordinator sent last, or a rejection."""

from typing import Any

from pydantic import TypeAdapter

from stt.errors import KeyRejected, NodeRemoved
from stt.remote.client import CoordinatorClient, read_answer
from stt.remote.messages import NodeSettings, ReportMessage

_MAX_TIMEOUT_SECONDS = 20.0
_MIN_TIMEOUT_SECONDS = 1.0


class Membership:
    """What the coordinator last answered to one node. Safe between threads.

    `settings` are as the last heartbeat's answer or the WebSocket brought them; `rejection` is set
    once the coordinator has refused the key, or has removed the node.
    """

    def __init__(self, client: CoordinatorClient, settings: NodeSettings) -> None:
        self.client = client
        self.settings = settings
        self.rejection: KeyRejected | None = None

    def ask(self, method: str, path: str, *, more_seconds: float = 0.0, **request: Any) -> Any:
        """Ask as `CoordinatorClient.ask` does, with a timeout that is shorter than a lease."""
        # A request that hangs must not outlast the claims that it is about.
        quarter_seconds = self.settings.rules.lease_seconds / 4
        timeout_seconds = min(_MAX_TIMEOUT_SECONDS, max(_MIN_TIMEOUT_SECONDS, quarter_seconds))
        try:
            return self.client.ask(
                method, path, timeout_seconds=timeout_seconds + more_seconds, **request
            )
        except KeyRejected as error:  # for good, in whichever thread
            self.rejection = error
            raise

    def report(self, report: ReportMessage) -> None:
        """Send a heartbeat; its answer brings the settings."""
        path = f"/api/nodes/{self.settings.id}/heartbeat"
        answer = self.ask("POST", path, body=report)
        self.settings = read_answer(TypeAdapter(NodeSettings), answer)

    def check(self) -> None:
        """Raise NodeRemoved or KeyRejected if the coordinator has rejected this node."""
        if isinstance(self.rejection, NodeRemoved):
            raise self.client.removal()  # anew, since the worker may have logged the other one
        if self.rejection is not None:
            raise self.rejection
