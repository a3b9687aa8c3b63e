"""What a node shows of itself to the person at its machine."""

import contextlib
from dataclasses import dataclass
from typing import Literal

import requests
from pydantic import TypeAdapter, ValidationError

from stt.domain.node import Job

_TIMEOUT_SECONDS = 5.0

Phase = Literal["connecting", "starting", "working", "paused", "waiting", "stopping"]


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """What a node is at, for its page and its terminal. Nothing in it is secret."""

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
