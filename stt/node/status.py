"""What a node reports to the person at its machine: its own status, and that of the fleet."""

import contextlib
import logging
import threading
import time
from dataclasses import dataclass
from typing import Any

import requests
from pydantic import TypeAdapter, ValidationError

from stt.domain.node import Job
from stt.errors import SttError
from stt.node.activity import Phase
from stt.remote.client import CoordinatorClient

logger = logging.getLogger(__name__)

_MAX_AGE_SECONDS = 5.0
_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """What a node does, for its page and for `stt node status`. Nothing in it is secret."""

    phase: Phase
    detail: str
    node_id: str
    name: str
    server_url: str
    is_reached: bool
    has_channel: bool
    priority: int
    model: str | None
    device: str | None
    whisper_server: str
    has_own_server: bool
    jobs: tuple[Job, ...]
    counts: dict[str, int]
    in_flight: int


_AGENT_STATUS = TypeAdapter(AgentStatus)


def fetch_status(page_url: str) -> AgentStatus | None:
    """Return the status that a node's page shows; None if there is no answer that can be read."""
    with requests.Session() as session:
        session.trust_env = False  # a proxy cannot reach this machine's own addresses
        with contextlib.suppress(requests.RequestException, ValidationError):
            answer = session.get(f"{page_url}/api/state", timeout=_TIMEOUT_SECONDS)
            return _AGENT_STATUS.validate_json(answer.content)
    return None


class FleetMonitor:
    """The coordinator's `/status`, requested every few seconds at most. Safe between threads."""

    def __init__(self, client: CoordinatorClient) -> None:
        self._client = client
        self._status: dict[str, Any] | None = None
        self._requested_at = float("-inf")
        self._lock = threading.Lock()

    def snapshot(self) -> dict[str, Any] | None:
        """Return what `GET /status` answers; None without an answer."""
        with self._lock:
            if time.monotonic() - self._requested_at > _MAX_AGE_SECONDS:
                self._status = self._request()
                self._requested_at = time.monotonic()
            return self._status

    def _request(self) -> dict[str, Any] | None:
        try:
            status = self._client.ask("GET", "/status", timeout_seconds=_TIMEOUT_SECONDS)
        except SttError as error:
            logger.debug("fleet: %s", error)
            return None
        return status if isinstance(status, dict) else None
