"""What a node does at the moment, and what its page shows of it and of the fleet."""

import contextlib
import time
from dataclasses import dataclass
from typing import Any, Literal

import requests
from pydantic import TypeAdapter, ValidationError
from urllib3.exceptions import HTTPError

from stt.domain.node import Job
from stt.errors import SttError
from stt.node.whisper_server import WhisperServer
from stt.remote.client import CoordinatorClient
from stt.system.http import MAX_SHORT_ANSWER_BYTES, fetch, http_session
from stt.worker.worker import Worker

_TIMEOUT_SECONDS = 5.0

Phase = Literal["connecting", "starting", "working", "paused", "waiting", "stopping"]


@dataclass(frozen=True, slots=True)
class Activity:
    """The phase of a node, why it is in it, and the server and worker that it has meanwhile."""

    phase: Phase
    detail: str = ""
    server: WhisperServer | None = None
    worker: Worker | None = None

    def jobs(self) -> tuple[Job, ...]:
        return self.worker.jobs() if self.worker else ()

    def check_claims(self) -> None:
        """Find out at once which claims are lost."""
        if self.worker:
            self.worker.check_claims()

    def test(self, timeout_seconds: float) -> str:
        """Test the whisper server, and return how that went. Raises SttError if it failed."""
        if self.server is None:
            raise SttError(f"The node is {self.phase}" + (self.detail and f": {self.detail}"))
        began = time.monotonic()
        try:
            return self.server.test(timeout_seconds)
        except SttError:
            jobs = len(self.jobs())
            if jobs and time.monotonic() - began >= timeout_seconds:
                return f"It transcribes {jobs} recording(s): a test has to wait its turn"
            raise


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
    with (
        contextlib.suppress(requests.RequestException, HTTPError, ValidationError),
        http_session(page_url) as session,
    ):
        answer = fetch(
            session,
            "GET",
            f"{page_url}/api/state",
            timeout=_TIMEOUT_SECONDS,
            total_seconds=_TIMEOUT_SECONDS,
            max_bytes=MAX_SHORT_ANSWER_BYTES,
        )
        return _AGENT_STATUS.validate_json(answer.body)
    return None


def fetch_fleet(client: CoordinatorClient) -> dict[str, Any] | None:
    """Return the coordinator's `GET /status`; None without an answer."""
    with contextlib.suppress(SttError):
        answer = client.ask("GET", "/status", timeout_seconds=_TIMEOUT_SECONDS)
        return answer if isinstance(answer, dict) else None
    return None
